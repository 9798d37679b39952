/** How the engines of a group come to another build, as REST, webhooks and the dashboard say it. Times are epoch milliseconds. */

export const upgradeActions = ['pause', 'resume', 'abort', 'rollback'] as const
export type UpgradeAction = (typeof upgradeActions)[number]

export type UpgradeState = 'RUNNING' | 'PAUSED' | 'DONE' | 'ROLLED_BACK' | 'ABORTED'

/**
 * WAITING -> MEASURING (what it is like before) -> ORDERED -> WATCHING (what it is like since) -> DONE; from ORDERED and WATCHING on trouble -> GOING_BACK
 * -> FAILED. SKIPPED: it cannot be told, or need not.
 */
export type UpgradedEngineState = 'WAITING' | 'MEASURING' | 'ORDERED' | 'WATCHING' | 'DONE' | 'GOING_BACK' | 'FAILED' | 'SKIPPED'

/** What a person may say to a start. */
export interface UpgradeSettings {
  /** Engines that are replaced at the same time. */
  readonly max_parallel: number
  /** Seconds from the order until it must be up on the new build and have been watched. */
  readonly deadline: number
  /** Seconds that an engine is measured before, and watched since. 0: up is enough. */
  readonly evaluation_duration: number
  /** Percentage points of requests that fail, above what it was. */
  readonly max_error_increase: number
  /** Points of the health score of a service that it carries. */
  readonly max_health_drop: number
}

export const upgradeDefaults: UpgradeSettings = {
  max_parallel: 1,
  deadline: 180,
  evaluation_duration: 30,
  max_error_increase: 1,
  max_health_drop: 10
}

/** Integers from .. to. */
export const upgradeLimits: Readonly<Record<keyof UpgradeSettings, readonly [from: number, to: number]>> = {
  max_parallel: [1, 100],
  deadline: [30, 3_600],
  evaluation_duration: [0, 3_000],
  max_error_increase: [0, 100],
  max_health_drop: [0, 100]
}

export interface UpgradeView extends UpgradeSettings {
  readonly id: string
  readonly serviceenginegroup: string
  readonly serviceenginegroup_name: string
  readonly state: UpgradeState
  /** BACK: engines that were upgraded return to what they ran. */
  readonly direction: 'FORWARD' | 'BACK'
  /** That the controller gave out as it began. */
  readonly version: string
  readonly started_by: string
  readonly started_at: number
  readonly ended_at: number | null
  /** Why it is where it is, in words. */
  readonly reason: string
  readonly engines: readonly UpgradedEngineView[]
  /** Oldest first; the newest few hundred. */
  readonly events: readonly UpgradeEventView[]
}

export interface UpgradedEngineView {
  readonly uuid: string
  readonly name: string
  readonly state: UpgradedEngineState
  /** SHA-256 of the builds; '' where they are not known. */
  readonly from: string
  readonly to: string
  readonly since: number
  readonly reason: string
}

export type UpgradeEventKind =
  | 'STARTED'
  | 'ORDERED'
  | 'UP'
  | 'UPGRADED'
  | 'GOING_BACK'
  | 'WENT_BACK'
  | 'FAILED'
  | 'SKIPPED'
  | 'PAUSED'
  | 'RESUMED'
  | 'ROLLING_BACK'
  | 'DONE'
  | 'ROLLED_BACK'
  | 'ABORTED'

export interface UpgradeEventView {
  readonly kind: UpgradeEventKind
  readonly at: number
  readonly by: string
  /** Uuid and name of the engine that it is about; null: the whole. */
  readonly engine: { readonly uuid: string; readonly name: string } | null
  readonly reasons: readonly string[]
}
