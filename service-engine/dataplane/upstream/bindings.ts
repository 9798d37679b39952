/** Which client goes to which server, over all workers: a table in the shared memory that forgets the least used first. */
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { BINDING, BINDING_LENGTH, BINDING_SETS, BINDING_WAYS, JOURNAL, JOURNAL_COUNT, JOURNAL_LENGTH } from '#engine/meter/layout.ts'
import { hashText, heaviest } from '../balance/consistent-hash.ts'

/** A binding that is used is written down again when so much of its time has passed, not each time. */
const REFRESH_SHARE = 8

/** Hash of the id of the server that a client of this place is given where nothing speaks against it; undefined: nobody can say. */
export type Home = (spread: number) => number | undefined

/**
 * Where clients of a pool belong: a hash over its servers, whatever their health, the same on every engine. Who is bound to
 * another server is an exception, which the other engines must be told of.
 *
 * Returns undefined for each client where bindings are learnt, where weights differ from engine to engine, and where who was
 *         here must not go elsewhere when the server is down: there the hash does not tell who was here from who was not; and
 *         where some servers are preferred
 */
export function makeHome({ persistence, servers, isWeighed, locality }: PoolPart): Home {
  const isSided = locality !== undefined || servers.some(({ order = 1 }) => order !== 1)
  const isSpread = persistence?.is === 'client-address' || persistence?.is === 'header'
  if (!isSpread || isWeighed === true || isSided || persistence.whenDown !== 'pick-new') return () => undefined
  const able = servers.filter(({ isEnabled, weight }) => isEnabled && weight > 0)
  const seeds = able.map(({ id }) => hashText(id))
  return spread => seeds[heaviest(able, seeds, spread)]
}

export interface BindingsOf {
  readonly poolId: string
  /** A client that is away for longer is forgotten. */
  readonly timeoutS: number
  readonly home: Home
  readonly nowEpochMs: () => number
}

/**
 * The bindings of one pool. Two workers that write one entry at once may mix it: its client is bound anew, no more.
 *
 * Shapes  table: as in the layout
 * Cost    O(1), no allocation but the key's text; O(servers) for a client that is new
 */
export class Bindings {
  readonly #table: Int32Array
  readonly #of: BindingsOf
  readonly #pool: number

  constructor(table: Int32Array, of: BindingsOf) {
    this.#table = table
    this.#of = of
    this.#pool = hashText(of.poolId) | 0
  }

