/** What placement needs, from resources. */
import { filled } from '#model/resource/catalogue.ts'
import type { PlacementWish } from '#model/resource/placement.ts'
import { PAIR, type FilledServiceEngineGroup } from '#model/resource/serviceenginegroup.ts'
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
  return resources.list('serviceenginegroup').map(({ uuid, name, body }) => {
    const settings = filled('serviceenginegroup', body)
    const { max_vs_per_se: maxServicesPerEngine, algo, address_mode: mode } = settings
    const order = algo === 'PLACEMENT_ALGO_PACKED' ? 'packed' : 'distributed'
    const pair = { distributes: settings.distribute_load_active_standby, returns: settings.auto_redistribute_active_standby_load }
    return {
      uuid,
      name,
      maxServicesPerEngine,
      order,
      ...(mode === 'L2' || mode === 'BGP' ? { movesAddresses: true } : {}),
      ...(isPair(settings) ? { pair } : {})
    }
  })
}

/** What was asked of one service beside its document: by an action or by the scaling of services. */
export interface Wish {
  /** Engines beyond the least. */
  readonly more?: number
  readonly prefer?: string
  readonly avoid?: string
}

/** Reads what one virtual service wants of its group; undefined when it is disabled, or not placed by itself. */
export function serviceReader(
  resources: PlaceableResources,
  wishOf: (uuid: string) => Wish | undefined = () => undefined
): (service: Resource) => ServiceToPlace | undefined {
  const groups = new Map(resources.list('serviceenginegroup').map(({ uuid, body }) => [uuid, filled('serviceenginegroup', body)]))
  const lookup = { resource: (kind: KindName, uuid: string): JsonObject | undefined => resources.get(kind, uuid)?.body }
  return ({ uuid, name, body, createdRevision }) => {
    // A child is where its parent is.
    if (body['enabled'] === false || body['type'] === 'VS_TYPE_VH_CHILD') return undefined
    const group = typeof body['se_group_ref'] === 'string' ? body['se_group_ref'] : resources.defaultGroup
    const settings = groups.get(group)
    const own = (body['placement'] ?? {}) as PlacementWish
    const { more = 0, prefer, avoid } = wishOf(uuid) ?? {}
    const { least, most } = scaleOf(settings, own)
    const apart = own.anti_affinity ?? (settings?.vs_host_redundancy === true ? 'host' : undefined)
    return {
      uuid,
      name,
      group,
      listeners: listenersOf(body, lookup),
      enginesWanted: Math.min(least + more, most),
      rank: createdRevision,
      ...(settings !== undefined && isPair(settings) ? { side: body['active_standby_se_tag'] === 'ACTIVE_STANDBY_SE_2' ? 1 : 0 } : {}),
      ...(apart === undefined ? {} : { apart: { by: apart, isStrict: own.anti_affinity !== undefined } }),
      ...(own.se_selector === undefined ? {} : { selector: own.se_selector }),
      ...(prefer === undefined ? {} : { prefer }),
      ...(avoid === undefined ? {} : { avoid })
    }
  }
}

/** Active/standby: the same two engines carry every service. */
const isPair = ({ ha_mode: mode }: Pick<FilledServiceEngineGroup, 'ha_mode'>): boolean => mode === 'HA_MODE_LEGACY_ACTIVE_STANDBY'

/** Engines that a service runs on at least and at most. */
export function scaleOf(
  group: Pick<FilledServiceEngineGroup, 'min_scaleout_per_vs' | 'max_scaleout_per_vs' | 'ha_mode'> | undefined,
  own: PlacementWish
): { readonly least: number; readonly most: number } {
  if (group !== undefined && isPair(group))
    return { least: own.min_scale ?? PAIR, most: Math.max(own.min_scale ?? 0, own.max_scale ?? PAIR) }
  const pair = group?.ha_mode === 'HA_MODE_SHARED_PAIR' ? 2 : 1
  const least = own.min_scale ?? Math.max(pair, group?.min_scaleout_per_vs ?? 1)
  return { least, most: Math.max(least, own.max_scale ?? group?.max_scaleout_per_vs ?? 1) }
}

const takes = {
  SE_STATE_ENABLED: 'all',
  SE_STATE_DISABLED_FOR_PLACEMENT: 'keeps',
  SE_STATE_DISABLED: 'none',
  SE_STATE_DISABLED_FORCE: 'forced'
} as const satisfies Record<string, Willingness>

/** The engines that joined; `live` says what is known of each now. */
export function enginesToPlace(
  resources: PlaceableResources,
  live: (uuid: string) => Pick<EngineToPlace, 'isUp' | 'addresses' | 'refuses' | 'loadRatio' | 'network'>
): EngineToPlace[] {
  return resources.list('serviceengine').map(({ uuid, name, body, createdRevision }) => {
    const engine = filled('serviceengine', body)
    const labels = engine.labels ?? {}
    const host = labels['host'] ?? engine.hostname
    const zone = labels['zone']
    return {
      uuid,
      name,
      group: engine.se_group_ref ?? resources.defaultGroup,
      takes: takes[engine.enable_state],
      rank: createdRevision,
      labels,
      ...(host === undefined ? {} : { host }),
      ...(zone === undefined ? {} : { zone }),
      ...live(uuid)
    }
  })
}
