/**
 * Token buckets that all workers share: a table of fixed size in shared memory, one cell for each limit and key that was
 * active lately. A full bucket is no state at all, so its cell can be anybody's.
 *
 * Where several engines share a limit each has a part of every bucket: tokens come back as much slower as its share is
 * smaller, and the time until a bucket is full again stays what it would be for the whole.
 */

import type { LimitToCount, QuotaToCount } from '#model/snapshot/limit.ts'
import { makeWindow, openQuotaCells, QUOTA_BYTES, type QuotaCells } from './quotas.ts'

export interface Rates {
  /**
   * Opens a limit; what it returns takes one token of the bucket that a key names.
   *
   * Returns 0 when there was one; else the nanoseconds until there is
   */
  readonly open: (limit: LimitToCount) => (key: string) => number
  /** Opens a limit whose tokens are bytes. */
  readonly openBudget: (limit: LimitToCount) => Budget
  /**
   * Opens a quota; what it returns uses one of what a key has left.
   *
   * Returns 0 when there was one; else when there will be, epoch milliseconds
   */
  readonly openQuota: (quota: QuotaToCount) => (key: string) => number
}

export interface Budget {
  /**
   * Bytes went, whether there were tokens for them or not; less than 0: so many did not go after all.
   *
   * Returns how many bytes have to be made up for before more may go; 0: none
   */
  readonly take: (key: string, bytes: number) => number
  /** As it is shared now; > 0. */
  readonly nsPerByte: (key: string) => number
}

/** What became of a limit since the engine started, and what it has now. */
export interface LimitCounts {
  readonly admitted: number
  readonly refused: number
}

export interface QuotaUsed {
  readonly limitId: string
  readonly bucket: number
  readonly count: number
  /** End of the window. */
  readonly endsAtEpochMs: number
  /** Since it was last collected. */
  readonly used: number
}

export interface BucketUse {
  readonly limitId: string
  /** Number of the bucket, below 2^45; the same on all engines. */
  readonly bucket: number
  /** 0..1 of the budget. */
  readonly share: number
  /** Tokens asked for since it was last collected, whether there were any or not. */
  readonly asked: number
  /** Until it is full again. */
  readonly owedMs: number
}

/** The agent thread's view. */
export interface RatesBook {
  /** What each of these limits did since the engine started. */
  readonly counts: (limitId: string) => LimitCounts
  /** The share of the one bucket of a limit that has no key. */
  readonly shareOf: (limit: LimitToCount) => number
  /**
   * Buckets of these limits that were asked for since the last call and are no longer nearly full, the busiest first.
   *
   * Cost    one look at each cell of the table
   */
  readonly collect: (limits: readonly LimitToCount[], most: number) => BucketUse[]
  /** What of these quotas was used, or asked for in vain, since the last call. */
  readonly collectQuotas: (quotas: readonly QuotaToCount[], most: number) => QuotaUsed[]
  readonly quotaLeft: (
    quota: QuotaToCount,
    told: { readonly bucket: number; readonly endsAtEpochMs: number; readonly left: number }
  ) => void
  /**
   * Gives a bucket its share of the budget. With a larger one come tokens: as many as that part of the whole bucket holds
   * when it is `owedMs` from being full. With a smaller one as many go as are in that part of its own.
   */
  readonly share: (limit: LimitToCount, told: { readonly bucket: number; readonly share: number; readonly owedMs: number }) => void
}

/** Cells that one key may lie in. */
const WAYS = 8
const SETS = 8_192
const CELLS = WAYS * SETS
const SEED_BYTES = 8
/** After so many lost races a request passes: more workers than that never meet on one cell. */
const MAX_RACES = 64
/** A whole budget, in the units of shares. */
const WHOLE = 1 << 24
/** A bucket that has so much of its tokens needs no other share. */
const NEARLY_FULL = 0.75
const NS_PER_MS = 1_000_000

/** Limits that are counted apart; those beyond share the last row, and are limited all the same. */
const ROWS = 4_096
const ROW = { name: 0, admitted: 1, refused: 2 } as const
const ROW_LENGTH = 4
const ROW_TRIES = 64

