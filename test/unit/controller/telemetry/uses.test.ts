/** What one of several virtual services sends to a pool: measured, scored and told apart from what the others send. */
import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { bucketOf } from '#model/message/histogram.ts'
import type { Sample } from '#model/message/message.ts'
import { makeMemoryBlocks, makeSeries } from '#controller/store/series.ts'
import { openTelemetry } from '#controller/telemetry/ingest.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample, traffic } from '#test/support/sample.ts'

type Counts = readonly [requests: number, errors: number]

const slow = bucketOf(40_000)
const facts = { isDown: false, serversUp: 2, serversEnabled: 2, enginesUp: 1, enginesWanted: 1 }

function bench() {
  const clock = manualClock(1_700_000_000_000)
  const telemetry = openTelemetry({ series: makeSeries(makeMemoryBlocks()), clock, log: silentLog })
  t.teardown(telemetry.stop)
  const sequences = new Map<string, number>()
  const counted = (id: string, [requests, responses5xx]: Counts) => traffic(id, { requests, responses5xx }, [slow, requests])
  const tell = (engine: string, over: Partial<Sample>): void => {
    const sequence = (sequences.get(engine) ?? 0) + 1
    sequences.set(engine, sequence)
    telemetry.ingest(engine, aSample({ sequence, atEpochMs: clock.nowEpochMs(), ...over }))
  }
  return {
    clock,
    telemetry,
    /** A second goes by. */
    pass: () => clock.advance(1_000),
    alone: (engine: string, user: string, counts: Counts) =>
      tell(engine, { pools: [{ ...counted('pool-1', counts), onlyOf: user }], uses: [] }),
    shared: (engine: string, parts: Readonly<Record<string, Counts>>, own: Counts = [0, 0]) => {
      const all = [own, ...Object.values(parts)]
      const total: Counts = [all.reduce((sum, [requests]) => sum + requests, 0), all.reduce((sum, [, errors]) => sum + errors, 0)]
      tell(engine, {
        pools: [counted('pool-1', total)],
        uses: Object.entries(parts).map(([id, counts]) => ({ ...counted(id, counts), poolId: 'pool-1' }))
      })
    },
    /** By an engine of before users were told apart, or one that has no room for it. */
    whole: (engine: string, counts: Counts, uses?: Sample['uses']) =>
      tell(engine, { pools: [counted('pool-1', counts)], ...(uses === undefined ? {} : { uses }) }),
    live: (service: string) => telemetry.liveOfUse(service, 'pool-1')?.requests_per_s,
    score: (service?: string) => telemetry.healthScore('pool-1', facts, service).score,
    rates: (virtualService?: string) =>
      telemetry
        .metrics({
          kind: 'pool',
          uuid: 'pool-1',
          ...(virtualService === undefined ? {} : { virtualService }),
          metricIds: ['l7_server.avg_complete_responses'],
          startEpochS: 1_700_000_000 - 10,
          stopEpochS: 1_700_000_000 + 3_600,
          stepS: 1,
          limit: 1_000
        })
        .series[0]!.data.map(({ value }) => value)
  }
}

t.test('a measurement of some virtual services counts what they send, on whichever engine, and nothing of others', async t => {
  const { telemetry, alone, shared, pass } = bench()
  const measured = {
    a: telemetry.measure('pool-1', ['a']),
    both: telemetry.measure('pool-1', ['a', 'b']),
    all: telemetry.measure('pool-1')
  }
  const none = telemetry.measure('pool-1', [])
  shared('se-1', { a: [0, 0], b: [0, 0], c: [0, 0] })
  alone('se-2', 'a', [0, 0])
  alone('se-3', 'b', [0, 0])
  pass()
  shared('se-1', { a: [10, 0], b: [20, 20], c: [40, 0] }, [5, 5])
  alone('se-2', 'a', [100, 1])
  alone('se-3', 'b', [200, 0])
  t.same(measured.a.read(), { requests: 110, errors: 1, latency: [slow, 110] })
  t.same(measured.both.read(), { requests: 330, errors: 21, latency: [slow, 330] })
  t.same(measured.all.read(), { requests: 375, errors: 26, latency: [slow, 375] })
  t.same(none.read(), { requests: 0, errors: 0, latency: [] })
})

t.test('what a pair did before it was told of is no traffic of now', async t => {
  const { telemetry, alone, shared, whole, pass } = bench()
  alone('se-1', 'a', [50, 0])
  const a = telemetry.measure('pool-1', ['a'])
  const all = telemetry.measure('pool-1')
  pass()
  // The row was not new: without room it had not been told of.
  shared('se-1', { a: [7, 7], b: [0, 0] }, [50, 0])
  t.same(a.read().requests, 0)
  pass()
  shared('se-1', { a: [9, 7], b: [5, 5] }, [50, 0])
  t.match(a.read(), { requests: 2, errors: 0 })
  pass()
  whole('se-1', [90, 12], [])
  t.match(a.read(), { requests: 2 + 26, errors: 0 }, 'not told apart: all of it, whoever asks')
  pass()
  shared('se-1', { a: [30, 7], b: [11, 5] }, [50, 0])
  t.match(a.read(), { requests: 2 + 26, errors: 0 }, 'and not a second time')
  t.match(all.read(), { requests: 41 })
})

