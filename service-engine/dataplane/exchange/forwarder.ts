/**
 * The seam to the HTTP codec. A forwarder reads requests from accepted connections and carries them to servers; the
 * spine decides everything between. Any number of forwarders can stand beside each other.
 */
import type { Socket } from 'node:net'
import type { Fault } from '#engine/base/fault.ts'
import type { HttpSpec, UpstreamTlsSpec } from '#model/snapshot/snapshot.ts'
import type { BodySource, Downstream, Exchange, RequestHead } from './exchange.ts'

/** `wire`: at byte level; `stock`: `node:http` and `http-proxy-3`, the reference that it is held against. */
export const forwarderKinds = ['wire', 'stock'] as const
export type ForwarderKind = (typeof forwarderKinds)[number]

export interface Forwarder {
  readonly kind: ForwarderKind
  /** Takes connections of HTTP/2, and speaks it to servers. */
  readonly speaksHttp2?: boolean
  /** A connection that was just accepted, without TLS, as this codec reads it best; the socket that was given is not used any more. */
  readonly adopt?: (accepted: Socket) => Socket
  /** The server side under one set of limits; takes connections that are accepted and through with TLS. */
  readonly openEntrance: (limits: HttpSpec, spine: EntranceSpine) => Entrance
  /** A destination that gets no new requests: idle connections close, busy ones close when they are done. */
  readonly forget: (destination: Destination) => void
  /** Sends a request that no client waits for; its answer goes to the exchange's keeper alone. Not every codec can. */
  readonly fetch?: (exchange: Exchange, destination: Destination, events: ForwardEvents) => Fetched
  /** Everything that is idle or not is closed. */
  readonly close: () => void
}

/** A request that no client waits for, on its way. */
export interface Fetched {
  /** More of its body; bytes are not kept. Returns how many wait until the server takes them. */
  readonly write: (bytes: Buffer, from: number, to: number) => number
  /** Its body is whole; not called where the head says that there is none. */
  readonly end: () => void
  readonly abandon: (fault: Fault) => void
}

export interface Entrance {
  readonly accept: (socket: Socket, downstream: Downstream) => void
  /** Connections that are open. */
  readonly connections: () => number
  /** Idle connections close; each other one closes with its next response. Calls back once none is left. */
  readonly retire: (onEmpty: () => void) => void
  /** Every connection is cut. */
  readonly destroy: () => void
}

/** What the codec tells the spine. */
export interface EntranceSpine {
  /** A head came and is sound. Called once per request, one at a time per connection, in order. */
  readonly begin: (request: RequestHead, downstream: Downstream, wire: Wire) => void
  /** What came was not a request that can be understood; the codec has answered by `fault.status` and closes. */
  readonly refused: (fault: Fault, downstream: Downstream) => void
}

/** One exchange as the codec holds it. Of `answer`, `close` and `forward` (again after it ended unsent) exactly one has the last word. */
export interface Wire {
  /** Sends `exchange.response` and the body; `closes` also when the request's rest cannot be trusted or waited for. `onSent` is called exactly once. */
  readonly answer: (exchange: Exchange, body: Buffer, closes: boolean, onSent: (fault: Fault | null) => void) => void
  /** Sends `exchange.response` and what `exchange.keeper` has for its body, as fast as the client takes it. `onSent` is called exactly once. */
  readonly serve: (exchange: Exchange, onSent: (fault: Fault | null) => void) => void
  /** Ends the connection without a response. */
  readonly close: () => void
  /** Sends the request to the destination and relays its response. */
  readonly forward: (exchange: Exchange, destination: Destination, events: ForwardEvents) => void
  /** Ends the attempt under way by a fault, as if the server had failed; nothing once its response has begun. */
  readonly abandon: (fault: Fault) => void
  /** A second attempt beside the one under way, of a request without a body; when one of them ends, the other is the one under way. Not every codec can. */
  readonly hedge?: (exchange: Exchange, destination: Destination, events: ForwardEvents) => void
  /** Ends the second of two attempts, as `abandon` does the first. */
  readonly abandonHedge?: (fault: Fault) => void
  /** Not every codec can. */
  readonly collect?: BodySource['collect']
  readonly replaceBody?: BodySource['replaceBody']
  /** The client went before a response was begun: set by the spine while it waits for something itself. */
  onGone: ((fault: Fault) => void) | null
}

/** Called as methods: whoever hears may be an object with fields of its own. */
export interface ForwardEvents {
  /** A connection to the server stands; not called for a reused one. */
  readonly connected: () => void
  /**
   * `exchange.response` has the response's head and nothing of it was sent: it may be changed, or the attempt abandoned.
   * `isReplayable`: the same request can be sent again, because what was taken of its body is still there.
   */
  readonly responded: (isReplayable: boolean) => void
  /** Exactly once: null when the whole response was sent. */
  readonly ended: (fault: Fault | null, progress: Progress) => void
}

/** How far an attempt came; decides what can be done after a fault. */
export interface Progress {
  /** Some of the request was given to a connection that stood. */
  readonly isRequestSent: boolean
  /** Some of the request's body was taken from the client, so that it cannot be sent again. */
  readonly isBodyConsumed: boolean
  /** The client has some of the response. */
  readonly isResponseBegun: boolean
}

/** A server as a codec needs to know it. One object for as long as its connections may be shared. */
export interface Destination {
  /** It is spoken to in HTTP/2: agreed on in the handshake, or known before where there is none. */
  readonly isHttp2?: boolean
  /** In HTTP/1.1 where it does not agree to HTTP/2 in the handshake. */
  readonly isHttp1Allowed?: boolean
  readonly poolId: string
  readonly serverId: string
  /** The address to connect to now; a name only as long as nobody has resolved it. */
  readonly address: () => string
  /** Of a Unix socket: connected to instead of address and port. */
  readonly path?: string
  readonly port: number
  readonly tls: DestinationTls | null
  readonly connectTimeoutMs: number
  /** To the first byte of an answer; null: unlimited. */
  readonly responseTimeoutMs: number | null
  /** Of silence in the middle of an answer, or of not taking what it is sent; null: unlimited. */
  readonly stallTimeoutMs: number | null
  readonly idleTimeoutMs: number
  readonly maxIdleConnections: number
  /** A small body is kept until its answer begins, so that the request can be sent again. */
  readonly keepsBody?: boolean
  /** Sent as Host; null: the request's own. */
  readonly hostHeader: string | null
  readonly connectionOpened: () => void
  readonly connectionClosed: () => void
}

export interface DestinationTls {
  readonly spec: UpstreamTlsSpec
  /** SNI and the name that is verified; null: none sent. */
  readonly serverName: string | null
  readonly certificatePem: string | null
  readonly keyPem: string | null
  /** Why a certificate (DER) that leads to the roots is not good; left out: it is. */
  readonly refusal?: (der: Uint8Array, nowEpochMs: number) => string | undefined
}
