/** What every store keeps, whatever it is made of. */
import type { Test } from 'tap'
import type { Commit, ResourceWrite, Store } from '#controller/store/store.ts'
import { StaleRevision } from '#controller/store/store.ts'

export interface StoreMaker {
  /** A fresh, empty store; closed by the maker's own teardown. */
  readonly open: (t: Test, options?: { readonly revisionsKept?: number; readonly seriesMax?: number }) => Store
}

const ADMIN = 'tenant-admin'

export function aPool(name: string, more: Partial<ResourceWrite> = {}): ResourceWrite {
  return { kind: 'pool', uuid: `pool-${name}`, tenant: ADMIN, name, body: { name }, references: [], ...more }
}

export function aCommit(more: Partial<Commit> = {}): Commit {
  return { author: 'ann', reason: 'because', atEpochMs: 1_000, puts: [], deletes: [], changes: [], ...more }
}

const names = (store: Store, tenant?: string): string[] => store.list('pool', tenant).map(item => item.name)

export function storeContract(t: Test, name: string, maker: StoreMaker): void {
  void t.test(`${name} keeps the store contract`, async t => {
    void t.test('a commit becomes the next revision and can be read at once', async t => {
      const store = maker.open(t)
      t.equal(store.revision(), 0)
      const { revision, resources } = await store.commit(
        aCommit({ puts: [aPool('web', { body: { name: 'web', servers: [{ ratio: 1 }] } })] })
      )
      t.equal(revision, 1)
      t.equal(store.revision(), 1)
      t.match(resources, [{ kind: 'pool', uuid: 'pool-web', name: 'web', createdRevision: 1, revision: 1, lastModified: '1000000' }])
      t.same(store.get('pool', 'pool-web'), resources[0])
      t.same(store.findByName('pool', ADMIN, 'web'), resources[0])
      t.equal(store.get('pool', 'pool-none'), undefined)
      t.equal(store.get('virtualservice', 'pool-web'), undefined)
      t.equal(store.findByName('pool', 'tenant-other', 'web'), undefined)
    })

    void t.test('lastModified grows strictly, also when the clock stands or goes back', async t => {
      const store = maker.open(t)
      const stamps: bigint[] = []
      for (const atEpochMs of [5_000, 5_000, 1_000, 5_001]) {
        const { resources } = await store.commit(aCommit({ atEpochMs, puts: [aPool('a'), aPool('b')] }))
        stamps.push(...resources.map(item => BigInt(item.lastModified)))
      }
      t.ok(stamps.every((stamp, at) => at === 0 || stamp > stamps[at - 1]!))
    })

    void t.test('lists are in order of name, by tenant or over all, and follow every commit', async t => {
      const store = maker.open(t)
      await store.commit(aCommit({ puts: [aPool('b'), aPool('a'), aPool('c', { tenant: 'tenant-two' })] }))
      t.same(names(store), ['a', 'b', 'c'])
      t.same(names(store, ADMIN), ['a', 'b'])
      t.same(names(store, 'tenant-two'), ['c'])
      t.same(names(store, 'tenant-none'), [])
      await store.commit(aCommit({ puts: [aPool('b', { name: 'd' }), aPool('aa')], deletes: [{ kind: 'pool', uuid: 'pool-a' }] }))
      t.same(names(store), ['aa', 'c', 'd'])
      t.same(names(store, ADMIN), ['aa', 'd'])
      t.equal(store.findByName('pool', ADMIN, 'b'), undefined)
      t.equal(store.findByName('pool', ADMIN, 'd')?.uuid, 'pool-b')
      await store.commit(aCommit({ puts: [aPool('x', { tenant: 'tenant-none' })] }))
      t.same(names(store, 'tenant-none'), ['x'])
    })

    void t.test('two resources may trade names in one commit', async t => {
      const store = maker.open(t)
      await store.commit(aCommit({ puts: [aPool('a'), aPool('b')] }))
      await store.commit(aCommit({ puts: [aPool('a', { name: 'b' }), aPool('b', { name: 'a' })] }))
      t.equal(store.findByName('pool', ADMIN, 'a')?.uuid, 'pool-b')
      t.equal(store.findByName('pool', ADMIN, 'b')?.uuid, 'pool-a')
    })

    void t.test('who follows the store is told what was touched since, or that it is too long ago', async t => {
      const store = maker.open(t)
      const told = (since: number) => store.touchedSince(since)?.map(({ uuid, names }) => `${uuid} ${names.join('>')}`)
      t.same(told(0), [])
      await store.commit(aCommit({ puts: [aPool('a'), aPool('b')] }))
      await store.commit(aCommit({ puts: [aPool('a', { name: 'c' })], deletes: [{ kind: 'pool', uuid: 'pool-b' }] }))
      t.same(told(1), ['pool-b b', 'pool-a a>c'])
      t.same(told(0), ['pool-a a', 'pool-b b', 'pool-b b', 'pool-a a>c'])
      t.same(told(2), [])
      const many = Array.from({ length: 25_000 }, (_, i) => aPool(`many-${i}`))
      await store.commit(aCommit({ puts: many }))
      await store.commit(aCommit({ puts: many }))
      t.equal(told(2), undefined, 'what is not remembered is not guessed')
      await store.commit(aCommit({ puts: [aPool('a')] }))
      t.same(told(4), ['pool-a c>a'])
    })

    void t.test('a refused commit changes nothing', async t => {
      const store = maker.open(t)
      await store.commit(aCommit({ puts: [aPool('a')] }))
      await t.rejects(store.commit(aCommit({ expectRevision: 0, puts: [aPool('b')] })), StaleRevision)
      await t.rejects(store.commit(aCommit({ puts: [aPool('c'), aPool('other', { name: 'a' })] })), 'a second one of the name')
      await t.rejects(store.commit(aCommit({ puts: [aPool('c')], deletes: [{ kind: 'pool', uuid: 'pool-none' }] })), 'a delete of nothing')
      t.equal(store.revision(), 1)
      t.same(names(store), ['a'])
      t.equal(store.revisions({ limit: 10 }).length, 1)
      t.match(await store.commit(aCommit({ expectRevision: 1, puts: [aPool('b')] })), { revision: 2 })
    })

    void t.test('what was read cannot be changed by the reader', async t => {
      const store = maker.open(t)
      const body = { name: 'a', servers: [{ ratio: 1 }] }
      await store.commit(aCommit({ puts: [aPool('a', { body })] }))
      body.servers[0]!.ratio = 2
      const read = store.get('pool', 'pool-a')!.body as { servers: { ratio: number }[] }
      t.throws(() => (read.servers[0]!.ratio = 3))
      t.equal((store.get('pool', 'pool-a')!.body as { servers: { ratio: number }[] }).servers[0]!.ratio, 1)
    })

    void t.test('hostile names and keys are only text', async t => {
      const store = maker.open(t)
      const hostile = ["'); DROP TABLE resource; --", '__proto__', 'constructor', '\u0000', 'ü€😀', '%', '*', '']
      const bodies = hostile.map(
        name => JSON.parse(`{"name": ${JSON.stringify(name)}, "__proto__": {"isAdmin": true}}`) as ResourceWrite['body']
      )
      await store.commit(aCommit({ author: hostile[0]!, puts: hostile.map((name, at) => aPool(String(at), { name, body: bodies[at]! })) }))
      for (const [at, name] of hostile.entries()) {
        const found = store.findByName('pool', ADMIN, name)
        t.equal(found?.uuid, `pool-${at}`)
        t.equal(JSON.stringify(found?.body), JSON.stringify(bodies[at]))
      }
      t.equal(({} as { isAdmin?: boolean }).isAdmin, undefined)
      t.equal(store.findByName('pool', '__proto__', 'x'), undefined)
      const table = store.table<number>("rows'--")
      for (const [at, key] of hostile.entries()) table.set(key, at)
      t.same(
        hostile.map(key => table.get(key)),
        [...hostile.keys()]
      )
    })

    void t.test('references are found from both ends, by present names, and end with their resource', async t => {
      const store = maker.open(t)
      const references = [{ pointer: '/pool_ref', toKind: 'pool', toUuid: 'pool-a' }] as const
      const service = (name: string): ResourceWrite => ({
        kind: 'virtualservice',
        uuid: 'virtualservice-1',
        tenant: ADMIN,
        name,
        body: { name, pool_ref: 'pool-a' },
        references
      })
      await store.commit(aCommit({ puts: [aPool('a'), aPool('b'), service('shop')] }))
      const expected = { fromKind: 'virtualservice', fromUuid: 'virtualservice-1', fromName: 'shop', ...references[0] }
      t.same(store.referrersOf('pool-a'), [expected])
      t.same(store.referencesOf('virtualservice-1'), [expected])
      t.same(store.referrersOf('pool-b'), [])
      await store.commit(aCommit({ puts: [service('store')] }))
      t.same(store.referrersOf('pool-a'), [{ ...expected, fromName: 'store' }])
      await store.commit(aCommit({ puts: [{ ...service('store'), references: [{ ...references[0], toUuid: 'pool-b' }] }] }))
      t.same(store.referrersOf('pool-a'), [])
      t.equal(store.referrersOf('pool-b').length, 1)
      await store.commit(aCommit({ deletes: [{ kind: 'virtualservice', uuid: 'virtualservice-1' }] }))
      t.same(store.referrersOf('pool-b'), [])
      t.same(store.referencesOf('virtualservice-1'), [])
    })

    void t.test('revisions come newest first, by page, by resource, and the oldest go', async t => {
      const store = maker.open(t, { revisionsKept: 10 })
      for (let at = 1; at <= 25; at++) {
        const uuid = `pool-${at % 2 === 0 ? 'even' : 'odd'}`
        const write = aPool(at % 2 === 0 ? 'even' : 'odd', { body: { at } })
        const change = {
          action: 'update',
          kind: 'pool',
          uuid,
          name: write.name,
          tenant: ADMIN,
          diff: [{ pointer: '/at', after: at }]
        } as const
        await store.commit(aCommit({ author: `author-${at}`, atEpochMs: at, puts: [write], changes: [change] }))
      }
      const numbers = (query: Parameters<Store['revisions']>[0]): number[] => store.revisions(query).map(item => item.revision)
      t.same(numbers({ limit: 3 }), [25, 24, 23])
      t.same(numbers({ limit: 3, before: 23 }), [22, 21, 20])
      t.same(numbers({ limit: 100 }), [25, 24, 23, 22, 21, 20, 19, 18, 17, 16])
      t.same(numbers({ limit: 2, uuid: 'pool-even' }), [24, 22])
      t.same(numbers({ limit: 2, uuid: 'pool-none' }), [])
      t.match(store.revisions({ limit: 1 }), [
        { author: 'author-25', reason: 'because', atEpochMs: 25, changes: [{ action: 'update', diff: [{ pointer: '/at', after: 25 }] }] }
      ])
    })

    void t.test('tables keep rows by key, apart from each other, in order of key', async t => {
      const store = maker.open(t)
      const table = store.table<{ n: number }>('sessions')
      const row = { n: 1 }
      table.set('b', row)
      row.n = 9
      table.set('a', { n: 2 })
      store.table('other').set('a', { n: 3 })
      t.same(table.get('b'), { n: 1 })
      t.equal(table.get('none'), undefined)
      t.same(table.entries(), [
        ['a', { n: 2 }],
        ['b', { n: 1 }]
      ])
      t.same(
        table.update('a', before => ({ n: before!.n + 1 })),
        { n: 3 }
      )
      t.same(
        table.update('new', before => (before === undefined ? { n: 7 } : before)),
        { n: 7 }
      )
      t.equal(
        table.update('b', () => undefined),
        undefined
      )
      t.equal(table.delete('new'), true)
      t.equal(table.delete('new'), false)
      t.same(table.entries(), [['a', { n: 3 }]])
      t.same(store.table('sessions').get('a'), { n: 3 }, 'two handles are one table')
      t.throws(() =>
        table.update('a', () => {
          throw new Error('no')
        })
      )
      t.same(table.get('a'), { n: 3 })
    })

    seriesContract(t, maker)
  })
}

