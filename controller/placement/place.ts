/** The door: virtual services and engines in, an assignment and the reasons for what is missing out. */
import { canonicalAddress, parseAddress } from '#model/resource/address.ts'
import type { Listener } from '#model/resource/conflict.ts'
import { PAIR } from '#model/resource/serviceenginegroup.ts'
import { engineFor, pairOf, type Pair } from './pair.ts'
import { Ports, socketInWords, socketOf } from './ports.ts'
import type { Socket } from './ports.ts'

export interface GroupToPlace {
  readonly uuid: string
  readonly name: string
  readonly maxServicesPerEngine: number
  /** `packed` fills engines one after another, so that few are needed; `distributed`, the default, takes the least loaded first. */
  readonly order?: 'distributed' | 'packed'
  /** Addresses travel (`address_mode` L2, BGP): each is bound as it is, and all services that share it are on the same engines. */
  readonly movesAddresses?: boolean
  /** Active/standby: the same two engines carry every service, and one of them is active for it. Needs `movesAddresses`. */
  readonly pair?: Pair
}

/**
 * `all`: takes virtual services; `keeps`: goes on with what it has; `none`: gives away all that another can take; `forced`: gives all away,
 * whether another can take it or not.
 */
export type Willingness = 'all' | 'keeps' | 'none' | 'forced'

const isLeft = (takes: Willingness): boolean => takes === 'none' || takes === 'forced'

export interface EngineToPlace {
  readonly uuid: string
  readonly name: string
  readonly group: string
  /** Of its host, as it told them. */
  readonly addresses: readonly string[]
  readonly isUp: boolean
  readonly takes: Willingness
  /** Lower joined earlier: of a pair it is the first. */
  readonly rank?: number
  /** Services that it said it cannot run, by uuid, with its words: they go elsewhere. */
  readonly refuses?: ReadonlyMap<string, string>
  readonly labels?: Readonly<Record<string, string>>
  /** What fails together with it: engines on one host, in one zone. Unknown: it fails alone. */
  readonly host?: string
  readonly zone?: string
  /** Engines with the same one have their ports in common. Unknown: it shares them with nobody. */
  readonly network?: string
  /** 0..1, how busy it is; counts only between engines with as many virtual services. */
  readonly loadRatio?: number
}

export interface ServiceToPlace {
  readonly uuid: string
  readonly name: string
  readonly group: string
  readonly listeners: readonly Listener[]
  /** Engines that it should run on: at least the group's minimum. */
  readonly enginesWanted: number
  /** Lower goes first where two want the same: the revision that created it, so that an edit changes no order. */
  readonly rank?: number
  /** Of a pair that distributes load: which of its engines should be active for it. */
  readonly side?: 0 | 1
  /** Its engines fail independently of each other: always, or where that is possible. */
  readonly apart?: { readonly by: 'host' | 'zone'; readonly isStrict: boolean }
  /** Labels that its engines have. */
  readonly selector?: Readonly<Record<string, string>>
  /** Uuid of an engine that it should go to, of one that it should leave; where that cannot be it stays as it is. */
  readonly prefer?: string
  readonly avoid?: string
}

export interface PlacementInput {
  readonly groups: readonly GroupToPlace[]
  readonly engines: readonly EngineToPlace[]
  /** Enabled ones only. */
  readonly services: readonly ServiceToPlace[]
  /** Where each is now: uuid of the service -> uuids of engines, the primary first. */
  readonly current: ReadonlyMap<string, readonly string[]>
  /** Uuids of groups whose services are spread anew, by as few moves as that takes. */
  readonly rebalance?: ReadonlySet<string>
}

export interface Placement {
  /** Every service of the input, with the engines it goes to, the primary first; none when it is not placed. */
  readonly assignments: ReadonlyMap<string, readonly string[]>
  /** Services on fewer engines than wanted, and why, in words. */
  readonly unplaced: ReadonlyMap<string, readonly string[]>
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** One engine while services are placed on it. */
class Site {
  readonly engine: EngineToPlace
  readonly ports: Ports
  readonly #own: ReadonlySet<string>
  count = 0

  constructor(engine: EngineToPlace, ports: Ports) {
    this.engine = engine
    this.ports = ports
    this.#own = new Set(engine.addresses.map(canonicalAddress))
  }

  owns(address: string): boolean {
    return this.#own.has(address)
  }

