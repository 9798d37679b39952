/** What the rest of the controller may ask of scaling by load. */
import type { AutoscaleDecision, AutoscaleView, GroupAutoscaleView } from '#model/resource/autoscale.ts'

export interface ScalePort {
  readonly ofService: (uuid: string) => AutoscaleView
  readonly ofPool: (uuid: string) => AutoscaleView
  /** One server more, or one less, as the policy of the pool carries it out. Throws ScaleRefused; ChangeRefused of what it writes. */
  readonly scalePool: (uuid: string, way: 'out' | 'in', by: string, reason?: string) => Promise<AutoscaleView>
  readonly ofGroup: (uuid: string) => GroupAutoscaleView
  /** Engines that a group should have; undefined before the first look. */
  readonly enginesWanted: (group: string) => number | undefined
  /** Writes down what somebody else decided, and tells it as its own. */
  readonly note: (subject: ScaleSubject & { readonly name: string }, decision: Omit<AutoscaleDecision, 'at'>) => void
  /** Called when something was decided; returns the way to stop. */
  readonly onDecision: (listener: (subject: ScaleSubject, decision: AutoscaleDecision) => void) => () => void
}

export interface ScaleSubject {
  readonly kind: 'virtualservice' | 'pool' | 'serviceenginegroup'
  readonly uuid: string
}

/** What was asked makes no sense now: nothing happened. */
export class ScaleRefused extends Error {
  override readonly name = 'ScaleRefused'
  readonly statusCode = 409
  readonly code = 'NOT_NOW'
}
