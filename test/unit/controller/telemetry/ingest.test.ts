import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import { bucketOf } from '#model/message/histogram.ts'
import type { Sample, Totals } from '#model/message/message.ts'
import { makeMemoryBlocks, makeSeries } from '#controller/store/series.ts'
import { openTelemetry } from '#controller/telemetry/ingest.ts'
import type { MetricsQuery } from '#controller/telemetry/port.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aSample, quietHost, traffic } from '#test/support/sample.ts'

function bench() {
  const clock = manualClock(1_700_000_000_000)
  const series = makeSeries(makeMemoryBlocks())
  const telemetry = openTelemetry({ series, clock, log: silentLog })
  t.teardown(telemetry.stop)
  /** A second passes, then an engine tells totals of one virtual service. */
  const tell = (engine: string, sequence: number, totals: Partial<Totals>, over: Partial<Sample> = {}): void =>
    telemetry.ingest(engine, aSample({ sequence, atEpochMs: clock.nowEpochMs(), virtualServices: [traffic('vs-1', totals)], ...over }))
  const query = (over: Partial<MetricsQuery> = {}): MetricsQuery => ({
    kind: 'virtualservice',
    uuid: 'vs-1',
    metricIds: ['l7_client.avg_complete_responses'],
    startEpochS: 1_700_000_000 - 10,
    stopEpochS: 1_700_000_000 + 3_600,
    stepS: 1,
    limit: 1_000,
    ...over
  })
  return { clock, series, telemetry, tell, query }
}

t.test('live is the difference of two samples, per second', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, { requests: 5 })
  clock.advance(2_000)
  tell('se-1', 2, { requests: 105, responses5xx: 10, responses4xx: 4, bytesIn: 2_000, bytesOut: 4_000, connections: 6, openConnections: 3 })
  t.same(telemetry.live('vs-1'), {
    requests_per_s: 50,
    errors_5xx_per_s: 5,
    errors_4xx_per_s: 2,
    bytes_in_per_s: 1_000,
    bytes_out_per_s: 2_000,
    open_connections: 3,
    new_connections_per_s: 3,
    latency_p50_ms: null,
    latency_p95_ms: null,
    latency_p99_ms: null,
    at: 1_700_000_002_000
  })
})

t.test('live sums engines and merges their histograms before taking percentiles', async t => {
  const { clock, telemetry, tell } = bench()
  const [fast, slow] = [bucketOf(1_000), bucketOf(1_000_000)]
  for (const engine of ['se-1', 'se-2']) tell(engine, 1, {})
  clock.advance(1_000)
  tell('se-1', 2, { requests: 90 }, { virtualServices: [traffic('vs-1', { requests: 90 }, [fast, 90])] })
  tell('se-2', 2, { requests: 10 }, { virtualServices: [traffic('vs-1', { requests: 10 }, [slow, 10])] })
  const live = telemetry.live('vs-1')
  t.equal(live.requests_per_s, 100)
  t.ok(live.latency_p50_ms! < 1.1, `${live.latency_p50_ms}`)
  t.ok(live.latency_p95_ms! > 900, `${live.latency_p95_ms}`)
  t.equal(telemetry.liveOfEngine('se-2').requests_per_s, 10)
  telemetry.forget('se-2')
  t.equal(telemetry.live('vs-1').requests_per_s, 90)
  t.equal(telemetry.liveOfEngine('se-2').requests_per_s, 0)
  t.equal(telemetry.hostOfEngine('se-2'), null)
})

t.test('live ends when samples stop', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, {})
  clock.advance(1_000)
  tell('se-1', 2, { requests: 10, openConnections: 7 })
  clock.advance(10_000)
  t.match(telemetry.live('vs-1'), { requests_per_s: 0, open_connections: 0, at: null })
})

t.test('what an engine counted before this controller knew it is not traffic of now', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 500, { requests: 1_000_000 })
  t.equal(telemetry.live('vs-1').requests_per_s, 0)
  clock.advance(1_000)
  tell('se-1', 501, { requests: 1_000_010 })
  t.equal(telemetry.live('vs-1').requests_per_s, 10)
})

