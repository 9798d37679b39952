/** Whatever passes the checks can be compiled: it becomes parts or a problem in words, never an exception. */
import fc from 'fast-check'
import t from 'tap'
import { compile, PartCache } from '#controller/compile/compile.ts'
import { compileNetworkRules } from '#engine/dataplane/exchange/network-rules.ts'
import { compileRules } from '#engine/dataplane/route/rules.ts'
import { checkResource, withReferences } from '#model/resource/catalogue.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { documentOf } from '#test/support/arbitrary-resource.ts'
import { compileInput } from '#test/support/compile.ts'
import { defaultDocuments, document, emptyContext, minimal } from '#test/support/resources.ts'
import type { StoredDocument } from '#test/support/resources.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)
t.comment(`seed ${seed}`)

const drawn: readonly KindName[] = [
  'virtualservice',
  'pool',
  'poolgroup',
  'healthmonitor',
  'applicationprofile',
  'networkprofile',
  'sslprofile',
  'httppolicyset',
  'networksecuritypolicy',
  'ipaddrgroup',
  'stringgroup',
  'analyticsprofile',
  'vsvip'
]

/** A drawn document where it is valid, the minimal one where it is not; its references lead to the one of each kind. */
function storedOf(kind: KindName, body: unknown): StoredDocument {
  const { violations, unsupported } = checkResource(kind, body, emptyContext)
  const sound = violations.length + unsupported.length > 0 ? minimal[kind] : body
  return document(
    kind,
    withReferences(kind, sound as JsonObject, ({ toKind }) => `${toKind}-1`),
    { uuid: `${kind}-1` }
  )
}

t.test('valid documents compile, and the engine takes their rules', async t => {
  let built = 0
  const bodies = fc.record(Object.fromEntries(drawn.map(kind => [kind, documentOf(kind)])))
  fc.assert(
    fc.property(bodies, drawnBodies => {
      const others = (['sslkeyandcertificate', 'pkiprofile'] as const).map(kind => storedOf(kind, minimal[kind]))
      const all = [...defaultDocuments, ...others, ...drawn.map(kind => storedOf(kind, drawnBodies[kind]))]
      const input = compileInput(all, { engine: { addresses: ['10.0.0.1'] }, cache: new PartCache() })
      const first = compile(input)
      const second = compile(input)
      for (const part of first.parts.values()) {
        if (part.kind !== 'virtual-service') continue
        built++
        compileRules(part)
        compileNetworkRules(part.networkRules, { open: () => () => 0, openQuota: () => () => 0 })
      }
      return first.manifest.hash === second.manifest.hash && first.manifest.parts.length + first.problems.length > 1
    }),
    { seed, numRuns: 300, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false }
  )
  t.ok(built > 0, `${built} virtual services were built`)
})
