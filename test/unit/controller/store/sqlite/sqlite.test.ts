import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import BetterSqlite from 'better-sqlite3'
import t from 'tap'
import { openSqliteStore } from '#controller/store/sqlite/sqlite.ts'
import { migrate, migrations } from '#controller/store/sqlite/schema.ts'
import { StoreRefused, StoreUnavailable } from '#controller/store/store.ts'
import { aCommit, aPool, storeContract } from '#test/contract/store.ts'

storeContract(t, 'sqlite', {
  open: (t, options) => {
    const store = openSqliteStore({ path: join(t.testdir(), 'weir.db'), ...options })
    t.teardown(() => store.close())
    return store
  }
})

t.test('everything is there after it was closed and opened again', async t => {
  const path = join(t.testdir(), 'data', 'weir.db')
  const first = openSqliteStore({ path })
  const references = [{ pointer: '/health_monitor_refs/0', toKind: 'healthmonitor', toUuid: 'healthmonitor-1' }] as const
  await first.commit(aCommit({ puts: [aPool('a', { references }), aPool('b')] }))
  await first.commit(aCommit({ deletes: [{ kind: 'pool', uuid: 'pool-b' }] }))
  const before = first.get('pool', 'pool-a')
  first.table<number>('rows').set('one', 1)
  first.series.append([{ entity: 'e', metric: 'm', atEpochS: 100, value: 0.3, rollup: 'mean' }])
  await first.close()
  await first.close()

  const second = openSqliteStore({ path })
  t.teardown(() => second.close())
  t.equal(second.revision(), 2)
  t.same(second.get('pool', 'pool-a'), before)
  t.same(
    second.list('pool').map(item => item.name),
    ['a']
  )
  t.equal(second.referrersOf('healthmonitor-1').length, 1)
  t.equal(second.table<number>('rows').get('one'), 1)
  t.same(second.series.query({ entity: 'e', metric: 'm', startEpochS: 100, stopEpochS: 100, stepS: 1 }), [{ atEpochS: 100, value: 0.3 }])
  const { resources } = await second.commit(aCommit({ atEpochMs: 0, puts: [aPool('c')] }))
  t.ok(BigInt(resources[0]!.lastModified) > BigInt(before!.lastModified), 'stamps go on growing')
})

t.test('its files are for their owner only', async t => {
  const dir = join(t.testdir(), 'data')
  const store = openSqliteStore({ path: join(dir, 'weir.db') })
  t.teardown(() => store.close())
  await store.commit(aCommit({ puts: [aPool('a')] }))
  for (const file of readdirSync(dir)) t.equal(statSync(join(dir, file)).mode & 0o077, 0, file)
  t.equal(statSync(dir).mode & 0o077, 0)
})

t.test('a second controller on the same data is refused, and may come when the first has gone', async t => {
  const path = join(t.testdir(), 'weir.db')
  const first = openSqliteStore({ path })
  t.throws(() => openSqliteStore({ path, lockWaitMs: 10 }), new StoreRefused(`${path} is in use by another controller`))
  await first.commit(aCommit({ puts: [aPool('a')] }))
  await first.close()
  const second = openSqliteStore({ path })
  t.equal(second.revision(), 1)
  await second.close()
})

t.test('what cannot be opened says so in one line', async t => {
  const dir = t.testdir({ 'garbage.db': 'this is not a database '.repeat(100), file: '' })
  mkdirSync(join(dir, 'folder.db'))
  const refused = (path: string, pattern: RegExp) => {
    try {
      openSqliteStore({ path, lockWaitMs: 10 })
      t.fail(`${path} was opened`)
    } catch (error) {
      t.type(error, StoreRefused)
      t.match((error as Error).message, pattern)
      t.notMatch((error as Error).message, /\n/)
    }
  }
  refused(join(dir, 'garbage.db'), /is damaged/)
  refused(join(dir, 'folder.db'), /cannot write/)
  refused(join(dir, 'file', 'below.db'), /cannot write/)
  const strange = join(dir, 'strange.db')
  new BetterSqlite(strange).exec('CREATE TABLE customers (id INTEGER)').close()
  refused(strange, /not a store of Weir/)
  const newer = join(dir, 'newer.db')
  await openSqliteStore({ path: newer }).close()
  const db = new BetterSqlite(newer)
  db.pragma(`user_version = ${migrations.length + 1}`)
  db.close()
  const bytes = readFileSync(newer)
  refused(newer, /newer version of Weir/)
  t.ok(readFileSync(newer).equals(bytes), 'and it was left as it was')
})

