/** What a pool does about servers that fail, come, go and are bound to clients. What is left out is not done. */

export interface Resilience {
  readonly reselect?: ReselectSpec
  readonly hedge?: HedgeSpec
  readonly persistence?: PersistenceSpec
  /** Clients that are bound to a disabled server go on with it for its grace. */
  readonly keepsBoundWhenDisabled?: true
  readonly outliers?: OutlierSpec
  readonly breaker?: BreakerSpec
  /** A server that came up reaches its share of the traffic after so many seconds. */
  readonly rampS?: number
  readonly serverRate?: ServerRateSpec
}

/** New requests and flows that one server gets, from one engine. */
export interface ServerRateSpec {
  readonly count: number
  readonly periodMs: number
  /** At once, after a quiet time. */
  readonly burst: number
}

/** Servers that fail are left out for a while. Null: not looked at. */
export interface OutlierSpec {
  readonly consecutive5xx: number | null
  readonly consecutiveGatewayErrors: number | null
  /** Connections that were refused, broke or were too slow. */
  readonly consecutiveLocalFailures: number | null
  /** Compared each interval; a server this many standard deviations below the mean is left out. */
  readonly successRate: { readonly deviations: number; readonly minServers: number; readonly minRequests: number } | null
  readonly intervalS: number
  /** Times how often it was left out lately, up to the most. */
  readonly baseEjectionS: number
  readonly maxEjectionS: number
  /** Share of the servers that may be out at once; at least one where it is not 0. */
  readonly maxEjectionPercent: number
}

/** Of one engine; null: unlimited. */
export interface BreakerSpec {
  /** Requests and flows that wait for a place. */
  readonly maxPending: number | null
  /** Requests and flows with servers. */
  readonly maxRequests: number | null
  /** Retries among them. */
  readonly maxRetries: number | null
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
  | {
      readonly is: 'header'
      readonly name: string
      /** Header value -> server id; values of no server are spread by a hash. */
      readonly servers: Readonly<Record<string, string>>
      /** Of such a value. */
      readonly timeoutS: number
    }
  /** Tickets of TLS sessions that end here. */
  | { readonly is: 'tls-session'; readonly timeoutS: number }
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

/** A request without an answer goes to a second server as well; the first answer counts. */
export interface HedgeSpec {
  /** From the beginning of the first try; with a percentile the least that it may be. */
  readonly delayMs: number
  /** Of the pool's times to the first byte, 50 to 99; null: `delayMs` alone. */
  readonly percentile: number | null
  /** The pool's retries and hedges together; where retries are unlimited, hedges alone. */
  readonly budget: RetryBudgetSpec
}

export interface RetryBudgetSpec {
  /** Retries for each hundred requests. */
  readonly percent: number
  /** Retries that are always allowed. */
  readonly minPerS: number
}
