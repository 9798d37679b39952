/** The planner of a real controller: placement, then compile, over the store as it is now. */
import type { Log } from '#model/base/log.ts'
import type { KindName } from '#model/resource/kind.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { compile, PartCache, type Resources } from '#controller/compile/compile.ts'
import { enginesToPlace, groupsToPlace, servicesToPlace, type PlaceableResources } from '#controller/placement/input.ts'
import { place } from '#controller/placement/place.ts'
import type { Seal } from '#controller/pki/port.ts'
import type { Store } from '#controller/store/store.ts'
import type { Planner, ServicePlan } from './plan.ts'
import type { Engine, Wanted } from './roster.ts'

export interface PlannerOptions {
  readonly store: Store
  readonly seal: Pick<Seal, 'open'>
  readonly log: Log
}

const DEFAULT_GROUP = 'Default-Group'

const isEqualList = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((item, i) => item === b[i])

/** Opens a planner; where services were placed is kept in the store, so that a restart of the controller moves nothing. */
export function makePlanner({ store, seal, log }: PlannerOptions): Planner {
  const placed = store.table<readonly string[]>('fleet-placement')
  const current = new Map(placed.entries())
  const cache = new PartCache()
  const plans = new Map<string, ServicePlan>()
  const resources: Resources = {
    get: (kind, uuid) => store.get(kind, uuid),
    system: (kind, name) => store.findByName(kind, ADMIN_TENANT, name)
  }

  const remember = (assignments: ReadonlyMap<string, readonly string[]>): void => {
    for (const uuid of current.keys()) {
      if (assignments.has(uuid)) continue
      current.delete(uuid)
      placed.delete(uuid)
    }
    for (const [uuid, engines] of assignments) {
      const before = current.get(uuid)
      // What is placed nowhere keeps its last place: an engine that comes back gets its services back.
      if (engines.length === 0 || (before !== undefined && isEqualList(before, engines))) continue
      current.set(uuid, engines)
      placed.set(uuid, engines)
    }
  }

  const plan = (engines: readonly Engine[]): ReadonlyMap<string, Wanted> => {
    const byUuid = new Map(engines.map(engine => [engine.uuid, engine]))
    const placeable: PlaceableResources = {
      get: (kind: KindName, uuid: string) => store.get(kind, uuid),
      list: (kind: KindName) => store.list(kind),
      defaultGroup: resources.system('serviceenginegroup', DEFAULT_GROUP)?.uuid ?? ''
    }
    const sites = enginesToPlace(placeable, uuid => {
      const engine = byUuid.get(uuid)
      return { isUp: engine?.isUsable === true, addresses: engine?.row.facts?.addresses ?? [] }
    })
    const services = servicesToPlace(placeable)
    const { assignments, unplaced } = place({ groups: groupsToPlace(placeable), engines: sites, services, current })
    remember(assignments)

    const servicesOf = new Map<string, string[]>()
    for (const [uuid, on] of assignments) {
      for (const engine of on) {
        const list = servicesOf.get(engine)
        if (list === undefined) servicesOf.set(engine, [uuid])
        else list.push(uuid)
      }
    }
    const revision = store.revision()
    const problems = new Map<string, string>()
    const wanted = new Map<string, Wanted>()
    for (const site of sites) {
      const compiled = compile({
        revision,
        resources,
        engine: { uuid: site.uuid, name: site.name, group: site.group, addresses: site.addresses },
        virtualServices: servicesOf.get(site.uuid) ?? [],
        openSecret: seal.open,
        cache
      })
      wanted.set(site.uuid, { manifest: compiled.manifest, parts: compiled.parts })
      for (const { virtualService, message } of compiled.problems) problems.set(virtualService, message)
    }
    cache.sweep(revision)
    for (const [uuid, message] of problems) log.warn('a virtual service cannot be built', { virtualService: uuid, message })

    plans.clear()
    for (const { uuid, enginesWanted } of services) {
      const problem = problems.get(uuid)
      plans.set(uuid, {
        engineUuids: problem === undefined ? (assignments.get(uuid) ?? []) : [],
        enginesWanted,
        reasons: problem === undefined ? (unplaced.get(uuid) ?? []) : [problem]
      })
    }
    return wanted
  }

  return { plan, service: uuid => plans.get(uuid) }
}
