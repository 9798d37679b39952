import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import BetterSqlite from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { openSqliteStore } from '#controller/store/sqlite/sqlite.ts'
import { StoreRefused } from '#controller/store/store.ts'

const writer = join(import.meta.dirname, 'store-writer.ts')
const ROUNDS = 6

/** Lets the writer acknowledge some commits and kills it in the middle of the next ones. Answers the last acknowledged. */
async function killedAfter(t: Test, path: string, acknowledgements: number, beforeKill?: () => void): Promise<number> {
  const child = spawn(process.execPath, [writer, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  let text = ''
  await new Promise<void>((resolve, reject) => {
    child.once('exit', code => reject(new Error(`the writer ended by itself with ${code}`)))
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.split('\n').length <= acknowledgements) return
      child.removeAllListeners('exit')
      resolve()
    })
  })
  beforeKill?.()
  const gone = once(child, 'close')
  child.kill('SIGKILL')
  await Promise.race([exited, gone])
  await gone
  return Math.max(...text.split('\n').slice(0, -1).map(Number))
}

t.test('every acknowledged commit is there after kill -9, whole, round after round', async t => {
  const path = join(t.testdir(), 'weir.db')
  for (let round = 0; round < ROUNDS; round++) {
    const acknowledged = await killedAfter(t, path, 10 + round * 7)
    const store = openSqliteStore({ path })
    const revision = store.revision()
    t.ok(revision >= acknowledged, `round ${round}: ${acknowledged} acknowledged, ${revision} there`)
    const newest = `pool-${revision}`
    t.equal(store.get('poolgroup', 'poolgroup-1')?.body['newest'], newest, 'both documents of a commit, or none')
    t.match(store.get('pool', newest), { revision, body: { text: 'x'.repeat(revision % 3000) } })
    t.match(store.referrersOf(newest), [{ fromUuid: 'poolgroup-1' }])
    t.equal(store.list('pool').length, Math.min(50, revision))
    t.same(
      store.revisions({ limit: 1000 }).map(item => item.revision),
      Array.from({ length: Math.min(1000, revision) }, (_, at) => revision - at),
      'no revision is missing'
    )
    t.ok((store.table<{ revision: number }>('last').get('row')?.revision ?? 0) >= acknowledged - 1)
    await store.close()
  }
  const db = new BetterSqlite(path, { readonly: true })
  t.equal(db.pragma('integrity_check', { simple: true }), 'ok')
  db.close()
})

t.test('a second process is refused while the first lives, and let in when it was killed', async t => {
  const path = join(t.testdir(), 'weir.db')
  const acknowledged = await killedAfter(t, path, 3, () => {
    t.throws(() => openSqliteStore({ path, lockWaitMs: 50 }), new StoreRefused(`${path} is in use by another controller`))
  })
  const store = openSqliteStore({ path, lockWaitMs: 10_000 })
  t.ok(store.revision() >= acknowledged)
  await store.close()
})
