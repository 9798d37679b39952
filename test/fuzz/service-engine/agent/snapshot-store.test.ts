import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { canonicalJson } from '#model/snapshot/canonical.ts'
import { openSnapshotStore } from '#engine/agent/snapshot-store.ts'
import { aFolder } from '#test/support/agent.ts'
import { aManifest, aService } from '#test/support/fleet.ts'

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

t.before(() => t.comment(`seed ${seed} (WEIR_FUZZ_SEED)`))

t.test('whatever happened to its files, a snapshot store loads one that was saved or none', async t => {
  const folder = aFolder(t)
  const store = await openSnapshotStore(folder, silentLog)
  const saved = [1, 2].map(revision =>
    aManifest('e', revision, [{ kind: 'engine', id: 'e', name: 'e', drainTimeoutS: 1 }, aService('same'), aService(`s${revision}`)])
  )
  for (const snapshot of saved) await store.save(snapshot)
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  const paths = files.map(file => join(file.parentPath, file.name))
  const good = paths.map(path => readFileSync(path))
  const allowed = new Set(saved.map(snapshot => canonicalJson([snapshot.manifest, ...snapshot.parts])))

  const damage = fc.array(
    fc.record({ file: fc.nat(), at: fc.nat(), bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }), isCut: fc.boolean() }),
    { minLength: 1, maxLength: 3 }
  )
  const property = fc.asyncProperty(damage, async blows => {
    for (const [i, path] of paths.entries()) writeFileSync(path, good[i]!)
    for (const { file, at, bytes, isCut } of blows) {
      const path = paths[file % paths.length]!
      const content = readFileSync(path)
      if (content.length === 0) continue
      const where = at % content.length
      if (isCut) writeFileSync(path, content.subarray(0, where))
      else {
        content.set(bytes.subarray(0, content.length - where), where)
        writeFileSync(path, content)
      }
    }
    const { snapshot: loaded } = await (await openSnapshotStore(folder, silentLog)).load()
    return loaded === undefined || allowed.has(canonicalJson([loaded.manifest, ...loaded.parts]))
  })
  await fc.assert(property, { seed, numRuns: 400, interruptAfterTimeLimit: 2_000, markInterruptAsFailure: false })
  t.pass('bounded')
})
