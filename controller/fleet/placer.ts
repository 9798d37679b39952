/**
 * Where every virtual service is: placement over the store and the engines as they are now, what was asked of single
 * services beside it, and services that move, which are left by the old engine only when the new one runs them.
 */
import type { KindName } from '#model/resource/kind.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { enginesToPlace, groupsToPlace, serviceReader, type PlaceableResources, type Wish } from '#controller/placement/input.ts'
import { place, type EngineToPlace, type Placement, type ServiceToPlace } from '#controller/placement/place.ts'
import type { Store, StoredResource, Touched } from '#controller/store/store.ts'
import type { TimelineListener } from '#controller/timeline/port.ts'
import type { Engine } from './roster.ts'

const DEFAULT_GROUP = 'Default-Group'
/** A change of one of these may change what every service asks of placement. */
const sharedKinds: ReadonlySet<KindName> = new Set<KindName>(['networkprofile', 'serviceenginegroup'])
/** A service leaves an engine after so long, whatever became of the engine that takes over. */
const HANDOVER_MS = 30_000

export interface PlacerOptions {
  readonly store: Store
  readonly nowMs: () => number
  readonly loadOf: (engineUuid: string) => number | undefined
  /** Told where services go. */
  readonly onPlaced?: TimelineListener['placed']
}

/** Kept in the store: how many engines beyond the least an operator or the load asked for. */
interface ScaleRow {
  readonly more: number
}

const isEqualList = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((item, i) => item === b[i])

export class Placer {
  readonly #options: PlacerOptions
  readonly #table
  readonly #scales
  /** Where each service is, or was last: uuid -> uuids of engines, the primary first. */
  readonly #current: Map<string, readonly string[]>
  readonly #more: Map<string, number>
  /** For the next placement only. */
  readonly #once = new Map<string, Pick<Wish, 'prefer' | 'avoid'>>()
  readonly #rebalance = new Set<string>()
  readonly #services = new Map<string, ServiceToPlace>()
  #servicesVersion = 0
  /** As they were when they were placed last. */
  #placed: ReadonlyMap<string, ServiceToPlace> = new Map()
  #placedFor = ''
  #sites: readonly EngineToPlace[] = []
  /** Service -> engines that it leaves, since when. */
  readonly #leaving = new Map<string, Map<string, number>>()
  /** Service -> engines that are told of it only when an engine of the same host has given up its ports. */
  #awaited: ReadonlyMap<string, readonly string[]> = new Map()
  #onEngine = new Map<string, readonly string[]>()
  placement: Placement = { assignments: new Map(), unplaced: new Map() }

  constructor(options: PlacerOptions) {
    this.#options = options
    const { store } = options
    // One row, so that the move of a thousand services is one durable step.
    this.#table = store.table<Readonly<Record<string, readonly string[]>>>('fleet-placement')
    this.#scales = store.table<ScaleRow>('fleet-scale')
    this.#current = new Map(Object.entries(this.#table.get('all') ?? {}))
    this.#more = new Map(this.#scales.entries().map(([uuid, { more }]) => [uuid, more]))
  }

  get services(): Iterable<ServiceToPlace> {
    return this.#services.values()
  }

  /** Another number whenever a service asks something else of placement. */
  get servicesVersion(): number {
    return this.#servicesVersion
  }

  get isMoving(): boolean {
    return this.#leaving.size > 0 || this.#awaited.size > 0
  }

  get sites(): readonly EngineToPlace[] {
    return this.#sites
  }

  service(uuid: string): ServiceToPlace | undefined {
    return this.#services.get(uuid)
  }

  /** Engines beyond the least that were asked for. */
  moreOf(uuid: string): number {
    return this.#more.get(uuid) ?? 0
  }

