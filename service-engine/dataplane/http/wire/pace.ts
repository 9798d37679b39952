/** How slow a flow of bytes may be. */
import type { HttpSpec, PaceSpec } from '#model/snapshot/snapshot.ts'

/** Slower than any line that people use, and faster than what holds a connection for nothing. */
const usual: PaceSpec = { minBytesPerS: 240, graceMs: 10_000 }

/** Of a connection without traffic, as network profiles have it unless told otherwise. */
const USUAL_TUNNEL_IDLE_MS = 600_000

/** 0: without end. */
export const tunnelIdleOf = (limits: HttpSpec): number => limits.tunnelIdleTimeoutMs ?? USUAL_TUNNEL_IDLE_MS

export const paceOf = (limits: HttpSpec): PaceSpec => limits.pace ?? usual

/**
 * Of a request's body, which the profile does not let pause for longer than it says either.
 *
 * Returns a grace that is never longer than the profile's, which alone holds where no rate is asked for
 */
export function bodyPaceOf(limits: HttpSpec): PaceSpec {
  const { minBytesPerS, graceMs } = paceOf(limits)
  return { minBytesPerS, graceMs: minBytesPerS === 0 ? limits.bodyTimeoutMs : Math.min(limits.bodyTimeoutMs, graceMs) }
}

/**
 * Whether a flow of bytes keeps up: it may pause no longer than the grace, and each stretch of that length has to have the least
 * rate on average. So one that stands still ends one grace later, and one that drips ends as well.
 */
export class Pace {
  readonly #spec: PaceSpec
  #stretchMs = 0
  #bytes = 0
  #lastMs = 0

  constructor(spec: PaceSpec) {
    this.#spec = spec
  }

  /** From now on it is the flow's turn. */
  begin(nowMs: number): void {
    this.#stretchMs = nowMs
    this.#lastMs = nowMs
    this.#bytes = 0
  }

  passed(bytes: number, nowMs: number): void {
    if (bytes <= 0) return
    this.#bytes += bytes
    this.#lastMs = nowMs
  }

  /** Exact when it is asked at least twice in a grace; the stretch that is over is forgotten. */
  isTooSlow(nowMs: number): boolean {
    const { minBytesPerS, graceMs } = this.#spec
    if (nowMs - this.#lastMs >= graceMs) return true
    const tookMs = nowMs - this.#stretchMs
    if (tookMs < graceMs) return false
    const isTooSlow = this.#bytes * 1_000 < minBytesPerS * graceMs
    this.#stretchMs = nowMs
    this.#bytes = 0
    return isTooSlow
  }
}
