/** The two sides of an exchange under way: the client's, and an attempt at the server's. Each may speak HTTP/1.1 or HTTP/2. */
import type { Socket } from 'node:net'
import type { Fault } from '#engine/base/fault.ts'
import type { ResponseHead } from '../exchange/exchange.ts'
import type { WireParts } from './wire/parts.ts'
import type { IdleServers } from './wire/server.ts'

/** How a response's body is delivered. */
export interface BodyDelivery {
  /** Bytes that the body is said to have; -1 says nothing. */
  readonly length: number
  readonly isChunked: boolean
}

/** The client, as an attempt needs it. */
export interface ClientSide {
  readonly parts: WireParts
  readonly idle: IdleServers
  /** The request asks for a tunnel, and may. */
  readonly isUpgrade: boolean
  readonly isGone: () => boolean
  readonly interim: (head: ResponseHead) => void
  /**
   * The response's head, which is about to be sent: with the first `send`.
   *
   * Shapes  isKeepable: the connection may be used again
   * Returns the head as text for that `send`; '' where heads are no text
   */
  readonly head: (head: ResponseHead, delivery: BodyDelivery, isKeepable: boolean) => string
  /**
   * Sends the head, or a part of the body, or both. Bytes are not kept: what is not sent at once is copied.
   *
   * Shapes  text: the head, '' when it is out. trailers: with the body's end; null before it
   * Returns false when the client cannot take more for now
   */
  readonly send: (text: string, bytes: Buffer, from: number, to: number, isChunked: boolean, trailers: readonly string[] | null) => boolean
  /** The response is whole: says so, by `flushed`, once the kernel has all of it. */
  readonly flush: () => void
  /** The request's body is wanted. */
  readonly flowBody: () => void
  /** The server takes more of the body. */
  readonly resumeBody: () => void
  /** What was begun cannot be finished: truncation must look like one. */
  readonly cut: (isDelimited: boolean) => void
  /** The connection becomes a tunnel; `early` is what came before it did. `idleTimeoutMs` of silence end it; 0: without end. */
  readonly detach: () => { readonly socket: Socket; readonly early: Buffer; readonly idleTimeoutMs: number }
  readonly attemptEnded: (attempt: ServerSide) => void
  /** An exchange is over, and so is its response. */
  readonly next: () => void
}

/** One try to get a request answered by one server, as the client's side needs it. */
export interface ServerSide {
  /** The client has some of the response. */
  readonly isResponseBegun: boolean
  readonly start: () => void
  /** Ends the attempt. */
  readonly fail: (fault: Fault) => void
  /** More of the request's body; bytes are not kept. False: no more for now. */
  readonly sendBody: (bytes: Buffer, from: number, to: number, isDone: boolean, trailers: readonly string[]) => boolean
  /** The client takes more. */
  readonly clientDrained: () => void
  /** The client has the whole response. */
  readonly flushed: () => void
}
