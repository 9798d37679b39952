/** The windows of all engines that carry an entity, as one set of figures. */
import { addSparse, BUCKETS, bucketMiddleUs } from '#model/message/histogram.ts'
import type { LiveFigures } from '#model/resource/runtime.ts'
import { AT, COUNTER_COUNT, type Window } from './window.ts'

export interface Figures {
  /** Per second, in the order of `counters`. */
  readonly rates: Float64Array
  readonly endedPerS: number
  readonly openConnections: number
  /** Null when nothing ended in the interval. */
  readonly latencyMeanMs: number | null
  readonly latencyP50Ms: number | null
  readonly latencyP95Ms: number | null
  readonly latencyP99Ms: number | null
  /** Values behind the percentiles. */
  readonly latencyCount: number
  /** Of the newest sample; null when there is no window. */
  readonly atEpochMs: number | null
}

/**
 * Makes the adder of windows; it keeps one scratch histogram, so that nothing of 4 kB is made for each entity each second.
 * Percentiles are taken from the merged histogram, never averaged.
 */
export function makeSummer(): (windows: readonly Window[]) => Figures {
  const scratch = new Float64Array(BUCKETS)
  return windows => {
    const rates = new Float64Array(COUNTER_COUNT)
    let endedPerS = 0
    let openConnections = 0
    let atEpochMs: number | null = null
    let first = BUCKETS
    let last = -1
    for (const window of windows) {
      for (let i = 0; i < COUNTER_COUNT; i++) rates[i]! += window.rates[i]!
      endedPerS += window.endedPerS
      openConnections += window.openConnections
      atEpochMs = atEpochMs === null ? window.atEpochMs : Math.max(atEpochMs, window.atEpochMs)
      const { latency } = window
      if (latency.length === 0) continue
      first = Math.min(first, latency[0]!)
      last = Math.max(last, latency[latency.length - 2]!)
      addSparse(scratch, latency)
    }
    const latency = latencyBetween(scratch, first, last)
    if (last >= first) scratch.fill(0, first, last + 1)
    return { rates, endedPerS, openConnections, atEpochMs, ...latency }
  }
}

type Latency = Pick<Figures, 'latencyMeanMs' | 'latencyP50Ms' | 'latencyP95Ms' | 'latencyP99Ms' | 'latencyCount'>

const noLatency: Latency = { latencyMeanMs: null, latencyP50Ms: null, latencyP95Ms: null, latencyP99Ms: null, latencyCount: 0 }

/**
 * The percentiles of a histogram whose counts all lie in the buckets `first` to `last`; the same as `percentileUs` says.
 *
 * Cost    two walks over the buckets between, no allocation but the answer
 */
function latencyBetween(dense: Float64Array, first: number, last: number): Latency {
  let count = 0
  let sumUs = 0
  for (let bucket = first; bucket <= last; bucket++) {
    count += dense[bucket]!
    sumUs += dense[bucket]! * bucketMiddleUs(bucket)
  }
  if (count <= 0) return noLatency
  const [p50, p95, p99] = [Math.max(1, Math.ceil(count * 0.5)), Math.max(1, Math.ceil(count * 0.95)), Math.max(1, Math.ceil(count * 0.99))]
  let latencyP50Ms: number | null = null
  let latencyP95Ms: number | null = null
  let latencyP99Ms: number | null = null
  let seen = 0
  for (let bucket = first; bucket <= last && latencyP99Ms === null; bucket++) {
    seen += dense[bucket]!
    const ms = bucketMiddleUs(bucket) / 1_000
    if (latencyP50Ms === null && seen >= p50) latencyP50Ms = ms
    if (latencyP95Ms === null && seen >= p95) latencyP95Ms = ms
    if (seen >= p99) latencyP99Ms = ms
  }
  return { latencyMeanMs: sumUs / count / 1_000, latencyP50Ms, latencyP95Ms, latencyP99Ms, latencyCount: count }
}

export function figuresToLive(figures: Figures): LiveFigures {
  const { rates } = figures
  return {
    requests_per_s: rates[AT.requests]!,
    errors_5xx_per_s: rates[AT.responses5xx]!,
    errors_4xx_per_s: rates[AT.responses4xx]!,
    bytes_in_per_s: rates[AT.bytesIn]!,
    bytes_out_per_s: rates[AT.bytesOut]!,
    open_connections: figures.openConnections,
    new_connections_per_s: rates[AT.connections]!,
    latency_p50_ms: figures.latencyP50Ms,
    latency_p95_ms: figures.latencyP95Ms,
    latency_p99_ms: figures.latencyP99Ms,
    at: figures.atEpochMs
  }
}