function seriesContract(t: Test, maker: StoreMaker): void {
  const at0 = 1_800_000_000 - (1_800_000_000 % 86_400)
  const point = (atEpochS: number, value: number, rollup: 'mean' | 'max' | 'sum' = 'mean', metric = 'requests') => ({
    entity: 'virtualservice-1',
    metric,
    atEpochS,
    value,
    rollup
  })
  const ask = (store: Store, startEpochS: number, stopEpochS: number, stepS: number, metric = 'requests') =>
    store.series.query({ entity: 'virtualservice-1', metric, startEpochS, stopEpochS, stepS })

  void t.test('points of a second come back as they were, queued or written', async t => {
    const { series, ...store } = maker.open(t)
    series.append([point(at0 + 2, 0.1), point(at0, 5), point(at0 + 59, 7), point(at0 + 60, 8)])
    const expected = [
      { atEpochS: at0, value: 5 },
      { atEpochS: at0 + 2, value: 0.1 },
      { atEpochS: at0 + 59, value: 7 },
      { atEpochS: at0 + 60, value: 8 }
    ]
    t.same(ask({ series, ...store }, at0, at0 + 60, 1), expected)
    series.flush()
    t.same(ask({ series, ...store }, at0, at0 + 60, 1), expected)
    t.same(ask({ series, ...store }, at0 + 1, at0 + 59, 1), expected.slice(1, 3), 'both ends belong to the range')
    t.same(series.query({ entity: 'none', metric: 'requests', startEpochS: 0, stopEpochS: at0, stepS: 1 }), [])
  })

  void t.test('coarser steps are means weighted by samples, maxima or sums', async t => {
    const store = maker.open(t)
    for (let at = 0; at < 90; at++) {
      store.series.append([
        point(at0 + at, at < 60 ? 1 : 4, 'mean', 'mean'),
        point(at0 + at, at, 'max', 'max'),
        point(at0 + at, 2, 'sum', 'sum')
      ])
      if (at % 7 === 0) store.series.flush()
    }
    t.same(ask(store, at0, at0 + 120, 60, 'mean'), [
      { atEpochS: at0, value: 1 },
      { atEpochS: at0 + 60, value: 4 }
    ])
    t.same(ask(store, at0, at0 + 120, 300, 'mean'), [{ atEpochS: at0, value: 2 }])
    t.same(ask(store, at0, at0 + 120, 3600, 'mean'), [{ atEpochS: at0, value: 2 }])
    t.same(ask(store, at0, at0 + 120, 3600, 'max'), [{ atEpochS: at0, value: 89 }])
    t.same(ask(store, at0, at0 + 120, 60, 'sum'), [
      { atEpochS: at0, value: 120 },
      { atEpochS: at0 + 60, value: 60 }
    ])
    t.same(ask(store, at0, at0 + 9, 5, 'max'), [
      { atEpochS: at0, value: 4 },
      { atEpochS: at0 + 5, value: 9 }
    ])
  })

  void t.test('a second that is said twice counts once, the later word', async t => {
    const store = maker.open(t)
    store.series.append([point(at0, 1, 'sum')])
    store.series.flush()
    store.series.append([point(at0, 5, 'sum'), point(at0 + 1, 1, 'sum')])
    t.same(ask(store, at0, at0, 1), [{ atEpochS: at0, value: 5 }])
    t.same(ask(store, at0, at0, 3600), [{ atEpochS: at0, value: 6 }])
  })

  void t.test('each resolution is kept for its age and a range is answered by the finest that covers it', async t => {
    const store = maker.open(t)
    const days = 3
    for (let at = 0; at <= days * 86_400; at += 600) {
      store.series.append([point(at0 + at, 1), point(at0 + at + 1, 3)])
      if (at % 3600 === 0) store.series.prune(at0 + at)
    }
    const now = at0 + days * 86_400 + 1
    store.series.prune(now)
    t.match(ask(store, now - 3000, now, 1).slice(-2), [{ value: 1 }, { atEpochS: now, value: 3 }])
    t.same(
      ask(store, now - 2999, now, 1).map(item => item.value),
      [1, 3, 1, 3, 1, 3, 1, 3, 1, 3]
    )
    const ofADay = ask(store, now - 80_000, now, 1)
    t.ok(ofADay.every(item => item.value === 2 && item.atEpochS % 60 === 0))
    t.ok(ofADay.length > 130)
    const ofAll = ask(store, at0, now, 1)
    t.ok(ofAll.every(item => item.value === 2 && item.atEpochS % 3600 === 0))
    t.equal(ofAll.length, days * 24 + 1)
    store.series.prune(now + 400 * 86_400)
    t.same(ask(store, at0, now, 3600), [])
  })

  void t.test('a value that is no number, or much too late, is dropped', async t => {
    const store = maker.open(t)
    store.series.append([point(at0, Number.NaN), point(at0, Infinity), point(at0 + 0.5, 1), point(at0 + 7200, 1)])
    store.series.append([point(at0, 1)])
    t.same(ask(store, at0, at0 + 7200, 60), [{ atEpochS: at0 + 7200, value: 1 }])
  })

  void t.test('the number of series is bounded: those silent longest go first', async t => {
    const store = maker.open(t, { seriesMax: 10 })
    for (let at = 0; at < 30; at++) store.series.append([point(at0 + at, at, 'mean', `metric-${at}`)])
    store.series.flush()
    t.same(ask(store, at0, at0 + 60, 1, 'metric-0'), [])
    t.same(ask(store, at0, at0 + 60, 1, 'metric-29'), [{ atEpochS: at0 + 29, value: 29 }])
  })
}