t.test('a restarted engine counts from nothing and nothing becomes negative', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, { requests: 100 })
  clock.advance(1_000)
  tell('se-1', 1, { requests: 7 }, { bootId: 'boot-2' })
  t.equal(telemetry.live('vs-1').requests_per_s, 7)
  clock.advance(1_000)
  tell('se-1', 2, { requests: 3 }, { bootId: 'boot-2' })
  t.equal(telemetry.live('vs-1').requests_per_s, 0)
})

t.test('a sample that comes late or twice is passed over, and a lost one costs only resolution', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, { requests: 0 })
  clock.advance(4_000)
  tell('se-1', 5, { requests: 40 })
  tell('se-1', 5, { requests: 999 })
  tell('se-1', 4, { requests: 30 })
  t.equal(telemetry.live('vs-1').requests_per_s, 10)
  const text = telemetry.prometheus(() => ({ name: 'shop', tenant: 'admin' }))
  t.match(text, 'weir_virtualservice_requests_total{tenant="admin",name="shop",uuid="vs-1"} 40\n')
})

t.test('numbers that are no counts do no harm', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, { requests: 10 })
  clock.advance(1_000)
  const latency = [5, 3, 4, 1, 1e9, 2, Number.NaN, 1] as number[]
  telemetry.ingest(
    'se-1',
    aSample({
      sequence: 2,
      atEpochMs: Number.NaN,
      host: { ...quietHost, cpuRatio: Number.POSITIVE_INFINITY, memoryUsedBytes: -1, networkSentBytes: Number.NaN },
      virtualServices: [traffic('vs-1', { requests: Number.NaN, responses5xx: -5, bytesIn: 1e300, openConnections: -3 }, latency)]
    })
  )
  for (const [name, value] of Object.entries(telemetry.live('vs-1'))) {
    if (name !== 'at') t.ok(value === null || (Number.isFinite(value) && value >= 0), `${name} ${value}`)
  }
  t.match(telemetry.hostOfEngine('se-1'), { cpu_ratio: 1, memory_used_bytes: 0, network_sent_bytes_per_s: 0 })
})

t.test('hostOfEngine takes the network from totals', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, {})
  clock.advance(1_000)
  tell('se-1', 2, {}, { host: { ...quietHost, networkReceivedBytes: 5_000, networkSentBytes: 100 } })
  t.same(telemetry.hostOfEngine('se-1'), {
    cpu_ratio: 0.25,
    memory_used_bytes: 1_000,
    memory_total_bytes: 4_000,
    network_received_bytes_per_s: 5_000,
    network_sent_bytes_per_s: 100
  })
  t.equal(telemetry.hostOfEngine('stranger'), null)
})

t.test('metrics answers a point a second and leaves gaps as gaps', async t => {
  const { clock, telemetry, tell, query } = bench()
  tell('se-1', 1, { requests: 0 })
  for (let second = 1; second <= 5; second++) {
    clock.advance(1_000)
    tell('se-1', second + 1, { requests: second * 10 })
  }
  clock.advance(60_000)
  tell('se-1', 7, { requests: 50 })
  clock.advance(1_000)
  const answer = telemetry.metrics(query())
  const { header, data } = answer.series[0]!
  t.match(header, { name: 'l7_client.avg_complete_responses', units: 'PER_SECOND', entity_uuid: 'vs-1' })
  t.ok(data.length >= 6 && data.length < 15, `${data.length} points`)
  t.equal(header.statistics.num_samples, data.length)
  t.equal(header.statistics.max, 10)
  t.match(data[0]?.timestamp, /^2023-11-14T22:13:\d\d\.000Z$/)
  t.same(answer.metric_id, 'l7_client.avg_complete_responses')
})

