/** The planner of a real controller: placement, then compile, over the store as it is now. */
import { systemClock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { BgpSpec, Layer2Spec } from '#model/snapshot/snapshot.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { compile, PartCache, type Problem, type Resources } from '#controller/compile/compile.ts'
import type { EngineToPlace } from '#controller/placement/place.ts'
import type { Seal } from '#controller/pki/port.ts'
import type { Stapling } from '#controller/pki/stapling.ts'
import type { Store, Touched } from '#controller/store/store.ts'
import type { Planner, ServicePlan } from './plan.ts'
import { announcedBy } from './announced.ts'
import { Owners } from './owners.ts'
import { Placer, type PlacerOptions } from './placer.ts'
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
  readonly nowMs?: () => number
  readonly onPlaced?: NonNullable<PlacerOptions['onPlaced']>
}

/** A round that compiles everything, and sweeps, comes when the parts kept have become so many times what they were after the last. */
const SWEEP_GROWTH = 2

/** What was compiled for an engine, kept until something that it was made of changes. */
interface Kept {
  readonly key: string
  readonly wanted: Wanted
  readonly problems: readonly Problem[]
  readonly madeOf: ReadonlySet<string>
}

/** Opens a planner; where services were placed is kept in the store, so that a restart of the controller moves nothing. */
export function makePlanner({
  store,
  seal,
  log,
  loadOf = () => undefined,
  ticketKeys,
  stapling,
  nowMs = systemClock.nowMs,
  onPlaced
}: PlannerOptions): Planner {
  const placer = new Placer({ store, nowMs, loadOf, ...(onPlaced === undefined ? {} : { onPlaced }) })
  let known: ReadonlyMap<string, Engine> = new Map()
  const owners = new Owners({ store, deriveSecret: seal.derive, engine: uuid => known.get(uuid) })
  const cache = new PartCache()
  const plans = new Map<string, ServicePlan>()
  const resources: Resources = {
    get: (kind, uuid) => store.get(kind, uuid),
    system: (kind, name) => store.findByName(kind, ADMIN_TENANT, name)
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

  const layer2Of = (uuid: string, group: string, services: readonly string[]): Layer2Spec => {
    const engines = placer.sites.filter(site => site.group === group).map(site => site.uuid)
    return owners.specFor(uuid, services, { uuid: group, engines }, placer.placement.assignments)
  }

  const addressingOf = (
    uuid: string,
    group: string,
    services: readonly string[]
  ): { readonly layer2?: Layer2Spec; readonly bgp?: BgpSpec } => {
    const mode = store.get('serviceenginegroup', group)?.body['address_mode']
    if (mode === 'L2') return { layer2: layer2Of(uuid, group, services) }
    return mode === 'BGP' ? { bgp: announcedBy(store, services) } : {}
  }

  /** What an engine should run: what was compiled before, with the new number, when nothing of it has changed. */
  const compileFor = (
    { uuid, name, group, zone, addresses, refuses }: EngineToPlace,
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
    const enginesOf = (service: string): number => placer.placement.assignments.get(service)?.length ?? 1
    const addressing = addressingOf(uuid, group, virtualServices)
    const where = zone === undefined || zone === '' ? {} : { zone }
    const tickets = ticketKeys === undefined ? {} : { ticketKeys: ticketKeys.of(group) }
    const key = JSON.stringify([
      name,
      group,
      addresses,
      where,
      virtualServices,
      virtualServices.map(enginesOf),
      [...childrenHere],
      tickets,
      addressing,
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
      engine: { uuid, name, group, addresses, ...where, ...tickets, ...addressing },
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
    const now = [placer.placement, placer.servicesVersion, childrenOf, JSON.stringify([...problems])]
    if (now.every((part, i) => part === tellFor[i])) return
    tellFor = now
    version += 1
    const { assignments, unplaced } = placer.placement
    plans.clear()
    for (const { uuid, enginesWanted, side } of placer.services) {
      const hasStandby = side !== undefined
      const problem = problems.get(uuid)
      const on = assignments.get(uuid) ?? []
      const missing = (unplaced.get(uuid) ?? []).map(reason => (on.length === 0 ? `waiting for an engine: ${reason}` : reason))
      plans.set(uuid, {
        engineUuids: problem === undefined ? on : [],
        enginesWanted,
        hasStandby,
        reasons: problem === undefined ? missing : [`it cannot be built: ${problem}`]
      })
      for (const child of childrenOf.get(uuid) ?? []) {
        const own = problems.get(child)
        const why = problem === undefined ? missing : ['its parent cannot be built']
        plans.set(child, {
          engineUuids: problem === undefined && own === undefined ? on : [],
          enginesWanted,
          hasStandby,
          reasons: own === undefined ? why : [`it cannot be built: ${own}`]
        })
      }
    }
  }

  const plan = (engines: readonly Engine[]): ReadonlyMap<string, Wanted> => {
    const byUuid = new Map(engines.map(engine => [engine.uuid, engine]))
    known = byUuid
    const revision = store.revision()
    const touched = cache.size > SWEEP_GROWTH * sizeAfterSweep ? undefined : store.touchedSince(plannedAt)
    const dropped = touched === undefined ? undefined : cache.follow(revision, touched)
    placer.follow(touched, byUuid, refusedBy)
    followChildren(touched)

    const found = new Map<string, string>()
    const wanted = new Map<string, Wanted>()
    for (const site of placer.sites) {
      const compiled = compileFor(site, placer.servicesOn(site.uuid), dropped)
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

  return { plan, service: uuid => plans.get(uuid), version: () => version, placer, owners }
}
