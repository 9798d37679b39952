/** The time window of a page's charts: one for all of them, in the URL. */

export interface RangeChoice {
  readonly name: string
  readonly seconds: number
  /** One point each so many seconds: a few hundred points whatever the range. */
  readonly stepS: number
}

export const ranges: readonly RangeChoice[] = [
  { name: '5m', seconds: 300, stepS: 1 },
  { name: '15m', seconds: 900, stepS: 5 },
  { name: '1h', seconds: 3_600, stepS: 15 },
  { name: '6h', seconds: 21_600, stepS: 60 },
  { name: '1d', seconds: 86_400, stepS: 300 },
  { name: '7d', seconds: 604_800, stepS: 3_600 }
]
export const DEFAULT_RANGE = ranges[0]!

export interface TimeWindow {
  readonly startS: number
  readonly stopS: number
  readonly stepS: number
  /** The window ends now and moves with it. */
  readonly isMoving: boolean
}

/** Steps that the API knows, seconds. */
const steps = [1, 5, 60, 300, 3_600]

/** The smallest step that gives at most about a thousand points. */
export function stepFor(seconds: number): number {
  return steps.find(step => seconds / step <= 1_000) ?? 3_600
}

/**
 * The window that the URL asks for: `range=15m`, or `from` and `to` in epoch seconds after a drag over a chart.
 *
 * Returns the default range for anything that makes no sense
 */
export function windowIn(params: URLSearchParams, nowEpochMs: number): TimeWindow {
  const from = Number(params.get('from'))
  const to = Number(params.get('to'))
  if (Number.isInteger(from) && Number.isInteger(to) && from > 0 && to > from)
    return { startS: from, stopS: to, stepS: stepFor(to - from), isMoving: false }
  const range = ranges.find(choice => choice.name === params.get('range')) ?? DEFAULT_RANGE
  const nowS = Math.floor(nowEpochMs / 1000)
  return { startS: nowS - range.seconds, stopS: nowS, stepS: range.stepS, isMoving: true }
}
