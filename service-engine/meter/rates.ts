/**
 * Token buckets that all workers share: a table of fixed size in shared memory, one cell for each limit and key that was
 * active lately. A full bucket is no state at all, so its cell can be anybody's.
 */

export interface Rates {
  /**
   * Takes one token.
   *
   * Shapes  limit, key: together they name the bucket
   *         intervalNs: time that one token takes to come back; capacity: tokens of a full bucket
   * Returns 0 when there was one; else the nanoseconds until there is
   */
  readonly take: (limit: string, key: string, intervalNs: number, capacity: number) => number
}

/** Cells that one key may lie in. */
const WAYS = 8
const SETS = 8_192
const CELLS = WAYS * SETS
const SEED_BYTES = 8
/** After so many lost races a request passes: more workers than that never meet on one cell. */
const MAX_RACES = 64

const TIMES_AT = SEED_BYTES
const TAGS_AT = TIMES_AT + CELLS * BigInt64Array.BYTES_PER_ELEMENT

/** The memory of an engine's buckets; `seed` is secret, so that nobody can choose keys that collide. */
export function makeRates(seed: readonly [number, number]): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(TAGS_AT + CELLS * Int32Array.BYTES_PER_ELEMENT)
  new Int32Array(buffer, 0, 2).set(seed)
  return buffer
}

/**
 * A worker's view of the buckets. A cell holds the time at which its bucket will be full again: admitting a request moves it
 * on by one interval, and a bucket is empty when it lies a whole capacity ahead (the generic cell rate algorithm, ITU-T
 * I.371).
 *
 * Units   nowNs: monotonic and the same in all workers
 */
export function openRates(buffer: SharedArrayBuffer, nowNs: () => bigint): Rates {
  const [seedA = 0, seedB = 0] = new Int32Array(buffer, 0, 2)
  const fullAt = new BigInt64Array(buffer, TIMES_AT, CELLS)
  const tags = new Int32Array(buffer, TAGS_AT, CELLS)

  const hash = (seed: number, limit: string, key: string): number => {
    let h = seed | 0
    for (let i = 0; i < limit.length; i++) h = Math.imul(h ^ limit.charCodeAt(i), 0x01000193)
    h = Math.imul(h ^ 0xffff, 0x01000193)
    for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193)
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return h ^ (h >>> 16)
  }

  /** The key's cell; when it has none, one that is full or, failing that, the one that is nearest to it. */
  const find = (set: number, tag: number, now: bigint): number => {
    let oldest = set
    let oldestAt = Atomics.load(fullAt, set)
    for (let cell = set; cell < set + WAYS; cell++) {
      if (Atomics.load(tags, cell) === tag) return cell
      const at = Atomics.load(fullAt, cell)
      if (at < oldestAt) {
        oldest = cell
        oldestAt = at
      }
    }
    const before = Atomics.load(tags, oldest)
    if (Atomics.compareExchange(tags, oldest, before, tag) === before) Atomics.compareExchange(fullAt, oldest, oldestAt, now)
    return oldest
  }

  return {
    take: (limit, key, intervalNs, capacity) => {
      const set = (hash(seedA, limit, key) & (SETS - 1)) * WAYS
      const tag = hash(seedB, limit, key) || 1
      const now = nowNs()
      const interval = BigInt(intervalNs)
      const bound = now + interval * BigInt(capacity)
      const cell = find(set, tag, now)
      for (let race = 0; race < MAX_RACES; race++) {
        const before = Atomics.load(fullAt, cell)
        const next = (before > now ? before : now) + interval
        if (next > bound) return Number(next - bound)
        if (Atomics.compareExchange(fullAt, cell, before, next) === before) return 0
      }
      return 0
    }
  }
}
