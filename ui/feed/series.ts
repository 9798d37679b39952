/** Points for charts: what the API stored, continued by what the live feed brought since. */
import type { LiveFigures, MetricsAnswer } from '#model/resource/runtime.ts'
import type { TimeWindow } from '../part/range.ts'

/** One line of a chart: a metric of the API and the same thing among the live figures. */
export interface MetricLine {
  readonly metricId: string
  readonly live: (figures: LiveFigures) => number | null
}

/** Column 0: epoch seconds on an even grid; one more for each line, null where nothing is known. */
export type ChartData = readonly [readonly number[], ...(readonly (readonly (number | null)[])[])]

/**
 * Lays stored and live points on the window's grid.
 *
 * Shapes  answer: as it came, undefined before; history: seconds, oldest first
 * Returns a gap (null) wherever neither has a point; a live point never replaces a stored one
 * Cost    O(grid + points)
 */
export function chartData(
  window: TimeWindow,
  lines: readonly MetricLine[],
  answer: MetricsAnswer | undefined,
  history: readonly LiveFigures[]
): ChartData {
  const { startS, stopS, stepS } = window
  const first = Math.floor(startS / stepS) * stepS
  const count = Math.max(1, Math.floor((stopS - first) / stepS) + 1)
  const times = Array.from({ length: count }, (_, at) => first + at * stepS)
  const slot = (atMs: number): number => Math.floor((Math.floor(atMs / 1000) - first) / stepS)
  const columns = lines.map(line => {
    const values: (number | null)[] = Array.from({ length: count }, () => null)
    const stored = new Set<number>()
    const series = answer?.series.find(one => one.header.name === line.metricId)
    for (const { timestamp, value } of series?.data ?? []) {
      const at = slot(Date.parse(timestamp))
      if (at < 0 || at >= count) continue
      values[at] = value
      stored.add(at)
    }
    // A coarse step shows means; one second of it would look like an outlier.
    if (stepS <= 5) {
      for (const figures of history) {
        if (figures.at === null) continue
        const at = slot(figures.at)
        if (at >= 0 && at < count && !stored.has(at)) values[at] = line.live(figures)
      }
    }
    return values
  })
  return [times, ...columns]
}

/** The last value of each line, for the text beside a chart; null where the line ends in a gap. */
export function lastValues(data: ChartData): readonly (number | null)[] {
  return data.slice(1).map(column => column.findLast(value => value !== null) ?? null)
}
