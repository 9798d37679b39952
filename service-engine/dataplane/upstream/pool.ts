/** A pool in one generation: which servers are available, which one is next, and who waits for one. */
import type { Clock } from '#model/base/clock.ts'
import type { Random } from '#model/base/random.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import type { HedgeMeter, TrafficMeter, WorkerMemory, ZoneMeter } from '#engine/meter/shared.ts'
import type { Balancer, Question } from '../balance/balancer.ts'
import { makeBalancer } from '../balance/catalog.ts'
import { consistentHash } from '../balance/consistent-hash.ts'
import { lowest } from '../balance/least-connections.ts'
import { ownZone, type Zones } from '../balance/own-zone.ts'
import { ofLowestOrder, preferred } from '../balance/preferred.ts'
import type { Fault } from '#engine/base/fault.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Destination, DestinationTls } from '../exchange/forwarder.ts'
import { Breaker } from './breaker.ts'
import { FirstBytes } from './first-bytes.ts'
import { Outliers } from './outliers.ts'
import { makePersistence, type Persistence } from './persistence.ts'
import { CELL } from '#engine/meter/layout.ts'
import { ServerRate } from './server-rate.ts'
import { relativeShares, shareOf } from './slow-start.ts'
import { RetryBudget } from './retry-budget.ts'
import { UpstreamServer, type AddressBook, type Cuttable, type Member } from './server.ts'

/** How long a change of verdict may go unseen; a server that is picked is asked again anyway. */
const LOOK_AGAIN_MS = 20
/** How long the shares of servers that come up stay the same. */
const SHARE_AGAIN_MS = 500
/** Another worker may have freed a place: nobody tells, so it is looked for. */
const QUEUE_LOOK_MS = 10
export const QUEUE_WAIT_MS = 10_000

export interface PoolServices {
  readonly clock: Clock
  readonly random: Random
  readonly memory: WorkerMemory
  readonly addresses: AddressBook
  /** Of the engine; left out: nobody said. */
  readonly zone?: string
}

/** A place on a server, counted over all workers, until released. */
export interface Lease extends Cuttable {
  readonly pool: Pool
  readonly serverId: string
  readonly destination: Destination
  readonly meter: TrafficMeter
  /** Time to the first byte of the answer. */
  readonly responded: (firstByteUs: number) => void
  /** Another server answered first; so long it had not. */
  readonly outrun: (waitedUs: number) => void
  /** An exchange with the server is over; `status` 0: it has not answered. */
  readonly ended: (status: number, fault: Fault | null) => void
  /** Once. */
  readonly release: () => void
  /** Instead of `release`: nothing was asked of the server. */
  readonly withdraw: () => void
}

/** What looks at how servers do; null: nobody. */
interface PoolWatch {
  readonly zones: ZoneMeter | null
  readonly outliers: Outliers | null
  readonly firstBytes: FirstBytes | null
}

/** A lease as its pool holds it: one for each exchange, so it is made of fields and not of closures. */
class HeldLease implements Lease {
  readonly pool: Pool
  readonly serverId: string
  readonly destination: Destination
  readonly meter: TrafficMeter
  onCut: (() => void) | null = null
  place = -1
  onReleased: (() => void) | null = null
  readonly #server: UpstreamServer
  readonly #outliers: Outliers | null
  readonly #firstBytes: FirstBytes | null
  readonly #zones: ZoneMeter | null
  readonly #freed: () => void
  #isHeld = true

  constructor(pool: Pool, { id, server }: Member, watch: PoolWatch, freed: () => void) {
    this.pool = pool
    this.serverId = id
    this.destination = server.destination
    this.meter = server.meter
    this.#server = server
    this.#outliers = watch.outliers
    this.#firstBytes = watch.firstBytes
    this.#zones = watch.zones
    this.#freed = freed
    this.#zones?.went(pool.isOwnZone(id) === true, 1)
  }

