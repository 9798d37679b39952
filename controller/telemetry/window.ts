/** Totals of one engine become rates of one interval. Plain arithmetic on arrays: it runs for every entity each second. */
import { BUCKETS, bucketMiddleUs, type SparseHistogram } from '#model/message/histogram.ts'
import type { Totals } from '#model/message/message.ts'

/** Order of the counters in every array here; `openConnections` is no counter and kept beside them. */
export const counters = [
  'requests',
  'responses1xx',
  'responses2xx',
  'responses3xx',
  'responses4xx',
  'responses5xx',
  'faultsDownstream',
  'faultsEngine',
  'faultsUpstream',
  'bytesIn',
  'bytesOut',
  'connections'
] as const satisfies readonly (keyof Totals)[]
export type CounterName = (typeof counters)[number]
export const COUNTER_COUNT = counters.length

export const AT = Object.fromEntries(counters.map((name, i) => [name, i])) as Readonly<Record<CounterName, number>>

/** Upper bounds of the latency histogram that Prometheus sees, in seconds. */
export const latencyBoundsS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const
/** Bucket of ours -> index of the first bound that holds its middle; `latencyBoundsS.length` is +Inf. */
const boundOf = Uint8Array.from({ length: BUCKETS }, (_, bucket) => {
  const seconds = bucketMiddleUs(bucket) / 1_000_000
  const at = latencyBoundsS.findIndex(bound => seconds <= bound)
  return at < 0 ? latencyBoundsS.length : at
})

/** What one engine says about one entity. */
export interface Window {
  /** Totals as last told; what the next sample is subtracted from. */
  readonly last: Float64Array
  lastLatency: SparseHistogram
  /** Per second, over the newest interval. */
  readonly rates: Float64Array
  /** Values per bucket within the newest interval. */
  latency: SparseHistogram
  /** Connections that ended, per second. */
  endedPerS: number
  openConnections: number
  /** Of a pool: the one virtual service of the engine that sends to it; '' where there are more, or none. */
  onlyOf: string
  atEpochMs: number
  /** By our own clock. */
  seenAtMs: number
}

/** Sums over engines since this controller started: counters that only grow. */
export interface Grown {
  readonly counts: Float64Array
  readonly latencyCounts: Float64Array
  latencySumS: number
}

export function makeWindow(): Window {
  return {
    last: new Float64Array(COUNTER_COUNT),
    lastLatency: [],
    rates: new Float64Array(COUNTER_COUNT),
    latency: [],
    endedPerS: 0,
    openConnections: 0,
    onlyOf: '',
    atEpochMs: 0,
    seenAtMs: 0
  }
}

export function makeGrown(): Grown {
  return { counts: new Float64Array(COUNTER_COUNT), latencyCounts: new Float64Array(latencyBoundsS.length + 1), latencySumS: 0 }
}

/** A count as an engine told it; what is no count is taken for `otherwise`. */
export function countOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : otherwise
}

/**
 * What was added to a histogram since it was last told.
 *
 * Shapes  before, after: buckets ascending; anything else in `after` ends the walk, so that a broken sample costs only itself
 * Returns buckets ascending, counts > 0; a bucket that went back counts as unchanged
 * Cost    O(length of both), one array
 */
export function addedTo(before: SparseHistogram, after: SparseHistogram): SparseHistogram {
  const added: number[] = []
  let from = 0
  let previous = -1
  for (let i = 0; i + 1 < after.length; i += 2) {
    const bucket = after[i]!
    const count = after[i + 1]!
    if (!(Number.isInteger(bucket) && bucket > previous && bucket < BUCKETS && count >= 0 && count <= Number.MAX_SAFE_INTEGER)) break
    previous = bucket
    while (from < before.length && before[from]! < bucket) from += 2
    const grown = count - (from < before.length && before[from] === bucket ? before[from + 1]! : 0)
    if (grown > 0) added.push(bucket, grown)
  }
  return added
}

/**
 * Takes new totals into a window and adds what happened to `grown`.
 *
 * Units   seconds: length of the interval, > 0
 *         isBaseline: nothing is known of before: the totals become the base and no traffic is counted
 */
export function advance(
  window: Window,
  grown: Grown,
  told: { readonly totals: Totals; readonly latency: SparseHistogram },
  seconds: number,
  isBaseline: boolean
): void {
  const { last, rates } = window
  let opened = 0
  for (let i = 0; i < COUNTER_COUNT; i++) {
    const before = last[i]!
    const now = countOf(told.totals[counters[i]!], before)
    // A counter that went back within one boot is a counter that began again: no traffic is invented from it.
    const happened = isBaseline || now < before ? 0 : now - before
    last[i] = now
    rates[i] = happened / seconds
    grown.counts[i]! += happened
    if (i === AT.connections) opened = happened
  }
  const latency = Array.isArray(told.latency) ? told.latency : []
  const added = isBaseline ? [] : addedTo(window.lastLatency, latency)
  window.lastLatency = latency
  window.latency = added
  for (let i = 0; i < added.length; i += 2) {
    const bucket = added[i]!
    grown.latencyCounts[boundOf[bucket]!]! += added[i + 1]!
    grown.latencySumS += (bucketMiddleUs(bucket) / 1_000_000) * added[i + 1]!
  }
  const open = countOf(told.totals.openConnections, 0)
  window.endedPerS = isBaseline ? 0 : Math.max(0, opened - (open - window.openConnections)) / seconds
  window.openConnections = open
}
