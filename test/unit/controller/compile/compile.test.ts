import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import t from 'tap'
import { compile, PartCache } from '#controller/compile/compile.ts'
import type { Compiled } from '#controller/compile/compile.ts'
import { boundAddress } from '#controller/compile/listen.ts'
import { statusRanges } from '#controller/compile/match.ts'
import { compileNetworkRules } from '#engine/dataplane/exchange/network-rules.ts'
import { compileRules } from '#engine/dataplane/route/rules.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { canonicalJson, manifestText } from '#model/snapshot/canonical.ts'
import type { CertificatePart, Part } from '#model/snapshot/snapshot.ts'
import { compileInput } from '#test/support/compile.ts'
import { defaultDocuments, document, minimal } from '#test/support/resources.ts'
import type { StoredDocument } from '#test/support/resources.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const documents: readonly StoredDocument[] = [
  ...defaultDocuments,
  document('vsvip', minimal.vsvip as JsonObject),
  document('pool', { ...(minimal.pool as JsonObject), health_monitor_refs: ['healthmonitor-System-TCP'] }),
  document('virtualservice', { ...(minimal.virtualservice as JsonObject), pool_ref: 'pool-web' }),
  document('virtualservice', { ...(minimal.virtualservice as JsonObject), name: 'blog', services: [{ port: 81 }], pool_ref: 'pool-web' })
]
const changed = (uuid: string, body: object, revision: number): StoredDocument[] =>
  documents.map(one => (one.uuid === uuid ? { ...one, body: { ...one.body, ...body } as JsonObject, revision } : one))
const idsOf = ({ manifest }: Compiled): readonly string[] => manifest.parts.map(({ kind, id }) => `${kind} ${id}`)
const hashOf = ({ manifest }: Compiled, id: string): string | undefined => manifest.parts.find(part => part.id === id)?.hash

t.test('the manifest names every part by the hash of its content, in order', async t => {
  const { manifest, parts } = compile(compileInput(documents, { revision: 7 }))
  t.equal(manifest.revision, 7)
  t.same(
    manifest.parts.map(({ kind, id }) => `${kind} ${id}`),
    ['engine serviceengine-1', 'pool pool-web', 'virtual-service virtualservice-blog', 'virtual-service virtualservice-shop']
  )
  for (const { hash } of manifest.parts) t.equal(sha256(canonicalJson(parts.get(hash))), hash)
  t.equal(manifest.hash, sha256(manifestText(manifest.parts)))
})

t.test('equal content has an equal hash, whatever the order, the revision and the cache', async t => {
  const cold = compile(compileInput(documents))
  const cache = new PartCache()
  const again = compile(compileInput(documents.toReversed(), { revision: 2, cache }))
  const warm = compile(
    compileInput(documents, { revision: 3, cache, virtualServices: ['virtualservice-blog', 'virtualservice-shop', 'virtualservice-blog'] })
  )
  t.equal(again.manifest.hash, cold.manifest.hash)
  t.equal(warm.manifest.hash, cold.manifest.hash)
  t.same([...warm.parts.values()], [...cold.parts.values()])
})

t.test('a change touches only the parts that are made from it', async t => {
  const cache = new PartCache()
  const before = compile(compileInput(documents, { cache }))
  const after = compile(compileInput(changed('healthmonitor-System-TCP', { send_interval: 20 }, 2), { revision: 2, cache }))
  t.not(hashOf(after, 'pool-web'), hashOf(before, 'pool-web'))
  t.equal(hashOf(after, 'virtualservice-shop'), hashOf(before, 'virtualservice-shop'))
  t.match(after.parts.get(hashOf(after, 'pool-web')!), { monitors: [{ sendIntervalMs: 20_000 }] })
  t.not(after.manifest.hash, before.manifest.hash)
})

t.test('what is added, taken away or becomes a default later is seen through the cache', async t => {
  const cache = new PartCache()
  const bare = documents.filter(({ uuid }) => uuid !== 'applicationprofile-System-HTTP')
  const before = compile(compileInput(bare, { cache }))
  const own = { http_profile: { keepalive_timeout: 5000 } }
  const after = compile(compileInput(changed('applicationprofile-System-HTTP', own, 2), { revision: 2, cache }))
  t.match(before.parts.get(hashOf(before, 'virtualservice-shop')!), { http: { keepAliveTimeoutMs: 30_000 } })
  t.match(after.parts.get(hashOf(after, 'virtualservice-shop')!), { http: { keepAliveTimeoutMs: 5000 } })
  const gone = compile(
    compileInput(
      documents.filter(({ uuid }) => uuid !== 'pool-web'),
      { revision: 3, cache }
    )
  )
  t.same(
    gone.problems.map(({ message }) => message),
    ['pool pool-web is not there', 'pool pool-web is not there']
  )
  t.same(idsOf(gone), ['engine serviceengine-1'])
})

