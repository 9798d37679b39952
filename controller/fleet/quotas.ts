/**
 * Quotas: how much of a day or month was used, over all engines, all restarts and all keys. Engines tell what they let
 * through since they told last, and all of them are told what is left.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { QuotaLeft, QuotaUse } from '#model/message/message.ts'
import type { QuotaRuntime } from '#model/resource/runtime.ts'
import type { Store } from '#controller/store/store.ts'

/** What a crash of this process may forget. */
const WRITE_INTERVAL_MS = 1_000
const TIDY_INTERVAL_MS = 60_000
/** Clocks of engines may be so far from ours. */
const SKEW_MS = 3_600_000
const LONGEST_MS = 32 * 86_400_000
/** Keys of one window are in so many rows: what changes is written, not all. */
const ROWS_PER_WINDOW = 64
/** Keys that are counted; those beyond are let through. */
const MAX_KEYS = 200_000

const TOLD_AT_ONCE = 8_192

/** Kept in the store. */
interface QuotaRow {
  readonly limitId: string
  readonly endsAtEpochMs: number
  readonly count: number
  /** Bucket -> how much of it was used. */
  readonly used: Readonly<Record<string, number>>
}

interface Window {
  readonly limitId: string
  readonly endsAtEpochMs: number
  count: number
  readonly used: Map<number, number>
  readonly unwritten: Set<number>
  isNewest: boolean
}

const rowOf = (bucket: number): number => bucket % ROWS_PER_WINDOW
const windowKey = (limitId: string, endsAtEpochMs: number): string => `${limitId} ${endsAtEpochMs}`

export class Quotas {
  readonly #clock: Clock
  readonly #log: Log
  readonly #table
  readonly #windows = new Map<string, Window>()
  readonly #stops: readonly (() => void)[]
  #keys = 0
  #isFull = false

  constructor({ store, clock, log }: { readonly store: Store; readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock
    this.#log = log
    this.#table = store.table<QuotaRow>('fleet-quota')
    for (const [, { limitId, endsAtEpochMs, count, used }] of this.#table.entries()) {
      const window = this.#window(limitId, endsAtEpochMs, count)
      for (const [bucket, uses] of Object.entries(used)) window.used.set(Number(bucket), uses)
      this.#keys += Object.keys(used).length
    }
    this.#tidy()
    this.#stops = [clock.every(WRITE_INTERVAL_MS, () => this.#write()), clock.every(TIDY_INTERVAL_MS, () => this.#tidy())]
  }

  /** An engine told what it used; returns what is left of it. */
  used(uses: readonly QuotaUse[]): QuotaLeft[] {
    const now = this.#clock.nowEpochMs()
    return uses.flatMap(({ limitId, bucket, count, endsAtEpochMs, used }) => {
      if (endsAtEpochMs < now - SKEW_MS || endsAtEpochMs > now + LONGEST_MS) return []
      const window = this.#window(limitId, endsAtEpochMs, count)
      window.count = count
      if (!window.isNewest) this.#isNewest(window)
      const before = window.used.get(bucket)
      if (before === undefined && !this.#takesKey()) return []
      const total = (before ?? 0) + used
      window.used.set(bucket, total)
      if (used > 0) window.unwritten.add(rowOf(bucket))
      return { limitId, bucket, endsAtEpochMs, left: Math.max(0, count - total) }
    })
  }

  #takesKey(): boolean {
    if (this.#keys >= MAX_KEYS) {
      if (!this.#isFull)
        this.#log.warn('more keys of quotas are in use than can be counted: the others are let through', { keys: MAX_KEYS })
      this.#isFull = true
      return false
    }
    this.#keys++
    return true
  }

  #window(limitId: string, endsAtEpochMs: number, count: number): Window {
    const key = windowKey(limitId, endsAtEpochMs)
    let window = this.#windows.get(key)
    if (window === undefined) {
      window = { limitId, endsAtEpochMs, count, used: new Map(), unwritten: new Set(), isNewest: true }
      this.#isNewest(window)
      this.#windows.set(key, window)
    }
    return window
  }

  #isNewest(window: Window): void {
    for (const other of this.#windows.values()) if (other.limitId === window.limitId) other.isNewest = false
    window.isNewest = true
  }

  /** What is left of the quotas of virtual services, for an engine that begins: no more keys than it has room for. */
  leftOf(virtualServiceIds: ReadonlySet<string>): QuotaLeft[] {
    const now = this.#clock.nowEpochMs()
    const left: QuotaLeft[] = []
    for (const { limitId, endsAtEpochMs, count, used } of this.#windows.values()) {
      if (endsAtEpochMs <= now || !virtualServiceIds.has(limitId.slice(0, limitId.indexOf('/')))) continue
      for (const [bucket, uses] of used) {
        if (left.length >= TOLD_AT_ONCE) return left
        left.push({ limitId, bucket, endsAtEpochMs, left: Math.max(0, count - uses) })
      }
    }
    return left
  }

  #write(): void {
    for (const [key, { limitId, endsAtEpochMs, count, used, unwritten }] of this.#windows) {
      if (unwritten.size === 0) continue
      const rows = new Map<number, Record<string, number>>([...unwritten].map(row => [row, {}]))
      for (const [bucket, uses] of used) {
        const row = rows.get(rowOf(bucket))
        if (row !== undefined) row[bucket] = uses
      }
      for (const [row, its] of rows) this.#table.set(`${key} ${row}`, { limitId, endsAtEpochMs, count, used: its })
      unwritten.clear()
    }
  }

  /** Windows that are over are forgotten. */
  #tidy(): void {
    const now = this.#clock.nowEpochMs()
    for (const [key, window] of this.#windows) {
      if (window.endsAtEpochMs >= now - SKEW_MS) continue
      this.#windows.delete(key)
      this.#keys -= window.used.size
      this.#isFull = false
      for (let row = 0; row < ROWS_PER_WINDOW; row++) this.#table.delete(`${key} ${row}`)
    }
  }

  /** Limit -> how its quota is, of one virtual service. */
  runtime(virtualServiceId: string): ReadonlyMap<string, QuotaRuntime> {
    const now = this.#clock.nowEpochMs()
    const found = new Map<string, QuotaRuntime>()
    for (const { limitId, endsAtEpochMs, count, used, isNewest } of this.#windows.values()) {
      if (!isNewest || endsAtEpochMs <= now || !limitId.startsWith(`${virtualServiceId}/`)) continue
      let most = 0
      for (const uses of used.values()) most = Math.max(most, uses)
      found.set(limitId, { count, used: most, left: Math.max(0, count - most), keys: used.size, ends_at: endsAtEpochMs })
    }
    return found
  }

  stop(): void {
    for (const stop of this.#stops) stop()
    this.#write()
  }
}
