/** What each engine should run and why: placement and compile, as the fleet asks for them. */
import type { Owners } from './owners.ts'
import type { Placer } from './placer.ts'
import type { Engine, Wanted } from './roster.ts'

/** Where one virtual service goes. */
export interface ServicePlan {
  readonly engineUuids: readonly string[]
  readonly enginesWanted: number
  /** Of an active/standby group: all but the first of its engines stand by. Left out: they all carry it. */
  readonly hasStandby?: boolean
  /** Why it is not placed, or on fewer engines than wanted; in words. */
  readonly reasons: readonly string[]
}

export interface Planner {
  /** Plans for the store as it is now; the last answer stays what `service` speaks of. */
  readonly plan: (engines: readonly Engine[]) => ReadonlyMap<string, Wanted>
  readonly service: (virtualServiceUuid: string) => ServicePlan | undefined
  /** Another number whenever `service` says something else of any service. */
  readonly version: () => number
  /** What may be asked of placement. */
  readonly placer: Placing
  /** Who owns addresses that move between engines. */
  readonly owners: Pick<Owners, 'told' | 'gone' | 'ownerOf' | 'seen'>
}

export type Placing = Pick<
  Placer,
  'services' | 'sites' | 'isMoving' | 'service' | 'moreOf' | 'leavingOf' | 'wish' | 'promote' | 'switchOver' | 'rebalance' | 'preview'
>
