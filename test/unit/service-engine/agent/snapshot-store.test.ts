import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SNAPSHOT_VERSION } from '#model/snapshot/snapshot.ts'
import { silentLog } from '#model/base/log.ts'
import type { Part } from '#model/snapshot/snapshot.ts'
import { openSnapshotStore } from '#engine/agent/snapshot-store.ts'
import { aFolder } from '#test/support/agent.ts'
import { aManifest, aService } from '#test/support/fleet.ts'

const own: Part = { kind: 'engine', id: 'e', name: 'e', drainTimeoutS: 1 }
const snapshotOf = (revision: number, ...services: string[]) => aManifest('e', revision, [own, ...services.map(id => aService(id))])

t.test('a snapshot store gives back the newest that was saved', async t => {
  const folder = aFolder(t)
  const store = await openSnapshotStore(folder, silentLog)
  t.equal((await store.load()).snapshot, undefined)
  await store.save(snapshotOf(1, 'a'))
  await store.save(snapshotOf(2, 'a', 'b'))
  const again = await openSnapshotStore(folder, silentLog)
  t.same((await again.load()).snapshot, snapshotOf(2, 'a', 'b'))
})

t.test('a snapshot store keeps the parts of the newest and the one before, and no others', async t => {
  const folder = aFolder(t)
  const store = await openSnapshotStore(folder, silentLog)
  for (let revision = 1; revision <= 20; revision++) await store.save(snapshotOf(revision, `s${revision}`, 'same'))
  t.equal(readdirSync(join(folder, 'snapshot', 'parts')).length, 4)
  t.equal(readdirSync(join(folder, 'snapshot')).length, 3)
  const again = await openSnapshotStore(folder, silentLog)
  await again.load()
  await again.save(snapshotOf(21, 's21', 'same'))
  t.equal(readdirSync(join(folder, 'snapshot', 'parts')).length, 4, 'also after a restart')
})

t.test('a new number for the same content does not push out the way back', async t => {
  const folder = aFolder(t)
  const store = await openSnapshotStore(folder, silentLog)
  await store.save(snapshotOf(1, 'a'))
  await store.save(snapshotOf(2, 'b'))
  for (let revision = 3; revision < 6; revision++) await store.save(snapshotOf(revision, 'b'))
  t.equal((await store.load()).snapshot?.manifest.revision, 5)
  writeFileSync(join(folder, 'snapshot', 'current'), 'x')
  t.equal((await store.load()).snapshot?.manifest.revision, 1)
})

t.test('what is damaged falls back to the one before, and comes right with the next save', async t => {
  const folder = aFolder(t)
  const store = await openSnapshotStore(folder, silentLog)
  await store.save(snapshotOf(1, 'a'))
  const next = snapshotOf(2, 'b')
  await store.save(next)
  const partOfB = next.manifest.parts.find(entry => entry.id === 'b')!.hash
  const path = join(folder, 'snapshot', 'parts', partOfB)
  writeFileSync(path, readFileSync(path, 'utf8').replace('admin', 'other'))
  const again = await openSnapshotStore(folder, silentLog)
  t.same((await again.load()).snapshot, snapshotOf(1, 'a'))
  await again.save(snapshotOf(3, 'b'))
  t.same((await (await openSnapshotStore(folder, silentLog)).load()).snapshot, snapshotOf(3, 'b'), 'the damaged part was written anew')
})

t.test('a folder without a whole snapshot is empty, and forgetting leaves nothing', async t => {
  const folder = aFolder(t)
  const store = await openSnapshotStore(folder, silentLog)
  await store.save(snapshotOf(1, 'a'))
  for (const name of readdirSync(join(folder, 'snapshot', 'parts'))) rmSync(join(folder, 'snapshot', 'parts', name))
  t.equal((await (await openSnapshotStore(folder, silentLog)).load()).snapshot, undefined)
  await store.forget()
  t.same(readdirSync(folder), [])
  await store.save(snapshotOf(2, 'a'))
  t.equal((await store.load()).snapshot?.manifest.revision, 2)
})

t.test('a snapshot of an older version is taken, one of a newer is not', async t => {
  const folder = aFolder(t)
  const store = await openSnapshotStore(folder, silentLog)
  const { manifest, parts } = snapshotOf(1, 'a')
  t.same(await store.load(), { snapshot: undefined, isNewest: true }, 'nothing was saved')
  await store.save({ manifest: { ...manifest, version: SNAPSHOT_VERSION - 1 }, parts })
  t.match(await store.load(), { snapshot: { manifest: { revision: 1 } }, isNewest: true })
  await store.save({ manifest: { ...manifest, version: SNAPSHOT_VERSION + 1 }, parts })
  t.same(await store.load(), { snapshot: undefined, isNewest: false })
})
