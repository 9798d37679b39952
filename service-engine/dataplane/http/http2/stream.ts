/** One stream of a client: its request, and what is answered. */
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { HttpSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Exchange, RequestHead, ResponseHead } from '../../exchange/exchange.ts'
import type { Destination, ForwardEvents, Wire } from '../../exchange/forwarder.ts'
import { headerOf } from '../../exchange/headers.ts'
import { makeAttempt } from '../attempts.ts'
import type { BodyDelivery, ClientSide, ServerSide } from '../sides.ts'
import { EMPTY } from '../wire/bytes.ts'
import type { WireParts } from '../wire/parts.ts'
import type { IdleServers } from '../wire/server.ts'
import { Timer, type Lane } from '../wire/wheel.ts'
import { grpcFields, isGrpc, passableTrailers, responseFields, trailerObject, type StreamHead } from './fields.ts'

/** What the streams of one connection share. */
export interface StreamParts {
  readonly limits: HttpSpec
  readonly parts: WireParts
  readonly idle: IdleServers
  readonly lanes: StreamLanes
}

export interface StreamLanes {
  readonly body: Lane
  /** Between two messages of a call that streams. */
  readonly call: Lane
  readonly reader: Lane
}

/** So much of a body is kept, so that a request can go to another server when the first one did not take it. */
const MAX_KEPT_BYTES = 65_536
/** A body that comes more slowly is not waited for. */
const MIN_BODY_BYTES_PER_S = 240

/** Who takes the request's body. */
const NOBODY = 0
const SERVER = 1

/**
 *   begun -> (body flows) -> head out -> body out -> over
 *   each may go to over when the client or the connection is gone
 */
export class ClientStream implements Wire, ClientSide {
  readonly parts: WireParts
  readonly idle: IdleServers
  /** Tunnels over a stream (RFC 8441) are not offered. */
  readonly isUpgrade = false
  onGone: ((fault: Fault) => void) | null = null
  readonly #stream: ServerHttp2Stream
  readonly #shared: StreamParts
  readonly #request: RequestHead
  readonly #isGrpc: boolean
  readonly #timer = new Timer(() => this.#bodyExpired())
  readonly #readerTimer = new Timer(() => this.#readerExpired())
  #expectsContinue: boolean
  #attempt: ServerSide | null = null
  #onSent: ((fault: Fault | null) => void) | null = null
  /** The response's head until it is out. */
  #head: ResponseHead | null = null
  #length = -1
  #responseTrailers: readonly string[] = []
  /** What ends the response comes after its body, and is asked for by the library. */
  #mayTrail = false
  #bodyTo = NOBODY
  #isReading = false
  #isBodyDone: boolean
  #bodyBytes = 0
  #windowBytes = 0
  /** What came of the body as long as all of it can be sent again; null once it cannot. */
  #kept: Buffer[] | null = []
  #trailers: string[] = []
  #unread = 0
  /** All of the response was handed over. */
  #isWhole = false
  #isOver = false

