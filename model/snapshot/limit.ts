/** Rate limits of a snapshot, as far as counting them concerns. */
import type { RateLimitSpec, VirtualServicePart } from './snapshot.ts'

export interface LimitToCount {
  readonly id: string
  /** Time that one token takes to come back, when one engine has the whole budget. */
  readonly intervalNs: number
  /** Tokens of a full bucket. */
  readonly capacity: number
  /** How many engines share the budget; one when left out. */
  readonly engines?: number
  /** The same on all engines that share it; the engine's own when left out. */
  readonly seed?: readonly [number, number]
}

const NS_PER_S = 1_000_000_000

export function limitToCount({ id, count, periodS, burst, engines, seed }: RateLimitSpec): LimitToCount {
  return {
    id,
    intervalNs: Math.max(1, Math.round((periodS * NS_PER_S) / count)),
    capacity: burst,
    ...(engines === undefined ? {} : { engines }),
    ...(seed === undefined ? {} : { seed })
  }
}

/** Every limit of a virtual service: its own, and those of its rules. */
export function limitsOf({ requestLimit, connectionLimit, requestRules }: VirtualServicePart): RateLimitSpec[] {
  return [
    ...(requestLimit === undefined ? [] : [requestLimit]),
    ...(connectionLimit === undefined ? [] : [connectionLimit]),
    ...requestRules.flatMap(({ action }) => (action?.is === 'rate-limit' ? [action.limit] : []))
  ]
}
