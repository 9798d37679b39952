/** Every way in which the world can misbehave towards an exchange or a flow, in one table. */

export type Origin = 'downstream' | 'engine' | 'upstream'
/** May the same request be sent again? Decided here, once, never at the call site. */
export type Replay = 'never' | 'on-fresh-connection' | 'on-another-server'

interface FaultRow {
  readonly origin: Origin
  /** HTTP status that the client is answered with. */
  readonly status: number
  readonly replay: Replay
}

const rows = {
  DOWNSTREAM_BAD_REQUEST: { origin: 'downstream', status: 400, replay: 'never' },
  DOWNSTREAM_METHOD_REFUSED: { origin: 'downstream', status: 501, replay: 'never' },
  DOWNSTREAM_VERSION_REFUSED: { origin: 'downstream', status: 505, replay: 'never' },
  DOWNSTREAM_TARGET_TOO_LONG: { origin: 'downstream', status: 414, replay: 'never' },
  DOWNSTREAM_EXPECTATION_FAILED: { origin: 'downstream', status: 417, replay: 'never' },
  DOWNSTREAM_HEADERS_TOO_LARGE: { origin: 'downstream', status: 431, replay: 'never' },
  DOWNSTREAM_HEADERS_TIMEOUT: { origin: 'downstream', status: 408, replay: 'never' },
  DOWNSTREAM_BODY_TIMEOUT: { origin: 'downstream', status: 408, replay: 'never' },
  DOWNSTREAM_BODY_TOO_LARGE: { origin: 'downstream', status: 413, replay: 'never' },
  DOWNSTREAM_RESET: { origin: 'downstream', status: 499, replay: 'never' },
  DOWNSTREAM_IDLE: { origin: 'downstream', status: 408, replay: 'never' },
  /** This host is out of descriptors or of memory for sockets. */
  ENGINE_EXHAUSTED: { origin: 'engine', status: 503, replay: 'never' },
  ENGINE_BUG: { origin: 'engine', status: 500, replay: 'never' },
  DENIED_BY_RULE: { origin: 'engine', status: 403, replay: 'never' },
  SCRIPT_FAILED: { origin: 'engine', status: 500, replay: 'never' },
  SERVER_WITHDRAWN: { origin: 'engine', status: 503, replay: 'never' },
  /** Another server answered a hedged request first; nobody hears of it but the server. */
  HEDGE_LOST: { origin: 'engine', status: 503, replay: 'never' },
  NO_TARGET: { origin: 'engine', status: 503, replay: 'never' },
  NO_AVAILABLE_SERVER: { origin: 'engine', status: 503, replay: 'never' },
  REQUEST_TIMEOUT: { origin: 'engine', status: 504, replay: 'never' },
  QUEUE_FULL: { origin: 'engine', status: 503, replay: 'never' },
  UPSTREAM_CONNECT_REFUSED: { origin: 'upstream', status: 502, replay: 'on-another-server' },
  UPSTREAM_CONNECT_TIMEOUT: { origin: 'upstream', status: 504, replay: 'on-another-server' },
  UPSTREAM_TLS_FAILED: { origin: 'upstream', status: 502, replay: 'on-another-server' },
  UPSTREAM_RESET_WHILE_IDLE: { origin: 'upstream', status: 502, replay: 'on-fresh-connection' },
  /** The server says that it has done nothing with the request. */
  UPSTREAM_STREAM_REFUSED: { origin: 'upstream', status: 502, replay: 'on-fresh-connection' },
  /** Nothing of a response came: the request may go again where acting on it twice does no harm. */
  UPSTREAM_RESET_UNANSWERED: { origin: 'upstream', status: 502, replay: 'on-another-server' },
  UPSTREAM_RESET: { origin: 'upstream', status: 502, replay: 'never' },
  UPSTREAM_RESPONSE_TIMEOUT: { origin: 'upstream', status: 504, replay: 'never' },
  /** The answer itself says that another server should be asked. */
  UPSTREAM_STATUS_RESELECTED: { origin: 'upstream', status: 503, replay: 'on-another-server' },
  UPSTREAM_BAD_RESPONSE: { origin: 'upstream', status: 502, replay: 'never' }
} as const satisfies Record<string, FaultRow>

export type FaultCode = keyof typeof rows

export const faultCodes = Object.keys(rows) as readonly FaultCode[]

/** A failure of the world: what was tried, on whom, with which limit; lower case, no period, never a secret. */
export class Fault extends Error {
  override readonly name = 'Fault'
  readonly code: FaultCode

  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  get origin(): Origin {
    return rows[this.code].origin
  }
  get status(): number {
    return rows[this.code].status
  }
  get replay(): Replay {
    return rows[this.code].replay
  }
}

/** Walks `cause` links and returns the first Fault, or undefined. */
export function faultIn(error: unknown): Fault | undefined {
  for (let e = error; e instanceof Error; e = e.cause) if (e instanceof Fault) return e
  return undefined
}
