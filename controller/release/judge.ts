/** Is the new pool as good as the old ones? Pure: figures of one window in, a verdict and its reasons out. */
import { bucketMiddleUs, type SparseHistogram } from '#model/message/histogram.ts'
import type { Measured } from '#controller/telemetry/port.ts'
import { differenceOf, proportion, type Interval } from '#controller/telemetry/proportion.ts'
import type { DeploymentRule, ReleaseMetric } from '#model/resource/poolgroupdeploymentpolicy.ts'

export interface Side extends Measured {
  /** 0..100; null when nothing is known. */
  readonly healthScore: number | null
}

export interface Limits {
  readonly minimumRequests: number
  /** Of the new side above the old one, 0..1. */
  readonly maxErrorIncrease: number
  /** 0.2: a fifth slower. */
  readonly maxLatencyIncrease: number
  /** Points of the health score. */
  readonly maxHealthDrop: number
  /** 0..1, one-sided. */
  readonly confidence: number
  readonly rules: readonly DeploymentRule[]
}

/**
 * `wait`: nothing wrong so far, the window is not over. `too-few`: it is over and says nothing. `unsure`: what it shows lies beyond a limit, and
 * may be chance.
 */
export type Verdict = 'pass' | 'fail' | 'wait' | 'too-few' | 'unsure'

export interface Judgement {
  readonly verdict: Verdict
  /** In words, with numbers; of a failure only what is wrong. */
  readonly reasons: readonly string[]
}

/** A difference of latency below this is none, however large it is in percent. */
const MIN_SLOWER_US = 1_000
/**
 * A step that is looked at every second is looked at often: what ends it before its time must be nearly certain
 * (one-sided 99.95 % at each look).
 */
const EARLY_Z = 3.3
/** Share of the new side's requests that may lie above the old side's 95th percentile: by chance it is 0.05. */
const MAX_TAIL_SHARE = 0.1

/**
 * How many times as slow `a` is as `b`: the ratio of the geometric means, which one slow answer among a thousand does not move.
 *
 * Returns 1 with bounds 0 and Infinity when either side has fewer than two values
 * Source  Welch's interval of the difference of the mean logarithms
 */
export function slownessOf(a: SparseHistogram, b: SparseHistogram, z: number): Interval {
  const [one, other] = [logarithmsOf(a), logarithmsOf(b)]
  if (one.count < 2 || other.count < 2) return { estimate: 1, low: 0, high: Infinity }
  const difference = one.mean - other.mean
  const half = z * Math.sqrt(one.variance / one.count + other.variance / other.count)
  return { estimate: Math.exp(difference), low: Math.exp(difference - half), high: Math.exp(difference + half) }
}

function logarithmsOf(histogram: SparseHistogram): { readonly count: number; readonly mean: number; readonly variance: number } {
  let [count, sum, squares] = [0, 0, 0]
  for (let i = 0; i + 1 < histogram.length; i += 2) {
    const value = Math.log(Math.max(0.5, bucketMiddleUs(histogram[i]!)))
    const times = histogram[i + 1]!
    count += times
    sum += times * value
    squares += times * value * value
  }
  if (count === 0) return { count, mean: 0, variance: 0 }
  const mean = sum / count
  // No narrower than a bucket is wide: what lies inside one is not known.
  return { count, mean, variance: Math.max(0, squares / count - mean * mean) + 1 / 3_072 }
}

function countsAbove(histogram: SparseHistogram, boundUs: number): { readonly above: number; readonly count: number } {
  let [above, count] = [0, 0]
  for (let i = 0; i + 1 < histogram.length; i += 2) {
    count += histogram[i + 1]!
    if (bucketMiddleUs(histogram[i]!) > boundUs) above += histogram[i + 1]!
  }
  return { above, count }
}

/** The value that a share of the counts does not exceed, in microseconds; null when there are none. */
export function percentileOf(histogram: SparseHistogram, ratio: number): number | null {
  const wanted = Math.max(1, Math.ceil(countsAbove(histogram, Infinity).count * ratio))
  let seen = 0
  for (let i = 0; i + 1 < histogram.length; i += 2) {
    seen += histogram[i + 1]!
    if (seen >= wanted) return bucketMiddleUs(histogram[i]!)
  }
  return null
}

/**
 * The z of a one-sided confidence.
 *
 * Shapes  confidence in 0.5..1
 * Source  Abramowitz and Stegun 26.2.23, absolute error below 0.00045
 */
export function zOf(confidence: number): number {
  const t = Math.sqrt(-2 * Math.log(1 - confidence))
  const above = 2.515517 + t * (0.802853 + t * 0.010328)
  return t - above / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}

const percent = (ratio: number): string => `${Math.round(ratio * 10_000) / 100} %`
const ms = (us: number): string => `${Math.round(us / 10) / 100} ms`
const middleOf = (side: Side): number => percentileOf(side.latency, 0.5) ?? 0

/** What a metric of a rule says of a side; null when nothing is known. */
export function metricOf(metric: ReleaseMetric, side: Side): number | null {
  switch (metric) {
    case 'health.health_score_value':
      return side.healthScore
    case 'l7_server.pct_response_errors':
      return side.requests === 0 ? null : (100 * side.errors) / side.requests
    case 'l7_server.avg_resp_latency': {
      const { count } = countsAbove(side.latency, Infinity)
      let sum = 0
      for (let i = 0; i + 1 < side.latency.length; i += 2) sum += bucketMiddleUs(side.latency[i]!) * side.latency[i + 1]!
      return count === 0 ? null : sum / count / 1_000
    }
    default: {
      const us = percentileOf(side.latency, metric === 'l7_server.pct50_latency' ? 0.5 : 0.95)
      return us === null ? null : us / 1_000
    }
  }
}

