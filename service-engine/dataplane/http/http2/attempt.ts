/**
 * One try to get a request answered by one server, on a stream.
 *
 *   connecting -> sending (request body flows) -> waiting -> relaying (response flows) -> ended
 *   each may go to ended by a fault
 */
import { STATUS_CODES } from 'node:http'
import { Fault, type FaultCode } from '#engine/base/fault.ts'
import type { Exchange } from '../../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../../exchange/forwarder.ts'
import { stripHopByHop } from '../../exchange/headers.ts'
import type { ClientSide, ServerSide } from '../sides.ts'
import { EMPTY } from '../wire/bytes.ts'
import { Timer } from '../wire/wheel.ts'
import { passableTrailers, readAnswerHead, requestFields } from './fields.ts'
import { codes } from './frames.ts'
import type { ServerSession, SessionUser } from './sessions.ts'
import { LOST, type Stream, type StreamUser } from './stream-state.ts'

/** A server that says `processing` for ever answers nothing. */
const MAX_INTERIM = 32

/** Codes that say, whoever says so, that one of both does not speak as it should. */
const violations: ReadonlySet<number> = new Set([
  codes.PROTOCOL_ERROR,
  codes.FLOW_CONTROL_ERROR,
  codes.STREAM_CLOSED,
  codes.FRAME_SIZE_ERROR,
  codes.COMPRESSION_ERROR
])

export class StreamAttempt implements ServerSide, SessionUser, StreamUser {
  readonly #client: ClientSide
  readonly #exchange: Exchange
  readonly #destination: Destination
  readonly #events: ForwardEvents
  readonly #timer = new Timer(() => this.#timedOut())
  #session: ServerSession | null = null
  #stream: Stream | null = null
  /** The response's head as text, until it is sent. */
  #text = ''
  #hasHead = false
  #isChunked = false
  #length = -1
  #bytes = 0
  #interims = 0
  #isStanding = false
  #isProven = false
  #isStalled = false
  #isRequestSent = false
  #isBodyConsumed = false
  #isBodyDone = false
  #isResponseBegun = false
  #isResponseWhole = false
  #isEnded = false

  constructor(client: ClientSide, exchange: Exchange, destination: Destination, events: ForwardEvents) {
    this.#client = client
    this.#exchange = exchange
    this.#destination = destination
    this.#events = events
  }

  get isResponseBegun(): boolean {
    return this.#isResponseBegun
  }

