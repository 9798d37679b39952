import t from 'tap'
import type { Test } from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { OperState } from '#model/resource/runtime.ts'
import { SETTLE_MS, openTimeline } from '#controller/timeline/timeline.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const isSeen = (): boolean => true

async function aHouse(t: Test, eventsMax?: number) {
  const store = openMemoryStore()
  const clock = manualClock()
  await store.commit({
    author: 'ann',
    reason: '',
    atEpochMs: 0,
    puts: ['shop', 'other'].flatMap(name => [
      { kind: 'virtualservice' as const, uuid: `virtualservice-${name}`, tenant: 'admin', name, body: {}, references: [] },
      { kind: 'pool' as const, uuid: `pool-${name}`, tenant: 'admin', name, body: {}, references: [] }
    ]),
    deletes: [],
    changes: []
  })
  const open = () => {
    const timeline = openTimeline({ store, clock, log: silentLog, ...(eventsMax === undefined ? {} : { eventsMax }) })
    t.teardown(timeline.stop)
    const state = (name: string, state: OperState, reason = 'why'): void =>
      timeline.state({ kind: 'virtualservice', uuid: `virtualservice-${name}`, state, reasons: [reason] })
    const server = (id: string, state: OperState): void =>
      timeline.state({ kind: 'pool', uuid: 'pool-shop', server: id, state, reasons: [] })
    const ids = (limit = 100): readonly string[] => timeline.list({ limit, isSeen }).map(({ event_id }) => event_id)
    return { timeline, state, server, ids }
  }
  return { store, clock, open }
}

t.test('a state is told when it is another than the last that was told', async t => {
  const { clock, open } = await aHouse(t)
  const { state, server, ids, timeline } = open()
  clock.advance(SETTLE_MS)
  state('shop', 'OPER_UP')
  state('shop', 'OPER_UP', 'another reason')
  state('shop', 'OPER_INITIALIZING')
  state('shop', 'OPER_UP')
  t.same(ids(), ['VS_UP'])
  state('shop', 'OPER_DOWN')
  server('10.0.0.1:80', 'OPER_DOWN')
  server('10.0.0.2:80', 'OPER_DOWN')
  server('10.0.0.1:80', 'OPER_UP')
  t.same(ids(), ['SERVER_UP', 'SERVER_DOWN', 'SERVER_DOWN', 'VS_DOWN', 'VS_UP'], 'newest first')
  state('gone', 'OPER_DOWN')
  t.equal(ids().length, 5, 'what is not configured is not told')
  const [newest] = timeline.list({ limit: 1, isSeen })
  t.match(newest, { id: 5, obj_type: 'pool', obj_uuid: 'pool-shop', obj_name: 'shop', server: '10.0.0.1:80', tenant: 'admin' })
})

t.test('a restart tells what is otherwise than before it, once everybody had time to come back', async t => {
  const { clock, open } = await aHouse(t)
  const first = open()
  clock.advance(SETTLE_MS)
  first.state('shop', 'OPER_UP')
  first.state('other', 'OPER_UP')
  first.timeline.stop()
  const second = open()
  t.same(second.ids(), ['VS_UP', 'VS_UP'], 'what was told is kept')
  for (const name of ['shop', 'other']) second.state(name, 'OPER_DOWN', 'no engine is connected yet')
  second.server('10.0.0.1:80', 'OPER_UP')
  second.server('10.0.0.2:80', 'OPER_DOWN')
  second.state('shop', 'OPER_UP')
  clock.advance(SETTLE_MS - 1)
  t.equal(second.ids().length, 2, 'nothing yet')
  clock.advance(1)
  t.same(
    second.timeline
      .list({ limit: 10, isSeen })
      .map(({ event_id, obj_name }) => `${event_id} ${obj_name}`)
      .slice(0, -2)
      .toSorted(),
    ['SERVER_DOWN shop', 'VS_DOWN other']
  )
  t.same(
    second.timeline.list({ limit: 10, isSeen }).map(({ id }) => id),
    [4, 3, 2, 1],
    'ids go on'
  )
})

t.test('what was made since the start is told when it is up, though that was before everybody was back', async t => {
  const { store, clock, open } = await aHouse(t)
  const { timeline, state, ids } = open()
  const made = { kind: 'virtualservice' as const, uuid: 'virtualservice-new', tenant: 'admin', name: 'new', body: {}, references: [] }
  await store.commit({ author: 'ann', reason: '', atEpochMs: 0, puts: [made], deletes: [], changes: [] })
  state('shop', 'OPER_UP')
  state('new', 'OPER_UP')
  clock.advance(SETTLE_MS)
  t.same(ids(), ['VS_UP'])
  t.equal(timeline.list({ limit: 1, isSeen })[0]!.obj_name, 'new')
})