  withdraw(): void {
    if (this.#isHeld) this.#zones?.went(this.pool.isOwnZone(this.serverId) === true, -1)
    this.release()
  }

  responded(firstByteUs: number): void {
    this.#server.cell.responded(firstByteUs)
    this.#firstBytes?.add(firstByteUs)
  }

  outrun(waitedUs: number): void {
    this.#server.cell.responded(waitedUs)
    this.#firstBytes?.add(waitedUs)
  }

  ended(status: number, fault: Fault | null): void {
    this.#outliers?.ended(this.#server.cell.cells, status, fault)
  }

  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#server.cell.release()
    this.onReleased?.()
    this.#server.remove(this)
    this.#freed()
  }
}

/** `full`: servers are available, but all are at their limit. `none`: no server is available. */
export type LeaseResult = Lease | Refusal
type Refusal = 'full' | 'none'

interface Waiter {
  readonly atMs: number
  /** True when it took a place, or is not interested any more. */
  readonly tryAgain: (isLate: boolean) => boolean
}

/** Shares that servers take are counted in steps, so that the sums of weights stay small. */
export const SHARE_STEP_PERCENT = 5

/** 0 for a server that says it can take nothing, else 1 to 20. */
function sharesOf({ cell }: UpstreamServer): number {
  return Math.ceil(cell.weightPercent() / SHARE_STEP_PERCENT)
}

/** Null where zones make no difference: nobody asked for it, or all servers are alike to this engine. */
function zonesOf({ locality, servers, isWeighed }: PoolPart, zone: string | undefined): Zones | null {
  if (locality === undefined || zone === undefined) return null
  const own = new Set(servers.filter(server => server.zone === zone).map(({ id }) => id))
  if (own.size === 0 || own.size === servers.length) return null
  const most = isWeighed === true ? 100 / SHARE_STEP_PERCENT : 1
  const weights = new Map<number, { own: number; others: number }>()
  const orders = new Map<string, number>()
  for (const { id, weight, order = 1 } of servers) {
    const sum = weights.get(order) ?? { own: 0, others: 0 }
    sum[own.has(id) ? 'own' : 'others'] += weight * most
    weights.set(order, sum)
    orders.set(id, order)
  }
  const nothing = { own: 0, others: 0 }
  return { isOwn: id => own.has(id), weightsBeside: id => weights.get(orders.get(id) ?? 1) ?? nothing }
}

/** Null where all servers are of one order. */
function orderOf({ servers }: PoolPart): ((serverId: string) => number) | null {
  const orders = new Map(servers.map(({ id, order = 1 }) => [id, order]))
  return new Set(orders.values()).size < 2 ? null : id => orders.get(id)!
}

export class Pool {
  readonly part: PoolPart
  readonly meter: TrafficMeter
  readonly #services: PoolServices
  readonly #balancer: Balancer
  readonly #zones: Zones | null
  /** Null where all servers are of one order. */
  readonly #orderOf: ((serverId: string) => number) | null
  #members: readonly Member[]
  #memberById: ReadonlyMap<string, Member>
  /** Requests pay into it, hedges take out of it, and so do retries unless they are unlimited. */
  readonly #budget: RetryBudget | null
  readonly #hedgeMeter: HedgeMeter | null
  readonly #breaker: Breaker | null
  readonly #watch: PoolWatch
  readonly #rate: ServerRate | null
  readonly #persistence: Persistence | null
  /** Spreads clients by the key that persistence knows them by. */
  readonly #spread: Balancer
  /** Since when each server takes nothing new. */
  readonly #restingSinceMs = new Map<string, number>()
  readonly #waiters: Waiter[] = []
  /** Moves on, so that servers that are alike share what others cannot take. */
  #turn = 0
  #available: readonly Member[] = []
  /** Of servers that have not come up at the same time; null: all have their whole share. */
  #shares: ReadonlyMap<Member, number> | null = null
  #lookedAtMs = -Infinity
  #sharedAtMs = -Infinity
  #stopLooking: (() => void) | undefined

