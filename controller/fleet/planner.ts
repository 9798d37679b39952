/** The planner of a real controller: placement, then compile, over the store as it is now. */
import type { Log } from '#model/base/log.ts'
import type { KindName } from '#model/resource/kind.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { compile, PartCache, type Resources } from '#controller/compile/compile.ts'
import { enginesToPlace, groupsToPlace, servicesToPlace, type PlaceableResources } from '#controller/placement/input.ts'
import { place, type EngineToPlace, type Placement, type ServiceToPlace } from '#controller/placement/place.ts'
import type { Seal } from '#controller/pki/port.ts'
import type { Store } from '#controller/store/store.ts'
import type { Planner, ServicePlan } from './plan.ts'
import type { Engine, Wanted } from './roster.ts'

export interface PlannerOptions {
  readonly store: Store
  readonly seal: Pick<Seal, 'open' | 'derive'>
  readonly log: Log
  /** How busy an engine's host is, 0..1; decides between engines that carry as many services. */
  readonly loadOf?: (engineUuid: string) => number | undefined
}

const DEFAULT_GROUP = 'Default-Group'
/** Everything that placement reads; reading of another kind belongs here too. */
const placementKinds: readonly KindName[] = ['virtualservice', 'vsvip', 'networkprofile', 'serviceenginegroup', 'serviceengine']

const isEqualList = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((item, i) => item === b[i])

/** Opens a planner; where services were placed is kept in the store, so that a restart of the controller moves nothing. */
export function makePlanner({ store, seal, log, loadOf = () => undefined }: PlannerOptions): Planner {
  // One row, so that the move of a thousand services is one durable step.
  const table = store.table<Readonly<Record<string, readonly string[]>>>('fleet-placement')
  const current = new Map(Object.entries(table.get('all') ?? {}))
  const cache = new PartCache()
  const plans = new Map<string, ServicePlan>()
  const resources: Resources = {
    get: (kind, uuid) => store.get(kind, uuid),
    system: (kind, name) => store.findByName(kind, ADMIN_TENANT, name)
  }

  const remember = (assignments: ReadonlyMap<string, readonly string[]>): void => {
    let isChanged = false
    for (const uuid of current.keys()) {
      // A disabled service keeps its last place as well: enabled again it goes back.
      if (assignments.has(uuid) || store.get('virtualservice', uuid) !== undefined) continue
      isChanged = current.delete(uuid)
    }
    for (const [uuid, engines] of assignments) {
      const before = current.get(uuid)
      // What is placed nowhere keeps its last place: an engine that comes back gets its services back.
      if (engines.length === 0 || (before !== undefined && isEqualList(before, engines))) continue
      current.set(uuid, engines)
      isChanged = true
    }
    if (isChanged) table.set('all', Object.fromEntries(current))
  }

  // Placement looks at every service: it is left out when nothing of what it looks at has changed.
  let placedFor = ''
  let placement: Placement = { assignments: new Map(), unplaced: new Map() }
  let services: readonly ServiceToPlace[] = []
  const placeIfChanged = (placeable: PlaceableResources, sites: readonly EngineToPlace[]): void => {
    const stands = placementKinds.map(kind => {
      const list = store.list(kind)
      return `${kind} ${list.length} ${list.reduce((newest, { revision }) => Math.max(newest, revision), 0)}`
    })
    const key = JSON.stringify([stands, sites.map(site => [site.uuid, site.isUp, site.addresses, [...(site.refuses ?? [])]])])
    if (key === placedFor) return
    services = servicesToPlace(placeable)
    placement = place({ groups: groupsToPlace(placeable), engines: sites, services, current })
    remember(placement.assignments)
    placedFor = key
  }

  let problems = new Map<string, string>()
  const tellProblems = (found: Map<string, string>): void => {
    for (const [uuid, message] of found)
      if (problems.get(uuid) !== message) log.warn('a virtual service cannot be built', { virtualService: uuid, message })
    problems = found
  }

  /** What an engine refused and nobody changed since, in its words. */
  const refusedBy = (engine: Engine | undefined): ReadonlyMap<string, string> => {
    const refused = new Map<string, string>()
    for (const [uuid, { revision, violations }] of engine?.refusals ?? []) {
      const service = store.get('virtualservice', uuid)
      if (service === undefined || service.body['enabled'] === false) {
        engine?.refusals.delete(uuid)
        continue
      }
      const ref = service.body['vsvip_ref']
      const vsvip = typeof ref === 'string' ? store.get('vsvip', ref) : undefined
      const isChanged = Math.max(service.revision, vsvip?.revision ?? 0) > revision
      if (!isChanged && engine?.isTryingAgain === false) refused.set(uuid, violations.map(({ message }) => message).join('; '))
    }
    return refused
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
      return {
        isUp: engine?.isUsable === true,
        addresses: engine?.row.facts?.addresses ?? [],
        refuses: refusedBy(engine),
        loadRatio: loadOf(uuid) ?? 0
      }
    })
    placeIfChanged(placeable, sites)
    const { assignments, unplaced } = placement

    const servicesOf = new Map<string, string[]>()
    for (const [uuid, on] of assignments) {
      for (const engine of on) {
        const list = servicesOf.get(engine)
        if (list === undefined) servicesOf.set(engine, [uuid])
        else list.push(uuid)
      }
    }
    const childrenOf = new Map<string, string[]>()
    for (const { uuid, body } of store.list('virtualservice')) {
      const parent = body['vh_parent_vs_ref']
      if (body['type'] !== 'VS_TYPE_VH_CHILD' || body['enabled'] === false || typeof parent !== 'string') continue
      childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), uuid])
    }
    const revision = store.revision()
    const found = new Map<string, string>()
    const wanted = new Map<string, Wanted>()
    for (const site of sites) {
      const compiled = compile({
        revision,
        resources,
        engine: { uuid: site.uuid, name: site.name, group: site.group, addresses: site.addresses },
        virtualServices: servicesOf.get(site.uuid) ?? [],
        childrenOf: uuid => (childrenOf.get(uuid) ?? []).filter(child => site.refuses?.has(child) !== true),
        openSecret: seal.open,
        deriveSecret: seal.derive,
        cache
      })
      wanted.set(site.uuid, { manifest: compiled.manifest, parts: compiled.parts })
      for (const { virtualService, message } of compiled.problems) found.set(virtualService, message)
    }
    cache.sweep(revision)
    tellProblems(found)

    plans.clear()
    for (const { uuid, enginesWanted } of services) {
      const problem = problems.get(uuid)
      const on = assignments.get(uuid) ?? []
      const missing = (unplaced.get(uuid) ?? []).map(reason => (on.length === 0 ? `waiting for an engine: ${reason}` : reason))
      plans.set(uuid, {
        engineUuids: problem === undefined ? on : [],
        enginesWanted,
        reasons: problem === undefined ? missing : [`it cannot be built: ${problem}`]
      })
      for (const child of childrenOf.get(uuid) ?? []) {
        const own = problems.get(child)
        const why = problem === undefined ? missing : ['its parent cannot be built']
        plans.set(child, {
          engineUuids: problem === undefined && own === undefined ? on : [],
          enginesWanted,
          reasons: own === undefined ? why : [`it cannot be built: ${own}`]
        })
      }
    }
    return wanted
  }

  return { plan, service: uuid => plans.get(uuid) }
}
