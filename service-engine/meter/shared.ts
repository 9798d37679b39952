/**
 * The memory that the agent thread and all workers share: one growable SharedArrayBuffer, laid out in slots.
 * A slot is the place of one virtual service, pool or server, or of what one virtual service sends to a pool that it
 * shares; the agent thread alone hands out slots and keeps them over generations, so that totals go on. In each slot every
 * worker has a row of its own (one writer, no contention); what must be exact over workers (connections per server,
 * round-robin cursors, verdicts) is a shared cell used with Atomics.
 */
import { bucketOf, type SparseHistogram } from '#model/message/histogram.ts'
import { systemClock } from '#model/base/clock.ts'
import { Multimap } from '#model/base/multimap.ts'
import type { PoolSample, ServerSample, Totals, TrafficSample, UseSample, Verdict } from '#model/message/message.ts'
import { useKey, type Use } from '#model/snapshot/uses.ts'
import { ejectionInWords } from './ejection.ts'
import {
  BINDING_BYTES,
  BUSY_UNIT_US,
  CELL,
  COUNTER,
  COUNTERS,
  ROW_LENGTH,
  slotBytes,
  viewBindings,
  viewSlot,
  type SlotViews
} from './layout.ts'

/** id -> slot number, per kind; made by the agent thread, sent to workers with each generation. */
export interface Slots {
  readonly virtualServices: Readonly<Record<string, number>>
  readonly pools: Readonly<Record<string, number>>
  /** `<pool id>/<server id>`. */
  readonly servers: Readonly<Record<string, number>>
  /** By `useKey`: of pools that several virtual services send to, or sent to, the part of each. */
  readonly uses: Readonly<Record<string, number>>
}

/** What the data plane adds to while traffic runs; bound to one worker and one slot. No allocation, no waiting. */
export interface TrafficMeter {
  connectionOpened(): void
  connectionClosed(): void
  /** Response complete or failed; status 0 = no response was sent (TCP flows, connection gone). */
  exchangeEnded(status: number, latencyUs: number): void
  faulted(origin: 'downstream' | 'engine' | 'upstream'): void
  bytesIn(count: number): void
  bytesOut(count: number): void
}

/** What a cache adds to. `bytes`: of the body, that no server had to send. */
export interface CacheMeter {
  visited(status: 'HIT' | 'MISS' | 'STALE' | 'REVALIDATED' | 'BYPASS', bytes: number): void
  /** What is kept by this worker now. */
  keeps(objects: number, bytes: number): void
}

/** What a pool that hedges adds to. */
export interface HedgeMeter {
  hedged(): void
  /** The second server was the first to answer. */
  won(): void
}

/** What a pool that prefers servers of the engine's zone adds to. */
export interface ZoneMeter {
  /** A request or flow went to a server; `count` -1: it did not after all. */
  went(isOwn: boolean, count: 1 | -1): void
}

/** Shared state of one server over all workers. */
export interface ServerCell {
  /** Exchanges and flows in flight, over all workers. */
  readonly inFlight: () => number
  /** Adds one; returns the count before. Refuse and `release` when it is over the limit. */
  readonly acquire: () => number
  readonly release: () => void
  readonly verdict: () => Verdict
  /** How much of its share the server says that it can take; 100 when it says nothing. */
  readonly weightPercent: () => number
  /** Smoothed time to first byte in microseconds, 0 before the first; any worker may write. */
  readonly responseUs: () => number
  readonly responded: (firstByteUs: number) => void
  /** Time spent on answers lately, in microseconds; a tenth of it fades each time that totals are read, which is each second. */
  readonly busyUs: () => number
  /** By CELL; all workers touch it, with Atomics only. */
  readonly cells: Int32Array
}

/** A count of what is under way, over all workers; what a dead worker had is given back. */
export interface Gauge {
  /** Adds one; returns the count before. */
  readonly acquire: () => number
  readonly release: () => void
  readonly count: () => number
}

/** Shared state of one pool: the cursor of round robin over all workers. */
export interface PoolCell {
  /** By CELL; all workers touch it, with Atomics only. */
  readonly cells: Int32Array
  /** Adds one and returns the count before, wrapping at 2^32. */
  readonly nextTurn: () => number
  readonly requests: Gauge
  readonly retries: Gauge
  readonly pending: Gauge
}

