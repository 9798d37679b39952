/** What the rest of the controller may ask of scaling by load. */
import type { AutoscaleView, GroupAutoscaleView } from '#model/resource/autoscale.ts'

export interface ScalePort {
  readonly ofService: (uuid: string) => AutoscaleView
  readonly ofGroup: (uuid: string) => GroupAutoscaleView
  /** Called when something was decided; returns the way to stop. */
  readonly onDecision: (listener: (subject: ScaleSubject) => void) => () => void
}

export interface ScaleSubject {
  readonly kind: 'virtualservice' | 'pool' | 'serviceenginegroup'
  readonly uuid: string
}
