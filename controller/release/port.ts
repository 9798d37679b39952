/** What the rest of the controller may ask of releases. */
import type { ReleaseAction, ReleaseView } from '#model/resource/release.ts'
import type { ChangeOrder } from '#controller/change/order.ts'

export type Actor = ChangeOrder['actor']

export interface ReleasePort {
  /** The newest release of a pool group, running or over; undefined when there never was one. */
  readonly of: (group: string) => ReleaseView | undefined
  /** Throws ReleaseRefused; ChangeRefused of what it writes. */
  readonly start: (group: string, pool: string, actor: Actor) => Promise<ReleaseView>
  /** Throws ReleaseRefused when there is none that runs, or not in that state. */
  readonly act: (group: string, action: ReleaseAction, actor: Actor) => Promise<ReleaseView>
}

/** What was asked makes no sense now: nothing happened. */
export class ReleaseRefused extends Error {
  override readonly name = 'ReleaseRefused'
  readonly statusCode = 409
}
