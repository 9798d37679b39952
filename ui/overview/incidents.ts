/** What needs a look: everything that is not up or not well, worst first, each with one line of why. */
import type { HealthScore, OperStatus } from '#model/resource/runtime.ts'
import type { LiveKind } from '../feed/objects.ts'
import { bandOf, worstFirst } from '../part/band.ts'

export interface Watched {
  readonly kind: LiveKind
  readonly uuid: string
  readonly name: string
  readonly status: OperStatus
  readonly health: HealthScore
}
export interface Incident extends Watched {
  readonly why: string
}

/** What was switched off on purpose is no incident. */
function needsLook({ status, health }: Watched): boolean {
  return status.state !== 'OPER_DISABLED' && bandOf(status.state, health.score) !== 'good'
}

/** Worst first; of two alike, the one that changed last. */
export function incidentsOf(things: readonly Watched[]): readonly Incident[] {
  return things
    .filter(needsLook)
    .map(thing => ({ ...thing, why: thing.status.reason[0] ?? thing.health.reasons[0]?.reason ?? '' }))
    .toSorted(
      (a, b) =>
        worstFirst({ state: a.status.state, score: a.health.score }, { state: b.status.state, score: b.health.score }) ||
        b.status.last_changed_time - a.status.last_changed_time
    )
}