/** A worker's view of the shared memory. */
export interface WorkerMemory {
  readonly virtualServiceMeter: (id: string) => TrafficMeter
  /** Of answers that a virtual service keeps. */
  readonly cacheMeter: (id: string) => CacheMeter
  readonly poolMeter: (id: string) => TrafficMeter
  /** Where a virtual service counts what it sends to a pool; undefined where it counts in the pool's own row. */
  readonly useMeter: (virtualServiceId: string, poolId: string) => TrafficMeter | undefined
  readonly hedgeMeter: (poolId: string) => HedgeMeter
  readonly zoneMeter: (poolId: string) => ZoneMeter
  readonly serverMeter: (poolId: string, serverId: string) => TrafficMeter
  readonly serverCell: (poolId: string, serverId: string) => ServerCell
  readonly poolCell: (poolId: string) => PoolCell
  /** How many there are. */
  readonly workers: number
  /** Which client is bound to which server: see the layout. */
  readonly bindings: Int32Array
}

/** One finished exchange or flow, for the access log; the data plane hands it over and goes on. */
export interface AccessRecord {
  readonly atEpochMs: number
  readonly virtualServiceId: string
  readonly virtualServiceName: string
  readonly clientIp: string
  readonly clientPort: number
  readonly method: string
  readonly scheme: 'http' | 'https' | 'tcp' | 'tls' | 'udp'
  readonly host: string
  readonly path: string
  readonly protocol: string
  readonly status: number
  readonly rule: string
  readonly poolName: string
  readonly server: string
  readonly bytesIn: number
  readonly bytesOut: number
  /** An estimate of the client's round trip, from its TLS handshake; left out where there was none. */
  readonly clientRttUs?: number
  /** Of the client's program, where a rule asks for it. */
  readonly fingerprint?: { readonly ja3: string; readonly ja4: string }
  /** How many times a server was tried. */
  readonly attempts: number
  /** A second server was asked while the first had not answered; left out where not. */
  readonly hedge?: 'LOST' | 'WON'
  /** All since the exchange began: when the last attempt began (after rules, waiting and earlier tries), had its connection, had the first byte, was over. 0: did not come to it. */
  readonly sentUs: number
  readonly connectUs: number
  readonly firstByteUs: number
  readonly totalUs: number
  readonly requestId: string
  readonly userAgent: string
  /** A FaultCode, or '' when all went well. */
  readonly fault: string
  /** HIT and the like where answers are kept; '' or nothing where they are not. */
  readonly cache?: string
  /** What scripts said of it, and how they failed. */
  readonly notes?: string
}

/** What runs: the ids that need a slot. */
export interface Tenants {
  readonly virtualServices: readonly string[]
  readonly pools: readonly { readonly id: string; readonly servers: readonly string[] }[]
  /** Who sends to which pool; left out, nobody is told apart. */
  readonly uses?: readonly Use[]
}

/** The agent thread's view: it alone hands out slots, judges servers and reads the sums. */
export interface Memory {
  readonly buffer: SharedArrayBuffer
  readonly workers: number
  /** Gives every id its slot; ids that are gone keep theirs for the grace and then lose it. Throws MemoryFull. */
  readonly assign: (tenants: Tenants) => Slots
  /** Sums over workers, since boot, of what the last `assign` named. Of a pool either its one user, the part of each user, or, without room for those, neither. */
  readonly readTotals: () => {
    readonly virtualServices: readonly TrafficSample[]
    readonly pools: readonly PoolSample[]
    readonly servers: readonly ServerSample[]
    readonly uses: readonly UseSample[]
  }
  readonly judge: (poolId: string, serverId: string, verdict: Verdict) => void
  /** How much of its share a server can take, in percent; null: all of it. */
  readonly weigh: (poolId: string, serverId: string, percent: number | null) => void
  readonly inFlight: (poolId: string, serverId: string) => number
  /** Exchanges, flows and connections that a dead worker held are over; its totals stay. Call before its successor starts. */
  readonly workerGone: (worker: number) => void
}

export class MemoryFull extends Error {
  override readonly name = 'MemoryFull'
}

/** Bounds the address space that is reserved; memory is used only by slots that saw traffic. */
const MAX_SLOTS = 32_768
const GROWTH_SLOTS = 64

const verdictNames = ['unknown', 'up', 'down'] as const satisfies readonly Verdict[]

export function serverKey(poolId: string, serverId: string): string {
  return `${poolId}/${serverId}`
}

class RowMeter implements TrafficMeter {
  readonly #row: Float64Array

