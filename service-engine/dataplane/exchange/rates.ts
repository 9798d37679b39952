import type { LimitToCount, QuotaToCount } from '#model/snapshot/limit.ts'

/** A bucket whose tokens are bytes. */
export interface Budget {
  /**
   * Bytes went, whether there were tokens for them or not; less than 0: so many did not go after all.
   *
   * Returns how many bytes have to be made up for before more may go; 0: none
   */
  readonly take: (key: string, bytes: number) => number
  /** As it is shared now; > 0. */
  readonly nsPerByte: (key: string) => number
}

/** Those of an engine, which all its workers share. */
export interface Budgets {
  readonly openBudget: (limit: LimitToCount) => Budget
}

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
