/** Rate limits of a snapshot, as far as counting them concerns. */
import type { BandwidthSpec, RateLimitSpec, VirtualServicePart } from './snapshot.ts'

export interface LimitToCount {
  readonly id: string
  /** Time that one token takes to come back, when one engine has the whole budget; of a bandwidth, whose tokens are bytes, a fraction. */
  readonly intervalNs: number
  /** Tokens of a full bucket. */
  readonly capacity: number
  /** How many engines share the budget; one when left out. */
  readonly engines?: number
  /** The same on all engines that share it; the engine's own when left out. */
  readonly seed?: readonly [number, number]
}

/** A quota, as far as counting it concerns. */
export interface QuotaToCount {
  readonly id: string
  readonly count: number
  readonly period: 'day' | 'month'
  readonly engines?: number
  readonly seed?: readonly [number, number]
}

/** When the day or month of a moment ends, in UTC; epoch milliseconds. */
export function windowEndMs(period: 'day' | 'month', nowEpochMs: number): number {
  const now = new Date(nowEpochMs)
  return period === 'month'
    ? Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)
    : Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1)
}

/** Undefined where the limit has no quota. */
export function quotaToCount({ id, quota, engines, seed }: RateLimitSpec): QuotaToCount | undefined {
  if (quota === undefined) return undefined
  return { id, ...quota, ...(engines === undefined ? {} : { engines }), ...(seed === undefined ? {} : { seed }) }
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

/** What may go at once after a quiet time: so many seconds' worth, and as much as one write at least. */
const BANDWIDTH_BURST_S = 0.1
const BANDWIDTH_BURST_BYTES = 16_384

/** Its tokens are bytes. */
export function bandwidthToCount({ id, bytesPerS, engines, seed }: BandwidthSpec): LimitToCount {
  return {
    id,
    intervalNs: NS_PER_S / bytesPerS,
    capacity: Math.max(BANDWIDTH_BURST_BYTES, Math.round(bytesPerS * BANDWIDTH_BURST_S)),
    ...(engines === undefined ? {} : { engines }),
    ...(seed === undefined ? {} : { seed })
  }
}

/** All that is counted for a virtual service. */
export function countsOf(part: VirtualServicePart): LimitToCount[] {
  return [...limitsOf(part).map(limitToCount), ...(part.bandwidth ?? []).map(bandwidthToCount)]
}

/** Every limit of a virtual service: its own, and those of its rules. */
export function limitsOf({ requestLimit, connectionLimit, requestRules, networkRules }: VirtualServicePart): RateLimitSpec[] {
  return [
    ...(requestLimit === undefined ? [] : [requestLimit]),
    ...(connectionLimit === undefined ? [] : [connectionLimit]),
    ...requestRules.flatMap(({ action }) => (action?.is === 'rate-limit' ? [action.limit] : [])),
    ...networkRules.flatMap(({ limit }) => limit ?? [])
  ]
}
