import type { LimitToCount } from '#model/snapshot/limit.ts'

/** Token buckets that all workers of the engine share. */
export interface Rates {
  /**
   * Opens a limit; what it returns takes one token of the bucket that a key names.
   *
   * Returns 0 when there was one; else the nanoseconds until there is
   */
  readonly open: (limit: LimitToCount) => (key: string) => number
}
