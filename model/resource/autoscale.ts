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

/**
 * Life of an engine that a driver makes; the row is stored before anything is done.
 *
 *   WANTED --made--> JOINING --joined--> JOINED --too many--> DRAINING --empty--> DESTROYING --gone--> (no row)
 *      ^                |                   ^                    |
 *      +----in vain-----+                   +--wanted after all--+
 */
export type EngineMakingState = 'WANTED' | 'JOINING' | 'JOINED' | 'DRAINING' | 'DESTROYING'

/** One engine that a driver makes, keeps or takes away. */
export interface EngineMaking {
  readonly name: string
  readonly state: EngineMakingState
  readonly since: number
  /** Failures in a row. */
  readonly failures: number
  /** Not tried before; null: nothing waits. */
  readonly next_try: number | null
  readonly last_failure: { readonly at: number; readonly reason: string } | null
  /** Null until it joined. */
  readonly engine_uuid: string | null
  /** Where it runs; null where the driver has one place only. */
  readonly host: string | null
}

export interface GroupDriverView {
  /** Type of the driver of its cloud; null: none, and how many engines there should be is advice. */
  readonly driver: string | null
  /** Why the driver does nothing now. */
  readonly problem: string | null
  readonly making: readonly EngineMaking[]
  /** What the driver runs for this controller though nothing is known of it: made after the backup that it was restored from. */
  readonly strangers: readonly string[]
}

export interface GroupAutoscaleView {
  readonly engines: number
  readonly engines_wanted: number
  readonly reasons: readonly string[]
  readonly decisions: readonly AutoscaleDecision[]
}
