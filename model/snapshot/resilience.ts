/** What a pool does about servers that fail, come, go and are bound to clients. What is left out is not done. */

export interface Resilience {
  readonly reselect?: ReselectSpec
}

/** A request that a server failed goes to another one. */
export interface ReselectSpec {
  /** Beside the first try. */
  readonly maxRetries: number
  /** Also requests that a server may have acted on and that must not be acted on twice. */
  readonly retriesNonIdempotent: boolean
  /** An answer with one of these is a failure, as long as another server may be asked; inclusive ranges. */
  readonly statuses: readonly { readonly from: number; readonly to: number }[]
  /** From the beginning of the first try to its answer; null: no limit of its own. */
  readonly tryTimeoutMs: number | null
  /** The same of each later try. */
  readonly retryTimeoutMs: number | null
  /** Of all retries of the pool; null: unlimited. */
  readonly budget: RetryBudgetSpec | null
  /** Null: at once. */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number } | null
}

export interface RetryBudgetSpec {
  /** Retries for each hundred requests. */
  readonly percent: number
  /** Retries that are always allowed. */
  readonly minPerS: number
}
