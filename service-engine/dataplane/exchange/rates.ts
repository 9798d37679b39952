import type { LimitToCount, QuotaToCount } from '#model/snapshot/limit.ts'

/** Token buckets that all workers of the engine share. */
export interface Rates {
  /**
   * Opens a limit; what it returns takes one token of the bucket that a key names.
   *
   * Returns 0 when there was one; else the nanoseconds until there is
   */
  readonly open: (limit: LimitToCount) => (key: string) => number
  /**
   * Opens a quota; what it returns uses one of what a key has left.
   *
   * Returns 0 when there was one; else when there will be, epoch milliseconds
   */
  readonly openQuota: (quota: QuotaToCount) => (key: string) => number
}
