/** What a load will be, learnt from its days: Holt-Winters with an additive season and a damped trend. Pure. */

/** How fast the trend dies out with each step ahead: a week of growth is not growth for ever. */
const DAMPING = 0.98
const levelRates = [0.02, 0.1, 0.3] as const
const seasonRates = [0.1, 0.3] as const
const TREND_RATE = 0.01
/** Share of a season that must be known before anything is said. */
const MIN_KNOWN = 0.5
/** A forecast must err by so much less than "as it is now" does, or it is not used. */
const BETTER_THAN_NOW = 0.9

export interface Learnt {
  /** Values from the last point of the history on: index 0 is one step ahead. */
  readonly ahead: readonly number[]
  /** Mean error of forecasts as far ahead as `ahead` is long, over the last season, in the unit of the values. */
  readonly error: number
  /** The same of taking the value for what it was. */
  readonly errorOfNow: number
  /** False: it errs as much as taking the load for what it is. */
  readonly isUsable: boolean
  readonly seasons: number
}

interface Fit {
  readonly level: number
  readonly trend: number
  readonly season: readonly number[]
}

/**
 * Learns a season and says what comes next.
 *
 * Shapes  values: oldest first, one a step; null is a gap and teaches nothing
 *         season: steps of one season, >= 2; at least two seasons of history are needed
 *         horizon: steps ahead, >= 1
 * Returns undefined when there is too little history, or more than half of it is missing
 * Cost    O(values * rates tried), no state
 * Source  P. R. Winters, "Forecasting Sales by Exponentially Weighted Moving Averages", Management Science 6(3), 1960;
 *         damped trend: Gardner and McKenzie, 1985. Rates are those that erred least, `horizon` ahead, over the last season
 */
export function learn(values: readonly (number | null)[], season: number, horizon: number): Learnt | undefined {
  const seasons = Math.floor(values.length / season)
  const known = values.reduce<number>((count, value) => count + (value === null ? 0 : 1), 0)
  if (seasons < 2 || horizon < 1 || known < values.length * MIN_KNOWN) return undefined
  const start = startOf(values, season, seasons)
  if (start === undefined) return undefined
  let best: { readonly fit: Fit; readonly error: number; readonly errorOfNow: number } | undefined
  for (const levelRate of levelRates)
    for (const seasonRate of seasonRates) {
      const walked = walk(values, start, { levelRate, seasonRate, season, horizon })
      if (best === undefined || walked.error < best.error) best = walked
    }
  const { fit, error, errorOfNow } = best!
  const ahead = Array.from({ length: horizon }, (_, i) => Math.max(0, at(fit, values.length, i + 1, season)))
  return { ahead, error, errorOfNow, isUsable: error < errorOfNow * BETTER_THAN_NOW, seasons }
}

function startOf(values: readonly (number | null)[], season: number, seasons: number): Fit | undefined {
  const means = Array.from({ length: seasons }, (_, i) => meanOf(values.slice(i * season, (i + 1) * season)))
  const first = means.find(mean => mean !== undefined)
  if (first === undefined) return undefined
  const sums = new Float64Array(season)
  const counts = new Float64Array(season)
  for (const [i, value] of values.slice(0, seasons * season).entries()) {
    const mean = means[Math.floor(i / season)]
    if (value === null || mean === undefined) continue
    sums[i % season]! += value - mean
    counts[i % season]! += 1
  }
  // A step that was never seen is taken for an ordinary one.
  return { level: first, trend: 0, season: Array.from(sums, (sum, i) => (counts[i] === 0 ? 0 : sum / counts[i]!)) }
}

function meanOf(values: readonly (number | null)[]): number | undefined {
  const known = values.filter(value => value !== null)
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length
}

/** The value `ahead` steps after the point before `index`. */
function at({ level, trend, season }: Fit, index: number, ahead: number, length: number): number {
  const damped = (DAMPING * (1 - DAMPING ** ahead)) / (1 - DAMPING)
  return level + trend * damped + season[(index + ahead - 1) % length]!
}

interface Rates {
  readonly levelRate: number
  readonly seasonRate: number
  readonly season: number
  readonly horizon: number
}

function walk(values: readonly (number | null)[], start: Fit, { levelRate, seasonRate, season: length, horizon }: Rates) {
  let { level, trend } = start
  const season = [...start.season]
  const judgedFrom = values.length - length
  let [error, errorOfNow, count] = [0, 0, 0]
  let now = values.find(value => value !== null) ?? 0
  for (const [i, value] of values.entries()) {
    const target = values[i + horizon - 1]
    // What would have been said here of the point `horizon` ahead; only the last season counts.
    if (i + horizon - 1 >= judgedFrom && target !== undefined && target !== null) {
      error += Math.abs(target - Math.max(0, at({ level, trend, season }, i, horizon, length)))
      errorOfNow += Math.abs(target - now)
      count += 1
    }
    const before = level
    const phase = i % length
    if (value === null) {
      level += DAMPING * trend
      trend *= DAMPING
      continue
    }
    level = levelRate * (value - season[phase]!) + (1 - levelRate) * (level + DAMPING * trend)
    trend = TREND_RATE * (level - before) + (1 - TREND_RATE) * DAMPING * trend
    season[phase] = seasonRate * (value - level) + (1 - seasonRate) * season[phase]!
    now = value
  }
  return { fit: { level, trend, season }, error: error / Math.max(1, count), errorOfNow: errorOfNow / Math.max(1, count) }
}

export interface Point {
  readonly atEpochS: number
  readonly value: number
}

/**
 * One value a step out of points of two resolutions: minutes where there are any, hours before.
 *
 * Shapes  fine: points of a minute or less; coarse: points of an hour, at the beginning of it
 * Units   stepS: length of a step; count: steps, the last one ends at untilEpochS
 * Returns null where neither knows anything; between two hours that follow each other the line from middle to middle
 */
export function stepsOf(
  { fine, coarse }: { readonly fine: readonly Point[]; readonly coarse: readonly Point[] },
  { stepS, count, untilEpochS }: { readonly stepS: number; readonly count: number; readonly untilEpochS: number }
): (number | null)[] {
  const fromEpochS = untilEpochS - count * stepS
  const sums = new Float64Array(count)
  const counts = new Float64Array(count)
  for (const { atEpochS, value } of fine) {
    const step = Math.floor((atEpochS - fromEpochS) / stepS)
    if (step < 0 || step >= count) continue
    sums[step]! += value
    counts[step]! += 1
  }
  const hours = new Map(coarse.map(({ atEpochS, value }) => [Math.floor(atEpochS / 3_600), value]))
  return Array.from({ length: count }, (_, i) => {
    if (counts[i]! > 0) return sums[i]! / counts[i]!
    const middle = (fromEpochS + (i + 0.5) * stepS) / 3_600
    const hour = Math.floor(middle)
    const own = hours.get(hour)
    if (own === undefined) return null
    const side = middle - hour < 0.5 ? hour - 1 : hour + 1
    const other = hours.get(side) ?? own
    return own + (other - own) * Math.abs(middle - hour - 0.5)
  })
}
