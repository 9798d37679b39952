/** What the rest of the controller may ask of the timeline, and what it is told. */
import type { AutoscaleDecision } from '#model/resource/autoscale.ts'
import type { EventLevel, EventObject, EventView } from '#model/resource/event.ts'
import type { DecisionKind } from '#model/resource/release.ts'
import type { OperState } from '#model/resource/runtime.ts'
import type { UpgradeEventKind } from '#model/resource/upgrade.ts'

export interface TimelineQuery {
  /** Of these objects only, or of what is related to them. */
  readonly uuids?: ReadonlySet<string>
  readonly eventIds?: ReadonlySet<string>
  readonly levels?: ReadonlySet<EventLevel>
  /** Epoch milliseconds, both ends belong to it. */
  readonly fromEpochMs?: number
  readonly toEpochMs?: number
  /** Events with a smaller id only: the next page. */
  readonly before?: number
  readonly limit: number
  /** Whether the asker may see it. */
  readonly isSeen: (event: EventView) => boolean
}

export interface TimelinePort {
  /** Newest first. */
  readonly list: (query: TimelineQuery) => readonly EventView[]
}

/** A state that was judged anew; `server` names one of a pool. */
export interface StateFact {
  readonly kind: 'virtualservice' | 'pool' | 'serviceengine'
  readonly uuid: string
  readonly server?: string
  readonly state: OperState
  readonly reasons: readonly string[]
}

/** Engines of a virtual service, the primary first. */
export interface PlacementFact {
  readonly uuid: string
  readonly before: readonly string[]
  readonly after: readonly string[]
}

export interface ScaleFact {
  readonly kind: Extract<EventObject, 'virtualservice' | 'pool' | 'serviceenginegroup'>
  readonly uuid: string
  readonly decision: AutoscaleDecision
}

export interface ReleaseFact {
  readonly poolGroup: string
  readonly pool: string
  readonly kind: DecisionKind
  readonly share: number
  readonly by: string
  readonly reasons: readonly string[]
}

export interface UpgradeFact {
  readonly group: string
  readonly kind: UpgradeEventKind
  /** That it is about; undefined: the whole. */
  readonly engine: string | undefined
  readonly by: string
  readonly reasons: readonly string[]
}

/** Who knows something tells it here; nothing is answered and nothing can fail. */
export interface TimelineListener {
  readonly state: (fact: StateFact) => void
  readonly placed: (fact: PlacementFact) => void
  readonly scaled: (fact: ScaleFact) => void
  readonly released: (fact: ReleaseFact) => void
  readonly upgraded: (fact: UpgradeFact) => void
}
