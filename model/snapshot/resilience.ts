/** What a pool does about servers that fail, come, go and are bound to clients. What is left out is not done. */

export interface Resilience {
  readonly reselect?: ReselectSpec
  readonly persistence?: PersistenceSpec
  /** Clients that are bound to a disabled server go on with it for its grace. */
  readonly keepsBoundWhenDisabled?: true
}

/** How a client is known again, so that it stays with its server. */
export type PersistenceSpec = { readonly whenDown: 'pick-new' | 'abort' | 'continue' } & (
  | {
      readonly is: 'cookie'
      readonly name: string
      /** 32 bytes, the same in all engines. */
      readonly keyBase64: string
      /** A binding is no older than this; null: without end. */
      readonly timeoutS: number | null
      /** The browser keeps it over its own end. */
      readonly isKept: boolean
      readonly isHttpOnly: boolean
      /** With every answer; else with the first. */
      readonly isAlwaysSent: boolean
    }
  | {
      readonly is: 'client-address'
      /** Bits of the address that count; 0: all. */
      readonly prefixLength: number
      readonly timeoutS: number
    }
  /** `servers`: header value -> server id; values of no server are spread by a hash. */
  | { readonly is: 'header'; readonly name: string; readonly servers: Readonly<Record<string, string>> }
  /** The application's own cookie. */
  | { readonly is: 'app-cookie'; readonly name: string; readonly timeoutS: number }
)

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