t.test('metrics knows pools, servers and engines, and passes over what it does not know', async t => {
  const { clock, telemetry, tell, query } = bench()
  const over = (requests: number): Partial<Sample> => ({
    pools: [traffic('pool-1', { requests })],
    servers: [{ ...traffic('10.0.0.1:80', { requests }), poolId: 'pool-1' }]
  })
  tell('se-1', 1, {}, over(0))
  clock.advance(1_000)
  tell('se-1', 2, {}, over(20))
  clock.advance(1_000)
  const last = (over: Partial<MetricsQuery>) => telemetry.metrics(query(over)).series.map(({ data }) => data.at(-1)?.value)
  const metricIds = ['l7_server.avg_complete_responses', 'l7_server.made_up']
  t.same(last({ kind: 'pool', uuid: 'pool-1', metricIds }), [20])
  t.same(last({ kind: 'pool', uuid: 'pool-1/10.0.0.1:80', metricIds }), [20])
  t.same(last({ kind: 'serviceengine', uuid: 'se-1', metricIds: ['se_stats.avg_cpu_usage', 'se_stats.avg_mem_usage'] }), [25, 25])
  t.same(last({ uuid: 'nobody' }), [undefined])
})

t.test('metrics honours its limit with the newest points', async t => {
  const { clock, telemetry, tell, query } = bench()
  for (let second = 0; second < 8; second++) {
    tell('se-1', second + 1, { requests: second * second })
    clock.advance(1_000)
  }
  const all = telemetry.metrics(query()).series[0]!.data
  t.same(telemetry.metrics(query({ limit: 2 })).series[0]!.data, all.slice(-2))
})

t.test('what vanished is forgotten after a while', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, { requests: 1 })
  t.match(
    telemetry.prometheus(() => ({ name: 'x', tenant: 'y' })),
    /virtualservice/
  )
  clock.advance(30 * 60_000)
  t.equal(
    telemetry.prometheus(() => ({ name: 'x', tenant: 'y' })),
    ''
  )
})

t.test('an id that comes back to an engine is not counted twice', async t => {
  const { clock, telemetry, tell } = bench()
  tell('se-1', 1, { requests: 0 })
  clock.advance(1_000)
  tell('se-1', 2, { requests: 10 })
  clock.advance(1_000)
  tell('se-1', 3, {}, { virtualServices: [] })
  clock.advance(1_000)
  tell('se-1', 4, { requests: 12 })
  t.equal(telemetry.live('vs-1').requests_per_s, 1)
})

t.test('healthScore follows what traffic shows', async t => {
  const { clock, telemetry, tell } = bench()
  const facts = { isDown: false, serversUp: 2, serversEnabled: 2, enginesUp: 1, enginesWanted: 1 }
  t.same(telemetry.healthScore('nobody', facts), { score: 100, reasons: [] })
  for (let second = 0; second <= 30; second++) {
    tell('se-1', second + 1, { requests: second * 10, responses5xx: second * 5 })
    clock.advance(1_000)
  }
  const { score, reasons } = telemetry.healthScore('vs-1', facts)
  t.ok(score < 60, `${score}`)
  t.match(reasons[0]?.reason, /errors \(5xx\)/)
})

t.test('scripts are those of a virtual service, its engines together, until samples stop', async t => {
  const { clock, telemetry, tell } = bench()
  const script = {
    virtualServiceId: 'vs-1',
    name: 'set/HTTP_REQ',
    runs: 2,
    failures: 0,
    lastError: '',
    lastErrorAtEpochMs: 0,
    counters: []
  }
  const failed = { ...script, failures: 1, lastError: 'line 3: x', lastErrorAtEpochMs: 5, counters: [{ name: 'seen', count: 4 }] }
  clock.advance(1_000)
  tell('se-1', 1, {}, { scripts: [failed, { ...script, virtualServiceId: 'vs-2' }] })
  tell('se-2', 1, {}, { scripts: [{ ...script, counters: [{ name: 'seen', count: 1 }] }] })
  t.same(telemetry.scripts('vs-1'), [
    { name: 'set/HTTP_REQ', runs: 4, failures: 1, last_error: 'line 3: x', last_error_at: 5, counters: [{ name: 'seen', count: 5 }] }
  ])
  t.same(telemetry.scripts('none'), [])
  clock.advance(10_000)
  t.same(telemetry.scripts('vs-1'), [])
})
