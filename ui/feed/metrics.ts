/** Which metric of the API is which line on a chart. What clients see of a service, and what a pool sees of its servers. */
import type { LiveFigures } from '#model/resource/runtime.ts'
import type { MetricLine } from './series.ts'

type Side = 'client' | 'server'

const line = (metricId: string, live: (figures: LiveFigures) => number | null): MetricLine => ({ metricId, live })

export interface TrafficLines {
  readonly requests: MetricLine
  readonly errors4xx: MetricLine
  readonly errors5xx: MetricLine
  readonly latencyP50: MetricLine
  readonly latencyP95: MetricLine
  readonly latencyP99: MetricLine
  readonly bytesIn: MetricLine
  readonly bytesOut: MetricLine
  readonly openConnections: MetricLine
  readonly newConnections: MetricLine
}

export function trafficLines(side: Side): TrafficLines {
  return {
    requests: line(`l7_${side}.avg_complete_responses`, figures => figures.requests_per_s),
    errors4xx: line(`l7_${side}.avg_resp_4xx`, figures => figures.errors_4xx_per_s),
    errors5xx: line(`l7_${side}.avg_resp_5xx`, figures => figures.errors_5xx_per_s),
    latencyP50: line(`l7_${side}.pct50_latency`, figures => figures.latency_p50_ms),
    latencyP95: line(`l7_${side}.pct95_latency`, figures => figures.latency_p95_ms),
    latencyP99: line(`l7_${side}.pct99_latency`, figures => figures.latency_p99_ms),
    bytesIn: line(`l4_${side}.avg_rx_bytes`, figures => figures.bytes_in_per_s),
    bytesOut: line(`l4_${side}.avg_tx_bytes`, figures => figures.bytes_out_per_s),
    openConnections: line(`l4_${side}.max_open_conns`, figures => figures.open_connections),
    newConnections: line(`l4_${side}.avg_new_established_conns`, figures => figures.new_connections_per_s)
  }
}

/** Of an engine's host; the live figures carry them beside the traffic, not in it. */
export const hostLines = {
  cpu: line('se_stats.avg_cpu_usage', () => null),
  memory: line('se_stats.avg_mem_usage', () => null)
} as const