  constructor(row: Float64Array) {
    this.#row = row
  }

  connectionOpened(): void {
    this.#row[COUNTER.connections]! += 1
    this.#row[COUNTER.openConnections]! += 1
  }

  connectionClosed(): void {
    this.#row[COUNTER.openConnections]! -= 1
  }

  exchangeEnded(status: number, latencyUs: number): void {
    const row = this.#row
    row[COUNTER.requests]! += 1
    if (status >= 100 && status < 600) row[COUNTER.requests + Math.floor(status / 100)]! += 1
    row[COUNTERS + bucketOf(latencyUs)]! += 1
  }

  faulted(origin: 'downstream' | 'engine' | 'upstream'): void {
    const at = origin === 'downstream' ? COUNTER.faultsDownstream : origin === 'engine' ? COUNTER.faultsEngine : COUNTER.faultsUpstream
    this.#row[at]! += 1
  }

  bytesIn(count: number): void {
    this.#row[COUNTER.bytesIn]! += count
  }

  bytesOut(count: number): void {
    this.#row[COUNTER.bytesOut]! += count
  }
}

const cacheCounters = {
  HIT: COUNTER.cacheHits,
  MISS: COUNTER.cacheMisses,
  STALE: COUNTER.cacheStale,
  REVALIDATED: COUNTER.cacheRevalidated,
  BYPASS: COUNTER.cacheBypassed
} as const

class RowCacheMeter implements CacheMeter {
  readonly #row: Float64Array

  constructor(row: Float64Array) {
    this.#row = row
  }

  visited(status: keyof typeof cacheCounters, bytes: number): void {
    this.#row[cacheCounters[status]]! += 1
    this.#row[COUNTER.cacheSavedBytes]! += bytes
  }

  keeps(objects: number, bytes: number): void {
    this.#row[COUNTER.cacheObjects] = objects
    this.#row[COUNTER.cacheBytes] = bytes
  }
}

class RowHedgeMeter implements HedgeMeter {
  readonly #row: Float64Array

  constructor(row: Float64Array) {
    this.#row = row
  }

  hedged(): void {
    this.#row[COUNTER.hedged]! += 1
  }

  won(): void {
    this.#row[COUNTER.hedgesWon]! += 1
  }
}

class RowZoneMeter implements ZoneMeter {
  readonly #row: Float64Array

  constructor(row: Float64Array) {
    this.#row = row
  }

  went(isOwn: boolean, count: 1 | -1): void {
    this.#row[isOwn ? COUNTER.ownZone : COUNTER.otherZones]! += count
  }
}

function makeGauge({ cells, row }: SlotViews, cell: number, counter: number): Gauge {
  return {
    acquire: () => {
      row[counter]! += 1
      return Atomics.add(cells, cell, 1)
    },
    release: () => {
      row[counter]! -= 1
      Atomics.sub(cells, cell, 1)
    },
    count: () => Atomics.load(cells, cell)
  }
}

function makeServerCell({ cells, row }: SlotViews): ServerCell {
  return {
    cells,
    inFlight: () => Atomics.load(cells, CELL.inFlight),
    acquire: () => {
      row[COUNTER.inFlight]! += 1
      return Atomics.add(cells, CELL.inFlight, 1)
    },
    release: () => {
      row[COUNTER.inFlight]! -= 1
      Atomics.sub(cells, CELL.inFlight, 1)
    },
    verdict: () => verdictNames[Atomics.load(cells, CELL.verdict)] ?? 'unknown',
    weightPercent: () => {
      const told = Atomics.load(cells, CELL.weightPercent)
      return told === 0 ? 100 : told - 1
    },
    responseUs: () => Atomics.load(cells, CELL.responseUs),
    busyUs: () => Atomics.load(cells, CELL.busy) * BUSY_UNIT_US,
    responded: firstByteUs => {
      const taken = Math.min(0x7fffffff, Math.max(1, Math.round(firstByteUs)))
      Atomics.add(cells, CELL.busy, Math.ceil(taken / BUSY_UNIT_US))
      const before = Atomics.load(cells, CELL.responseUs)
      // Two workers may overwrite each other: one observation of a smoothed figure is lost, which is harmless.
      Atomics.store(cells, CELL.responseUs, before === 0 ? taken : Math.round(before + (taken - before) / 8))
    }
  }
}

