/** The windows of all engines that carry an entity, as one set of figures. */
import { addSparse, BUCKETS, bucketMiddleUs, percentileUs } from '#model/message/histogram.ts'
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

const toMs = (us: number | null): number | null => (us === null ? null : us / 1_000)

/** Adds windows up; percentiles are taken from the merged histogram, never averaged. */
export function sumWindows(windows: Iterable<Window>): Figures {
  const rates = new Float64Array(COUNTER_COUNT)
  let endedPerS = 0
  let openConnections = 0
  let atEpochMs: number | null = null
  let dense: Float64Array | undefined
  for (const window of windows) {
    for (let i = 0; i < COUNTER_COUNT; i++) rates[i]! += window.rates[i]!
    endedPerS += window.endedPerS
    openConnections += window.openConnections
    atEpochMs = atEpochMs === null ? window.atEpochMs : Math.max(atEpochMs, window.atEpochMs)
    if (window.latency.length > 0) addSparse((dense ??= new Float64Array(BUCKETS)), window.latency)
  }
  const empty = { latencyMeanMs: null, latencyP50Ms: null, latencyP95Ms: null, latencyP99Ms: null, latencyCount: 0 }
  return { rates, endedPerS, openConnections, atEpochMs, ...(dense === undefined ? empty : latencyOf(dense)) }
}

function latencyOf(dense: Float64Array): Omit<Figures, 'rates' | 'endedPerS' | 'openConnections' | 'atEpochMs'> {
  let count = 0
  let sumUs = 0
  for (let bucket = 0; bucket < dense.length; bucket++) {
    if (dense[bucket] === 0) continue
    count += dense[bucket]!
    sumUs += dense[bucket]! * bucketMiddleUs(bucket)
  }
  return {
    latencyMeanMs: count === 0 ? null : sumUs / count / 1_000,
    latencyP50Ms: toMs(percentileUs(dense, 0.5)),
    latencyP95Ms: toMs(percentileUs(dense, 0.95)),
    latencyP99Ms: toMs(percentileUs(dense, 0.99)),
    latencyCount: count
  }
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
