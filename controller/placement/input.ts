/** What placement needs, from resources. */
import { filled } from '#model/resource/catalogue.ts'
import { listenersOf } from '#model/resource/conflict.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { EngineToPlace, GroupToPlace, ServiceToPlace, Willingness } from './place.ts'

/** A stored resource, as far as placement cares. */
interface Resource {
  readonly uuid: string
  readonly name: string
  readonly body: JsonObject
  readonly createdRevision: number
}

export interface PlaceableResources {
  readonly get: (kind: KindName, uuid: string) => Resource | undefined
  readonly list: (kind: KindName) => readonly Resource[]
  /** Uuid of the group that counts where none is named. */
  readonly defaultGroup: string
}

export function groupsToPlace(resources: PlaceableResources): GroupToPlace[] {
  return resources.list('serviceenginegroup').map(({ uuid, name, body }) => ({
    uuid,
    name,
    maxServicesPerEngine: filled('serviceenginegroup', body).max_vs_per_se
  }))
}

/** The enabled virtual services, with what each wants of its group. */
export function servicesToPlace(resources: PlaceableResources): ServiceToPlace[] {
  const read = serviceReader(resources)
  return resources.list('virtualservice').flatMap(service => read(service) ?? [])
}

/** Reads one virtual service; undefined when it is not placed by itself. */
export function serviceReader(resources: PlaceableResources): (service: Resource) => ServiceToPlace | undefined {
  const wantedOf = new Map(
    resources.list('serviceenginegroup').map(({ uuid, body }) => [uuid, filled('serviceenginegroup', body).min_scaleout_per_vs])
  )
  const lookup = { resource: (kind: KindName, uuid: string): JsonObject | undefined => resources.get(kind, uuid)?.body }
  return ({ uuid, name, body, createdRevision }) => {
    // A child is where its parent is.
    if (body['enabled'] === false || body['type'] === 'VS_TYPE_VH_CHILD') return undefined
    const group = typeof body['se_group_ref'] === 'string' ? body['se_group_ref'] : resources.defaultGroup
    return { uuid, name, group, listeners: listenersOf(body, lookup), enginesWanted: wantedOf.get(group) ?? 1, rank: createdRevision }
  }
}

const takes = {
  SE_STATE_ENABLED: 'all',
  SE_STATE_DISABLED_FOR_PLACEMENT: 'keeps',
  SE_STATE_DISABLED: 'none'
} as const satisfies Record<string, Willingness>

/** The engines that joined; `live` says what is known of each now. */
export function enginesToPlace(
  resources: PlaceableResources,
  live: (uuid: string) => Pick<EngineToPlace, 'isUp' | 'addresses' | 'refuses' | 'loadRatio'>
): EngineToPlace[] {
  return resources.list('serviceengine').map(({ uuid, name, body }) => {
    const engine = filled('serviceengine', body)
    return { uuid, name, group: engine.se_group_ref ?? resources.defaultGroup, takes: takes[engine.enable_state], ...live(uuid) }
  })
}