/**
 * A worker's view of the memory for one generation.
 *
 * Shapes  buffer: as the agent thread made it; may have grown since
 *         slots: as sent with the generation
 * Throws  RangeError for an id without a slot
 */
export function attachMemory(buffer: SharedArrayBuffer, worker: number, workers: number, slots: Slots): WorkerMemory {
  const view = (slotOf: Readonly<Record<string, number>>, id: string): SlotViews => {
    const slot = Object.hasOwn(slotOf, id) ? slotOf[id] : undefined
    if (slot === undefined) throw new RangeError(`no slot for ${id}`)
    return viewSlot(buffer, slot, worker, workers)
  }
  return {
    virtualServiceMeter: id => new RowMeter(view(slots.virtualServices, id).row),
    cacheMeter: id => new RowCacheMeter(view(slots.virtualServices, id).row),
    poolMeter: id => new RowMeter(view(slots.pools, id).row),
    useMeter: (virtualServiceId, poolId) => {
      const key = useKey(virtualServiceId, poolId)
      return Object.hasOwn(slots.uses, key) ? new RowMeter(view(slots.uses, key).row) : undefined
    },
    hedgeMeter: poolId => new RowHedgeMeter(view(slots.pools, poolId).row),
    zoneMeter: poolId => new RowZoneMeter(view(slots.pools, poolId).row),
    serverMeter: (poolId, serverId) => new RowMeter(view(slots.servers, serverKey(poolId, serverId)).row),
    serverCell: (poolId, serverId) => makeServerCell(view(slots.servers, serverKey(poolId, serverId))),
    poolCell: poolId => {
      const views = view(slots.pools, poolId)
      const { cells } = views
      return {
        cells,
        nextTurn: () => Atomics.add(cells, CELL.cursor, 1) >>> 0,
        requests: makeGauge(views, CELL.inFlight, COUNTER.inFlight),
        retries: makeGauge(views, CELL.retries, COUNTER.retries),
        pending: makeGauge(views, CELL.pending, COUNTER.pending)
      }
    },
    workers,
    bindings: viewBindings(buffer)
  }
}

interface Tenancy {
  readonly key: string
  readonly id: string
  readonly poolId: string
  readonly slot: number
  readonly cells: Int32Array
  readonly rows: readonly Float64Array[]
  /** Null while it runs; else when its id was gone first. */
  goneAtMs: number | null
  /** The histogram as last written down, and how many values it held: an idle slot is not walked again. */
  latency: SparseHistogram
  latencyCount: number
  /** Of a pool: what uses of it counted whose slots are handed on; null for nothing. */
  past: Float64Array | null
  /** Of a pool: the one virtual service that ever sent to it; '' where there were more, or none. */
  onlyOf: string
  /** Of a pool: each that sends to it has a row of its own. */
  isDivided: boolean
}

function sum(rows: readonly Float64Array[], at: number): number {
  let total = 0
  for (const row of rows) total += row[at]!
  return total
}

function readLatency(tenancy: Tenancy, rows: readonly Float64Array[]): SparseHistogram {
  const count = sum(rows, COUNTER.requests)
  if (count !== tenancy.latencyCount) {
    const sparse: number[] = []
    for (let at = COUNTERS; at < ROW_LENGTH; at++) {
      const inBucket = sum(rows, at)
      if (inBucket > 0) sparse.push(at - COUNTERS, inBucket)
    }
    tenancy.latency = sparse
    tenancy.latencyCount = count
  }
  return tenancy.latency
}

function readTenancy(tenancy: Tenancy, rows = tenancy.rows): TrafficSample {
  const totals: Totals = {
    requests: sum(rows, COUNTER.requests),
    responses1xx: sum(rows, COUNTER.responses1xx),
    responses2xx: sum(rows, COUNTER.responses2xx),
    responses3xx: sum(rows, COUNTER.responses3xx),
    responses4xx: sum(rows, COUNTER.responses4xx),
    responses5xx: sum(rows, COUNTER.responses5xx),
    faultsDownstream: sum(rows, COUNTER.faultsDownstream),
    faultsEngine: sum(rows, COUNTER.faultsEngine),
    faultsUpstream: sum(rows, COUNTER.faultsUpstream),
    bytesIn: sum(rows, COUNTER.bytesIn),
    bytesOut: sum(rows, COUNTER.bytesOut),
    connections: sum(rows, COUNTER.connections),
    openConnections: Math.max(0, sum(rows, COUNTER.openConnections))
  }
  return { id: tenancy.id, totals, latency: readLatency(tenancy, rows), ...readCache(rows), ...readHedges(rows), ...readZones(rows) }
}

