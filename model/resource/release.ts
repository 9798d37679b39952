/** How a release goes, as REST, webhooks and the dashboard say it. Times are epoch milliseconds. */

export const releaseActions = ['pause', 'resume', 'abort', 'promote'] as const
export type ReleaseAction = (typeof releaseActions)[number]

export type ReleaseState = 'RUNNING' | 'PAUSED' | 'PROMOTED' | 'ROLLED_BACK' | 'ABORTED'

export interface ReleaseView {
  readonly id: string
  readonly poolgroup: string
  readonly poolgroup_name: string
  readonly pool: string
  readonly pool_name: string
  readonly old_pools: readonly string[]
  readonly state: ReleaseState
  /** Shares of the new pool, in percent. */
  readonly steps: readonly number[]
  /** Index into steps. */
  readonly step: number
  /** Percent that the new pool gets now. */
  readonly share: number
  readonly started_by: string
  readonly started_at: number
  readonly step_started_at: number
  /** When the step is judged unless something is wrong before; null while it is not measured. */
  readonly judged_at: number | null
  readonly ended_at: number | null
  /** Why it is where it is, in words. */
  readonly reason: string
  /** Of the step under way; null while it is not measured. */
  readonly now: SidesView | null
  /** Oldest first; the newest hundred. */
  readonly decisions: readonly DecisionView[]
}

export interface SidesView {
  readonly old: SideView
  readonly new: SideView
}

export interface SideView {
  readonly requests: number
  readonly errors: number
  readonly error_percent: number
  readonly latency_p50_ms: number | null
  readonly latency_p95_ms: number | null
  readonly health_score: number | null
}

export const decisionKinds = ['STARTED', 'PASSED', 'EXTENDED', 'PAUSED', 'RESUMED', 'PROMOTED', 'ROLLED_BACK', 'ABORTED'] as const
export type DecisionKind = (typeof decisionKinds)[number]

export interface DecisionView {
  readonly kind: DecisionKind
  readonly at: number
  readonly by: string
  readonly step: number
  readonly share: number
  readonly reasons: readonly string[]
  readonly figures: SidesView | null
  /** The revision that carried it out; null while it is not, or when nothing had to be written. */
  readonly revision: number | null
}