const holds: Readonly<Record<DeploymentRule['operator'], (value: number, threshold: number) => boolean>> = {
  CO_GE: (value, threshold) => value >= threshold,
  CO_GT: (value, threshold) => value > threshold,
  CO_LE: (value, threshold) => value <= threshold,
  CO_LT: (value, threshold) => value < threshold,
  CO_EQ: (value, threshold) => value === threshold,
  CO_NE: (value, threshold) => value !== threshold
}

/** What is wrong as far as can be told with this certainty; at z = 0 what the figures themselves say. */
function wrongs(old: Side, fresh: Side, limits: Limits, z: number): string[] {
  const wrong: string[] = []
  const [oldErrors, newErrors] = [proportion(old.errors, old.requests, z), proportion(fresh.errors, fresh.requests, z)]
  if (differenceOf(newErrors, oldErrors).low > limits.maxErrorIncrease)
    wrong.push(`errors: ${percent(newErrors.estimate)} of ${fresh.requests} against ${percent(oldErrors.estimate)} of ${old.requests}`)
  const slowness = slownessOf(fresh.latency, old.latency, z)
  const [oldMiddle, newMiddle] = [middleOf(old), middleOf(fresh)]
  if (slowness.low > 1 + limits.maxLatencyIncrease && newMiddle - oldMiddle > MIN_SLOWER_US)
    wrong.push(`latency: ${slowness.estimate.toFixed(2)} times that of the old (median ${ms(newMiddle)} against ${ms(oldMiddle)})`)
  return wrong
}

/** The slow end alone: only ever said with certainty, because twenty requests are one above the 95th percentile. */
function slowEnd(old: Side, fresh: Side, limits: Limits, z: number): string[] {
  const edgeUs = percentileOf(old.latency, 0.95)
  if (edgeUs === null) return []
  const edge = edgeUs * (1 + limits.maxLatencyIncrease) + MIN_SLOWER_US
  const [a, b] = [countsAbove(fresh.latency, edge), countsAbove(old.latency, edge)]
  const share = differenceOf(proportion(a.above, a.count, z), proportion(b.above, b.count, z))
  if (share.low <= MAX_TAIL_SHARE) return []
  return [`latency: ${percent(a.above / a.count)} of the requests took longer than ${ms(edge)}, ${percent(b.above / b.count)} of the old`]
}

/**
 * Judges one step.
 *
 * Shapes  old, fresh: of the same window, or `old` of the last window in which it had traffic
 *         isOver: the step was measured for as long as it should be
 * Returns `fail` before the window is over only for what is nearly certain; at its end for what lies beyond its limit with the
 *         wanted confidence, and `unsure` for what lies beyond it otherwise: one error among a hundred requests proves nothing.
 *         `too-few` when either side has not had the minimum, whatever the figures look like
 */
export function judge(old: Side, fresh: Side, limits: Limits, isOver: boolean): Judgement {
  if (fresh.healthScore === 0 && old.healthScore !== 0) return { verdict: 'fail', reasons: ['health: the new pool is down'] }
  const isEnough = old.requests >= limits.minimumRequests && fresh.requests >= limits.minimumRequests
  if (!isOver) {
    const wrong = isEnough ? [...wrongs(old, fresh, limits, EARLY_Z), ...slowEnd(old, fresh, limits, EARLY_Z)] : []
    return wrong.length > 0 ? { verdict: 'fail', reasons: wrong } : { verdict: 'wait', reasons: [] }
  }
  if (!isEnough) {
    const reason = `requests: ${fresh.requests} of the new pool and ${old.requests} of the old, ${limits.minimumRequests} are needed of each`
    return { verdict: 'too-few', reasons: [reason] }
  }
  const z = zOf(limits.confidence)
  const sure = wrongs(old, fresh, limits, z)
  const wrong = [...sure, ...slowEnd(old, fresh, limits, z), ...unhealthy(old, fresh, limits), ...broken(fresh, limits)]
  if (wrong.length > 0) return { verdict: 'fail', reasons: wrong }
  const likely = wrongs(old, fresh, limits, 0).map(reason => `${reason} (not certain)`)
  return likely.length > 0 ? { verdict: 'unsure', reasons: likely } : { verdict: 'pass', reasons: [praise(old, fresh)] }
}

function unhealthy(old: Side, fresh: Side, limits: Limits): string[] {
  if (old.healthScore === null || fresh.healthScore === null || fresh.healthScore >= old.healthScore - limits.maxHealthDrop) return []
  return [`health: ${fresh.healthScore} against ${old.healthScore}`]
}

function broken(fresh: Side, { rules }: Limits): string[] {
  return rules.flatMap(({ metric_id: metric, operator, threshold }) => {
    const value = metricOf(metric, fresh)
    if (value !== null && holds[operator](value, threshold)) return []
    return [`rule: ${metric} is ${value === null ? 'not known' : Math.round(value * 100) / 100}, not ${operator} ${threshold}`]
  })
}

function praise(old: Side, fresh: Side): string {
  const errors = `errors ${percent(fresh.errors / fresh.requests)} against ${percent(old.errors / old.requests)}`
  return `${errors}, median ${ms(middleOf(fresh))} against ${ms(middleOf(old))}, ${fresh.requests} and ${old.requests} requests`
}
