/** The geometry of a sparkline. */
import type { LiveFigures, MetricsAnswer } from '#model/resource/runtime.ts'

const WIDTH = 96
const HEIGHT = 20
const WINDOW_MS = 120_000
/** A second without a sample is a gap; one late sample is not. */
const GAP_MS = 2_500

export interface SparkPoint {
  readonly atMs: number
  readonly value: number
}

/**
 * SVG paths of a line over the last two minutes and of the area under it.
 *
 * Shapes  points: oldest first; the newest is at the right edge
 * Returns empty paths for no points; a gap in time is a gap in the line
 */
export function sparkPaths(points: readonly SparkPoint[]): { readonly line: string; readonly area: string } {
  const last = points.at(-1)
  if (!last) return { line: '', area: '' }
  const top = Math.max(...points.map(point => point.value), 1e-9)
  const x = (atMs: number): number => round(WIDTH - ((last.atMs - atMs) / WINDOW_MS) * WIDTH)
  const y = (value: number): number => round(HEIGHT - 1 - (value / top) * (HEIGHT - 3))
  let line = ''
  let area = ''
  let runStart = 0
  points.forEach((point, at) => {
    const before = points[at - 1]
    const isStart = before === undefined || point.atMs - before.atMs > GAP_MS
    if (isStart) runStart = x(point.atMs)
    line += `${isStart ? 'M' : 'L'}${x(point.atMs)} ${y(point.value)}`
    area += isStart ? `M${runStart} ${HEIGHT}L${x(point.atMs)} ${y(point.value)}` : `L${x(point.atMs)} ${y(point.value)}`
    const after = points[at + 1]
    if (after === undefined || after.atMs - point.atMs > GAP_MS) area += `L${x(point.atMs)} ${HEIGHT}Z`
  })
  return { line, area }
}

const round = (value: number): number => Math.round(value * 10) / 10

/** What was stored before the first live second, then the live ones. */
export function sparkPoints(stored: MetricsAnswer | undefined, history: readonly LiveFigures[]): readonly SparkPoint[] {
  const live = history.map(figures => ({ atMs: figures.at ?? 0, value: figures.requests_per_s }))
  const firstMs = live[0]?.atMs ?? Number.POSITIVE_INFINITY
  const lastMs = live.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY
  const before = (stored?.series[0]?.data ?? [])
    .map(({ timestamp, value }) => ({ atMs: Date.parse(timestamp), value }))
    .filter(point => point.atMs < firstMs && point.atMs > lastMs - WINDOW_MS)
  return [...before, ...live]
}