  leavingOf(uuid: string): readonly string[] {
    return [...(this.#leaving.get(uuid)?.keys() ?? [])]
  }

  /** Services that an engine carries, with those that leave it. */
  servicesOn(engineUuid: string): readonly string[] {
    return this.#onEngine.get(engineUuid) ?? []
  }

  /** Asks for something; it counts from the next placement on: `more` for good, the rest once. */
  wish(uuid: string, { more, ...once }: Wish): void {
    if (more !== undefined && more !== this.moreOf(uuid)) {
      if (more > 0) this.#more.set(uuid, more)
      else this.#more.delete(uuid)
      if (more > 0) this.#scales.set(uuid, { more })
      else this.#scales.delete(uuid)
    }
    this.#once.set(uuid, once)
    this.#readAgain(uuid)
  }

  /** The second engine of a service becomes its primary, and that of all that have to go with it. */
  switchOver(uuid: string): void {
    const second = this.#current.get(uuid)?.[1]
    if (second !== undefined) for (const one of this.#goingWith(uuid)) this.promote(one, second)
  }

  /** Services that have one primary: of an active/standby group that distributes nothing all, else those on the same addresses. */
  #goingWith(uuid: string): readonly string[] {
    const { store } = this.#options
    const group = this.#services.get(uuid)?.group ?? ''
    const pair = groupsToPlace(this.#placeable()).find(one => one.uuid === group)?.pair
    if (pair?.distributes === false) return [...this.#services.values()].flatMap(service => (service.group === group ? [service.uuid] : []))
    const vsvip = store.get('virtualservice', uuid)?.body['vsvip_ref']
    const sharing = typeof vsvip === 'string' ? store.referrersOf(vsvip).map(({ fromUuid }) => fromUuid) : []
    return [uuid, ...sharing.filter(one => one !== uuid && this.#services.has(one))]
  }

  /** An engine of a service owns its address: it is the primary. Answers whether that is news. */
  promote(uuid: string, engineUuid: string): boolean {
    const engines = this.#current.get(uuid) ?? []
    if (engines[0] === engineUuid || !engines.includes(engineUuid)) return false
    this.#reorder(uuid, [engineUuid, ...engines.filter(one => one !== engineUuid)])
    return true
  }

  #reorder(uuid: string, engines: readonly string[]): void {
    this.#options.onPlaced?.({ uuid, before: this.#current.get(uuid) ?? [], after: engines })
    this.#current.set(uuid, engines)
    // At once: the placement will find it so already, and see nothing to keep.
    this.#table.set('all', Object.fromEntries(this.#current))
    this.#placedFor = ''
  }

  rebalance(groupUuid: string): void {
    this.#rebalance.add(groupUuid)
    this.#placedFor = ''
  }

  /** What a wish would come to, and why not where it is not fulfilled; nothing is changed. */
  preview(uuid: string, wish: Wish, only?: string): { readonly engines: readonly string[]; readonly reasons: readonly string[] } {
    const placeable = this.#placeable()
    const stored = this.#options.store.get('virtualservice', uuid)
    const asked = stored === undefined ? undefined : serviceReader(placeable, () => wish)(stored)
    if (asked === undefined) return { engines: [], reasons: ['it is not placed by itself'] }
    const services = [...this.#services.values()].map(service => (service.uuid === uuid ? asked : service))
    const current = only === undefined ? this.#current : new Map([...this.#current, [uuid, []]])
    const engines = only === undefined ? this.#sites : this.#sites.filter(site => site.uuid === only)
    const { assignments, unplaced } = place({ groups: groupsToPlace(placeable), engines, services, current })
    return { engines: assignments.get(uuid) ?? [], reasons: unplaced.get(uuid) ?? [] }
  }

  /** Follows the store and the engines. `touched` undefined: look at everything. */
  follow(
    touched: readonly Touched[] | undefined,
    engines: ReadonlyMap<string, Engine>,
    refusedBy: (engine: Engine | undefined) => ReadonlyMap<string, string>
  ): void {
    const placeable = this.#placeable()
    this.#followServices(placeable, touched)
    const { loadOf } = this.#options
    const sites = enginesToPlace(placeable, uuid => {
      const engine = engines.get(uuid)
      return {
        isUp: engine?.isUsable === true,
        addresses: engine?.row.facts?.addresses ?? [],
        refuses: refusedBy(engine),
        loadRatio: loadOf(uuid) ?? 0,
        ...(engine?.row.facts?.networkId === undefined ? {} : { network: engine.row.facts.networkId })
      }
    })
    // What is held or waits for its upgrade is not told anything: what is placed there anew would not run.
    const isToldNothing = (engine: Engine | undefined): boolean => engine?.held !== undefined || engine?.isBehind === true
    this.#sites = sites.map(site => (isToldNothing(engines.get(site.uuid)) && site.takes === 'all' ? { ...site, takes: 'keeps' } : site))
    const before = this.placement
    const isPlaced = this.#placeIfChanged(placeable)
    if (isPlaced) {
      this.#startLeaving(before, engines)
      this.#placed = new Map(this.#services)
    }
    const isLeft = this.#endLeaving(engines)
    const isFreed = this.#awaitPorts(engines)
    if (isPlaced || isLeft || isFreed) this.#turnRound()
  }

  #placeable(): PlaceableResources {
    const { store } = this.#options
    return {
      get: (kind, uuid) => store.get(kind, uuid),
      list: kind => store.list(kind),
      defaultGroup: store.findByName('serviceenginegroup', ADMIN_TENANT, DEFAULT_GROUP)?.uuid ?? ''
    }
  }

  readonly #wishOf = (uuid: string): Wish => ({ more: this.moreOf(uuid), ...this.#once.get(uuid) })

  #readAgain(uuid: string): void {
    this.#read(serviceReader(this.#placeable(), this.#wishOf), uuid)
  }

  #read(read: (service: StoredResource) => ServiceToPlace | undefined, uuid: string): void {
    const stored = this.#options.store.get('virtualservice', uuid)
    if (stored === undefined && this.#more.delete(uuid)) this.#scales.delete(uuid)
    const next = stored === undefined ? undefined : read(stored)
    if (JSON.stringify(next) === JSON.stringify(this.#services.get(uuid))) return
    this.#servicesVersion += 1
    if (next === undefined) this.#services.delete(uuid)
    else this.#services.set(uuid, next)
  }

  /** What placement asks of services is kept in step with the store, so that a change costs what it touches. */
  #followServices(placeable: PlaceableResources, touched: readonly Touched[] | undefined): void {
    const { store } = this.#options
    const read = serviceReader(placeable, this.#wishOf)
    if (touched === undefined || touched.some(({ kind }) => sharedKinds.has(kind))) {
      const stored = store.list('virtualservice').map(({ uuid }) => uuid)
      for (const uuid of new Set([...stored, ...this.#services.keys()])) this.#read(read, uuid)
      return
    }
    const uuids = touched.flatMap(({ kind, uuid }) => {
      if (kind === 'virtualservice') return [uuid]
      return kind === 'vsvip' ? store.referrersOf(uuid).map(({ fromUuid }) => fromUuid) : []
    })
    for (const uuid of new Set(uuids)) this.#read(read, uuid)
  }

  /** Placement looks at every service: it is left out when nothing of what it looks at has changed. */
  #placeIfChanged(placeable: PlaceableResources): boolean {
    const groups = groupsToPlace(placeable)
    // Load alone moves nothing.
    const engines = this.#sites.map(({ loadRatio: _, refuses, ...site }) => [site, [...(refuses ?? [])]])
    const key = JSON.stringify([this.#servicesVersion, groups, engines])
    if (key === this.#placedFor) return false
    this.placement = place({
      groups,
      engines: this.#sites,
      services: [...this.#services.values()],
      current: this.#current,
      rebalance: this.#rebalance
    })
    this.#placedFor = key
    this.#rebalance.clear()
    this.#remember()
    const asked = [...this.#once.keys()]
    this.#once.clear()
    for (const uuid of asked) this.#readAgain(uuid)
    // What was wished for once is done: without it the same comes out.
    if (asked.length > 0) this.#placedFor = JSON.stringify([this.#servicesVersion, groups, engines])
    return true
  }

  #remember(): void {
    const { store } = this.#options
    let isChanged = false
    for (const uuid of this.#current.keys()) {
      // A disabled service keeps its last place as well: enabled again it goes back.
      if (this.placement.assignments.has(uuid) || store.get('virtualservice', uuid) !== undefined) continue
      isChanged = this.#current.delete(uuid)
    }
    for (const [uuid, engines] of this.placement.assignments) {
      const before = this.#current.get(uuid)
      // What is placed nowhere keeps its last place: an engine that comes back gets its services back.
      if (engines.length === 0 || (before !== undefined && isEqualList(before, engines))) continue
      this.#current.set(uuid, engines)
      this.#options.onPlaced?.({ uuid, before: before ?? [], after: engines })
      isChanged = true
    }
    if (isChanged) this.#table.set('all', Object.fromEntries(this.#current))
  }

  /** A service goes on where it was until it runs where it will be, unless what it listens for changed or is needed there. */
  #startLeaving({ assignments: before }: Placement, engines: ReadonlyMap<string, Engine>): void {
    for (const [uuid, now] of this.placement.assignments) {
      const was = before.get(uuid)
      if (was === undefined || was === now || now.length === 0 || !this.#listensAsBefore(uuid)) continue
      for (const engineUuid of was) {
        const engine = engines.get(engineUuid)
        if (now.includes(engineUuid) || engine?.isLive !== true || !engine.runningIds.has(uuid)) continue
        if (this.#isNeeded(engineUuid, uuid, before)) continue
        const leaving = this.#leaving.get(uuid) ?? new Map<string, number>()
        this.#leaving.set(uuid, leaving.set(engineUuid, this.#options.nowMs()))
      }
    }
  }

  #listensAsBefore(uuid: string): boolean {
    const [before, now] = [this.#placed.get(uuid)?.listeners, this.#services.get(uuid)?.listeners]
    return before === now || JSON.stringify(before) === JSON.stringify(now)
  }

  /** Would one that comes to the engine want a port of the one that leaves it? */
  #isNeeded(engineUuid: string, leaving: string, before: Placement['assignments']): boolean {
    const near = this.#near(engineUuid)
    const ports = new Set((this.#services.get(leaving)?.listeners ?? []).map(({ protocol, port }) => `${protocol} ${port}`))
    for (const [uuid, on] of this.placement.assignments) {
      if (!on.some(engine => near.has(engine) && before.get(uuid)?.includes(engine) !== true)) continue
      if (this.#services.get(uuid)?.listeners.some(({ protocol, port }) => ports.has(`${protocol} ${port}`)) === true) return true
    }
    return false
  }

  /** Engines that have their ports in common with this one, and itself. */
  #near(engineUuid: string): ReadonlySet<string> {
    const network = this.#sites.find(({ uuid }) => uuid === engineUuid)?.network
    const near = network === undefined ? [] : this.#sites.filter(site => site.network === network).map(({ uuid }) => uuid)
    return new Set([engineUuid, ...near])
  }

  /** What moves from one engine to another of the same host is told to the other when the one has closed its ports. Answers whether that is news. */
  #awaitPorts(engines: ReadonlyMap<string, Engine>): boolean {
    const shared = Map.groupBy(
      this.#sites.filter(({ network }) => network !== undefined),
      ({ network }) => network
    )
    const awaited = new Map<string, readonly string[]>()
    for (const sites of shared.values()) {
      if (sites.length < 2) continue
      for (const { uuid: from } of sites) {
        const engine = engines.get(from)
        if (engine?.isLive !== true) continue
        for (const service of engine.runningIds) {
          const on = this.placement.assignments.get(service)
          if (on === undefined || on.includes(from)) continue
          const to = sites.flatMap(({ uuid }) => (on.includes(uuid) ? [uuid] : []))
          if (to.length > 0) awaited.set(service, to)
        }
      }
    }
    const isChanged = JSON.stringify([...awaited]) !== JSON.stringify([...this.#awaited])
    this.#awaited = awaited
    return isChanged
  }

  #endLeaving(engines: ReadonlyMap<string, Engine>): boolean {
    const now = this.#options.nowMs()
    let isChanged = false
    for (const [uuid, leaving] of this.#leaving) {
      const on = this.placement.assignments.get(uuid) ?? []
      const isRunning = on.every(engine => engines.get(engine)?.runningIds.has(uuid) === true)
      for (const [engine, sinceMs] of leaving) {
        const isOver = isRunning || on.includes(engine) || engines.get(engine)?.isLive !== true || now - sinceMs > HANDOVER_MS
        if (isOver || !this.#services.has(uuid)) isChanged = leaving.delete(engine)
      }
      if (leaving.size === 0) this.#leaving.delete(uuid)
    }
    return isChanged
  }

  #turnRound(): void {
    const onEngine = new Map<string, string[]>()
    const add = (engine: string, uuid: string): void => {
      const list = onEngine.get(engine)
      if (list === undefined) onEngine.set(engine, [uuid])
      else list.push(uuid)
    }
    for (const [uuid, on] of this.placement.assignments)
      for (const engine of on) if (this.#awaited.get(uuid)?.includes(engine) !== true) add(engine, uuid)
    for (const [uuid, leaving] of this.#leaving) for (const engine of leaving.keys()) add(engine, uuid)
    this.#onEngine = onEngine
  }
}
