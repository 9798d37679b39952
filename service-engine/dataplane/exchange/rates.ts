/** Token buckets that all workers of the engine share. */
export interface Rates {
  /**
   * Takes one token.
   *
   * Shapes  limit, key: together they name the bucket
   *         intervalNs: time that one token takes to come back; capacity: tokens of a full bucket
   * Returns 0 when there was one; else the nanoseconds until there is
   */
  readonly take: (limit: string, key: string, intervalNs: number, capacity: number) => number
}