/** Nothing of what never hedged. */
function readHedges(rows: readonly Float64Array[]): Pick<TrafficSample, 'hedges'> {
  const sent = sum(rows, COUNTER.hedged)
  return sent === 0 ? {} : { hedges: { sent, won: sum(rows, COUNTER.hedgesWon) } }
}

/** Nothing where zones make no difference. */
function readZones(rows: readonly Float64Array[]): Pick<TrafficSample, 'zones'> {
  const [own, others] = [sum(rows, COUNTER.ownZone), sum(rows, COUNTER.otherZones)]
  return own + others === 0 ? {} : { zones: { own, others } }
}

/** Nothing of one that never saw a request to what is kept. */
function readCache(rows: readonly Float64Array[]): Pick<TrafficSample, 'cache'> {
  const [hits, misses, stale, revalidated, bypassed] = [
    sum(rows, COUNTER.cacheHits),
    sum(rows, COUNTER.cacheMisses),
    sum(rows, COUNTER.cacheStale),
    sum(rows, COUNTER.cacheRevalidated),
    sum(rows, COUNTER.cacheBypassed)
  ]
  if (hits + misses + stale + revalidated + bypassed === 0) return {}
  return {
    cache: {
      hits,
      misses,
      stale,
      revalidated,
      bypassed,
      savedBytes: sum(rows, COUNTER.cacheSavedBytes),
      objects: sum(rows, COUNTER.cacheObjects),
      bytes: sum(rows, COUNTER.cacheBytes)
    }
  }
}

function readEjection({ cells }: Tenancy, nowEpochS: number): Pick<ServerSample, 'ejection'> {
  const untilS = Atomics.load(cells, CELL.ejectedUntilS)
  const leftS = untilS === 0 ? 0 : (untilS - nowEpochS) | 0
  if (leftS <= 0) return {}
  return { ejection: { reason: ejectionInWords(Atomics.load(cells, CELL.ejectedFor)), untilEpochMs: (nowEpochS + leftS) * 1000 } }
}

type Place = 'virtualServices' | 'pools' | 'servers' | 'uses'

/**
 * The memory that agent thread and workers share.
 *
 * Units   graceMs: how long the slot of a removed id keeps its owner; longer than any drain, because a drained
 *         connection still writes to it
 */
