/** What scripts of one set may keep from one exchange to the next: texts by key, each for a time, so many at most. */

interface Entry {
  value: string
  untilMs: number
}

/** Entries of one set in one worker. */
export const MAX_ENTRIES = 1_000
const MAX_SECONDS = 86_400

export class ScriptTable {
  /** In the order in which they were written: the oldest goes when there is no room. */
  readonly #entries = new Map<string, Entry>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): string | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.untilMs > this.#nowMs()) return entry.value
    this.#entries.delete(key)
    return undefined
  }

  /** Units  seconds: how long it is kept, 0 < seconds <= a day. Throws RangeError. */
  set(key: string, value: string, seconds: number): void {
    if (!(seconds > 0 && seconds <= MAX_SECONDS)) throw new RangeError(`not a time from 0 to ${MAX_SECONDS} seconds: ${seconds}`)
    this.#entries.delete(key)
    if (this.#entries.size >= MAX_ENTRIES) {
      const [oldest] = this.#entries.keys()
      if (oldest !== undefined) this.#entries.delete(oldest)
    }
    this.#entries.set(key, { value, untilMs: this.#nowMs() + seconds * 1000 })
  }

  /** Adds to a number that is kept as long as its first addition said. Returns the sum. */
  increment(key: string, by: number, seconds: number): number {
    const sum = Number(this.get(key) ?? 0) + by
    if (!Number.isFinite(sum)) throw new RangeError('not a number')
    const entry = this.#entries.get(key)
    if (entry === undefined) this.set(key, String(sum), seconds)
    else entry.value = String(sum)
    return sum
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}
