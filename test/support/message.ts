/** One message of every type, for tests of the wire. */
import type { AgentMessage, Explanation, HubMessage, RequestQuestion, Sample, Totals, RequestTrace } from '#model/message/message.ts'

export const someTotals: Totals = {
  requests: 10,
  responses1xx: 0,
  responses2xx: 8,
  responses3xx: 0,
  responses4xx: 1,
  responses5xx: 1,
  faultsDownstream: 0,
  faultsEngine: 0,
  faultsUpstream: 1,
  bytesIn: 1_000,
  bytesOut: 20_000,
  connections: 4,
  openConnections: 2
}

/** A sample of one virtual service, its pool and its server. */
export function aSample(sequence = 1): Sample {
  return {
    bootId: 'boot-1',
    sequence,
    atEpochMs: 1_800_000_000_000 + sequence * 1_000,
    droppedSamples: 0,
    droppedLogLines: 0,
    host: {
      cpuRatio: 0.25,
      processCpuRatio: 0.1,
      memoryUsedBytes: 1e9,
      memoryTotalBytes: 4e9,
      processRssBytes: 1e8,
      networkReceivedBytes: 5e9,
      networkSentBytes: 6e9
    },
    virtualServices: [{ id: 'virtualservice-1', totals: someTotals, latency: [40, 9, 41, 1] }],
    pools: [{ id: 'pool-1', totals: someTotals, latency: [] }],
    servers: [
      { id: '10.0.0.1:80', poolId: 'pool-1', totals: someTotals, latency: [40, 10] },
      {
        id: '10.0.0.2:80',
        poolId: 'pool-1',
        totals: someTotals,
        latency: [],
        ejection: { reason: 'too many errors (5xx) in a row', untilEpochMs: 1_800_000_030_000 }
      }
    ],
    limits: [{ virtualServiceId: 'virtualservice-1', id: 'virtualservice-1/requests', admitted: 10, refused: 2, share: 0.5 }]
  }
}

export const hubMessages: readonly HubMessage[] = [
  { type: 'PurgeCache', sequence: 3, virtualServiceId: 'virtualservice-a', purge: { by: 'all' } },
  { type: 'PurgeCache', sequence: 4, virtualServiceId: 'virtualservice-a', purge: { by: 'prefix', value: 'https://shop.test/a/' } },
  {
    type: 'Welcome',
    protocol: 1,
    controllerVersion: '0.1.0',
    engineId: 'serviceengine-1',
    engineName: 'one',
    atEpochMs: 1_800_000_000_000
  },
  {
    type: 'ApplySnapshot',
    manifest: {
      version: 1,
      revision: 7,
      engineId: 'serviceengine-1',
      parts: [{ kind: 'engine', id: 'serviceengine-1', hash: 'ab'.repeat(32) }],
      hash: 'cd'.repeat(32)
    },
    parts: [{ kind: 'engine', id: 'serviceengine-1', name: 'one', drainTimeoutS: 30 }]
  },
  { type: 'Heartbeat', sequence: 3 },
  { type: 'UpgradeEngine', id: 'd9428888-122b-41e1-b85c-61ea7e9d5a1e', order: 'of\nlines\n', signature: 'c2ln', publicKey: 'a2V5' },
  {
    type: 'TraceRequests',
    order: {
      id: 'trace-1',
      virtualServiceId: 'virtualservice-1',
      clientIp: '192.0.2.1',
      method: '',
      pathPrefix: '/a',
      requestId: '',
      count: 20,
      durationMs: 60_000
    }
  },
  { type: 'CertificateRenewed', certificatePem: 'PEM', caPem: 'PEM' },
  { type: 'StandDown', reason: 'revoked by admin' },
  {
    type: 'ExplainRequest',
    id: 'question-1',
    question: {
      virtualServiceId: 'virtualservice-1',
      method: 'GET',
      host: 'shop.test',
      path: '/a?b',
      headers: ['accept', '*/*'],
      clientIp: '192.0.2.1',
      scheme: ''
    }
  },
  {
    type: 'ShareLimits',
    shares: [{ virtualServiceId: 'virtualservice-1', limitId: 'virtualservice-1/requests', bucket: 2 ** 45 - 1, share: 0.25, owedMs: 1.5 }]
  },
  {
    type: 'BindClients',
    bindings: [
      { poolId: 'pool-1', client: '00c0ffee0badf00d', serverId: '10.0.0.1:80', spread: 9, boundAgoMs: 12, idleS: 0, timeoutS: 300 }
    ]
  },
  { type: 'QuotasLeft', quotas: [{ limitId: 'virtualservice-1/requests', bucket: 7, endsAtEpochMs: 1_800_057_600_000, left: 9 }] },
  { type: 'PeersSeen', peers: [{ engineId: 'serviceengine-2', silentMs: 120.5, owned: [{ id: 'vsvip-1', term: 3 }] }] }
]

