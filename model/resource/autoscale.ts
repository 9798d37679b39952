/** What was decided about engines and servers by load, as REST, webhooks and the dashboard say it. Times are epoch milliseconds. */

export const autoscaleKinds = ['SCALE_OUT', 'SCALE_IN', 'HELD', 'REBALANCE', 'ASKED', 'DRAINING', 'REMOVED', 'COMPLETED', 'FAILED'] as const
export type AutoscaleKind = (typeof autoscaleKinds)[number]

export interface AutoscaleMetric {
  readonly name: string
  /** Engines (servers, of a pool) that this figure asks for; of latency how many times its limit it is. */
  readonly demand: number
  readonly words: string
}

export interface AutoscaleFigures {
  /** Engines of a virtual service, servers of a pool. */
  readonly engines: number
  /** Engines that its load fills; null when nothing is known. */
  readonly demand: number | null
  /** The most that is expected; null without a forecast. */
  readonly predicted: number | null
  readonly least: number
  readonly most: number
  readonly metrics: readonly AutoscaleMetric[]
}

export interface AutoscaleDecision {
  readonly kind: AutoscaleKind
  readonly at: number
  readonly cause: 'load' | 'forecast' | 'schedule' | 'request'
  readonly before: number
  readonly after: number
  readonly reasons: readonly string[]
  readonly figures: AutoscaleFigures | null
}

export interface AutoscaleForecast {
  /** Seconds of a step; the first step begins at `from`. */
  readonly step_s: number
  readonly from: number
  /** In engines, or servers. */
  readonly ahead: readonly number[]
  readonly is_usable: boolean
  readonly error: number
  readonly error_of_now: number
  readonly days: number
}

export interface AutoscaleView {
  /** False: its group, or its policy, does not ask for it. */
  readonly enabled: boolean
  readonly now: AutoscaleFigures | null
  readonly forecast: AutoscaleForecast | null
  /** Oldest first; the newest hundred. */
  readonly decisions: readonly AutoscaleDecision[]
}

export interface GroupAutoscaleView {
  readonly engines: number
  readonly engines_wanted: number
  readonly reasons: readonly string[]
  readonly decisions: readonly AutoscaleDecision[]
}