t.test('an engine that does not tell its users apart says all of a pool, whoever asks', async t => {
  const { telemetry, whole, pass, score, live } = bench()
  const a = telemetry.measure('pool-1', ['a'])
  for (let second = 0; second <= 30; second++) {
    whole('se-1', [second * 10, second * 5])
    pass()
  }
  t.same(a.read(), { requests: 300, errors: 150, latency: [slow, 300] })
  t.equal(live('a'), undefined, 'whose it is is not known')
  t.ok(score('a') < 60)
  t.equal(score('a'), score())
})

t.test('the health of a pool is of who asks', async t => {
  const { shared, alone, pass, score } = bench()
  for (let second = 0; second <= 30; second++) {
    shared('se-1', { good: [second * 10, 0], bad: [second * 10, second * 5] })
    alone('se-2', 'alone', [second * 10, 0])
    pass()
  }
  t.equal(score('good'), 100)
  t.equal(score('alone'), 100)
  t.ok(score('bad') < 60, `${score('bad')}`)
  t.ok(score() < 100)
  t.equal(score('stranger'), 100, 'who sends nothing sees nothing wrong')
})

t.test('metrics of a pool are told by virtual service, over the time when it had one and the time when it had two', async t => {
  const { alone, shared, pass, rates, live } = bench()
  t.equal(live('a'), undefined)
  for (let second = 0; second <= 4; second++) {
    alone('se-1', 'a', [second * 10, 0])
    t.equal(live('a'), second === 0 ? 0 : 10)
    pass()
  }
  t.ok(rates('a').includes(10))
  t.same(rates('a'), rates(), 'as long as it has one user it is the pool')
  t.same(rates('b'), [])
  for (let second = 0; second <= 5; second++) {
    shared('se-1', { a: [second * 3, 0], b: [second * 4, 0] }, [40, 0])
    pass()
  }
  t.same([rates('a').at(-1), rates('b').at(-1), rates().at(-1)], [3, 4, 7])
  t.same([live('a'), live('b'), live('c')], [3, 4, 0])
})

t.test('a pool that has one user on each engine is told by user', async t => {
  const { clock, alone, pass, rates, telemetry } = bench()
  for (let second = 0; second <= 5; second++) {
    alone('se-1', 'a', [second * 3, 0])
    alone('se-2', 'b', [second * 4, 0])
    pass()
  }
  t.same([rates('a').at(-1), rates('b').at(-1), rates().at(-1)], [3, 4, 7])
  t.notMatch(
    telemetry.prometheus(() => ({ name: 'x', tenant: 'y' })),
    /pool-1\/|\/pool-1/,
    'parts are no pools'
  )
  // A quarter of an hour later, one of them is alone again.
  alone('se-2', 'b', [20, 0])
  clock.advance(30 * 60_000)
  alone('se-1', 'a', [1_000, 0])
  pass()
  alone('se-1', 'a', [1_006, 0])
  pass()
  t.equal(rates('a').at(-1), 6)
  t.not(rates('b').at(-1), 6)
})

t.test('after a restart of the controller the time when a pool was shared is still told by user', async t => {
  const clock = manualClock(1_700_000_000_000)
  const blocks = makeMemoryBlocks()
  const query = (telemetry: ReturnType<typeof openTelemetry>) =>
    telemetry
      .metrics({
        kind: 'pool',
        uuid: 'pool-1',
        virtualService: 'a',
        metricIds: ['l7_server.avg_complete_responses'],
        startEpochS: 1_700_000_000 - 10,
        stopEpochS: 1_700_000_000 + 3_600,
        stepS: 1,
        limit: 1_000
      })
      .series[0]!.data.map(({ value }) => value)
  const series = makeSeries(blocks)
  const before = openTelemetry({ series, clock, log: silentLog })
  for (let second = 0; second < 6; second++) {
    const uses = [
      { ...traffic('a', { requests: second * 3 }), poolId: 'pool-1' },
      { ...traffic('b', { requests: second * 4 }), poolId: 'pool-1' }
    ]
    const sample = aSample({
      sequence: second + 1,
      atEpochMs: clock.nowEpochMs(),
      pools: [traffic('pool-1', { requests: second * 7 })],
      uses
    })
    before.ingest('se-1', sample)
    clock.advance(1_000)
  }
  before.stop()
  const after = openTelemetry({ series, clock, log: silentLog })
  t.teardown(after.stop)
  for (let second = 0; second < 4; second++) {
    const pools = [{ ...traffic('pool-1', { requests: second * 5 }), onlyOf: 'a' }]
    after.ingest('se-1', aSample({ bootId: 'boot-2', sequence: second + 1, atEpochMs: clock.nowEpochMs(), pools, uses: [] }))
    clock.advance(1_000)
  }
  const told = query(after)
  t.ok(told.includes(3) && told.includes(5), told.join())
  t.notOk(told.includes(7), told.join())
})