export const agentMessages: readonly AgentMessage[] = [
  {
    type: 'RequestTraced',
    id: 'trace-1',
    trace: {
      requestId: 'r-1',
      atEpochMs: 1_800_000_000_000,
      clientIp: '192.0.2.1',
      clientPort: 40_000,
      method: 'GET',
      scheme: 'https',
      host: 'shop.test',
      path: '/a?b',
      protocol: 'HTTP/1.1',
      attempts: 1,
      bytesIn: 100,
      bytesOut: 2_000,
      clientRttUs: 900,
      sentUs: 100,
      connectUs: 1_100,
      firstByteUs: 4_100,
      totalUs: 5_000,
      fault: '',
      faultReason: '',
      explanation: {
        steps: [{ rule: 'p / r', isMatched: true, failedOn: '', action: 'switch' }],
        verdict: 'forward',
        status: 200,
        location: '',
        poolId: 'pool-1',
        poolName: 'web',
        serverId: '10.0.0.1:80',
        reason: 'rule p / r, round robin'
      }
    }
  },
  {
    type: 'Hello',
    protocol: 1,
    version: '0.1.0',
    bootId: 'boot-1',
    hostname: 'host',
    addresses: ['10.0.0.5', '::1'],
    cpuCount: 2,
    memoryBytes: 4e9,
    workers: 2,
    networkId: '3f8b/net:[4026531840]',
    runningRevision: 6,
    runningHash: 'cd'.repeat(32),
    heldParts: ['ab'.repeat(32)],
    abilities: ['http-stock', 'tcp']
  },
  { type: 'SnapshotApplied', revision: 7, hash: 'cd'.repeat(32), tookMs: 12.5 },
  {
    type: 'SnapshotRefused',
    revision: 7,
    hash: 'cd'.repeat(32),
    violations: [{ pointer: '/virtual-service/x/listeners/0', message: 'port 80 is in use' }]
  },
  { type: 'PartsWanted', hashes: ['ab'.repeat(32)] },
  { type: 'RenewCertificate', csrPem: 'PEM' },
  { type: 'Heartbeat', sequence: 9 },
  {
    type: 'SampleTaken',
    sample: {
      ...aSample(2),
      pools: [{ id: 'pool-1', totals: someTotals, latency: [5, 2], onlyOf: 'vs-1' }],
      uses: [{ id: 'vs-1', poolId: 'pool-2', totals: someTotals, latency: [] }]
    }
  },
  {
    type: 'ServersJudged',
    servers: [
      {
        poolId: 'pool-1',
        serverId: '10.0.0.1:80',
        ip: '10.0.0.1',
        verdict: 'up',
        sinceEpochMs: 1_800_000_000_000,
        weightPercent: 40,
        probes: [
          {
            monitorId: 'healthmonitor-1',
            verdict: 'up',
            detail: '200 in 3 ms',
            request: 'HEAD / HTTP/1.0',
            answer: 'HTTP/1.1 200 OK',
            durationMs: 3,
            atEpochMs: 1_800_000_000_000
          }
        ]
      }
    ]
  },
  { type: 'CachePurged', sequence: 4, objects: 12 },
  { type: 'AddressesOwned', vips: [{ id: 'vsvip-1', term: 3 }] },
  {
    type: 'AddressesAnnounced',
    vips: [{ id: 'vsvip-1', reason: 'enable_rhi is false' }],
    bird: { is: 'up', reason: '', sessions: [{ name: 'router_v4', isUp: true, state: 'up Established' }] }
  },
  { type: 'AskPeers', engineIds: ['serviceengine-2'] },
  {
    type: 'RequestExplained',
    id: 'question-1',
    explanation: {
      steps: [{ rule: 'p/r', isMatched: false, failedOn: 'path', action: 'switch' }],
      verdict: 'forward',
      status: 0,
      location: '',
      poolId: 'pool-1',
      poolName: 'web',
      serverId: '10.0.0.1:80',
      reason: 'the default pool, round robin'
    }
  },
  {
    type: 'LimitsUsed',
    limits: [
      {
        virtualServiceId: 'virtualservice-1',
        limitId: 'virtualservice-1/requests',
        bucket: 2 ** 45 - 1,
        share: 0.5,
        asked: 625,
        owedMs: 50
      }
    ]
  },
  { type: 'UpgradeEnded', id: 'd9428888-122b-41e1-b85c-61ea7e9d5a1e', outcome: 'failed', reason: 'it was not up' },
  {
    type: 'ClientsBound',
    bindings: [
      { poolId: 'pool-1', client: '00c0ffee0badf00d', serverId: '10.0.0.1:80', spread: 9, boundAgoMs: 12, idleS: 0, timeoutS: 300 }
    ]
  },
  {
    type: 'QuotasUsed',
    quotas: [
      {
        virtualServiceId: 'virtualservice-1',
        limitId: 'virtualservice-1/requests',
        bucket: 7,
        count: 10,
        endsAtEpochMs: 1_800_057_600_000,
        used: 1
      }
    ]
  }
]

export const aQuestion: RequestQuestion = {
  virtualServiceId: 'a',
  method: 'GET',
  host: 'h',
  path: '/',
  headers: [],
  clientIp: '192.0.2.1',
  scheme: ''
}

export const aTrace: RequestTrace = {
  requestId: 'r-1',
  atEpochMs: 1_800_000_000_000,
  clientIp: '192.0.2.1',
  clientPort: 40_000,
  method: 'GET',
  scheme: 'http',
  host: 'shop.test',
  path: '/a',
  protocol: 'HTTP/1.1',
  attempts: 1,
  bytesIn: 100,
  bytesOut: 2_000,
  sentUs: 100,
  connectUs: 1_100,
  firstByteUs: 4_100,
  totalUs: 5_000,
  fault: '',
  faultReason: '',
  explanation: { steps: [], verdict: 'forward', status: 200, location: '', poolId: 'p', poolName: 'web', serverId: 's', reason: 'why' }
}

export const anExplanation: Explanation = {
  steps: [],
  verdict: 'forward',
  status: 0,
  location: '',
  poolId: 'p',
  poolName: 'web',
  serverId: 's',
  reason: 'why'
}