const INT = Int32Array.BYTES_PER_ELEMENT
const TIMES_AT = SEED_BYTES
const TAGS_AT = TIMES_AT + CELLS * BigInt64Array.BYTES_PER_ELEMENT
const OWNERS_AT = TAGS_AT + CELLS * INT
const ASKED_AT = OWNERS_AT + CELLS * INT
const SHARES_AT = ASKED_AT + CELLS * INT
const ROWS_AT = SHARES_AT + CELLS * INT
const QUOTAS_AT = ROWS_AT + ROWS * ROW_LENGTH * INT
const BYTES = QUOTAS_AT + QUOTA_BYTES

/** The memory of an engine's buckets; `seed` is secret, so that nobody can choose keys that collide. */
export function makeRates(seed: readonly [number, number]): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(BYTES)
  new Int32Array(buffer, 0, 2).set(seed)
  return buffer
}

function hash(seed: number, limit: string, key: string): number {
  let h = seed | 0
  for (let i = 0; i < limit.length; i++) h = Math.imul(h ^ limit.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ 0xffff, 0x01000193)
  for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** What both views need of the memory. */
class Table {
  readonly seed: readonly [number, number]
  readonly fullAt: BigInt64Array
  readonly tags: Int32Array
  readonly owners: Int32Array
  readonly asked: Int32Array
  readonly shares: Int32Array
  readonly rows: Int32Array
  readonly quotas: QuotaCells

  constructor(buffer: SharedArrayBuffer) {
    const [seedA = 0, seedB = 0] = new Int32Array(buffer, 0, 2)
    this.seed = [seedA, seedB]
    this.fullAt = new BigInt64Array(buffer, TIMES_AT, CELLS)
    this.tags = new Int32Array(buffer, TAGS_AT, CELLS)
    this.owners = new Int32Array(buffer, OWNERS_AT, CELLS)
    this.asked = new Int32Array(buffer, ASKED_AT, CELLS)
    this.shares = new Int32Array(buffer, SHARES_AT, CELLS)
    this.rows = new Int32Array(buffer, ROWS_AT, ROWS * ROW_LENGTH)
    this.quotas = openQuotaCells(new Int32Array(buffer, QUOTAS_AT, QUOTA_BYTES / INT))
  }

  /** The row of a limit, which whoever needs it first makes. */
  rowOf(limitId: string): number {
    const name = hash(this.seed[0], limitId, '') || 1
    for (let i = 0; i < ROW_TRIES; i++) {
      const row = ((name >>> 0) + i) % (ROWS - 1)
      const before = Atomics.compareExchange(this.rows, row * ROW_LENGTH + ROW.name, 0, name)
      if (before === 0 || before === name) return row
    }
    return ROWS - 1
  }

  /** The key's cell; when it has none, one that is full or, failing that, the one that is nearest to it. */
  find(set: number, tag: number, row: number, now: bigint): number {
    const { tags, fullAt } = this
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
    if (Atomics.compareExchange(tags, oldest, before, tag) === before) {
      Atomics.compareExchange(fullAt, oldest, oldestAt, now)
      Atomics.store(this.owners, oldest, row + 1)
      Atomics.store(this.asked, oldest, 0)
      Atomics.store(this.shares, oldest, 0)
    }
    return oldest
  }

  seedOf({ seed = this.seed }: LimitToCount | QuotaToCount): readonly [number, number] {
    return seed
  }
}

const setOf = (seed: number, limit: string, key: string): number => (hash(seed, limit, key) & (SETS - 1)) * WAYS
const tagOf = (seed: number, limit: string, key: string): number => hash(seed, limit, key) || 1
const startShare = ({ engines = 1 }: LimitToCount): number => Math.max(1, Math.floor(WHOLE / engines))
const numberOf = (set: number, tag: number): number => (set / WAYS) * 2 ** 32 + (tag >>> 0)

/**
 * A worker's view of the buckets. A cell holds the time at which its bucket will be full again: admitting a request moves it
 * on by one interval, and a bucket is empty when it lies a whole capacity ahead (the generic cell rate algorithm, ITU-T
 * I.371). An engine with a share of the budget has longer intervals; however small its share is, it holds one token.
 *
 * Units   nowNs: monotonic and the same in all workers
 */
export function openRates(buffer: SharedArrayBuffer, nowNs: () => bigint, nowEpochMs: () => number = Date.now): Rates {
  const table = new Table(buffer)
  const { fullAt, asked, shares, rows } = table

  return {
    open: limit => {
      const { id, intervalNs, capacity } = limit
      const [seedA, seedB] = table.seedOf(limit)
      const row = table.rowOf(id)
      const admitted = row * ROW_LENGTH + ROW.admitted
      const refused = row * ROW_LENGTH + ROW.refused
      const start = startShare(limit)
      const span = BigInt(intervalNs) * BigInt(capacity)
      let share = WHOLE
      let interval = BigInt(intervalNs)
      return key => {
        const now = nowNs()
        const cell = table.find(setOf(seedA, id, key), tagOf(seedB, id, key), row, now)
        Atomics.add(asked, cell, 1)
        const own = Atomics.load(shares, cell) || start
        if (own !== share) {
          share = own
          interval = BigInt(Math.round((intervalNs * WHOLE) / own))
        }
        const bound = now + (span > interval ? span : interval)
        for (let race = 0; race < MAX_RACES; race++) {
          const before = Atomics.load(fullAt, cell)
          const next = (before > now ? before : now) + interval
          if (next > bound) {
            Atomics.add(rows, refused, 1)
            return Number(next - bound)
          }
          if (Atomics.compareExchange(fullAt, cell, before, next) === before) break
        }
        Atomics.add(rows, admitted, 1)
        return 0
      }
    },

    openBudget: limit => {
      const { id, intervalNs, capacity } = limit
      const [seedA, seedB] = table.seedOf(limit)
      const row = table.rowOf(id)
      const admitted = row * ROW_LENGTH + ROW.admitted
      const refused = row * ROW_LENGTH + ROW.refused
      const start = startShare(limit)
      const span = BigInt(Math.round(intervalNs * capacity))
      const cellOf = (key: string, now: bigint): number => table.find(setOf(seedA, id, key), tagOf(seedB, id, key), row, now)
      const intervalOf = (cell: number): number => (intervalNs * WHOLE) / (Atomics.load(shares, cell) || start)
      return {
        take: (key, bytes) => {
          const now = nowNs()
          const cell = cellOf(key, now)
          const interval = intervalOf(cell)
          const step = BigInt(Math.round(bytes * interval))
          const bound = now + span
          let next = now
          for (let race = 0; race < MAX_RACES; race++) {
            const before = Atomics.load(fullAt, cell)
            next = (before > now ? before : now) + step
            if (Atomics.compareExchange(fullAt, cell, before, next) === before) break
          }
          const behind = next > bound ? Number(next - bound) / interval : 0
          if (bytes > 0) {
            Atomics.add(asked, cell, bytes)
            Atomics.add(rows, behind > 0 ? refused : admitted, bytes)
          }
          return behind
        },
        nsPerByte: key => intervalOf(cellOf(key, nowNs()))
      }
    },

    openQuota: quota => {
      const [seedA, seedB] = table.seedOf(quota)
      const owner = table.rowOf(quota.id) + 1
      const endOf = makeWindow(quota)
      return key => {
        const endsAtMs = endOf(nowEpochMs())
        return table.quotas.use(quota, owner, hash(seedA, quota.id, key), hash(seedB, quota.id, key), endsAtMs) ? 0 : endsAtMs
      }
    }
  }
}

/** The agent thread's view of the same memory; `nowNs` as that of the workers. */
export function openRatesBook(buffer: SharedArrayBuffer, nowNs: () => bigint): RatesBook {
  const table = new Table(buffer)
  const { fullAt, tags, owners, asked, shares, rows } = table
  /** Counters in memory go round; what they grew by is added up here. */
  const totals = new Map<string, { admitted: number; refused: number; lastAdmitted: number; lastRefused: number }>()

  return {
    counts: limitId => {
      let total = totals.get(limitId)
      if (total === undefined) totals.set(limitId, (total = { admitted: 0, refused: 0, lastAdmitted: 0, lastRefused: 0 }))
      const at = table.rowOf(limitId) * ROW_LENGTH
      const admitted = Atomics.load(rows, at + ROW.admitted)
      const refused = Atomics.load(rows, at + ROW.refused)
      total.admitted += (admitted - total.lastAdmitted) >>> 0
      total.refused += (refused - total.lastRefused) >>> 0
      total.lastAdmitted = admitted
      total.lastRefused = refused
      return { admitted: total.admitted, refused: total.refused }
    },

    shareOf: limit => {
      const [seedA, seedB] = table.seedOf(limit)
      const set = setOf(seedA, limit.id, '')
      const tag = tagOf(seedB, limit.id, '')
      for (let cell = set; cell < set + WAYS; cell++)
        if (Atomics.load(tags, cell) === tag) return (Atomics.load(shares, cell) || startShare(limit)) / WHOLE
      return startShare(limit) / WHOLE
    },

    collect: (limits, most) => {
      const byRow = new Map(limits.map(limit => [table.rowOf(limit.id), limit]))
      const now = nowNs()
      const found: BucketUse[] = []
      for (let cell = 0; cell < CELLS; cell++) {
        if (asked[cell] === 0) continue
        const limit = byRow.get(owners[cell]! - 1)
        if (limit === undefined) continue
        const count = Atomics.exchange(asked, cell, 0)
        const owedNs = Number(Atomics.load(fullAt, cell) - now)
        const spanNs = limit.intervalNs * limit.capacity
        const isNearlyFull = owedNs < (1 - NEARLY_FULL) * spanNs
        if (isNearlyFull && shares[cell] === 0) continue
        const share = (shares[cell]! || startShare(limit)) / WHOLE
        found.push({
          limitId: limit.id,
          bucket: numberOf(cell - (cell % WAYS), tags[cell]!),
          share,
          // Of a budget that is behind: what waits is asked for as well.
          asked: count + Math.round((Math.max(0, owedNs - Math.max(spanNs, limit.intervalNs / share)) * share) / limit.intervalNs),
          owedMs: Math.max(0, owedNs / NS_PER_MS)
        })
      }
      return found.length <= 1 ? found : found.toSorted((a, b) => b.asked - a.asked).slice(0, most)
    },

    collectQuotas: (quotas, most) => {
      const byOwner = new Map(quotas.map(quota => [table.rowOf(quota.id) + 1, quota]))
      const found: QuotaUsed[] = []
      table.quotas.collect(({ owner, bucket, endsAtMs, used }) => {
        const quota = byOwner.get(owner)
        if (quota === undefined || found.length >= most) return false
        found.push({ limitId: quota.id, bucket, count: quota.count, endsAtEpochMs: endsAtMs, used })
        return true
      })
      return found
    },

    quotaLeft: (quota, { bucket, endsAtEpochMs, left }) =>
      table.quotas.tell(quota, table.rowOf(quota.id) + 1, { bucket, endsAtMs: endsAtEpochMs, left }),

    share: (limit, { bucket, share, owedMs }) => {
      const set = Math.floor(bucket / 2 ** 32) * WAYS
      const tag = (bucket % 2 ** 32) | 0
      if (set >= CELLS || tag === 0) return
      const now = nowNs()
      const cell = table.find(set, tag, table.rowOf(limit.id), now)
      if (Atomics.load(tags, cell) !== tag) return
      const units = Math.min(WHOLE, Math.max(1, Math.floor(share * WHOLE)))
      const had = Atomics.load(shares, cell) || startShare(limit)
      // A share as at the start is none of its own: the cell can be anybody's when its bucket is full.
      Atomics.store(shares, cell, Math.abs(units - startShare(limit)) <= 1 ? 0 : units)
      if (units <= had) return
      const owedNs = Math.max(0, Number(Atomics.load(fullAt, cell) - now))
      const owedThenNs = (had * owedNs + (units - had) * owedMs * NS_PER_MS) / units
      // Added, not set: workers take tokens meanwhile.
      if (owedNs > 0) Atomics.add(fullAt, cell, BigInt(Math.round(owedThenNs - owedNs)))
      else Atomics.store(fullAt, cell, now + BigInt(Math.round(owedThenNs)))
    }
  }
}
