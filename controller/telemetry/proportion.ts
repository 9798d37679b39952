/** What a share of a sample says of the share of all: bounds, and those of a difference. Pure. */

export interface Interval {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

/**
 * One-sided bounds of a proportion.
 *
 * Shapes  0 <= hits <= count; count 0 knows nothing: 0..1
 * Source  Wilson, 1927: honest also near 0 and with few values, where the normal interval is not
 */
export function proportion(hits: number, count: number, z: number): Interval {
  if (count <= 0) return { estimate: 0, low: 0, high: 1 }
  const p = hits / count
  const middle = (p + (z * z) / (2 * count)) / (1 + (z * z) / count)
  const half = (z / (1 + (z * z) / count)) * Math.sqrt((p * (1 - p)) / count + (z * z) / (4 * count * count))
  return { estimate: p, low: Math.max(0, Math.min(p, middle - half)), high: Math.min(1, Math.max(p, middle + half)) }
}

/**
 * `a` less `b`, two proportions of samples that do not know of each other.
 *
 * Source  Newcombe, 1998, method 10: bounds from the two Wilson intervals
 */
export function differenceOf(a: Interval, b: Interval): Interval {
  const estimate = a.estimate - b.estimate
  return {
    estimate,
    low: estimate - Math.hypot(a.estimate - a.low, b.high - b.estimate),
    high: estimate + Math.hypot(a.high - a.estimate, b.estimate - b.low)
  }
}
