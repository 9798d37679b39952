/** The planner of a real controller: placement, then compile, over the store as it is now. */
import type { Log } from '#model/base/log.ts'
import type { KindName } from '#model/resource/kind.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { compile, PartCache, type Problem, type Resources } from '#controller/compile/compile.ts'
import { enginesToPlace, groupsToPlace, serviceReader, type PlaceableResources } from '#controller/placement/input.ts'
import { place, type EngineToPlace, type Placement, type ServiceToPlace } from '#controller/placement/place.ts'
import type { Seal } from '#controller/pki/port.ts'
import type { Stapling } from '#controller/pki/stapling.ts'
import type { Store, StoredResource, Touched } from '#controller/store/store.ts'
import type { Planner, ServicePlan } from './plan.ts'
import type { Engine, Wanted } from './roster.ts'
import type { TicketKeyRing } from './ticket-keys.ts'

export interface PlannerOptions {
  readonly store: Store
  readonly seal: Pick<Seal, 'open' | 'derive'>
  readonly log: Log
  /** How busy an engine's host is, 0..1; decides between engines that carry as many services. */
  readonly loadOf?: (engineUuid: string) => number | undefined
  /** Without them each engine makes its own. */
  readonly ticketKeys?: TicketKeyRing
  /** OCSP responses for certificates; none without it. */
  readonly stapling?: Pick<Stapling, 'of' | 'version'>
}

const DEFAULT_GROUP = 'Default-Group'
/** A change of one of these may change what every service asks of placement. */
const sharedKinds: ReadonlySet<KindName> = new Set<KindName>(['networkprofile', 'serviceenginegroup'])
/** A round that compiles everything, and sweeps, comes when the parts kept have become so many times what they were after the last. */
const SWEEP_GROWTH = 2

/** What was compiled for an engine, kept until something that it was made of changes. */
interface Kept {
  readonly key: string
  readonly wanted: Wanted
  readonly problems: readonly Problem[]
  readonly madeOf: ReadonlySet<string>
}

const isEqualList = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((item, i) => item === b[i])

