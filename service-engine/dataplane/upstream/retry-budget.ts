/** How many retries a pool may cost: a share of its requests and a few each second besides, counted over all workers. */
import type { RetryBudgetSpec } from '#model/snapshot/resilience.ts'
import { CELL } from '#engine/meter/layout.ts'

/** One retry, in the thousandths that are counted. */
const RETRY = 1000
/** What quiet time saves up: so many seconds of the least, and what so many retries cost. */
const MAX_SAVED_S = 10
const MAX_SAVED_RETRIES = 1000

export class RetryBudget {
  readonly #spec: RetryBudgetSpec
  readonly #cells: Int32Array
  readonly #nowEpochMs: () => number
  readonly #most: number

  /** Shapes  cells: of the pool. nowEpochMs: the clock that all workers share */
  constructor(spec: RetryBudgetSpec, cells: Int32Array, nowEpochMs: () => number) {
    this.#spec = spec
    this.#cells = cells
    this.#nowEpochMs = nowEpochMs
    this.#most = RETRY * (MAX_SAVED_S * spec.minPerS + MAX_SAVED_RETRIES)
  }

  /** A request came, for the first time. */
  requestBegan(): void {
    const share = Math.round((RETRY * this.#spec.percent) / 100)
    if (share > 0 && Atomics.load(this.#cells, CELL.retryCredit) < this.#most) Atomics.add(this.#cells, CELL.retryCredit, share)
  }

  /** Takes one retry; false when there is none left. */
  take(): boolean {
    this.#pay()
    for (;;) {
      const credit = Atomics.load(this.#cells, CELL.retryCredit)
      if (credit < RETRY) return false
      if (Atomics.compareExchange(this.#cells, CELL.retryCredit, credit, credit - RETRY) === credit) return true
    }
  }

  /** Gives what the time since the last call is worth; of workers that ask at once, one does. */
  #pay(): void {
    const nowMs = Math.trunc(this.#nowEpochMs()) | 0
    const beforeMs = Atomics.load(this.#cells, CELL.retryPaidAtMs)
    const passedMs = beforeMs === 0 ? 1000 : (nowMs - beforeMs) | 0
    if (passedMs === 0 || Atomics.compareExchange(this.#cells, CELL.retryPaidAtMs, beforeMs, nowMs) !== beforeMs) return
    const worth = Math.min(Math.max(0, passedMs), MAX_SAVED_S * 1000) * this.#spec.minPerS
    const room = this.#most - Atomics.load(this.#cells, CELL.retryCredit)
    if (room > 0) Atomics.add(this.#cells, CELL.retryCredit, Math.min(worth, room))
  }
}
