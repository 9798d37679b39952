/** Every metric that can be asked for: its id (Avi's where Avi has one), unit, and what it is made from. */
import type { SeriesPoint } from '#controller/store/store.ts'
import type { HostFigures } from '#model/resource/runtime.ts'
import type { Figures } from './figures.ts'
import { AT, type CounterName } from './window.ts'

/** `use`: a pool as one of several virtual services that send to it sees it. */
export type MetricKind = 'virtualservice' | 'pool' | 'server' | 'use' | 'serviceengine'
export type Units = 'BITS_PER_SECOND' | 'BYTES_PER_SECOND' | 'PER_SECOND' | 'METRIC_COUNT' | 'MILLISECONDS' | 'PERCENT'

export interface Metric {
  readonly id: string
  readonly units: Units
  /**
   * How a coarser step comes from finer ones. A percentile of a longer time cannot be had from percentiles of shorter
   * ones: the worst of them is given, which never makes a service look better than it was.
   */
  readonly rollup: SeriesPoint['rollup']
  /** Null: there is no value in this interval, and the gap stays a gap. */
  readonly read: (figures: Figures, host: HostFigures | null) => number | null
}

const rate =
  (name: CounterName) =>
  ({ rates }: Figures): number =>
    rates[AT[name]]!

function traffic(side: 'client' | 'server'): readonly Metric[] {
  const [l4, l7] = [`l4_${side}`, `l7_${side}`]
  return [
    {
      id: `${l4}.avg_bandwidth`,
      units: 'BITS_PER_SECOND',
      rollup: 'mean',
      read: ({ rates }) => (rates[AT.bytesIn]! + rates[AT.bytesOut]!) * 8
    },
    { id: `${l4}.avg_rx_bytes`, units: 'BYTES_PER_SECOND', rollup: 'mean', read: rate('bytesIn') },
    { id: `${l4}.avg_tx_bytes`, units: 'BYTES_PER_SECOND', rollup: 'mean', read: rate('bytesOut') },
    { id: `${l4}.avg_new_established_conns`, units: 'PER_SECOND', rollup: 'mean', read: rate('connections') },
    { id: `${l4}.avg_complete_conns`, units: 'PER_SECOND', rollup: 'mean', read: ({ endedPerS }) => endedPerS },
    { id: `${l4}.max_open_conns`, units: 'METRIC_COUNT', rollup: 'max', read: ({ openConnections }) => openConnections },
    {
      id: `${l4}.avg_errored_connections`,
      units: 'PER_SECOND',
      rollup: 'mean',
      read: ({ rates }) => rates[AT.faultsDownstream]! + rates[AT.faultsEngine]! + rates[AT.faultsUpstream]!
    },
    { id: `${l7}.avg_complete_responses`, units: 'PER_SECOND', rollup: 'mean', read: rate('requests') },
    { id: `${l7}.avg_resp_2xx`, units: 'PER_SECOND', rollup: 'mean', read: rate('responses2xx') },
    { id: `${l7}.avg_resp_3xx`, units: 'PER_SECOND', rollup: 'mean', read: rate('responses3xx') },
    { id: `${l7}.avg_resp_4xx`, units: 'PER_SECOND', rollup: 'mean', read: rate('responses4xx') },
    { id: `${l7}.avg_resp_5xx`, units: 'PER_SECOND', rollup: 'mean', read: rate('responses5xx') },
    {
      id: `${l7}.avg_error_responses`,
      units: 'PER_SECOND',
      rollup: 'mean',
      read: ({ rates }) => rates[AT.responses4xx]! + rates[AT.responses5xx]!
    },
    {
      id: side === 'client' ? `${l7}.avg_client_txn_latency` : `${l7}.avg_resp_latency`,
      units: 'MILLISECONDS',
      rollup: 'mean',
      read: ({ latencyMeanMs }) => latencyMeanMs
    },
    { id: `${l7}.pct50_latency`, units: 'MILLISECONDS', rollup: 'max', read: ({ latencyP50Ms }) => latencyP50Ms },
    { id: `${l7}.pct95_latency`, units: 'MILLISECONDS', rollup: 'max', read: ({ latencyP95Ms }) => latencyP95Ms },
    { id: `${l7}.pct99_latency`, units: 'MILLISECONDS', rollup: 'max', read: ({ latencyP99Ms }) => latencyP99Ms }
  ]
}

const host: readonly Metric[] = [
  {
    id: 'se_stats.avg_cpu_usage',
    units: 'PERCENT',
    rollup: 'mean',
    read: (_, figures) => (figures === null ? null : figures.cpu_ratio * 100)
  },
  {
    id: 'se_stats.avg_mem_usage',
    units: 'PERCENT',
    rollup: 'mean',
    read: (_, figures) =>
      figures === null || figures.memory_total_bytes <= 0 ? null : (figures.memory_used_bytes / figures.memory_total_bytes) * 100
  },
  {
    id: 'se_if.avg_bandwidth',
    units: 'BITS_PER_SECOND',
    rollup: 'mean',
    read: (_, figures) => (figures === null ? null : (figures.network_received_bytes_per_s + figures.network_sent_bytes_per_s) * 8)
  },
  {
    id: 'se_if.avg_rx_bytes',
    units: 'BYTES_PER_SECOND',
    rollup: 'mean',
    read: (_, figures) => figures?.network_received_bytes_per_s ?? null
  },
  {
    id: 'se_if.avg_tx_bytes',
    units: 'BYTES_PER_SECOND',
    rollup: 'mean',
    read: (_, figures) => figures?.network_sent_bytes_per_s ?? null
  }
]

const client = traffic('client')
const server = traffic('server')
/** Connections belong to servers. */
const perUse = server.filter(({ id }) => !/\.(avg_new_established_conns|avg_complete_conns|max_open_conns)$/.test(id))
/** Servers are many: what a page about one shows, no more. */
const perServer = server.filter(({ id }) => /\.(avg_bandwidth|max_open_conns|avg_complete_responses|avg_resp_5xx|pct95_latency)$/.test(id))

export const metricsOf: Readonly<Record<MetricKind, readonly Metric[]>> = {
  virtualservice: client,
  pool: server,
  server: perServer,
  use: perUse,
  serviceengine: [...host, ...client]
}

/** The metric of a kind by its id; undefined when there is none. */
export function findMetric(kind: MetricKind, id: string): Metric | undefined {
  return metricsOf[kind].find(metric => metric.id === id)
}