  start(): void {
    const { idle, parts } = this.#client
    const session = idle.sessions.acquire(this.#destination, this, parts)
    if (this.#isStanding || this.#isEnded) return
    this.#session = session
    this.#arm(this.#destination.connectTimeoutMs)
  }

  ready(session: ServerSession, isFresh: boolean): void {
    if (this.#isEnded) return
    this.#session = session
    this.#isProven = session.isProven
    if (isFresh) {
      this.#timer.disarm()
      this.#events.connected()
    }
    if (!this.#isEnded) this.#stand(session)
  }

  unable(code: FaultCode, cause: Error | undefined): void {
    this.fail(new Fault(code, `${this.#where()}: ${cause?.message ?? 'the connection closed'}`, { cause }))
  }

  fail(fault: Fault): void {
    if (this.#isEnded) return
    if (this.#isResponseBegun) this.#client.cut(this.#isChunked || this.#length >= 0)
    if (this.#stream === null) this.#session?.leave(this)
    else this.#giveUp(this.#stream, fault.code === 'UPSTREAM_BAD_RESPONSE' ? codes.PROTOCOL_ERROR : codes.CANCEL)
    this.#end(fault)
  }

  sendBody(bytes: Buffer, from: number, to: number, isDone: boolean, trailers: readonly string[]): boolean {
    const stream = this.#stream
    const size = to - from
    if (this.#isEnded || stream === null || stream.isLocalEnded || (size === 0 && !isDone)) return true
    this.#isBodyConsumed = true
    this.#exchange.bytesIn += size
    if (isDone) {
      stream.write(bytes, from, to, passableTrailers(trailers))
      this.#bodySent()
      return true
    }
    const isFlowing = stream.write(bytes, from, to, null)
    // A server that has begun to answer may wait for the rest of what it is asked.
    if (!isFlowing || this.#hasHead) this.#armStall()
    return isFlowing
  }

  clientDrained(): void {
    if (this.#hasHead && !this.#isResponseWhole) this.#armStall()
    this.#stream?.resume()
  }

  flushed(): void {
    if (!this.#isEnded) this.#end(null)
  }

  // What the server says.

  onHead(fields: readonly string[] | null, isEnd: boolean): boolean {
    const head = fields === null ? new Fault('UPSTREAM_BAD_RESPONSE', 'a header that is too large') : readAnswerHead(fields)
    if (head instanceof Fault) {
      this.fail(head)
      return true
    }
    if (head.status < 200) {
      this.#interim(head.status, head.headers, isEnd)
      return false
    }
    this.#respond(head.status, head.headers, head.length, isEnd)
    return true
  }

  /** A head that nothing follows for now is not held back; mostly a body is there already, and goes with it. */
  onHeadAlone(): void {
    if (!this.#isEnded && !this.#isResponseBegun) this.#send(EMPTY, 0, 0, null)
  }

  onData(bytes: Buffer, from: number, to: number): boolean {
    if (this.#isEnded) return true
    const size = to - from
    this.#bytes += size
    this.#exchange.bytesOut += size
    if (this.#length >= 0 && this.#bytes > this.#length) {
      this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a body that is longer than its content-length'))
      return true
    }
    const isFlowing = this.#send(bytes, from, to, null)
    if (isFlowing) this.#armStall()
    else this.#timer.disarm()
    return isFlowing
  }

  onEnd(trailers: readonly string[]): void {
    if (this.#isEnded) return
    if (this.#length >= 0 && this.#bytes !== this.#length)
      return this.fail(new Fault('UPSTREAM_RESET', `${this.#where()}: a body that is shorter than its content-length`))
    this.#isResponseWhole = true
    this.#timer.disarm()
    this.#send(EMPTY, 0, 0, passableTrailers(trailers))
    // An answer ahead of the request's end: the rest will not be sent.
    if (this.#stream !== null && !this.#stream.isLocalEnded && this.#stream.trailers === null) this.#giveUp(this.#stream, codes.CANCEL)
    this.#client.flush()
  }

  /** The stream is gone before its end: what that means depends on how far the attempt had come. */
  onReset(code: number): void {
    if (this.#isEnded || this.#isResponseWhole) return
    const why = code === LOST ? 'the connection closed' : `the stream was closed (${code})`
    const what = `${this.#where()}: ${why} before the answer was whole`
    if (code === codes.REFUSED_STREAM && !this.#hasHead) {
      // RFC 9113 §8.7: nothing was done with the request.
      this.#isRequestSent = false
      return this.fail(new Fault('UPSTREAM_STREAM_REFUSED', what))
    }
    if (violations.has(code)) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', what))
    if (this.#hasHead) return this.fail(new Fault('UPSTREAM_RESET', what))
    this.fail(new Fault(this.#isProven && code === LOST ? 'UPSTREAM_RESET_WHILE_IDLE' : 'UPSTREAM_RESET_UNANSWERED', what))
  }

  onDrain(): void {
    if (this.#isBodyDone) return
    if (this.#hasHead) this.#armStall()
    else this.#timer.disarm()
    this.#client.resumeBody()
  }

  onFlushed(): void {
    // The answer tells more.
  }

  #stand(session: ServerSession): void {
    const { request } = this.#exchange
    const hasBody = request.framing !== 'none' && request.contentLength !== 0
    this.#isStanding = true
    this.#isRequestSent = true
    this.#stream = session.ask(requestFields(request, this.#destination), !hasBody, this)
    if (hasBody) this.#client.flowBody()
    else this.#bodySent()
  }

  /** Our stream ends by us; nobody has to be told. */
  #giveUp(stream: Stream, code: number): void {
    stream.user = null
    stream.reset(code)
  }

  #bodySent(): void {
    this.#isBodyDone = true
    const { responseTimeoutMs } = this.#destination
    if (this.#hasHead) return
    this.#isStalled = false
    if (responseTimeoutMs === null) this.#timer.disarm()
    else this.#arm(responseTimeoutMs)
  }

  #interim(status: number, headers: string[], isEnd: boolean): void {
    if (isEnd) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'an interim response that ends the stream'))
    if (++this.#interims > MAX_INTERIM) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'interim responses without end'))
    // 100 was said by us, when it was asked for.
    if (status === 100 || this.#exchange.request.version === '1.0') return
    stripHopByHop(headers)
    this.#client.interim({ status, reason: STATUS_CODES[status] ?? '', headers })
  }

  #respond(status: number, headers: string[], said: number, isAll: boolean): void {
    const { method, version } = this.#exchange.request
    const isBodyless = method === 'HEAD' || status === 204 || status === 304
    if (isAll && said > 0 && !isBodyless) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a content-length without a body'))
    this.#hasHead = true
    this.#timer.disarm()
    this.#session!.isProven = true
    stripHopByHop(headers)
    const response = { status, reason: STATUS_CODES[status] ?? '', headers }
    this.#exchange.response = response
    this.#events.responded(!this.#isBodyConsumed)
    if (this.#isEnded || this.#client.isGone()) return
    this.#length = said < 0 && isAll && !isBodyless ? 0 : status === 204 ? -1 : said
    this.#isChunked = version === '1.1' && this.#length < 0 && !isBodyless
    const isDelimited = this.#isChunked || this.#length >= 0 || isBodyless
    this.#text = this.#client.head(response, { length: this.#length, isChunked: this.#isChunked }, this.#isBodyDone && isDelimited)
    if (isBodyless) this.#length = 0
    if (!isAll) this.#armStall()
  }

  #send(bytes: Buffer, from: number, to: number, trailers: readonly string[] | null): boolean {
    const text = this.#text
    this.#text = ''
    this.#isResponseBegun = true
    return this.#client.send(text, bytes, from, to, this.#isChunked, trailers)
  }

  #timedOut(): void {
    const { connectTimeoutMs, responseTimeoutMs, stallTimeoutMs } = this.#destination
    if (!this.#isStanding)
      this.fail(new Fault('UPSTREAM_CONNECT_TIMEOUT', `no connection to ${this.#where()} within ${connectTimeoutMs} ms`))
    else if (this.#isStalled) this.fail(new Fault('UPSTREAM_RESPONSE_TIMEOUT', `${this.#where()} stood still for ${stallTimeoutMs} ms`))
    else this.fail(new Fault('UPSTREAM_RESPONSE_TIMEOUT', `nothing from ${this.#where()} within ${responseTimeoutMs} ms`))
  }

  /** It is the server's turn, in the middle of something. */
  #armStall(): void {
    const { stallTimeoutMs } = this.#destination
    if (stallTimeoutMs === null) return
    this.#isStalled = true
    this.#arm(stallTimeoutMs)
  }

  #arm(delayMs: number): void {
    this.#client.parts.wheel.lane(delayMs).arm(this.#timer)
  }

  #where(): string {
    return `${this.#destination.address()}:${this.#destination.port}`
  }

  #end(fault: Fault | null): void {
    this.#isEnded = true
    this.#timer.disarm()
    this.#client.attemptEnded(this)
    this.#events.ended(fault, {
      isRequestSent: this.#isRequestSent,
      isBodyConsumed: this.#isBodyConsumed,
      isResponseBegun: this.#isResponseBegun
    })
    if (fault === null) this.#client.next()
  }
}