  constructor(stream: ServerHttp2Stream, { head, expectsContinue }: StreamHead, hasBody: boolean, shared: StreamParts) {
    this.#stream = stream
    this.#request = head
    this.#shared = shared
    this.parts = shared.parts
    this.idle = shared.idle
    this.#isGrpc = isGrpc(head)
    this.#expectsContinue = expectsContinue
    this.#isBodyDone = !hasBody
    stream.on('close', () => this.#closed())
    stream.on('drain', () => this.#drained())
    if (!hasBody) return
    // A body of nothing ends before anybody reads.
    stream.on('end', () => this.#onEnd())
    stream.on('trailers', (_fields: unknown, _flags: number, raw: string[]) => {
      this.#trailers = passableTrailers(raw)
    })
  }

  // What the spine asks for.

  forward(exchange: Exchange, destination: Destination, events: ForwardEvents): void {
    const attempt = makeAttempt(this, exchange, destination, {
      connected: () => events.connected(),
      responded: () => events.responded(this.#kept !== null),
      ended: (fault, progress) => events.ended(fault, { ...progress, isBodyConsumed: progress.isBodyConsumed && this.#kept === null })
    })
    this.#attempt = attempt
    if (this.isGone()) attempt.fail(goneFault())
    else attempt.start()
  }

  answer(exchange: Exchange, body: Buffer, _closes: boolean, onSent: (fault: Fault | null) => void): void {
    if (this.isGone()) return onSent(goneFault())
    this.#onSent = onSent
    this.refuse(exchange.response!, body)
    this.flush()
  }

  /** Sends a response of ours; also to what never became an exchange. */
  refuse(response: ResponseHead, body: Buffer): void {
    const stream = this.#stream
    this.#stopBody()
    try {
      this.#isWhole = true
      if (this.#isGrpc) return stream.respond(grpcFields(response), { endStream: true })
      const length = headerOf(response.headers, 'content-length')
      const fields = responseFields(response, length === undefined ? -1 : Number(length))
      stream.respond(fields, { endStream: body.length === 0 })
      if (body.length > 0) stream.end(body)
    } catch {
      this.#reset(constants.NGHTTP2_INTERNAL_ERROR)
    }
  }

  close(): void {
    this.#reset(constants.NGHTTP2_CANCEL)
    this.#gone(goneFault())
  }

  abandon(fault: Fault): void {
    if (this.#attempt?.isResponseBegun === false) this.#attempt.fail(fault)
  }

  // What an attempt asks for.

  isGone(): boolean {
    return this.#isOver || this.#stream.destroyed || this.#stream.closed
  }

  interim(head: ResponseHead): void {
    if (this.isGone() || this.#stream.headersSent) return
    const fields = responseFields(head, -1)
    try {
      this.#stream.additionalHeaders(trailerObject(fields))
    } catch {
      // One that cannot be sent on is not missed.
    }
  }

  head(head: ResponseHead, { length }: BodyDelivery): string {
    this.#head = head
    this.#length = length
    return ''
  }

  send(_text: string, bytes: Buffer, from: number, to: number, _isChunked: boolean, trailers: readonly string[] | null): boolean {
    if (this.isGone()) return true
    const isDone = trailers !== null
    const isEmpty = from === to
    this.#isWhole = isDone
    try {
      if (this.#head !== null && !this.#sendHead(this.#head, isDone && isEmpty && trailers.length === 0, isDone && trailers.length === 0))
        return true
      if (isDone) this.#responseTrailers = passableTrailers(trailers)
      // What is read is in a buffer that the next read overwrites.
      const chunk = isEmpty ? EMPTY : Buffer.from(bytes.subarray(from, to))
      if (isDone) {
        if (isEmpty) this.#stream.end()
        else this.#stream.end(chunk)
        return true
      }
      return isEmpty || this.#stream.write(chunk) || this.#blocked()
    } catch {
      this.cut()
      return true
    }
  }

  flush(): void {
    if (this.#mayTrail) return void this.#blocked()
    if (this.#stream.writableFinished) return this.#flushed()
    this.#blocked()
    this.#stream.once('finish', () => this.#flushed())
  }

  flowBody(): void {
    if (this.#expectsContinue) {
      this.#expectsContinue = false
      if (!this.#stream.headersSent) this.#stream.additionalHeaders({ ':status': 100 })
    }
    this.#bodyTo = SERVER
    this.#windowBytes = 0
    for (const chunk of this.#kept ?? []) this.#attempt?.sendBody(chunk, 0, chunk.length, false, [])
    if (this.#isBodyDone) return void this.#attempt?.sendBody(EMPTY, 0, 0, true, this.#trailers)
    this.#armBody()
    if (this.#isReading) this.#stream.resume()
    else this.#read()
  }

  resumeBody(): void {
    if (this.#bodyTo !== SERVER || this.#isBodyDone || !this.#stream.isPaused()) return
    this.#windowBytes = 0
    this.#armBody()
    this.#stream.resume()
  }

  /** The stream is reset: whoever reads it sees that it did not come to its end. */
  cut(): void {
    this.#reset(constants.NGHTTP2_INTERNAL_ERROR)
  }

  detach(): { socket: Socket; early: Buffer } {
    throw new Fault('ENGINE_BUG', 'a stream is no tunnel')
  }

  attemptEnded(attempt: ServerSide): void {
    if (this.#attempt !== attempt) return
    this.#attempt = null
    this.#bodyTo = NOBODY
    this.#timer.disarm()
    if (this.#isReading && !this.#isBodyDone) this.#stream.pause()
  }

  /** What is left of the request is not wanted: RFC 9113 §8.1. */
  next(): void {
    this.#finish()
  }

  // The request's body.

  #read(): void {
    this.#isReading = true
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk))
  }

  #onData(chunk: Buffer): void {
    const { maxBodyBytes } = this.#shared.limits
    const { framing, contentLength } = this.#request
    this.#bodyBytes += chunk.length
    this.#windowBytes += chunk.length
    if (framing === 'length' && this.#bodyBytes > contentLength)
      return this.#failBody(new Fault('DOWNSTREAM_BAD_REQUEST', 'a body that is longer than its content-length'))
    if (maxBodyBytes !== null && this.#bodyBytes > maxBodyBytes)
      return this.#failBody(new Fault('DOWNSTREAM_BODY_TOO_LARGE', `a body over ${maxBodyBytes} bytes`))
    if (this.#bodyBytes > MAX_KEPT_BYTES) this.#kept = null
    else this.#kept?.push(chunk)
    if (this.#attempt === null || this.#bodyTo !== SERVER) return void this.#stream.pause()
    if (this.#attempt.sendBody(chunk, 0, chunk.length, false, [])) return
    this.#timer.disarm()
    this.#stream.pause()
  }

  #onEnd(): void {
    if (this.#isBodyDone || this.isGone()) return
    const { framing, contentLength } = this.#request
    this.#timer.disarm()
    if (framing === 'length' && this.#bodyBytes !== contentLength)
      return this.#failBody(new Fault('DOWNSTREAM_BAD_REQUEST', 'a body that is shorter than its content-length'))
    this.#isBodyDone = true
    if (this.#bodyTo === SERVER) this.#attempt?.sendBody(EMPTY, 0, 0, true, this.#trailers)
  }

  #failBody(fault: Fault): void {
    this.#stopBody()
    if (this.#attempt === null) this.#reset(constants.NGHTTP2_PROTOCOL_ERROR)
    else this.#attempt.fail(fault)
  }

  #stopBody(): void {
    this.#bodyTo = NOBODY
    this.#timer.disarm()
    if (this.#isReading) this.#stream.pause()
  }

  #armBody(): void {
    const { lanes } = this.#shared
    // Once it is being answered a request may take its time: both sides speak.
    if (this.#attempt?.isResponseBegun !== true) (this.#isGrpc && this.#bodyBytes > 0 ? lanes.call : lanes.body).arm(this.#timer)
  }

  // The response.

  /** Returns false when the head was all there is. */
  #sendHead(head: ResponseHead, isAll: boolean, isLast: boolean): boolean {
    this.#head = null
    // A call that failed says so in its head alone, and that says nothing of a body.
    const fields = responseFields(head, isAll && this.#isGrpc ? -1 : this.#length)
    if (isAll) {
      this.#stream.respond(fields, { endStream: true })
      return false
    }
    // Also where no trailers are to come: the library ends a stream that it is told to reset, unless trailers are due.
    this.#mayTrail = !isLast
    if (this.#mayTrail) this.#stream.once('wantTrailers', () => this.#sendTrailers())
    this.#stream.respond(fields, { waitForTrailers: this.#mayTrail })
    return true
  }

  #sendTrailers(): void {
    if (this.#stream.destroyed || this.#stream.closed) return
    try {
      this.#stream.sendTrailers(trailerObject(this.#responseTrailers))
      // The library hands them over at its next turn.
      setImmediate(() => this.#flushed())
    } catch {
      this.cut()
    }
  }

  #drained(): void {
    this.#readerTimer.disarm()
    this.#attempt?.clientDrained()
  }

  #flushed(): void {
    this.#readerTimer.disarm()
    if (this.#isOver) return
    if (this.#attempt !== null) return this.#attempt.flushed()
    const onSent = this.#onSent
    this.#onSent = null
    this.#finish()
    onSent?.(null)
  }

  #finish(): void {
    this.#isOver = true
    this.#stopBody()
    this.#kept = null
    if (!this.#isBodyDone && !this.#stream.closed) this.#stream.close(constants.NGHTTP2_NO_ERROR)
    // What came and was not read would keep the stream.
    else if (!this.#isReading) this.#stream.resume()
  }

  #blocked(): false {
    if (!this.#readerTimer.isArmed) {
      this.#unread = this.#stream.bufferSize
      this.#shared.lanes.reader.arm(this.#readerTimer)
    }
    return false
  }

  #reset(code: number): void {
    if (!this.#stream.closed) this.#stream.close(code)
  }

  #closed(): void {
    this.#timer.disarm()
    this.#readerTimer.disarm()
    // The library may close a stream that came to its end without telling that it finished writing.
    if (this.#isWhole && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR) this.#flushed()
    else this.#gone(goneFault())
    this.#kept = null
  }

  #gone(fault: Fault): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer.disarm()
    this.#readerTimer.disarm()
    this.#attempt?.fail(fault)
    const onSent = this.#onSent
    this.#onSent = null
    onSent?.(fault)
    this.onGone?.(fault)
  }

  // What did not come in time.

  #bodyExpired(): void {
    const { lanes, limits } = this.#shared
    if (this.#attempt?.isResponseBegun === true) return
    const isEnough = this.#isGrpc ? this.#windowBytes > 0 : this.#windowBytes >= (MIN_BODY_BYTES_PER_S * lanes.body.delayMs) / 1000
    if (isEnough) {
      this.#windowBytes = 0
      return this.#armBody()
    }
    this.#failBody(new Fault('DOWNSTREAM_BODY_TIMEOUT', `too little of the body within ${limits.bodyTimeoutMs} ms`))
  }

  /** A reader that takes nothing at all for so long is cut; one that is slow is not. */
  #readerExpired(): void {
    const waiting = this.#stream.bufferSize
    if (waiting < this.#unread) {
      this.#unread = waiting
      return this.#shared.lanes.reader.arm(this.#readerTimer)
    }
    this.#reset(constants.NGHTTP2_CANCEL)
    this.#gone(new Fault('DOWNSTREAM_IDLE', 'the client does not read'))
  }
}

const goneFault = (): Fault => new Fault('DOWNSTREAM_RESET', 'the client went')
