/**
 * What is left of quotas, in shared memory: a table of fixed size, one cell for each quota and key that was used lately. The
 * controller holds the truth and says what is left; between two of its words a cell counts down. A cell whose uses were all
 * told can be anybody's.
 */
import { windowEndMs, type QuotaToCount } from '#model/snapshot/limit.ts'

const WAYS = 8
const SETS = 1_024
const CELLS = WAYS * SETS
const CELL_LENGTH = 6
/** `window` is its end in hours of the epoch; `used` and `asked` are since they were collected. */
const AT = { tag: 0, owner: 1, window: 2, left: 3, used: 4, asked: 5 } as const
const MS_PER_HOUR = 3_600_000
const MOST = 0x7fffffff

export const QUOTA_BYTES = CELLS * CELL_LENGTH * Int32Array.BYTES_PER_ELEMENT

export interface QuotaCells {
  /**
   * Uses one of what is left in the window.
   *
   * Shapes  hashA, hashB: which bucket
   * Returns whether there was one; with more busy keys than the table has room for, those without a cell have
   */
  readonly use: (quota: QuotaToCount, owner: number, hashA: number, hashB: number, endsAtMs: number) => boolean
  /** What was used, or asked in vain, since the last call: `take` gets each cell and says whether it took it over. */
  readonly collect: (take: (use: QuotaCellUse) => boolean) => void
  readonly tell: (
    quota: QuotaToCount,
    owner: number,
    told: { readonly bucket: number; readonly endsAtMs: number; readonly left: number }
  ) => void
}

export interface QuotaCellUse {
  readonly owner: number
  readonly bucket: number
  readonly endsAtMs: number
  readonly used: number
}

/** What an engine may give out before it heard from the controller: its part. */
const startOf = ({ count, engines = 1 }: QuotaToCount): number => Math.min(MOST, Math.max(1, Math.floor(count / engines)))

const placeOf = (hashA: number): number => (hashA & (SETS - 1)) * WAYS

export function openQuotaCells(cells: Int32Array): QuotaCells {
  const load = (cell: number, at: number): number => Atomics.load(cells, cell * CELL_LENGTH + at)
  const store = (cell: number, at: number, value: number): void => void Atomics.store(cells, cell * CELL_LENGTH + at, value)
  const add = (cell: number, at: number, value: number): number => Atomics.add(cells, cell * CELL_LENGTH + at, value)

  const find = (set: number, tag: number, window: number): number => {
    for (let cell = set; cell < set + WAYS; cell++) if (load(cell, AT.tag) === tag && load(cell, AT.window) === window) return cell
    return -1
  }

  /** The key's cell, made when it has none; -1 when all that it could lie in are busy. */
  const take = (quota: QuotaToCount, owner: number, set: number, tag: number, window: number): number => {
    const known = find(set, tag, window)
    if (known >= 0) return known
    for (let cell = set; cell < set + WAYS; cell++) {
      const before = load(cell, AT.tag)
      if (before !== 0 && load(cell, AT.window) === window && load(cell, AT.asked) > 0) continue
      if (Atomics.compareExchange(cells, cell * CELL_LENGTH + AT.tag, before, tag) !== before) continue
      store(cell, AT.owner, owner)
      store(cell, AT.left, startOf(quota))
      store(cell, AT.used, 0)
      store(cell, AT.window, window)
      return cell
    }
    return -1
  }

  return {
    use: (quota, owner, hashA, hashB, endsAtMs) => {
      const cell = take(quota, owner, placeOf(hashA), hashB || 1, Math.round(endsAtMs / MS_PER_HOUR))
      if (cell < 0) return true
      add(cell, AT.asked, 1)
      if (add(cell, AT.left, -1) <= 0) {
        add(cell, AT.left, 1)
        return false
      }
      add(cell, AT.used, 1)
      return true
    },

    collect: take => {
      for (let cell = 0; cell < CELLS; cell++) {
        const asked = cells[cell * CELL_LENGTH + AT.asked]!
        if (asked === 0) continue
        const used = load(cell, AT.used)
        const bucket = Math.floor(cell / WAYS) * 2 ** 32 + (load(cell, AT.tag) >>> 0)
        if (!take({ owner: load(cell, AT.owner), bucket, endsAtMs: load(cell, AT.window) * MS_PER_HOUR, used })) continue
        add(cell, AT.used, -used)
        add(cell, AT.asked, -asked)
      }
    },

    tell: (quota, owner, { bucket, endsAtMs, left }) => {
      const set = Math.floor(bucket / 2 ** 32) * WAYS
      if (set >= CELLS) return
      const cell = take(quota, owner, set, (bucket % 2 ** 32) | 0, Math.round(endsAtMs / MS_PER_HOUR))
      // What was used since it told is not in what it is told.
      if (cell >= 0) store(cell, AT.left, Math.max(0, Math.min(MOST, left) - load(cell, AT.used)))
    }
  }
}

/** The end of the window of now, computed when the last one is over. */
export function makeWindow(quota: QuotaToCount): (nowEpochMs: number) => number {
  let endsAtMs = 0
  return nowEpochMs => (nowEpochMs < endsAtMs ? endsAtMs : (endsAtMs = windowEndMs(quota.period, nowEpochMs)))
}