  refuses({ service }: Candidate): boolean {
    return this.engine.refuses?.has(service.uuid) === true
  }

  hasLabels({ service: { selector = {} } }: Candidate): boolean {
    return Object.entries(selector).every(([name, value]) => this.engine.labels?.[name] === value)
  }

  failsWith(other: Site, by: 'host' | 'zone'): boolean {
    return this.engine[by] !== undefined && this.engine[by] === other.engine[by]
  }

  socketsOf(service: Candidate): readonly Socket[] {
    // Without an address of the engine's own among them, the sockets are the same everywhere.
    if (service.movesAddresses || !service.vips.some(address => this.#own.has(address))) return service.foreignSockets
    return withoutCovered(service.listeners.map(listener => socketOf(listener, address => this.#own.has(address) || isHostLocal(address))))
  }
}

/** Canonical addresses only: 127.0.0.0/8 and ::1 are every host's own. */
const isHostLocal = (address: string): boolean => address === '::1' || (address.startsWith('127.') && parseAddress(address) !== undefined)

/** Where all addresses of a port are bound, a single one of them is not bound besides. */
function withoutCovered(sockets: readonly Socket[]): readonly Socket[] {
  if (sockets.length < 2) return sockets
  const all = new Set(sockets.filter(({ address }) => address === '*').map(({ key }) => key))
  const seen = new Set<string>()
  return sockets.filter(({ key, address }) => {
    const isCovered = (address !== '*' && all.has(key)) || seen.has(`${key} ${address}`)
    seen.add(`${key} ${address}`)
    return !isCovered
  })
}

/** A service with what is asked of it again and again. */
interface Candidate {
  readonly service: ServiceToPlace
  readonly listeners: readonly Listener[]
  readonly vips: readonly string[]
  /** For each of its addresses that engines of the group have: these engines. Empty: any engine will do. */
  readonly ownersOf: ReadonlyMap<string, readonly Site[]>
  readonly owners: ReadonlySet<Site>
  readonly foreignSockets: readonly Socket[]
  /** Services with one signature fit the same engines. */
  readonly signature: string
  readonly movesAddresses: boolean
  readonly placed: Site[]
}

function candidateOf(
  service: ServiceToPlace,
  sitesWith: ReadonlyMap<string, readonly Site[]>,
  refused: ReadonlySet<string>,
  movesAddresses: boolean
): Candidate {
  const listeners = service.listeners.map(listener => ({ ...listener, address: canonicalAddress(listener.address) }))
  const vips = [...new Set(listeners.map(({ address }) => address))]
  const ownersOf = new Map(vips.flatMap(vip => (!movesAddresses && sitesWith.has(vip) ? [[vip, sitesWith.get(vip)!] as const] : [])))
  const foreignSockets = withoutCovered(listeners.map(listener => socketOf(listener, movesAddresses ? () => true : isHostLocal)))
  const needs = [
    ...listeners.filter(({ address }) => ownersOf.has(address)).map(({ protocol, port, address }) => `${protocol} ${port} ${address}`),
    ...foreignSockets.map(({ key, address }) => `${key} ${address}`),
    // What is said of one service alone holds for no other.
    ...(refused.has(service.uuid) || service.avoid !== undefined || service.prefer !== undefined ? [service.uuid] : []),
    ...Object.entries(service.selector ?? {}).map(([name, value]) => `label ${name}=${value}`),
    ...(service.apart?.isStrict === true ? [`apart by ${service.apart.by}`] : [])
  ]
  return {
    service,
    listeners,
    vips,
    ownersOf,
    owners: new Set([...ownersOf.values()].flat()),
    foreignSockets,
    signature: needs.toSorted().join(','),
    movesAddresses,
    placed: []
  }
}

const enginesWanted = ({ service }: Candidate): number => Math.max(1, service.enginesWanted)

/** Addresses that engines have, and none of the engines that it is placed on. */
function unserved({ ownersOf, placed }: Candidate): string[] {
  return [...ownersOf].flatMap(([vip, owners]) => (owners.some(site => placed.includes(site)) ? [] : [vip]))
}

/** On as many engines as wanted, and on one with each of its addresses that engines have. */
function isDone(candidate: Candidate): boolean {
  return candidate.placed.length >= enginesWanted(candidate) && (candidate.ownersOf.size === 0 || unserved(candidate).length === 0)
}

function ownedInWords({ ownersOf }: Candidate, vip: string | undefined): string {
  const [address, owners] = [...ownersOf].find(([one]) => vip === undefined || one === vip)!
  return `${address} is an address of engine ${owners.map(({ engine }) => engine.name).join(', ')}`
}

/** The engines that take services, in order of load; a change of load moves one of them. */
class Queue {
  readonly #rankOf: ReadonlyMap<Site, number>
  readonly #buckets: Site[][] = []

  constructor(sites: readonly Site[]) {
    const load = (site: Site): number => Math.round((site.engine.loadRatio ?? 0) * 10)
    const ordered = sites.toSorted((a, b) => load(a) - load(b) || byText(a.engine.uuid, b.engine.uuid))
    this.#rankOf = new Map(ordered.map((site, rank) => [site, rank]))
    for (const site of ordered) (this.#buckets[site.count] ??= []).push(site)
  }

  /** Least loaded first, or fullest first. */
  *sites(below: number, order: 'distributed' | 'packed'): Generator<Site> {
    const counts = Math.min(this.#buckets.length, below)
    for (let i = 0; i < counts; i++) yield* this.#buckets[order === 'packed' ? counts - 1 - i : i] ?? []
  }

  has(site: Site): boolean {
    return this.#rankOf.has(site)
  }

  /** The site got one more. */
  raised(site: Site): void {
    const from = this.#buckets[site.count - 1]
    const index = from?.indexOf(site) ?? -1
    if (from === undefined || index < 0) return
    from.splice(index, 1)
    const to = (this.#buckets[site.count] ??= [])
    const rank = this.#rankOf.get(site)!
    let at = to.length
    while (at > 0 && this.#rankOf.get(to[at - 1]!)! > rank) at--
    to.splice(at, 0, site)
  }
}

class GroupPlacement {
  readonly #group: GroupToPlace
  readonly #sites: readonly Site[]
  readonly #candidates: readonly Candidate[]
  readonly #reasons = new Map<string, readonly string[]>()

  constructor(group: GroupToPlace, engines: readonly EngineToPlace[], services: readonly ServiceToPlace[]) {
    this.#group = group
    const portsOf = new Map<string, Ports>()
    const portsFor = ({ network }: EngineToPlace): Ports => {
      const ports = (network === undefined ? undefined : portsOf.get(network)) ?? new Ports()
      if (network !== undefined) portsOf.set(network, ports)
      return ports
    }
    this.#sites = engines.toSorted((a, b) => byText(a.uuid, b.uuid)).map(engine => new Site(engine, portsFor(engine)))
    const sitesWith = new Map<string, Site[]>()
    for (const site of this.#sites)
      for (const address of new Set(site.engine.addresses.map(canonicalAddress))) {
        if (isHostLocal(address)) continue
        const owners = sitesWith.get(address)
        if (owners === undefined) sitesWith.set(address, [site])
        else owners.push(site)
      }
    const refused = new Set(this.#sites.flatMap(({ engine }) => [...(engine.refuses?.keys() ?? [])]))
    this.#candidates = services
      .toSorted((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || byText(a.uuid, b.uuid))
      .map(service => candidateOf(service, sitesWith, refused, group.movesAddresses === true))
  }

  run(
    current: ReadonlyMap<string, readonly string[]>,
    assignments: Map<string, readonly string[]>,
    unplaced: Map<string, readonly string[]>,
    isRebalanced: boolean
  ): void {
    this.#keep(current)
    this.#fill()
    const drained = this.#keepDrained(current)
    if (isRebalanced) this.#rebalance()
    for (const candidate of this.#candidates) {
      const { service, placed } = candidate
      assignments.set(
        service.uuid,
        placed.map(({ engine }) => engine.uuid)
      )
      const keeper = drained.get(candidate)
      if (keeper !== undefined)
        unplaced.set(service.uuid, [`engine ${keeper.engine.name} is drained and keeps it: ${this.#whyNot(candidate).join('; ')}`])
      else if (!isDone(candidate)) unplaced.set(service.uuid, this.#whyNot(candidate))
      else if (this.#isTogether(candidate))
        unplaced.set(service.uuid, [
          `its engines are on one ${service.apart!.by}: no engine elsewhere in group ${this.#group.name} can take it`
        ])
    }
  }

  /** What is placed and still valid stays. */
  #keep(current: ReadonlyMap<string, readonly string[]>): void {
    const siteOf = new Map(this.#sites.map(site => [site.engine.uuid, site]))
    for (const candidate of this.#candidates) {
      const { avoid } = candidate.service
      const before = current.get(candidate.service.uuid) ?? []
      // What should be left is given up first.
      const ordered = avoid === undefined ? before : [...before.filter(uuid => uuid !== avoid), ...before.filter(uuid => uuid === avoid)]
      for (const uuid of ordered) {
        const site = siteOf.get(uuid)
        if (site === undefined || !site.engine.isUp || isLeft(site.engine.takes)) continue
        if (isDone(candidate) || candidate.placed.includes(site)) continue
        if (uuid === avoid && this.#hasAnother(candidate, new Set(before))) continue
        if (this.#fits(candidate, site)) this.#put(candidate, site)
      }
    }
  }

  /** A service, or an address of its, that nobody else can take stays on an engine that is drained until somebody can. */
  #keepDrained(current: ReadonlyMap<string, readonly string[]>): ReadonlyMap<Candidate, Site> {
    const keepers = new Map<Candidate, Site>()
    const draining = new Map(
      this.#sites.flatMap(site => (site.engine.isUp && site.engine.takes === 'none' ? [[site.engine.uuid, site]] : []))
    )
    if (draining.size === 0) return keepers
    for (const candidate of this.#candidates) {
      for (const uuid of current.get(candidate.service.uuid) ?? []) {
        const site = draining.get(uuid)
        if (site === undefined || candidate.placed.includes(site)) continue
        const isNeeded = candidate.placed.length === 0 || unserved(candidate).some(vip => candidate.ownersOf.get(vip)!.includes(site))
        if (!isNeeded || !this.#fits(candidate, site)) continue
        this.#put(candidate, site)
        keepers.set(candidate, site)
      }
    }
    return keepers
  }

  /** Could another engine take it? */
  #hasAnother(candidate: Candidate, without: ReadonlySet<string>): boolean {
    return this.#sites.some(
      site => site.engine.isUp && site.engine.takes === 'all' && !without.has(site.engine.uuid) && this.#fits(candidate, site)
    )
  }

  /** Rounds: every service gets its first engine before any gets its second. */
  #fill(): void {
    const queue = new Queue(this.#sites.filter(({ engine }) => engine.isUp && engine.takes === 'all'))
    const exhausted = new Set<string>()
    let open = this.#candidates.filter(candidate => !isDone(candidate))
    for (let round = 1; open.length > 0; round++) {
      const next: Candidate[] = []
      for (const candidate of open) {
        if (candidate.placed.length >= round) {
          next.push(candidate)
          continue
        }
        // A service that is placed nowhere and found no room speaks for all that need the same.
        if (exhausted.has(candidate.signature)) continue
        const site = this.#pick(candidate, queue)
        if (site === undefined) {
          if (candidate.placed.length === 0) exhausted.add(candidate.signature)
          continue
        }
        this.#put(candidate, site)
        queue.raised(site)
        if (!isDone(candidate)) next.push(candidate)
      }
      open = next
    }
  }

  #pick(candidate: Candidate, queue: Queue): Site | undefined {
    const { apart, prefer, avoid } = candidate.service
    const isFree = (site: Site): boolean => !candidate.placed.includes(site) && this.#fits(candidate, site)
    if (candidate.owners.size > 0) {
      const free = [...candidate.owners].filter(site => queue.has(site) && isFree(site))
      const lacking = unserved(candidate)
      const serving = free.filter(site => lacking.some(vip => candidate.ownersOf.get(vip)!.includes(site)))
      const order = (a: Site, b: Site): number => a.count - b.count || byText(a.engine.uuid, b.engine.uuid)
      if (serving.length > 0 || candidate.placed.length >= enginesWanted(candidate)) return serving.toSorted(order)[0]
      return free.toSorted(order)[0]
    }
    // The best that fits by order of load; what is wished for comes before, what is not after.
    let fallback: Site | undefined
    const isWished = (site: Site): boolean =>
      site.engine.uuid !== avoid && (apart === undefined || !candidate.placed.some(other => other.failsWith(site, apart.by)))
    if (prefer !== undefined) {
      const preferred = this.#sites.find(({ engine }) => engine.uuid === prefer)
      if (preferred !== undefined && queue.has(preferred) && isFree(preferred)) return preferred
    }
    for (const site of queue.sites(this.#group.maxServicesPerEngine, this.#group.order ?? 'distributed')) {
      if (!isFree(site)) continue
      if (isWished(site)) return site
      fallback ??= site
    }
    return fallback
  }

  #fits(candidate: Candidate, site: Site): boolean {
    if (candidate.listeners.length === 0 || site.count >= this.#group.maxServicesPerEngine) return false
    if (candidate.owners.size > 0 && !candidate.owners.has(site)) return false
    if (site.refuses(candidate) || !site.hasLabels(candidate)) return false
    const { apart } = candidate.service
    if (apart?.isStrict === true && candidate.placed.some(other => other !== site && other.failsWith(site, apart.by))) return false
    return site.ports.holder(site.socketsOf(candidate)) === undefined
  }

  /** Engines that would fail together carry all of it, though it wants them apart. */
  #isTogether({ service: { apart }, placed, ownersOf }: Candidate): boolean {
    if (apart === undefined || placed.length < 2 || ownersOf.size > 0) return false
    return placed.every((site, i) => i === 0 || site.failsWith(placed[0]!, apart.by))
  }

  /** Moves from the fullest engine to the emptiest that can take it, until none is two ahead of another; packed: the other way round. */
  #rebalance(): void {
    const open = this.#sites.filter(({ engine }) => engine.isUp && engine.takes === 'all')
    const isPacked = this.#group.order === 'packed'
    const onSite = new Map(open.map(site => [site, new Set<Candidate>()]))
    for (const candidate of this.#candidates) for (const site of candidate.placed) onSite.get(site)?.add(candidate)
    const order = (a: Site, b: Site): number => b.count - a.count || byText(a.engine.uuid, b.engine.uuid)
    const moveOne = (): boolean => {
      const fullest = open.toSorted(order)
      for (const from of isPacked ? fullest.toReversed() : fullest) {
        for (const to of isPacked ? fullest : fullest.toReversed()) {
          if (to === from || (isPacked ? to.count < from.count : from.count - to.count < 2)) continue
          for (const candidate of onSite.get(from)!) {
            if (candidate.owners.size > 0 || candidate.placed.includes(to)) continue
            const at = candidate.placed.indexOf(from)
            candidate.placed.splice(at, 1)
            // First given back: they may be those of the other as well.
            from.ports.release(from.socketsOf(candidate))
            const isMoved = this.#fits(candidate, to)
            candidate.placed.splice(at, 0, isMoved ? to : from)
            if (!isMoved) {
              from.ports.claim(from.socketsOf(candidate), candidate.service.name)
              continue
            }
            onSite.get(from)!.delete(candidate)
            onSite.get(to)!.add(candidate)
            from.count--
            to.count++
            to.ports.claim(to.socketsOf(candidate), candidate.service.name)
            return true
          }
        }
      }
      return false
    }
    // Each move lowers the sum of squares (packed: raises it), so that it ends; the bound is for our own mistakes.
    for (let moves = 0; moves < this.#candidates.length * open.length && moveOne(); moves++);
  }

  #put(candidate: Candidate, site: Site): void {
    candidate.placed.push(site)
    site.count++
    site.ports.claim(site.socketsOf(candidate), candidate.service.name)
  }

  /** Remembered by what is needed and where it is, so that ten thousand in the same trouble cost one search. */
  #whyNot(candidate: Candidate): readonly string[] {
    const key = `${candidate.signature}|${candidate.placed.map(({ engine }) => engine.uuid).join(' ')}`
    const known = this.#reasons.get(key)
    if (known !== undefined) return known
    const reasons = this.#searchWhy(candidate)
    this.#reasons.set(key, reasons)
    return reasons
  }

  #searchWhy(candidate: Candidate): readonly string[] {
    const group = `group ${this.#group.name}`
    if (candidate.listeners.length === 0) return ['it has no enabled address']
    if (this.#sites.length === 0) return [`no engine has joined ${group}`]
    const lacking = unserved(candidate)
    const owners = lacking.length > 0 ? lacking.flatMap(vip => candidate.ownersOf.get(vip)!) : [...candidate.owners]
    const isOwned = owners.length > 0
    const owned = isOwned ? ownedInWords(candidate, lacking[0]) : ''
    const left = [...new Set(isOwned ? owners : this.#sites)].filter(site => !candidate.placed.includes(site))
    if (left.length === 0 && this.#group.pair !== undefined && this.#sites.length >= PAIR)
      return [`${group} is active/standby: two engines carry its services`]
    if (left.length === 0) return [isOwned ? `${owned}, and of no other engine in ${group}` : `${group} has no more engines`]
    const rest = candidate.placed.length === 0 ? 'no' : 'no other'
    const up = left.filter(({ engine }) => engine.isUp)
    if (up.length === 0) return [isOwned ? `${owned}, which is down` : `${rest} engine in ${group} is up`]
    const open = up.filter(({ engine }) => engine.takes === 'all')
    if (open.length === 0)
      return [isOwned ? `${owned}, which is not enabled for placement` : `${rest} engine in ${group} that is up is enabled for placement`]
    const full = open.filter(site => site.count >= this.#group.maxServicesPerEngine)
    const limit = `its limit of ${this.#group.maxServicesPerEngine} virtual services`
    if (full.length === open.length) return [`every engine in ${group} that is up carries ${limit}`]
    const room = open.filter(site => !full.includes(site))
    const refusals = room.flatMap(({ engine }) => {
      const words = engine.refuses?.get(candidate.service.uuid)
      return words === undefined ? [] : [`engine ${engine.name} refused it: ${words}`]
    })
    const labelled = room.filter(site => site.hasLabels(candidate))
    if (labelled.length === 0 && room.length > 0) {
      const wanted = Object.entries(candidate.service.selector ?? {}).map(([name, value]) => `${name}=${value}`)
      return [`no engine in ${group} that is up has ${wanted.length === 1 ? 'label' : 'labels'} ${wanted.join(', ')}`]
    }
    const { apart } = candidate.service
    const apartRoom =
      apart?.isStrict === true ? labelled.filter(site => !candidate.placed.some(other => other.failsWith(site, apart.by))) : labelled
    if (apartRoom.length === 0 && labelled.length > 0) return [`no engine in ${group} is on another ${apart!.by}`]
    const willing = apartRoom.filter(site => !site.refuses(candidate))
    const reasons = [...refusals, ...(willing.length === 0 ? [] : this.#portsInWords(candidate, willing))]
    return full.length === 0 ? reasons : [...reasons, `${full.length} of ${open.length} engines in ${group} carry ${limit}`]
  }

  #portsInWords(candidate: Candidate, sites: readonly Site[]): readonly string[] {
    const holders = new Map<string, { readonly socket: string; readonly names: Set<string> }>()
    for (const site of sites) {
      const held = site.ports.holder(site.socketsOf(candidate))
      if (held === undefined) continue
      const socket = socketInWords(held.socket)
      const entry = holders.get(socket) ?? { socket, names: new Set<string>() }
      entry.names.add(held.name)
      holders.set(socket, entry)
    }
    const where = sites.length === 1 ? `on engine ${sites[0]!.engine.name}` : 'on every engine'
    return [...holders.values()].map(({ socket, names }) => {
      const listed = [...names].toSorted(byText)
      const more = listed.length > 3 ? ` and ${listed.length - 3} others` : ''
      const isOwn = listed.length === 1 && listed[0] === candidate.service.name
      const taken = `${socket} is taken by virtual service ${listed.slice(0, 3).join(', ')}${more}`
      return isOwn ? `${taken} itself, which runs on an engine of the same host: its ports are free once only` : `${taken} ${where}`
    })
  }
}

/**
 * Assigns every service to engines of its group.
 *
 * Returns the same for the same input in any order; what is placed and still valid is kept; no engine above its limit; no
 *         service below what it wants while an engine could take it; reasons where that is so
 * Cost    near (services + engines) * log; the searches for what does not fit are shared
 */
export function place(input: PlacementInput): Placement {
  const assignments = new Map<string, readonly string[]>()
  const unplaced = new Map<string, readonly string[]>()
  const servicesOf = Map.groupBy(input.services, service => service.group)
  const enginesOf = Map.groupBy(input.engines, engine => engine.group)
  const groupOf = new Map(input.groups.map(group => [group.uuid, group]))
  for (const [uuid, services] of servicesOf) {
    const group = groupOf.get(uuid)
    if (group?.movesAddresses === true) {
      const { leaders, leaderOf } = together(services)
      const all = (enginesOf.get(uuid) ?? []).map(engine => ({ ...engine, refuses: refusedTogether(engine, leaderOf) }))
      const isRebalanced = input.rebalance?.has(uuid) === true
      if (group.pair === undefined) new GroupPlacement(group, all, leaders).run(input.current, assignments, unplaced, isRebalanced)
      else placePair({ ...group, pair: group.pair }, all, leaders, { ...input, assignments, unplaced, isRebalanced })
      for (const [follower, leader] of leaderOf) {
        assignments.set(follower, assignments.get(leader) ?? [])
        const reasons = unplaced.get(leader)
        if (reasons !== undefined) unplaced.set(follower, reasons)
      }
    } else if (group !== undefined)
      new GroupPlacement(group, enginesOf.get(uuid) ?? [], services).run(
        input.current,
        assignments,
        unplaced,
        input.rebalance?.has(uuid) === true
      )
    else
      for (const service of services) {
        assignments.set(service.uuid, [])
        unplaced.set(service.uuid, ['its engine group is not there'])
      }
  }
  return { assignments, unplaced }
}

interface PairInput extends Pick<PlacementInput, 'current'> {
  readonly assignments: Map<string, readonly string[]>
  readonly unplaced: Map<string, readonly string[]>
  readonly isRebalanced: boolean
}

/** Every service on both engines of a pair; who is active goes first, and nothing goes back by itself unless it is to. */
function placePair(
  group: GroupToPlace & { readonly pair: Pair },
  all: readonly EngineToPlace[],
  services: readonly ServiceToPlace[],
  { current, assignments, unplaced, isRebalanced }: PairInput
): void {
  const pair = pairOf(all)
  // What nobody else can take stays on who is drained.
  const engines = all.filter(engine => pair.includes(engine) || engine.takes === 'none')
  const activeFor = engineFor(group.pair, pair, services, current)
  const wishing = services.map(service => {
    const prefer = service.prefer ?? activeFor(service)
    return prefer === undefined ? service : { ...service, prefer }
  })
  new GroupPlacement(group, engines, wishing).run(current, assignments, unplaced, false)
  if (!isRebalanced && !group.pair.returns) return
  for (const service of services) {
    const on = assignments.get(service.uuid) ?? []
    const active = activeFor(service)
    if (active !== undefined && on.includes(active)) assignments.set(service.uuid, [active, ...on.filter(uuid => uuid !== active)])
  }
}

/** Services that share an address, as one: an address that travels leads to all of them. */
function together(services: readonly ServiceToPlace[]): {
  readonly leaders: readonly ServiceToPlace[]
  readonly leaderOf: ReadonlyMap<string, string>
} {
  const leaders = new Map<string, ServiceToPlace>()
  const leaderOf = new Map<string, string>()
  const leaderAt = new Map<string, string>()
  const ordered = services.toSorted((a, b) => (a.rank ?? 0) - (b.rank ?? 0) || byText(a.uuid, b.uuid))
  for (const service of ordered) {
    const addresses = [...new Set(service.listeners.map(({ address }) => canonicalAddress(address)))]
    const met = [...new Set(addresses.flatMap(address => leaderAt.get(address) ?? []))]
    const members = [...met.map(uuid => leaders.get(uuid)!), service]
    const [leader] = members as [ServiceToPlace, ...ServiceToPlace[]]
    for (const { uuid } of members.slice(1)) {
      leaders.delete(uuid)
      for (const [follower, of] of leaderOf) if (of === uuid) leaderOf.set(follower, leader.uuid)
      leaderOf.set(uuid, leader.uuid)
    }
    const listeners = members.flatMap(member => member.listeners)
    leaders.set(leader.uuid, { ...service, ...leader, listeners, enginesWanted: Math.max(...members.map(one => one.enginesWanted)) })
    for (const { address } of listeners) leaderAt.set(canonicalAddress(address), leader.uuid)
  }
  return { leaders: [...leaders.values()], leaderOf }
}

/** What an engine refused of one it refused of all that go with it. */
function refusedTogether(engine: EngineToPlace, leaderOf: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...(engine.refuses ?? [])].map(([uuid, reason]) => [leaderOf.get(uuid) ?? uuid, reason]))
}
