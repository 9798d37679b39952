/** What the rest of the controller may ask of upgrades. */
import type { UpgradeAction, UpgradeSettings, UpgradeView } from '#model/resource/upgrade.ts'

export interface UpgradePort {
  /** The newest upgrade of an engine group, running or over; undefined when there never was one. */
  readonly of: (group: string) => UpgradeView | undefined
  /** What the controller gives out now; undefined when nothing. */
  readonly givenOut: () => { readonly version: string; readonly builds: Readonly<Record<string, string>> } | undefined
  /** Throws UpgradeRefused. */
  readonly start: (group: string, order: UpgradeStart) => UpgradeView
  /** Throws UpgradeRefused when there is none that this can be said to. */
  readonly act: (group: string, action: UpgradeAction, by: string) => UpgradeView
}

export interface UpgradeStart {
  readonly settings: UpgradeSettings
  /** Uuid of a webhook that is told each event. */
  readonly webhook?: string
  readonly by: string
}

/** What was asked makes no sense now: nothing happened. */
export class UpgradeRefused extends Error {
  override readonly name = 'UpgradeRefused'
  readonly statusCode = 409
}
