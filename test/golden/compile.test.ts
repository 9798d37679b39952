/**
 * One folder a case: `resources.json` is what operators wrote (the default objects are there besides), `snapshot.json` what
 * the engine gets. WEIR_GOLDEN=write writes the latter anew; its diff is read like code.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { compile } from '#controller/compile/compile.ts'
import type { Compiled, CompileInput } from '#controller/compile/compile.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { compileInput } from '#test/support/compile.ts'
import { contextOf, defaultDocuments, document, pointersOf } from '#test/support/resources.ts'

interface Case {
  readonly about: string
  readonly engine: Pick<CompileInput['engine'], 'addresses' | 'zone' | 'bgp'> & { readonly group?: string }
  readonly virtualServices: readonly string[]
  readonly documents: readonly { readonly kind: KindName; readonly body: JsonObject }[]
}

const folder = join(import.meta.dirname, 'compile')
const isWriting = process.env['WEIR_GOLDEN'] === 'write'

/** Parts in the order of the manifest; hashes follow from them and would only be noise. */
function shown({ manifest, parts, problems }: Compiled): string {
  const listed = manifest.parts.map(({ hash }) => parts.get(hash))
  return `${JSON.stringify({ version: manifest.version, parts: listed, problems }, null, 2)}\n`
}

for (const name of readdirSync(folder))
  t.test(`compile ${name}`, async t => {
    const { engine, virtualServices, documents } = JSON.parse(readFileSync(join(folder, name, 'resources.json'), 'utf8')) as Case
    const all = [...defaultDocuments, ...documents.map(({ kind, body }) => document(kind, body))]
    for (const { kind, uuid, body } of all) t.same(pointersOf(kind, body, contextOf(all, uuid)), [], `${uuid} is valid`)

    const text = shown(compile(compileInput(all, { engine, virtualServices: virtualServices.map(one => `virtualservice-${one}`) })))
    const path = join(folder, name, 'snapshot.json')
    if (isWriting) writeFileSync(path, text)
    t.equal(text, readFileSync(path, 'utf8'))
  })
