/** The limits that run, on the agent thread: what is asked of those that engines share, and what became of all of them. */
import type { LimitSample, LimitShare, LimitUse, QuotaLeft, QuotaUse } from '#model/message/message.ts'
import { LIMIT_USES_MAX } from '#model/message/message.ts'
import { countsOf, limitsOf, quotaToCount, type LimitToCount, type QuotaToCount } from '#model/snapshot/limit.ts'
import type { VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { openRatesBook } from './rates.ts'

interface Running {
  readonly virtualServiceId: string
  readonly limit: LimitToCount
}

export interface Limits {
  /** These run from now on. */
  readonly run: (services: readonly VirtualServicePart[]) => void
  /** What was asked of shared limits since the last call; empty when nothing was. */
  readonly used: () => readonly LimitUse[]
  /** The controller divided budgets anew; limits that do not run here are passed over. */
  readonly share: (shares: readonly LimitShare[]) => void
  /** What was used of quotas since the last call; to be called only when it can be told. */
  readonly quotasUsed: () => readonly QuotaUse[]
  readonly quotasLeft: (quotas: readonly QuotaLeft[]) => void
  /** Limits that something was asked of. */
  readonly sample: () => readonly LimitSample[]
}

/** `nowNs` as that of the workers. */
export function openLimits(rates: SharedArrayBuffer, nowNs: () => bigint): Limits {
  const book = openRatesBook(rates, nowNs)
  let running = new Map<string, Running>()
  let shared: LimitToCount[] = []
  let quotas = new Map<string, QuotaToCount>()

  return {
    run: services => {
      const found = services.flatMap(part => countsOf(part).map((limit): Running => ({ virtualServiceId: part.id, limit })))
      quotas = new Map(services.flatMap(part => limitsOf(part).flatMap(spec => quotaToCount(spec) ?? [])).map(quota => [quota.id, quota]))
      running = new Map(found.map(one => [one.limit.id, one]))
      shared = found.map(({ limit }) => limit).filter(({ engines = 1 }) => engines > 1)
    },
    used: () => {
      if (shared.length === 0) return []
      return book.collect(shared, LIMIT_USES_MAX).map(use => ({ ...use, virtualServiceId: running.get(use.limitId)!.virtualServiceId }))
    },
    share: shares => {
      for (const told of shares) {
        const limit = running.get(told.limitId)?.limit
        if (limit !== undefined) book.share(limit, told)
      }
    },
    quotasUsed: () => {
      if (quotas.size === 0) return []
      const used = book.collectQuotas([...quotas.values()], LIMIT_USES_MAX)
      return used.map(use => ({ ...use, virtualServiceId: running.get(use.limitId)!.virtualServiceId }))
    },
    quotasLeft: told => {
      for (const left of told) {
        const quota = quotas.get(left.limitId)
        if (quota !== undefined) book.quotaLeft(quota, left)
      }
    },
    sample: () =>
      [...running.values()].flatMap(({ virtualServiceId, limit }) => {
        const { admitted, refused } = book.counts(limit.id)
        return admitted + refused === 0 ? [] : [{ virtualServiceId, id: limit.id, admitted, refused, share: book.shareOf(limit) }]
      })
  }
}