/** Opens a planner; where services were placed is kept in the store, so that a restart of the controller moves nothing. */
export function makePlanner({ store, seal, log, loadOf = () => undefined, ticketKeys, stapling }: PlannerOptions): Planner {
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

  // What placement asks of services, kept in step with the store, so that a change costs what it touches.
  const services = new Map<string, ServiceToPlace>()
  let servicesVersion = 0
  const readService = (read: (service: StoredResource) => ServiceToPlace | undefined, uuid: string): void => {
    const stored = store.get('virtualservice', uuid)
    const next = stored === undefined ? undefined : read(stored)
    if (JSON.stringify(next) === JSON.stringify(services.get(uuid))) return
    servicesVersion += 1
    if (next === undefined) services.delete(uuid)
    else services.set(uuid, next)
  }
  const followServices = (placeable: PlaceableResources, touched: readonly Touched[] | undefined): void => {
    const read = serviceReader(placeable)
    if (touched === undefined || touched.some(({ kind }) => sharedKinds.has(kind))) {
      const stored = new Set(store.list('virtualservice').map(({ uuid }) => uuid))
      for (const uuid of new Set([...stored, ...services.keys()])) readService(read, uuid)
      return
    }
    const uuids = touched.flatMap(({ kind, uuid }) => {
      if (kind === 'virtualservice') return [uuid]
      return kind === 'vsvip' ? store.referrersOf(uuid).map(({ fromUuid }) => fromUuid) : []
    })
    for (const uuid of new Set(uuids)) readService(read, uuid)
  }

  // Placement looks at every service: it is left out when nothing of what it looks at has changed.
  let placedFor = ''
  let placement: Placement = { assignments: new Map(), unplaced: new Map() }
  /** The same the other way round, by uuid of the engine. */
  let servicesOf = new Map<string, string[]>()
  const placeIfChanged = (placeable: PlaceableResources, sites: readonly EngineToPlace[]): void => {
    const groups = groupsToPlace(placeable)
    const engines = sites.map(site => [site.uuid, site.group, site.takes, site.isUp, site.addresses, [...(site.refuses ?? [])]])
    const key = JSON.stringify([servicesVersion, groups, engines])
    if (key === placedFor) return
    placement = place({ groups, engines: sites, services: [...services.values()], current })
    remember(placement.assignments)
    servicesOf = new Map()
    for (const [uuid, on] of placement.assignments)
      for (const engine of on) {
        const list = servicesOf.get(engine)
        if (list === undefined) servicesOf.set(engine, [uuid])
        else list.push(uuid)
      }
    placedFor = key
  }

  let childrenOf: ReadonlyMap<string, readonly string[]> = new Map()
  const followChildren = (touched: readonly Touched[] | undefined): void => {
    if (touched?.some(({ kind }) => kind === 'virtualservice') === false) return
    const found = new Map<string, string[]>()
    for (const { uuid, body } of store.list('virtualservice')) {
      const parent = body['vh_parent_vs_ref']
      if (body['type'] !== 'VS_TYPE_VH_CHILD' || body['enabled'] === false || typeof parent !== 'string') continue
      const children = found.get(parent)
      if (children === undefined) found.set(parent, [uuid])
      else children.push(uuid)
    }
    if (JSON.stringify([...found]) !== JSON.stringify([...childrenOf])) childrenOf = found
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

  const kept = new Map<string, Kept>()
  let plannedAt = -1
  let sizeAfterSweep = Infinity

  /** What an engine should run: what was compiled before, with the new number, when nothing of it has changed. */
  const compileFor = (
    { uuid, name, group, addresses, refuses }: EngineToPlace,
    virtualServices: readonly string[],
    dropped: ReadonlySet<string> | undefined
  ): Kept => {
    const revision = store.revision()
    const childrenHere = new Map(
      virtualServices.flatMap(service => {
        const children = childrenOf.get(service)?.filter(child => refuses?.has(child) !== true) ?? []
        return children.length === 0 ? [] : [[service, children] as const]
      })
    )
    const enginesOf = (service: string): number => placement.assignments.get(service)?.length ?? 1
    const tickets = ticketKeys === undefined ? {} : { ticketKeys: ticketKeys.of(group) }
    const key = JSON.stringify([
      name,
      group,
      addresses,
      virtualServices,
      virtualServices.map(enginesOf),
      [...childrenHere],
      tickets,
      stapling?.version()
    ])
    const before = kept.get(uuid)
    if (before?.key === key && dropped !== undefined && before.madeOf.isDisjointFrom(dropped)) {
      const { manifest, parts } = before.wanted
      return { ...before, wanted: { manifest: { ...manifest, revision }, parts } }
    }
    const { manifest, parts, problems, madeOf } = compile({
      revision,
      resources,
      engine: { uuid, name, group, addresses, ...tickets },
      virtualServices,
      childrenOf: service => childrenHere.get(service) ?? [],
      enginesOf,
      stapleOf: certificate => stapling?.of(certificate),
      openSecret: seal.open,
      deriveSecret: seal.derive,
      cache
    })
    return { key, wanted: { manifest, parts }, problems, madeOf }
  }

  let version = 0
  let tellFor: readonly unknown[] = []
  const tellPlans = (): void => {
    // Ten thousand services are gone through only when something of this is another.
    const now = [placement, childrenOf, servicesVersion, JSON.stringify([...problems])]
    if (now.every((part, i) => part === tellFor[i])) return
    tellFor = now
    version += 1
    const { assignments, unplaced } = placement
    plans.clear()
    for (const { uuid, enginesWanted } of services.values()) {
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
  }

  const plan = (engines: readonly Engine[]): ReadonlyMap<string, Wanted> => {
    const byUuid = new Map(engines.map(engine => [engine.uuid, engine]))
    const placeable: PlaceableResources = {
      get: (kind: KindName, uuid: string) => store.get(kind, uuid),
      list: (kind: KindName) => store.list(kind),
      defaultGroup: resources.system('serviceenginegroup', DEFAULT_GROUP)?.uuid ?? ''
    }
    const revision = store.revision()
    const touched = cache.size > SWEEP_GROWTH * sizeAfterSweep ? undefined : store.touchedSince(plannedAt)
    const dropped = touched === undefined ? undefined : cache.follow(revision, touched)
    followServices(placeable, touched)
    followChildren(touched)
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

    const found = new Map<string, string>()
    const wanted = new Map<string, Wanted>()
    for (const site of sites) {
      const compiled = compileFor(site, servicesOf.get(site.uuid) ?? [], dropped)
      kept.set(site.uuid, compiled)
      wanted.set(site.uuid, compiled.wanted)
      for (const { virtualService, message } of compiled.problems) found.set(virtualService, message)
    }
    for (const uuid of kept.keys()) if (!wanted.has(uuid)) kept.delete(uuid)
    if (dropped === undefined) {
      cache.sweep(revision)
      ticketKeys?.keepOnly(new Set(store.list('serviceenginegroup').map(({ uuid }) => uuid)))
      sizeAfterSweep = Math.max(cache.size, 1_000)
    }
    plannedAt = revision
    tellProblems(found)
    tellPlans()
    return wanted
  }

  return { plan, service: uuid => plans.get(uuid), version: () => version }
}
