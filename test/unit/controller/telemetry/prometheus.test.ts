import t from 'tap'
import { escapeLabel, expose } from '#controller/telemetry/prometheus.ts'
import { AT, makeGrown } from '#controller/telemetry/window.ts'

const grown = makeGrown()
grown.counts[AT.requests] = 3
grown.counts[AT.responses5xx] = 1
grown.latencyCounts[0] = 2
grown.latencyCounts[13] = 1
grown.latencySumS = 42.5

const host = { cpu_ratio: 0.5, memory_used_bytes: 1, memory_total_bytes: 2, network_received_bytes_per_s: 0, network_sent_bytes_per_s: 0 }

t.test('escapeLabel leaves no way out of the quotes', async t => {
  t.equal(escapeLabel('a"b\\c\nd'), 'a\\"b\\\\c\\nd')
})

t.test('expose writes each family once, with all its samples together', async t => {
  const limits = ['vs-1', 'gone'].map(uuid => ({ virtualServiceId: uuid, id: `${uuid}/requests`, admitted: 3, refused: 4, share: 0.25 }))
  const counts = { hits: 3, misses: 1, stale: 0, revalidated: 0, bypassed: 2, savedBytes: 30, objects: 1, bytes: 900 }
  const caches = ['vs-1', 'gone'].map(virtualServiceId => ({ virtualServiceId, ...counts }))
  const scripts = ['vs-1', 'gone'].map(virtualServiceId => ({
    virtualServiceId,
    name: 'set/HTTP_REQ',
    runs: 9,
    failures: 2,
    lastError: 'line 1: x',
    lastErrorAtEpochMs: 1,
    counters: [{ name: 'seen', count: 5 }]
  }))
  const text = expose(
    [
      { kind: 'virtualservice', uuid: 'vs-1', server: '', grown, openConnections: 7 },
      { kind: 'virtualservice', uuid: 'vs-2', server: '', grown, openConnections: 0 },
      { kind: 'server', uuid: 'pool-1', server: '10.0.0.1:80', grown, openConnections: 0 },
      { kind: 'pool', uuid: 'gone', server: '', grown, openConnections: 0 }
    ],
    [
      {
        uuid: 'se-1',
        host,
        networkReceivedBytes: 10,
        networkSentBytes: 20,
        droppedSamples: 1,
        droppedLogLines: 2,
        limits,
        scripts,
        caches,
        hedges: [{ poolId: 'pool-1', sent: 6, won: 2 }],
        zones: [{ poolId: 'pool-1', own: 9, others: 1 }]
      }
    ],
    (_, uuid) => (uuid === 'gone' ? undefined : { name: `the "${uuid}"`, tenant: 'admin' })
  )
  t.equal(text.match(/# TYPE weir_virtualservice_requests_total counter/g)?.length, 1)
  const lines = text.split('\n')
  for (const line of [
    'weir_virtualservice_requests_total{tenant="admin",name="the \\"vs-1\\"",uuid="vs-1"} 3',
    'weir_virtualservice_responses_total{tenant="admin",name="the \\"vs-1\\"",uuid="vs-1",class="5xx"} 1',
    'weir_virtualservice_open_connections{tenant="admin",name="the \\"vs-1\\"",uuid="vs-1"} 7',
    'weir_virtualservice_latency_seconds_bucket{tenant="admin",name="the \\"vs-1\\"",uuid="vs-1",le="0.001"} 2',
    'weir_virtualservice_latency_seconds_bucket{tenant="admin",name="the \\"vs-1\\"",uuid="vs-1",le="+Inf"} 3',
    'weir_virtualservice_latency_seconds_count{tenant="admin",name="the \\"vs-1\\"",uuid="vs-1"} 3',
    'weir_virtualservice_latency_seconds_sum{tenant="admin",name="the \\"vs-1\\"",uuid="vs-1"} 42.5',
    'weir_server_requests_total{tenant="admin",pool="the \\"pool-1\\"",uuid="pool-1",server="10.0.0.1:80"} 3',
    'weir_serviceengine_cpu_ratio{tenant="admin",name="the \\"se-1\\"",uuid="se-1"} 0.5',
    'weir_limit_refused_total{tenant="admin",virtualservice="the \\"vs-1\\"",uuid="vs-1",limit="requests",serviceengine="the \\"se-1\\""} 4',
    'weir_limit_share_ratio{tenant="admin",virtualservice="the \\"vs-1\\"",uuid="vs-1",limit="requests",serviceengine="the \\"se-1\\""} 0.25',
    'weir_cache_requests_total{tenant="admin",virtualservice="the \\"vs-1\\"",uuid="vs-1",serviceengine="the \\"se-1\\"",result="hits"} 3',
    'weir_pool_hedges_total{tenant="admin",name="the \\"pool-1\\"",uuid="pool-1",serviceengine="the \\"se-1\\""} 6',
    'weir_pool_zone_requests_total{tenant="admin",name="the \\"pool-1\\"",uuid="pool-1",serviceengine="the \\"se-1\\"",zone="own"} 9',
    'weir_pool_zone_requests_total{tenant="admin",name="the \\"pool-1\\"",uuid="pool-1",serviceengine="the \\"se-1\\"",zone="other"} 1',
    'weir_pool_hedges_won_total{tenant="admin",name="the \\"pool-1\\"",uuid="pool-1",serviceengine="the \\"se-1\\""} 2',
    'weir_script_failures_total{tenant="admin",virtualservice="the \\"vs-1\\"",uuid="vs-1",script="set/HTTP_REQ",serviceengine="the \\"se-1\\""} 2',
    'weir_script_counter_total{tenant="admin",virtualservice="the \\"vs-1\\"",uuid="vs-1",script="set/HTTP_REQ",serviceengine="the \\"se-1\\"",counter="seen"} 5',
    'weir_serviceengine_network_sent_bytes_total{tenant="admin",name="the \\"se-1\\"",uuid="se-1"} 20'
  ])
    t.ok(lines.includes(line), line)
  t.notMatch(text, 'gone')
  // Every sample lies under the header of its own family.
  let family = ''
  for (const line of lines.slice(0, -1)) {
    if (line.startsWith('# TYPE ')) family = line.split(' ')[2]!
    else if (!line.startsWith('#')) t.ok(line.startsWith(family), line)
  }
  t.ok(text.endsWith('\n'))
})

t.test('expose of nothing is empty', async t => {
  t.equal(
    expose([], [], () => undefined),
    ''
  )
})
