/** How many new requests or flows one server gets in a time, over all workers. */
import type { ServerRateSpec } from '#model/snapshot/resilience.ts'
import { CELL } from '#engine/meter/layout.ts'

/** One request, in the thousandths that are counted. */
const ONE = 1000
/** As much as the cell can hold. */
const MOST = 2_000_000

export class ServerRate {
  readonly #perMs: number
  readonly #most: number
  readonly #nowEpochMs: () => number

  constructor({ count, periodMs, burst }: ServerRateSpec, nowEpochMs: () => number) {
    this.#perMs = (Math.min(count, MOST) * ONE) / periodMs
    this.#most = Math.min(burst, MOST) * ONE
    this.#nowEpochMs = nowEpochMs
  }

  /**
   * Takes one; false when the server has had enough for now.
   *
   * Shapes  cells: of the server
   */
  take(cells: Int32Array): boolean {
    this.#pay(cells)
    for (;;) {
      const credit = Atomics.load(cells, CELL.rateCredit)
      if (credit < ONE) return false
      if (Atomics.compareExchange(cells, CELL.rateCredit, credit, credit - ONE) === credit) return true
    }
  }

  /** Time that is worth less than the smallest part is left for the next call. */
  #pay(cells: Int32Array): void {
    const nowMs = Math.trunc(this.#nowEpochMs()) | 0
    const beforeMs = Atomics.load(cells, CELL.ratePaidAtMs)
    const passedMs = (nowMs - beforeMs) | 0
    const isFirst = beforeMs === 0 || passedMs < 0
    const worth = isFirst ? this.#most : Math.min(this.#most, Math.floor(passedMs * this.#perMs))
    if (worth < 1) return
    const paidMs = isFirst || worth === this.#most ? nowMs : (beforeMs + Math.floor(worth / this.#perMs)) | 0
    if (Atomics.compareExchange(cells, CELL.ratePaidAtMs, beforeMs, paidMs === 0 ? 1 : paidMs) !== beforeMs) return
    const room = this.#most - Atomics.load(cells, CELL.rateCredit)
    if (room > 0) Atomics.add(cells, CELL.rateCredit, Math.min(worth, room))
  }
}