export function makeMemory(options: {
  readonly workers: number
  readonly nowMs: () => number
  readonly nowEpochMs?: () => number
  readonly graceMs?: number
  readonly maxSlots?: number
}): Memory {
  const { workers, nowMs, nowEpochMs = systemClock.nowEpochMs, graceMs = 900_000, maxSlots = MAX_SLOTS } = options
  const bytes = slotBytes(workers)
  // Uses have slots of their own beside: they are told where there is room, and take none from what must run.
  const maxUses = Math.floor(maxSlots / 2)
  const allSlots = maxSlots + maxUses
  const buffer = new SharedArrayBuffer(BINDING_BYTES, { maxByteLength: BINDING_BYTES + allSlots * bytes })
  const tenancies: Readonly<Record<Place, Map<string, Tenancy>>> = {
    virtualServices: new Map(),
    pools: new Map(),
    servers: new Map(),
    uses: new Map()
  }
  const places = Object.values(tenancies)
  const free: number[] = []
  let used = 0

  const takeSlot = (): number => {
    const recycled = free.pop()
    if (recycled !== undefined) {
      new Uint8Array(buffer, BINDING_BYTES + recycled * bytes, bytes).fill(0)
      return recycled
    }
    if (BINDING_BYTES + (used + 1) * bytes > buffer.byteLength) buffer.grow(BINDING_BYTES + Math.min(allSlots, used + GROWTH_SLOTS) * bytes)
    return used++
  }

  const take = (place: Place, key: string, poolId: string, id: string): number => {
    const known = tenancies[place].get(key)
    if (known !== undefined) {
      known.goneAtMs = null
      return known.slot
    }
    const slot = takeSlot()
    const { cells } = viewSlot(buffer, slot, 0, workers)
    if (place === 'servers') Atomics.store(cells, CELL.upSinceS, nowEpochMs() / 1000)
    tenancies[place].set(key, {
      key,
      id,
      poolId,
      slot,
      cells,
      rows: Array.from({ length: workers }, (_, worker) => viewSlot(buffer, slot, worker, workers).row),
      goneAtMs: null,
      latency: [],
      latencyCount: 0,
      past: null,
      onlyOf: '',
      isDivided: false
    })
    return slot
  }

  /** The totals of a pool do not go back when one of its uses is over. */
  const keepPast = ({ poolId, rows }: Tenancy): void => {
    const pool = tenancies.pools.get(poolId)
    if (pool === undefined) return
    pool.past ??= new Float64Array(ROW_LENGTH)
    for (let at = 0; at < ROW_LENGTH; at++) pool.past[at]! += sum(rows, at)
  }

  const retire = (): void => {
    const now = nowMs()
    for (const place of places) {
      for (const tenancy of place.values()) {
        if (tenancy.goneAtMs !== null && now - tenancy.goneAtMs >= graceMs) {
          if (place === tenancies.uses) keepPast(tenancy)
          place.delete(tenancy.key)
          free.push(tenancy.slot)
        }
      }
    }
  }

  const poolsWithUses = (): Set<string> => new Set([...tenancies.uses.values()].map(({ poolId }) => poolId))

  /**
   * Who is alone counts in the row of the pool, until somebody joins: from then on all have rows of their own, which stay as long
   * as both run, because a flow that lasts may write to its row long after the last rule that led there is gone.
   */
  const usesWithRows = (tenants: Tenants, usersOf: Multimap<string, string>): Use[] => {
    const divided = poolsWithUses()
    const uses = new Map<string, Use>()
    for (const use of tenants.uses ?? [])
      if (divided.has(use.poolId) || usersOf.of(use.poolId).size > 1) uses.set(useKey(use.virtualServiceId, use.poolId), use)
    const services = new Set(tenants.virtualServices)
    const pools = new Set(tenants.pools.map(({ id }) => id))
    for (const { key, id, poolId } of tenancies.uses.values())
      if (services.has(id) && pools.has(poolId)) uses.set(key, { virtualServiceId: id, poolId })
    return [...uses.values()]
  }

  /** What is held of some places, and what comes to it. */
  const countWith = (wanted: Readonly<Partial<Record<Place, readonly string[]>>>): number =>
    (Object.keys(wanted) as Place[]).reduce((total, place) => total + new Set([...tenancies[place].keys(), ...wanted[place]!]).size, 0)

  const assign = (tenants: Tenants): Slots => {
    retire()
    const usersOf = new Multimap<string, string>()
    for (const { virtualServiceId, poolId } of tenants.uses ?? []) usersOf.add(poolId, virtualServiceId)
    const objects = countWith({
      virtualServices: tenants.virtualServices,
      pools: tenants.pools.map(({ id }) => id),
      servers: tenants.pools.flatMap(({ id, servers }) => servers.map(server => serverKey(id, server)))
    })
    if (objects > maxSlots) throw new MemoryFull(`more than ${maxSlots} virtual services, pools and servers`)
    let uses = usesWithRows(tenants, usersOf)
    const keyOf = ({ virtualServiceId, poolId }: Use): string => useKey(virtualServiceId, poolId)
    if (countWith({ uses: uses.map(keyOf) }) > maxUses) uses = uses.filter(use => tenancies.uses.has(keyOf(use)))
    const slots = { virtualServices: slotTable(), pools: slotTable(), servers: slotTable(), uses: slotTable() }
    for (const id of tenants.virtualServices) slots.virtualServices[id] = take('virtualServices', id, '', id)
    for (const pool of tenants.pools) {
      slots.pools[pool.id] = take('pools', pool.id, '', pool.id)
      for (const id of pool.servers) {
        const key = serverKey(pool.id, id)
        slots.servers[key] = take('servers', key, pool.id, id)
      }
    }
    for (const use of uses) slots.uses[keyOf(use)] = take('uses', keyOf(use), use.poolId, use.virtualServiceId)
    const divided = poolsWithUses()
    for (const { id } of tenants.pools) {
      const pool = tenancies.pools.get(id)!
      const users = [...usersOf.of(id)]
      pool.isDivided = divided.has(id) && users.every(user => Object.hasOwn(slots.uses, useKey(user, id)))
      pool.onlyOf = users.length === 1 && !divided.has(id) ? users[0]! : ''
    }
    for (const place of Object.keys(tenancies) as Place[]) {
      for (const tenancy of tenancies[place].values()) {
        if (!Object.hasOwn(slots[place], tenancy.key)) tenancy.goneAtMs ??= nowMs()
      }
    }
    return slots
  }

  const running = (place: Place): Tenancy[] => [...tenancies[place].values()].filter(tenancy => tenancy.goneAtMs === null)

  const readTotals: Memory['readTotals'] = () => {
    const nowEpochS = Math.trunc(nowEpochMs() / 1000)
    for (const { cells } of running('servers')) {
      const busy = Atomics.load(cells, CELL.busy)
      if (busy > 0) Atomics.sub(cells, CELL.busy, Math.ceil(busy / 10))
    }
    const servers = running('servers').map(tenancy => ({
      ...readTenancy(tenancy),
      poolId: tenancy.poolId,
      ...readEjection(tenancy, nowEpochS)
    }))
    // A connection belongs to a server: those of a pool are its servers' together. A server that left the pool counts on
    // while it drains, and its totals stay: when it comes back, what it did before has not happened again.
    const connectionsOf = new Map<string, { connections: number; openConnections: number }>()
    for (const { poolId, rows } of tenancies.servers.values()) {
      const sums = connectionsOf.get(poolId) ?? { connections: 0, openConnections: 0 }
      sums.connections += sum(rows, COUNTER.connections)
      sums.openConnections += Math.max(0, sum(rows, COUNTER.openConnections))
      connectionsOf.set(poolId, sums)
    }
    // The same holds of what its uses count.
    const rowsByPool = new Map<string, Float64Array[]>()
    for (const { poolId, rows } of tenancies.uses.values()) {
      const known = rowsByPool.get(poolId)
      if (known === undefined) rowsByPool.set(poolId, [...rows])
      else known.push(...rows)
    }
    const pools = running('pools').map(tenancy => {
      const { id, onlyOf, past, rows } = tenancy
      const parts = rowsByPool.get(id) ?? []
      const sample = readTenancy(
        tenancy,
        past === null && parts.length === 0 ? rows : [...rows, ...parts, ...(past === null ? [] : [past])]
      )
      return { ...sample, totals: { ...sample.totals, ...connectionsOf.get(id) }, ...(onlyOf === '' ? {} : { onlyOf }) }
    })
    return {
      virtualServices: running('virtualServices').map(tenancy => readTenancy(tenancy)),
      pools,
      servers,
      uses: running('uses')
        .filter(({ poolId }) => tenancies.pools.get(poolId)?.isDivided)
        .map(tenancy => ({ ...readTenancy(tenancy), poolId: tenancy.poolId }))
    }
  }

  return {
    buffer,
    workers,
    assign,
    readTotals,
    judge: (poolId, serverId, verdict) => {
      const tenancy = tenancies.servers.get(serverKey(poolId, serverId))
      if (tenancy === undefined) return
      const before = Atomics.exchange(tenancy.cells, CELL.verdict, verdictNames.indexOf(verdict))
      if (verdict === 'up' && verdictNames[before] !== 'up') Atomics.store(tenancy.cells, CELL.upSinceS, nowEpochMs() / 1000)
    },
    weigh: (poolId, serverId, percent) => {
      const tenancy = tenancies.servers.get(serverKey(poolId, serverId))
      if (tenancy !== undefined) Atomics.store(tenancy.cells, CELL.weightPercent, percent === null ? 0 : Math.round(percent) + 1)
    },
    inFlight: (poolId, serverId) => {
      const tenancy = tenancies.servers.get(serverKey(poolId, serverId))
      return tenancy === undefined ? 0 : Atomics.load(tenancy.cells, CELL.inFlight)
    },
    workerGone: worker => {
      for (const place of places) {
        for (const { cells, rows } of place.values()) {
          const row = rows[worker]
          if (row === undefined) continue
          for (const name of place === tenancies.pools ? (['retries', 'pending'] as const) : []) {
            Atomics.sub(cells, CELL[name], row[COUNTER[name]]!)
            row[COUNTER[name]] = 0
          }
          Atomics.sub(cells, CELL.inFlight, row[COUNTER.inFlight]!)
          row[COUNTER.inFlight] = 0
          row[COUNTER.openConnections] = 0
          row[COUNTER.cacheObjects] = 0
          row[COUNTER.cacheBytes] = 0
        }
      }
    }
  }
}

/** Without a prototype, so that no id means something else. */
function slotTable(): Record<string, number> {
  return Object.create(null) as Record<string, number>
}