t.test('a damaged page is found at start', async t => {
  const path = join(t.testdir(), 'weir.db')
  const store = openSqliteStore({ path })
  await store.commit(aCommit({ puts: Array.from({ length: 200 }, (_, at) => aPool(`pool-${at}`, { body: { text: 'x'.repeat(500) } })) }))
  await store.close()
  truncateSync(path, statSync(path).size - 3 * 4096)
  t.throws(() => openSqliteStore({ path }), StoreRefused)
})

t.test('series that cannot be read are replaced by none; the configuration is untouched', async t => {
  const dir = t.testdir()
  const path = join(dir, 'weir.db')
  const first = openSqliteStore({ path })
  await first.commit(aCommit({ puts: [aPool('a')] }))
  await first.close()
  writeFileSync(join(dir, 'weir.series.db'), 'no database at all'.repeat(1000))
  const second = openSqliteStore({ path })
  t.teardown(() => second.close())
  t.equal(second.revision(), 1)
  second.series.append([{ entity: 'e', metric: 'm', atEpochS: 5, value: 1, rollup: 'mean' }])
  second.series.flush()
  t.equal(second.series.query({ entity: 'e', metric: 'm', startEpochS: 0, stopEpochS: 9, stepS: 1 }).length, 1)
})

t.test('migrate runs what is missing, in one transaction, and keeps a copy of what was', async t => {
  const path = join(t.testdir(), 'weir.db')
  await openSqliteStore({ path }).close()
  const db = new BetterSqlite(path)
  t.teardown(() => db.close())
  const next = [...migrations, (file: typeof db) => file.exec('CREATE TABLE more (id INTEGER)')]
  const broken = [
    ...next,
    () => {
      throw new Error('broken step')
    }
  ]
  t.throws(() => migrate(db, path, broken), /broken step/)
  t.equal(db.pragma('user_version', { simple: true }), migrations.length, 'nothing happened')
  t.equal(migrate(db, path, next), migrations.length)
  t.equal(db.pragma('user_version', { simple: true }), next.length)
  t.equal(migrate(db, path, next), next.length, 'a second time does nothing')
  const copy = new BetterSqlite(`${path}.before-schema-${next.length}`, { readonly: true })
  t.teardown(() => copy.close())
  t.equal(copy.pragma('user_version', { simple: true }), migrations.length)
  t.equal(statSync(`${path}.before-schema-${next.length}`).mode & 0o077, 0)
})

t.test('the diffs of old revisions go when they take too much room', async t => {
  const path = join(t.testdir(), 'weir.db')
  const store = openSqliteStore({ path, revisionBytesKept: 100_000 })
  t.teardown(() => store.close())
  for (let at = 1; at <= 50; at++) {
    const diff = [{ pointer: '/text', after: 'x'.repeat(10_000) }]
    const change = { action: 'update', kind: 'pool', uuid: 'pool-a', name: 'a', tenant: 'tenant-admin', diff } as const
    await store.commit(aCommit({ puts: [aPool('a')], changes: [change] }))
  }
  const kept = store.revisions({ limit: 1000 })
  t.equal(kept[0]!.revision, 50)
  t.ok(kept.length < 15, `${kept.length} are kept`)
  t.equal(store.revisions({ limit: 1000, uuid: 'pool-a' }).length, kept.length)
})

t.test('a full disk refuses writes, loses nothing, and takes writes again when there is room', async t => {
  const path = join(t.testdir(), 'weir.db')
  const first = openSqliteStore({ path, sizeMax: 400_000, seriesSizeMax: 100_000 })
  const big = (name: string) => aCommit({ puts: [aPool(name, { body: { text: 'x'.repeat(50_000) } })] })
  let refused: unknown
  for (let at = 0; at < 20 && !(refused instanceof Error); at++)
    refused = await first.commit(big(`p${at}`)).catch((error: unknown) => error)
  t.type(refused, StoreUnavailable)
  t.match(refused, { statusCode: 503, message: 'no space left for the store' })
  const revision = first.revision()
  const count = first.list('pool').length
  t.equal(count, revision)
  t.throws(() => first.table('rows').set('a', 'x'.repeat(500_000)), StoreUnavailable)
  t.equal(first.table('rows').get('a'), undefined)
  for (let at = 0; at < 2000; at++) first.series.append([{ entity: `e${at}`, metric: 'm', atEpochS: 1000, value: 1, rollup: 'sum' }])
  first.series.flush()
  first.series.prune(1000)
  await first.close()
  const second = openSqliteStore({ path })
  t.teardown(() => second.close())
  t.equal(second.revision(), revision)
  t.equal(second.list('pool').length, count)
  t.match(await second.commit(big('after')), { revision: revision + 1 })
})
