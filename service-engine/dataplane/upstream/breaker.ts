/** The circuit breaker: what a pool is given at once, over all workers of the engine. */
import type { BreakerSpec } from '#model/snapshot/resilience.ts'
import type { Gauge, PoolCell } from '#engine/meter/shared.ts'

/** `full`: a place may come free soon. `none`: this retry is one too many. */
export type Admission = 'admitted' | 'full' | 'none'

export class Breaker {
  readonly #spec: BreakerSpec
  readonly #cell: PoolCell

  constructor(spec: BreakerSpec, cell: PoolCell) {
    this.#spec = spec
    this.#cell = cell
  }

  /** Counts a request in, until `left`. */
  enter(isRetry: boolean): Admission {
    const { maxRequests, maxRetries } = this.#spec
    const { requests, retries } = this.#cell
    if (isRetry && !takes(retries, maxRetries)) return 'none'
    if (takes(requests, maxRequests)) return 'admitted'
    if (isRetry) retries.release()
    return 'full'
  }

  left(isRetry: boolean): void {
    this.#cell.requests.release()
    if (isRetry) this.#cell.retries.release()
  }

  /** Whether a retry would be let in now. */
  takesRetry(): boolean {
    return this.#spec.maxRetries === null || this.#cell.retries.count() < this.#spec.maxRetries
  }

  /** Counts a request in that waits for a place, until `waited`. */
  wait(): boolean {
    return takes(this.#cell.pending, this.#spec.maxPending)
  }

  waited(): void {
    this.#cell.pending.release()
  }
}

function takes(gauge: Gauge, limit: number | null): boolean {
  if (gauge.acquire() < (limit ?? Infinity)) return true
  gauge.release()
  return false
}