  /** The hash of the id of the server that `client` is bound to; undefined when it is not, or was away for too long. */
  find(client: string): number | undefined {
    const { high, low } = this.#keyOf(client)
    const at = entryOf(this.#table, high, low)
    if (at < 0) return undefined
    const { timeoutS } = this.#of
    const now = this.#nowS()
    const server = Atomics.load(this.#table, at + BINDING.server)
    const age = now - Atomics.load(this.#table, at + BINDING.usedAtS)
    if (age > timeoutS || !isAt(this.#table, at, high, low)) return undefined
    if (age * REFRESH_SHARE >= timeoutS) {
      Atomics.store(this.#table, at + BINDING.usedAtS, now)
      if (Atomics.load(this.#table, at + BINDING.isTold) === 1) noteChange(this.#table, at)
    }
    return server >>> 0
  }

  /** From now on `client` goes to the server with this hash. `spread`: as in the layout. */
  bind(client: string, server: number, spread = 0): void {
    const { home, timeoutS, nowEpochMs } = this.#of
    const { high, low } = this.#keyOf(client)
    const at = entryOf(this.#table, high, low)
    const now = this.#nowS()
    const age = at < 0 ? Infinity : now - Atomics.load(this.#table, at + BINDING.usedAtS)
    const before = age > timeoutS ? undefined : Atomics.load(this.#table, at + BINDING.server) >>> 0
    if (before === server && age * REFRESH_SHARE < timeoutS) return
    // The others go by the hash, or by what they were told before.
    const isTold = home(spread) !== server || (before !== undefined && before !== server)
    const place = writeEntry(this.#table, {
      high,
      low,
      pool: this.#pool,
      server,
      spread,
      usedAtS: now,
      boundAtMs: nowEpochMs() | 0,
      isTold
    })
    if (isTold) noteChange(this.#table, place)
  }

  #keyOf(client: string): { readonly high: number; readonly low: number } {
    const { poolId } = this.#of
    // 0 is an entry that nobody has.
    return { high: hashText(`${client}|${poolId}`) | 0 || 1, low: hashText(`${poolId}|${client}`) | 0 }
  }

  #nowS(): number {
    return Math.trunc(this.#of.nowEpochMs() / 1000) | 0
  }
}

export interface Entry {
  readonly high: number
  readonly low: number
  readonly pool: number
  readonly server: number
  readonly spread: number
  readonly usedAtS: number
  readonly boundAtMs: number
  readonly isTold: boolean
}

const firstOf = (low: number): number => ((low >>> 0) % BINDING_SETS) * BINDING_WAYS * BINDING_LENGTH

/** Where the entry with this key is; -1 for nowhere. */
export function entryOf(table: Int32Array, high: number, low: number): number {
  const first = firstOf(low)
  for (let way = 0; way < BINDING_WAYS; way++) if (isAt(table, first + way * BINDING_LENGTH, high, low)) return first + way * BINDING_LENGTH
  return -1
}

/** Writes an entry in its place, or that of the least used one of its set. Returns where. */
export function writeEntry(table: Int32Array, { high, low, pool, server, spread, usedAtS, boundAtMs, isTold }: Entry): number {
  const first = firstOf(low)
  let place = first
  let oldest = Infinity
  for (let way = 0; way < BINDING_WAYS; way++) {
    const at = first + way * BINDING_LENGTH
    const writtenAtS = isAt(table, at, high, low) ? -Infinity : Atomics.load(table, at + BINDING.usedAtS)
    if (writtenAtS < oldest) {
      oldest = writtenAtS
      place = at
    }
  }
  Atomics.store(table, place + BINDING.keyHigh, 0)
  Atomics.store(table, place + BINDING.keyLow, low)
  Atomics.store(table, place + BINDING.server, server | 0)
  Atomics.store(table, place + BINDING.usedAtS, usedAtS)
  Atomics.store(table, place + BINDING.pool, pool)
  Atomics.store(table, place + BINDING.spread, spread)
  Atomics.store(table, place + BINDING.boundAtMs, boundAtMs)
  Atomics.store(table, place + BINDING.isTold, isTold ? 1 : 0)
  Atomics.store(table, place + BINDING.keyHigh, high)
  return place
}

/** What is written there; undefined when it is nothing, or is being written. */
export function readEntry(table: Int32Array, at: number): Entry | undefined {
  const high = Atomics.load(table, at + BINDING.keyHigh)
  if (high === 0) return undefined
  const low = Atomics.load(table, at + BINDING.keyLow)
  const entry = {
    high,
    low,
    pool: Atomics.load(table, at + BINDING.pool),
    server: Atomics.load(table, at + BINDING.server) >>> 0,
    spread: Atomics.load(table, at + BINDING.spread),
    usedAtS: Atomics.load(table, at + BINDING.usedAtS),
    boundAtMs: Atomics.load(table, at + BINDING.boundAtMs),
    isTold: Atomics.load(table, at + BINDING.isTold) === 1
  }
  return isAt(table, at, high, low) ? entry : undefined
}

function isAt(table: Int32Array, at: number, high: number, low: number): boolean {
  return Atomics.load(table, at + BINDING.keyHigh) === high && Atomics.load(table, at + BINDING.keyLow) === low
}

/** Where the change is, for the thread that tells other engines. */
function noteChange(table: Int32Array, at: number): void {
  const place = (Atomics.add(table, JOURNAL_COUNT, 1) >>> 0) % JOURNAL_LENGTH
  Atomics.store(table, JOURNAL + place, at + 1)
}
