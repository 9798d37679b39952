/**
 * One try to get a request answered by one server, on a stream.
 *
 *   connecting -> sending (request body flows) -> waiting -> relaying (response flows) -> ended
 *   each may go to ended by a fault
 */
import { STATUS_CODES } from 'node:http'
import { constants, type ClientHttp2Stream } from 'node:http2'
import { Fault, type FaultCode } from '#engine/base/fault.ts'
import type { Exchange } from '../../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../../exchange/forwarder.ts'
import { stripHopByHop } from '../../exchange/headers.ts'
import type { ClientSide, ServerSide } from '../sides.ts'
import { EMPTY } from '../wire/bytes.ts'
import { Timer } from '../wire/wheel.ts'
import { passableTrailers, requestFields, trailerObject } from './fields.ts'
import type { ServerSession, SessionUser } from './sessions.ts'

/** A server that says `processing` for ever answers nothing. */
const MAX_INTERIM = 32

export class StreamAttempt implements ServerSide, SessionUser {
  readonly #client: ClientSide
  readonly #exchange: Exchange
  readonly #destination: Destination
  readonly #events: ForwardEvents
  readonly #timer = new Timer(() => this.#timedOut())
  #session: ServerSession | null = null
  #stream: ClientHttp2Stream | null = null
  /** The response's head as text, until it is sent. */
  #text = ''
  #hasHead = false
  #isChunked = false
  #length = -1
  #bytes = 0
  #interims = 0
  #trailers: readonly string[] = []
  #requestTrailers: readonly string[] = []
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
    this.#arm(this.#destination.connectTimeoutMs)
    const session = idle.sessions.acquire(this.#destination, this, parts.wheel)
    this.#session ??= session
  }