t.test('engines that bind other addresses get other listeners from one cache', async t => {
  const cache = new PartCache()
  const own = compile(compileInput(documents, { cache, engine: { addresses: ['10.0.0.10'] } }))
  const foreign = compile(compileInput(documents, { cache, engine: { addresses: ['10.0.0.99'] } }))
  t.match(own.parts.get(hashOf(own, 'virtualservice-shop')!), { listeners: [{ address: '10.0.0.10', vip: '10.0.0.10' }] })
  t.match(foreign.parts.get(hashOf(foreign, 'virtualservice-shop')!), { listeners: [{ address: '0.0.0.0', vip: '10.0.0.10' }] })
  t.equal(hashOf(own, 'pool-web'), hashOf(foreign, 'pool-web'))
})

t.test('the cache forgets what a round did not use', async t => {
  const cache = new PartCache()
  compile(compileInput(documents, { revision: 1, cache }))
  const all = cache.size
  compile(compileInput(documents, { revision: 2, cache, virtualServices: [] }))
  cache.sweep(2)
  t.ok(cache.size < all)
  t.equal(cache.size, 1, 'the engine itself')
})

t.test('every golden part is what the engine can compile', async t => {
  const folder = join(import.meta.dirname, '../../../golden/compile')
  let tested = 0
  for (const name of readdirSync(folder)) {
    const { parts } = JSON.parse(readFileSync(join(folder, name, 'snapshot.json'), 'utf8')) as { parts: readonly Part[] }
    const certificates = new Map(parts.filter((part): part is CertificatePart => part.kind === 'certificate').map(part => [part.id, part]))
    for (const part of parts) {
      if (part.kind !== 'virtual-service') continue
      compileRules(part, { open: () => () => 0, openQuota: () => () => 0 })
      compileNetworkRules(part.networkRules, { open: () => () => 0, openQuota: () => () => 0 })
      for (const id of part.tls?.certificateIds ?? []) {
        const { certificatePem, keyPem } = certificates.get(id)!
        const { minVersion, maxVersion, ciphers } = part.tls!
        createSecureContext({ cert: certificatePem, key: keyPem, minVersion, maxVersion, ciphers })
      }
      tested++
    }
  }
  t.ok(tested > 20)
})

t.test('boundAddress binds what the engine has and every host has', async t => {
  const own = new Set(['10.0.0.1', '2001:db8::1'])
  t.same(
    ['10.0.0.1', '10.0.0.2', '2001:db8::1', '2001:db8::2', '127.0.0.5', '::1', '0.0.0.0'].map(vip => boundAddress(vip, own)),
    ['10.0.0.1', '0.0.0.0', '2001:db8::1', '::', '127.0.0.5', '::1', '0.0.0.0']
  )
})

t.test('statusRanges turns what is left out into what is there', async t => {
  t.same(statusRanges(undefined), [])
  t.same(
    statusRanges({
      match_criteria: 'IS_NOT_IN',
      ranges: [
        { begin: 100, end: 199 },
        { begin: 150, end: 999 }
      ]
    }),
    []
  )
  t.same(statusRanges({ match_criteria: 'IS_NOT_IN', status_codes: [200] }), [
    { from: 100, to: 199 },
    { from: 201, to: 999 }
  ])
})

t.test('a limit says how many engines share it, and how they number its keys', async t => {
  const limited = changed('virtualservice-shop', { requests_rate_limit: { rate_limiter: { count: 5, period: 1 }, action: {} } }, 2)
  const cache = new PartCache()
  const limitOf = (engines: number) => {
    const { parts } = compile(compileInput(limited, { cache, enginesOf: uuid => (uuid === 'virtualservice-shop' ? engines : 1) }))
    const part = [...parts.values()].find(({ id }) => id === 'virtualservice-shop')
    return part?.kind === 'virtual-service' ? part.requestLimit : undefined
  }
  const [alone, shared] = [limitOf(1), limitOf(3)]
  t.match(shared, { engines: 3, seed: [Number, Number] })
  t.equal(alone?.engines, undefined)
  t.same(alone?.seed, shared?.seed)
})