  /**
   * Shapes  previous: the pool's last generation; servers whose make did not change are taken over with their connections
   *         tls: how to reach its servers, keys resolved
   */
  constructor(part: PoolPart, services: PoolServices, tlsOf: (serverHost: string) => DestinationTls | null, previous: Pool | undefined) {
    const { memory, addresses, random } = services
    this.part = part
    this.#services = services
    this.meter = memory.poolMeter(part.id)
    const cell = memory.poolCell(part.id)
    const budget = part.hedge?.budget ?? part.reselect?.budget ?? null
    this.#hedgeMeter = part.hedge === undefined ? null : memory.hedgeMeter(part.id)
    this.#budget = budget === null ? null : new RetryBudget(budget, cell.cells, services.clock.nowEpochMs)
    this.#zones = zonesOf(part, services.zone)
    this.#orderOf = orderOf(part)
    this.#balancer = this.#bySide(nextTurn => makeBalancer(part.algorithm, { nextTurn, random }), cell.nextTurn)
    const kept = new Map(previous?.servers().map(server => [server.fingerprint, server]))
    this.#members = part.servers.map(spec => {
      const make = { pool: part, spec, tls: tlsOf(spec.host) }
      const fresh = new UpstreamServer(make, addresses, memory.serverCell(part.id, spec.id), memory.serverMeter(part.id, spec.id))
      const server = kept.get(fresh.fingerprint) ?? fresh
      return {
        id: spec.id,
        weight: part.isWeighed === true ? spec.weight * sharesOf(server) : spec.weight,
        inFlight: server.cell.inFlight,
        responseUs: server.cell.responseUs,
        busyUs: server.cell.busyUs,
        spec,
        server
      }
    })
    this.#memberById = new Map(this.#members.map(member => [member.id, member]))
    this.#rate = part.serverRate === undefined ? null : new ServerRate(part.serverRate, services.clock.nowEpochMs)
    const rested = previous === undefined ? undefined : previous.#restingSinceMs
    for (const { id, spec, server } of this.#members) {
      if (!spec.isEnabled) this.#restingSinceMs.set(id, rested?.get(id) ?? services.clock.nowMs())
      else if (rested?.has(id) === true) Atomics.store(server.cell.cells, CELL.upSinceS, services.clock.nowEpochMs() / 1000)
    }
    this.#breaker = part.breaker === undefined ? null : new Breaker(part.breaker, cell)
    const suspects = this.#members.map(({ server, spec }) => ({ cells: server.cell.cells, isEnabled: spec.isEnabled }))
    const learned = previous === undefined ? null : previous.#watch.firstBytes
    this.#watch = {
      zones: this.#zones === null ? null : memory.zoneMeter(part.id),
      outliers: part.outliers === undefined ? null : new Outliers(part.outliers, cell.cells, suspects, services.clock.nowEpochMs),
      firstBytes: (part.hedge?.percentile ?? null) === null ? null : (learned ?? new FirstBytes())
    }
    this.#spread = this.#bySide(() => consistentHash({ by: 'source-address', header: null }), cell.nextTurn)
    this.#persistence =
      part.persistence === undefined
        ? null
        : makePersistence(part.persistence, {
            pool: part,
            bindings: memory.bindings,
            nowEpochMs: services.clock.nowEpochMs
          })
  }

  /** Order goes before zones. */
  #bySide(make: (nextTurn: () => number) => Balancer, nextTurn: () => number): Balancer {
    const own = this.#byZone(make, nextTurn)
    return this.#orderOf === null ? own : preferred(this.#orderOf, own)
  }

  /** Two balancers where zones count: the one of the others has turns of its own, in this worker alone. */
  #byZone(make: (nextTurn: () => number) => Balancer, nextTurn: () => number): Balancer {
    const own = make(nextTurn)
    const { locality } = this.part
    if (locality === undefined || this.#zones === null) return own
    const { random } = this.#services
    let turn = Math.floor(random() * 0x1_0000_0000)
    return ownZone({ spec: locality, zones: this.#zones, random, own, others: make(() => turn++ >>> 0) })
  }

  /** Whether a server is of the engine's own zone; undefined where zones make no difference. */
  isOwnZone(serverId: string): boolean | undefined {
    return this.#zones?.isOwn(serverId)
  }

  servers(): UpstreamServer[] {
    return this.#members.map(member => member.server)
  }

  /** Servers that take nothing new: disabled, or with no share. */
  resting(): UpstreamServer[] {
    return this.#members.filter(member => !member.spec.isEnabled || member.spec.weight <= 0).map(member => member.server)
  }

  /** As of now: another pool may stand in for one whose last server has just gone down. */
  hasAvailable(): boolean {
    return this.#canBeAsked(null)
  }

  /** Whether a server that was not tried could be asked. */
  hasUntried(tried: readonly string[]): boolean {
    return this.#canBeAsked(tried)
  }

  #canBeAsked(tried: readonly string[] | null): boolean {
    const seen = this.#look(false)
    let isStale = false
    for (const member of seen) {
      if (tried?.includes(member.id) === true) continue
      if (this.#isAvailable(member, seen)) return true
      isStale = true
    }
    return isStale && this.#look(true).some(({ id }) => tried?.includes(id) !== true)
  }

  /** A request goes to one of its servers for the first time. */
  requestBegan(): void {
    this.#budget?.requestBegan()
  }

  /** Takes one retry out of the budget; false when it is used up. */
  mayRetry(): boolean {
    if (this.#breaker?.takesRetry() === false) return false
    return (this.part.reselect?.budget ?? null) === null || this.#budget!.take()
  }

  /** How long after its beginning a request may have a second server, in ms; null: it may not, or not yet. */
  hedgeDelayMs(): number | null {
    const { hedge } = this.part
    if (hedge === undefined) return null
    if (hedge.percentile === null) return hedge.delayMs
    const usual = this.#watch.firstBytes!.percentileMs(hedge.percentile / 100, this.#services.clock.nowMs())
    return usual === null ? null : Math.max(hedge.delayMs, usual)
  }

  /**
   * A place on a second server, out of the budget of retries.
   *
   * Shapes  asked: ids of servers that have the request, or had it
   * Returns undefined when none is free, or nothing may be spent
   */
  leaseHedge(question: Question, asked: readonly string[]): Lease | undefined {
    const lease = this.lease(question, asked)
    if (typeof lease === 'string') return undefined
    if (this.#budget?.take() === true) {
      this.#hedgeMeter?.hedged()
      return lease
    }
    lease.withdraw()
    return undefined
  }

  /** The second server was the first to answer. */
  hedgeWon(): void {
    this.#hedgeMeter?.won()
  }

  /** A server has answered, nothing is sent yet: who is to come back to it may be told. */
  answered(exchange: Exchange, serverId: string): void {
    this.#persistence?.answered?.(exchange, serverId)
  }

  /**
   * Takes a place on the server that the client is bound to, or that the balancer picks; on another one when that is full
   * or was tried.
   *
   * Shapes  tried: ids of servers that failed this exchange; null for none. They are passed over, not come back to
   */
  lease(question: Question, tried: readonly string[] | null): LeaseResult {
    const breaker = this.#breaker
    if (breaker === null) return this.#lease(question, tried)
    const isRetry = tried !== null
    const admission = breaker.enter(isRetry)
    if (admission !== 'admitted') return admission
    const lease = this.#lease(question, tried)
    if (typeof lease === 'string') breaker.left(isRetry)
    else lease.onReleased = () => breaker.left(isRetry)
    return lease
  }

  #lease(question: Question, tried: readonly string[] | null): HeldLease | Refusal {
    const { wantedServer = '' } = question
    if (wantedServer !== '' && tried === null) {
      const member = this.#memberById.get(wantedServer)
      if (member !== undefined && this.#look(false).includes(member)) {
        const wanted = this.#take(member)
        if (wanted !== undefined) return wanted
      }
    }
    const persistence = this.#persistence
    if (persistence === null) return this.#leaseAny(this.#balancer, question, tried)
    const bound = this.#leaseBound(persistence, question, tried)
    if (bound !== undefined) return bound
    const { keyOf } = persistence
    const lease =
      keyOf === undefined
        ? this.#leaseAny(this.#balancer, question, tried)
        : this.#leaseAny(this.#spread, { ...question, clientIp: keyOf(question) }, tried)
    if (typeof lease !== 'string') persistence.given?.(question, lease.serverId)
    return lease
  }

  /** Undefined when the client is bound to no server that may be used. */
  #leaseBound({ find, whenDown }: Persistence, question: Question, tried: readonly string[] | null): HeldLease | Refusal | undefined {
    if (tried !== null && whenDown === 'pick-new') return undefined
    const id = find(question)
    const member = id === undefined ? undefined : this.#memberById.get(id)
    if (member === undefined || !this.#takesBound(member)) return undefined
    // It failed just now: who must not leave it is not served by another.
    if (tried?.includes(member.id) === true) return 'none'
    if (this.part.monitors.length > 0 && member.server.cell.verdict() === 'down') {
      if (whenDown === 'pick-new') return undefined
      if (whenDown === 'abort') return 'none'
    }
    if (this.#isEjected(member) && whenDown === 'pick-new') return undefined
    return this.#take(member)
  }

  /** A server that says that it can take nothing more keeps whom it has. */
  #takesBound({ id, spec }: Member): boolean {
    if (spec.isEnabled) return spec.weight > 0
    const sinceMs = this.#restingSinceMs.get(id) ?? -Infinity
    return this.part.keepsBoundWhenDisabled === true && this.#services.clock.nowMs() - sinceMs < this.part.gracefulDisableS * 1000
  }

  #leaseAny(balancer: Balancer, question: Question, tried: readonly string[] | null): HeldLease | Refusal {
    let candidates = this.#look(false)
    if (candidates.length === 0) candidates = this.#look(true)
    if (candidates.length === 0) return 'none'
    let picked = balancer.pick(candidates, question)
    if (picked !== undefined && !this.#isAvailable(picked, candidates)) {
      candidates = this.#look(true)
      picked = balancer.pick(candidates, question)
    }
    if (picked === undefined) return 'none'
    // Who is spread by a key goes where every engine would send it.
    if (this.#shares !== null && balancer !== this.#spread) picked = this.#rampedUp(picked, candidates)
    if (tried === null || !tried.includes(picked.id)) {
      const lease = this.#take(picked)
      if (lease !== undefined) return lease
    }
    return this.#takeOther(
      candidates.filter(member => member !== picked && tried?.includes(member.id) !== true),
      picked,
      tried === null
    )
  }

  /** The server that was picked, as often as it may be taken already; else one that is up for longer. */
  #rampedUp(picked: Member, candidates: readonly Member[]): Member {
    const { random } = this.#services
    const share = this.#shares?.get(picked) ?? 1
    if (share === 1 || random() < share) return picked
    const older = this.#beside(
      candidates.filter(member => (this.#shares?.get(member) ?? 1) === 1),
      picked
    )
    return lowest(older, Math.floor(random() * older.length), member => (member.inFlight() + 1) / member.weight) ?? picked
  }

  /**
   * Waits for a place. `tryAgain` is called when one may be free, until it says true; with `isLate` when the wait is over.
   *
   * Returns false when the queue is full, or there is none
   */
  wait(tryAgain: (isLate: boolean) => boolean): boolean {
    const depth = this.part.queue?.depth ?? this.part.breaker?.maxPending ?? 0
    if (this.#waiters.length >= depth || this.#breaker?.wait() === false) return false
    this.#waiters.push({ atMs: this.#services.clock.nowMs(), tryAgain })
    this.#stopLooking ??= this.#services.clock.every(QUEUE_LOOK_MS, () => this.#serveWaiters())
    return true
  }

  /** Replaced by a new generation: who waits here asks again, there. */
  retire(): void {
    for (const waiter of this.#waiters.splice(0)) {
      this.#breaker?.waited()
      waiter.tryAgain(false)
    }
    this.#stopLooking?.()
    this.#stopLooking = undefined
  }

  /** Who stands in for a server: of the lowest order there is those on its side of the zones, as long as there are any. */
  #beside(members: readonly Member[], picked: Member): readonly Member[] {
    const [zones, order] = [this.#zones, this.#orderOf]
    const first = order === null ? members : ofLowestOrder(members, order)
    if (zones === null) return first
    const isOwn = zones.isOwn(picked.id)
    const beside = first.filter(({ id }) => zones.isOwn(id) === isOwn)
    return beside.length > 0 ? beside : first
  }

  #takeOther(others: readonly Member[], picked: Member, isFirst: boolean): HeldLease | Refusal {
    let left = others
    while (left.length > 0) {
      const beside = this.#beside(left, picked)
      const { standIn } = this.#balancer
      const next = standIn === undefined ? lowest(beside, this.#turn++, member => (member.inFlight() + 1) / member.weight) : standIn(beside)
      if (next === undefined) break
      const lease = this.#take(next)
      if (lease !== undefined) return lease
      left = left.filter(member => member !== next)
    }
    const limit = this.part.maxConnectionsPerServer
    if (this.#rate !== null && isFirst) return 'full'
    return limit !== null && [picked, ...others].some(member => member.inFlight() >= limit) ? 'full' : 'none'
  }

  #take(member: Member): HeldLease | undefined {
    const { server } = member
    const limit = this.part.maxConnectionsPerServer
    if (server.cell.acquire() >= (limit ?? Infinity) || this.#rate?.take(server.cell.cells) === false) {
      server.cell.release()
      return undefined
    }
    const lease = new HeldLease(this, member, this.#watch, this.#freed)
    server.add(lease)
    return lease
  }

  readonly #freed = (): void => {
    if (this.#waiters.length > 0) this.#serveWaiters()
  }

  #serveWaiters(): void {
    const nowMs = this.#services.clock.nowMs()
    while (this.#waiters.length > 0) {
      const first = this.#waiters[0]!
      this.#waiters.shift()
      const isLate = nowMs - first.atMs > QUEUE_WAIT_MS
      if (first.tryAgain(isLate)) {
        this.#breaker?.waited()
        continue
      }
      this.#waiters.unshift(first)
      break
    }
    if (this.#waiters.length > 0) return
    this.#stopLooking?.()
    this.#stopLooking = undefined
  }

  /** Asks the shared verdicts; the array stays the same object while its members do. */
  #look(isNow: boolean): readonly Member[] {
    const nowMs = this.#services.clock.nowMs()
    if (!isNow && nowMs - this.#lookedAtMs < LOOK_AGAIN_MS) return this.#available
    this.#lookedAtMs = nowMs
    if (this.part.isWeighed === true) this.#weighAgain()
    const able = this.#members.filter(member => member.spec.isEnabled && member.weight > 0)
    const up = this.part.monitors.length === 0 ? able : able.filter(member => member.server.cell.verdict() === 'up')
    // Before the first verdicts there is nothing better to go by.
    const healthy = up.length > 0 ? up : able.filter(member => member.server.cell.verdict() === 'unknown')
    const kept = this.#watch.outliers === null ? healthy : healthy.filter(member => !this.#isEjected(member))
    // One that failed is better than none.
    const found = kept.length > 0 ? kept : healthy
    const isSame = found.length === this.#available.length && found.every((member, i) => member === this.#available[i])
    if (!isSame) this.#available = found
    const { rampS } = this.part
    if (rampS !== undefined && (!isSame || nowMs - this.#sharedAtMs >= SHARE_AGAIN_MS)) {
      this.#sharedAtMs = nowMs
      const nowEpochMs = this.#services.clock.nowEpochMs()
      this.#shares = relativeShares(this.#available, ({ server }) => shareOf(server.cell.cells, rampS, nowEpochMs))
    }
    return this.#available
  }

  /** Takes over what servers say that they can take: a changed weight makes another member, as what is computed from members is kept. */
  #weighAgain(): void {
    const isChanged = (member: Member): boolean => member.weight !== member.spec.weight * sharesOf(member.server)
    if (!this.#members.some(isChanged)) return
    this.#members = this.#members.map(member =>
      isChanged(member) ? { ...member, weight: member.spec.weight * sharesOf(member.server) } : member
    )
    this.#memberById = new Map(this.#members.map(member => [member.id, member]))
  }

  #isEjected({ server }: Member): boolean {
    return this.#watch.outliers?.isEjected(server.cell.cells) === true
  }

  #isAvailable(member: Member, candidates: readonly Member[]): boolean {
    if (this.#isEjected(member) && candidates.some(other => !this.#isEjected(other))) return false
    if (this.part.monitors.length === 0) return true
    const verdict = member.server.cell.verdict()
    return verdict === 'up' || (verdict === 'unknown' && candidates.every(other => other.server.cell.verdict() !== 'up'))
  }
}