  ready(session: ServerSession, isFresh: boolean): void {
    this.#session = session
    this.#timer.disarm()
    if (this.#isEnded) return session.release()
    this.#isProven = session.isProven
    if (isFresh) this.#events.connected()
    if (!this.#isEnded) this.#stand(session)
  }

  unable(code: FaultCode, cause: Error | undefined): void {
    this.fail(new Fault(code, `${this.#where()}: ${cause?.message ?? 'the connection closed'}`, { cause }))
  }

  fail(fault: Fault): void {
    if (this.#isEnded) return
    if (this.#isResponseBegun) this.#client.cut(this.#isChunked || this.#length >= 0)
    if (this.#stream === null) this.#session?.leave(this)
    else if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_CANCEL)
    this.#end(fault)
  }

  sendBody(bytes: Buffer, from: number, to: number, isDone: boolean, trailers: readonly string[]): boolean {
    const stream = this.#stream
    const size = to - from
    if (this.#isEnded || stream === null || stream.destroyed || stream.writableEnded || (size === 0 && !isDone)) return true
    this.#isBodyConsumed = true
    this.#exchange.bytesIn += size
    // What is read may be in a buffer that the next read overwrites.
    const chunk = size === 0 ? EMPTY : Buffer.from(bytes.subarray(from, to))
    if (isDone) {
      this.#requestTrailers = passableTrailers(trailers)
      if (size === 0) stream.end()
      else stream.end(chunk)
      this.#bodySent()
      return true
    }
    const isFlowing = stream.write(chunk)
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

  #stand(session: ServerSession): void {
    const { request } = this.#exchange
    const hasBody = request.framing !== 'none'
    this.#isStanding = true
    let stream: ClientHttp2Stream
    try {
      const fields = requestFields(request, this.#destination)
      // Trailers or not: the library ends a stream that it is told to reset, unless trailers are due.
      stream = session.library!.request(fields, { endStream: !hasBody, waitForTrailers: hasBody })
    } catch (error) {
      session.release()
      return this.fail(new Fault('UPSTREAM_RESET_WHILE_IDLE', `${this.#where()}: no stream to be had`, { cause: error }))
    }
    this.#stream = stream
    this.#isRequestSent = true
    stream.on('response', (_fields, flags, raw) => this.#onResponse(flags, raw as unknown as string[]))
    stream.on('headers', (_fields, _flags, raw) => this.#onInterim(raw as unknown as string[]))
    stream.on('trailers', (_fields, _flags, raw) => (this.#trailers = passableTrailers(raw as unknown as string[])))
    stream.on('error', () => undefined)
    stream.once('close', () => {
      session.release()
      this.#lost()
    })
    if (!hasBody) return this.#bodySent()
    stream.once('wantTrailers', () => this.#sendTrailers(stream))
    stream.on('drain', () => {
      if (this.#isBodyDone) return
      if (this.#hasHead) this.#armStall()
      else this.#timer.disarm()
      this.#client.resumeBody()
    })
    this.#client.flowBody()
  }

  #sendTrailers(stream: ClientHttp2Stream): void {
    if (!stream.destroyed && !stream.closed) stream.sendTrailers(trailerObject(this.#requestTrailers))
  }

  #bodySent(): void {
    this.#isBodyDone = true
    const { responseTimeoutMs } = this.#destination
    if (this.#hasHead) return
    this.#isStalled = false
    if (responseTimeoutMs === null) this.#timer.disarm()
    else this.#arm(responseTimeoutMs)
  }

  #onInterim(fields: readonly string[]): void {
    if (this.#isEnded || this.#hasHead) return
    if (++this.#interims > MAX_INTERIM) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'interim responses without end'))
    const status = Number(fields[fields.indexOf(':status') + 1])
    // 100 was said by us, when it was asked for.
    if (status === 100 || status === 101 || this.#exchange.request.version === '1.0') return
    this.#client.interim({ status, reason: STATUS_CODES[status] ?? '', headers: headersOf(fields) })
  }

  #onResponse(flags: number, fields: readonly string[]): void {
    const stream = this.#stream
    if (this.#isEnded || stream === null) return
    if (this.#hasHead) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a second response on one stream'))
    const status = Number(fields[fields.indexOf(':status') + 1])
    if (!(status >= 200 && status <= 599)) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a status that is none'))
    this.#hasHead = true
    this.#timer.disarm()
    this.#session!.isProven = true
    const { method, version } = this.#exchange.request
    const headers = headersOf(fields)
    const said = lengthOf(headers)
    if (said instanceof Fault) return this.fail(said)
    const isAll = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    const isBodyless = method === 'HEAD' || status === 204 || status === 304
    const response = { status, reason: STATUS_CODES[status] ?? '', headers }
    this.#exchange.response = response
    this.#events.responded(!this.#isBodyConsumed)
    if (this.#isEnded || this.#client.isGone()) return
    this.#length = said < 0 && isAll && !isBodyless ? 0 : status === 204 ? -1 : said
    this.#isChunked = version === '1.1' && this.#length < 0 && !isBodyless
    const isDelimited = this.#isChunked || this.#length >= 0 || isBodyless
    this.#text = this.#client.head(response, { length: this.#length, isChunked: this.#isChunked }, this.#isBodyDone && isDelimited)
    if (isBodyless) this.#length = 0
    stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    stream.on('end', () => this.#onEnd())
    // A head that nothing follows for now is not held back; mostly a body is there already, and goes with it.
    if (isAll) return
    this.#armStall()
    setImmediate(() => this.#sendHead())
  }

  #sendHead(): void {
    if (!this.#isEnded && !this.#isResponseBegun) this.#send(EMPTY, null)
  }

  #onData(chunk: Buffer): void {
    if (this.#isEnded) return
    this.#bytes += chunk.length
    this.#exchange.bytesOut += chunk.length
    if (this.#length >= 0 && this.#bytes > this.#length)
      return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a body that is longer than its content-length'))
    if (this.#send(chunk, null)) return this.#armStall()
    this.#timer.disarm()
    this.#stream?.pause()
  }

  #onEnd(): void {
    if (this.#isEnded || this.#isResponseWhole) return
    // A stream that was reset ends too, for the library.
    if (this.#stream?.rstCode !== constants.NGHTTP2_NO_ERROR || (this.#length >= 0 && this.#bytes !== this.#length)) return this.#lost()
    this.#isResponseWhole = true
    this.#timer.disarm()
    this.#send(EMPTY, this.#trailers)
    // An answer ahead of the request's end: the rest will not be sent.
    if (!this.#isBodyDone) this.#stream?.close(constants.NGHTTP2_CANCEL)
    this.#client.flush()
  }

  #send(chunk: Buffer, trailers: readonly string[] | null): boolean {
    const text = this.#text
    this.#text = ''
    this.#isResponseBegun = true
    return this.#client.send(text, chunk, 0, chunk.length, this.#isChunked, trailers)
  }

  /** The stream is gone before its end: what that means depends on how far the attempt had come. */
  #lost(): void {
    if (this.#isEnded || this.#isResponseWhole) return
    const code = this.#stream?.rstCode ?? constants.NGHTTP2_NO_ERROR
    const what = `${this.#where()}: the stream was closed before the answer was whole (${code})`
    if (code === constants.NGHTTP2_REFUSED_STREAM && !this.#hasHead) {
      // RFC 9113 §8.7: nothing was done with the request.
      this.#isRequestSent = false
      return this.fail(new Fault('UPSTREAM_STREAM_REFUSED', what))
    }
    if (this.#isResponseBegun || this.#hasHead) return this.fail(new Fault('UPSTREAM_RESET', what))
    if (code === constants.NGHTTP2_PROTOCOL_ERROR) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', what))
    this.fail(new Fault(this.#isProven ? 'UPSTREAM_RESET_WHILE_IDLE' : 'UPSTREAM_RESET_UNANSWERED', what))
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

function headersOf(fields: readonly string[]): string[] {
  const headers: string[] = []
  for (let i = 0; i < fields.length; i += 2) if (!fields[i]!.startsWith(':')) headers.push(fields[i]!, fields[i + 1]!)
  stripHopByHop(headers)
  return headers
}

/** -1 when nothing is said. */
function lengthOf(headers: readonly string[]): number | Fault {
  let length = -1
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'content-length') continue
    if (length >= 0 || !/^\d{1,15}$/.test(headers[i + 1]!)) return new Fault('UPSTREAM_BAD_RESPONSE', 'a content-length that is no length')
    length = Number(headers[i + 1])
  }
  return length
}