t.test('so many are kept and no more, in memory and in the store', async t => {
  const { store, clock, open } = await aHouse(t, 1_000)
  const { timeline } = open()
  clock.advance(SETTLE_MS)
  for (let i = 0; i < 5_000; i++) {
    clock.advance(60_000)
    timeline.placed({ uuid: 'virtualservice-shop', before: [], after: [`serviceengine-${i}`] })
  }
  timeline.stop()
  t.equal(timeline.list({ limit: 10_000, isSeen }).length, 1_000)
  const rows = store.table<readonly object[]>('event').entries()
  t.ok(rows.length <= 7, `${rows.length} rows`)
  const again = open()
  clock.advance(2_000)
  const kept = again.timeline.list({ limit: 10_000, isSeen })
  t.ok(kept.length >= 1_000 && kept.length <= 1_200, 'as much is there after a restart')
  t.equal(kept[0]!.id, 5_000)
})

t.test('what flaps tells some at once, then one a minute with how many it did not tell', async t => {
  const { clock, open } = await aHouse(t)
  const { state, timeline } = open()
  clock.advance(SETTLE_MS)
  for (let i = 0; i < 100; i++) {
    state('shop', i % 2 === 0 ? 'OPER_UP' : 'OPER_DOWN')
    clock.advance(100)
  }
  t.equal(timeline.list({ limit: 1_000, isSeen }).length, 10)
  state('other', 'OPER_DOWN')
  t.equal(timeline.list({ limit: 1, isSeen })[0]!.obj_name, 'other', 'others are not kept quiet by it')
  clock.advance(60_000)
  state('shop', 'OPER_UP')
  t.match(timeline.list({ limit: 1, isSeen })[0], { event_id: 'VS_UP', event_description: /after 90 more changes/ })
})

t.test('a query names objects, what they are related to, ids, levels and times, and goes on from page to page', async t => {
  const { clock, open } = await aHouse(t)
  const { state, server, timeline } = open()
  clock.advance(SETTLE_MS)
  const begin = clock.nowEpochMs()
  state('shop', 'OPER_UP')
  clock.advance(1_000)
  server('10.0.0.1:80', 'OPER_DOWN')
  clock.advance(1_000)
  timeline.placed({ uuid: 'virtualservice-shop', before: ['serviceengine-1'], after: ['serviceengine-2'] })
  state('other', 'OPER_DOWN')
  const ids = (query: Partial<Parameters<typeof timeline.list>[0]>): readonly number[] =>
    timeline.list({ limit: 10, isSeen, ...query }).map(({ id }) => id)
  t.same(ids({ uuids: new Set(['virtualservice-shop']) }), [3, 1])
  t.same(ids({ uuids: new Set(['serviceengine-1']) }), [3], 'an engine that it left')
  t.same(ids({ uuids: new Set(['pool-shop', 'virtualservice-other']) }), [4, 2])
  t.same(ids({ eventIds: new Set(['VS_UP', 'VS_MIGRATE']) }), [3, 1])
  t.same(ids({ levels: new Set(['ERROR', 'WARNING'] as const) }), [4, 2])
  t.same(ids({ fromEpochMs: begin + 1_000 }), [4, 3, 2])
  t.same(ids({ toEpochMs: begin + 1_000 }), [2, 1], 'both ends belong to it')
  t.same(ids({ limit: 2 }), [4, 3])
  t.same(ids({ limit: 2, before: 3 }), [2, 1])
  t.same(ids({ isSeen: ({ obj_type }) => obj_type === 'pool' }), [2])
})

t.test('a store that is full loses nothing that is still kept here, and nobody else is disturbed', async t => {
  const { store, clock } = await aHouse(t)
  const warnings: string[] = []
  let isFull = true
  const table = store.table('event')
  const timeline = openTimeline({
    store: {
      ...store,
      table: <Row>() =>
        ({
          ...table,
          set: (key: string, row: Row) => {
            if (isFull) throw new Error('the disk is full')
            table.set(key, row)
          }
        }) as ReturnType<typeof store.table<Row>>
    },
    clock,
    log: { ...silentLog, warn: text => void warnings.push(text) }
  })
  t.teardown(timeline.stop)
  clock.advance(SETTLE_MS)
  timeline.state({ kind: 'virtualservice', uuid: 'virtualservice-shop', state: 'OPER_UP', reasons: [] })
  clock.advance(1_000)
  t.ok(warnings.length > 0)
  t.equal(table.entries().length, 0)
  isFull = false
  clock.advance(1_000)
  t.equal(table.entries().length, 1, 'written when there is room again')
})
