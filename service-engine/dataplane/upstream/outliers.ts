/** Passive health: servers that fail what they are asked are left out for a while. Counted over all workers. */
import type { OutlierSpec } from '#model/snapshot/resilience.ts'
import type { Fault } from '#engine/base/fault.ts'
import { CELL } from '#engine/meter/layout.ts'
import { EJECTED_FOR } from '#engine/meter/ejection.ts'

/** A server that can be ejected. */
export interface Suspect {
  /** By CELL. */
  readonly cells: Int32Array
  readonly isEnabled: boolean
}

const gatewayErrors = new Set([502, 503, 504])

/**
 * The outliers of one pool.
 *
 * Shapes  cells: of the pool. suspects: all its servers. nowEpochMs: the clock that all workers share
 */
export class Outliers {
  readonly #spec: OutlierSpec
  readonly #cells: Int32Array
  readonly #suspects: readonly Suspect[]
  readonly #nowEpochMs: () => number

  constructor(spec: OutlierSpec, cells: Int32Array, suspects: readonly Suspect[], nowEpochMs: () => number) {
    this.#spec = spec
    this.#cells = cells
    this.#suspects = suspects
    this.#nowEpochMs = nowEpochMs
  }

  isEjected(cells: Int32Array): boolean {
    const untilS = Atomics.load(cells, CELL.ejectedUntilS)
    return untilS !== 0 && ((untilS - this.#nowS()) | 0) > 0
  }

  /**
   * An exchange with a server has ended.
   *
   * Shapes  status: of its answer; 0 for none. fault: what ended it; only those that arose at the server count
   */
  ended(cells: Int32Array, status: number, fault: Fault | null): void {
    const isLocal = fault !== null && fault.origin === 'upstream' && fault.code !== 'UPSTREAM_STATUS_RESELECTED'
    if (!isLocal && (status === 0 || (fault !== null && fault.origin !== 'upstream'))) return
    const isFailure = isLocal || status >= 500
    const { consecutiveLocalFailures, consecutiveGatewayErrors, consecutive5xx, successRate } = this.#spec
    this.#count(cells, CELL.localFailures, isLocal, consecutiveLocalFailures, EJECTED_FOR.localFailures)
    this.#count(cells, CELL.gatewayErrors, isLocal || gatewayErrors.has(status), consecutiveGatewayErrors, EJECTED_FOR.gatewayErrors)
    this.#count(cells, CELL.errors, isFailure, consecutive5xx, EJECTED_FOR.errors)
    if (successRate === null) return
    Atomics.add(cells, CELL.windowRequests, 1)
    if (!isFailure) Atomics.add(cells, CELL.windowSuccesses, 1)
    this.#compare(successRate)
  }

  #count(cells: Int32Array, at: number, isFailure: boolean, limit: number | null, reason: number): void {
    if (limit === null) return
    if (!isFailure) {
      if (Atomics.load(cells, at) !== 0) Atomics.store(cells, at, 0)
    } else if (Atomics.add(cells, at, 1) + 1 >= limit) this.#eject(cells, reason)
  }

  #eject(cells: Int32Array, reason: number): void {
    const now = this.#nowS()
    if (this.isEjected(cells) || !this.#mayEjectMore()) return
    const { baseEjectionS, maxEjectionS } = this.#spec
    const untilS = Atomics.load(cells, CELL.ejectedUntilS)
    // Each quiet stretch as long as the first ejection takes one of those before back.
    const quietS = untilS === 0 ? 0 : (now - untilS) | 0
    const times = Math.max(0, Atomics.load(cells, CELL.ejections) - Math.floor(quietS / baseEjectionS)) + 1
    const next = (now + Math.min(maxEjectionS, baseEjectionS * times)) | 0
    if (Atomics.compareExchange(cells, CELL.ejectedUntilS, untilS, next === 0 ? 1 : next) !== untilS) return
    Atomics.store(cells, CELL.ejections, times)
    Atomics.store(cells, CELL.ejectedFor, reason)
    for (const at of [CELL.errors, CELL.gatewayErrors, CELL.localFailures]) Atomics.store(cells, at, 0)
  }

  /** At least one may go where any may, and at least one stays. */
  #mayEjectMore(): boolean {
    let all = 0
    let ejected = 0
    for (const { cells, isEnabled } of this.#suspects) {
      if (!isEnabled) continue
      all++
      if (this.isEjected(cells)) ejected++
    }
    const { maxEjectionPercent } = this.#spec
    const most = maxEjectionPercent === 0 ? 0 : Math.max(1, Math.floor((all * maxEjectionPercent) / 100))
    return ejected < Math.min(most, all - 1)
  }

  /** Once each interval, by whichever worker is first: a server far below the others' success rate goes. */
  #compare({ minRequests, minServers, deviations }: NonNullable<OutlierSpec['successRate']>): void {
    const now = this.#nowS()
    const before = Atomics.load(this.#cells, CELL.comparedAtS)
    if (before !== 0 && ((now - before) | 0) < this.#spec.intervalS) return
    if (Atomics.compareExchange(this.#cells, CELL.comparedAtS, before, now) !== before || before === 0) return
    const rated: { cells: Int32Array; rate: number }[] = []
    for (const { cells } of this.#suspects) {
      const requests = Atomics.exchange(cells, CELL.windowRequests, 0)
      const successes = Atomics.exchange(cells, CELL.windowSuccesses, 0)
      if (requests >= minRequests && !this.isEjected(cells)) rated.push({ cells, rate: Math.min(1, successes / requests) })
    }
    if (rated.length < minServers) return
    const least = lowestUsualRate(
      rated.map(({ rate }) => rate),
      deviations
    )
    for (const { cells, rate } of rated.toSorted((a, b) => a.rate - b.rate)) if (rate < least) this.#eject(cells, EJECTED_FOR.successRate)
  }

  #nowS(): number {
    return Math.trunc(this.#nowEpochMs() / 1000) | 0
  }
}

/**
 * What rates lie below which are no chance: the mean less so many standard deviations.
 *
 * Source  success-rate ejection as in Envoy's outlier detection
 */
export function lowestUsualRate(rates: readonly number[], deviations: number): number {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length
  return mean - deviations * Math.sqrt(variance)
}
