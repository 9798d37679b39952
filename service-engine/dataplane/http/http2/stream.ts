/** One stream of a client: its request, and what is answered. */
import type { Socket } from 'node:net'
import type { HttpSpec, PaceSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Exchange, RequestHead, ResponseHead, TakenBody } from '../../exchange/exchange.ts'
import type { Destination, ForwardEvents, Wire } from '../../exchange/forwarder.ts'
import { headerOf, isGrpc } from '../../exchange/headers.ts'
import { makeAttempt, makeServing } from '../attempts.ts'
import { BodyCollector, sendPieces } from '../collector.ts'
import type { BodyDelivery, ClientSide, ServerSide } from '../sides.ts'
import { EMPTY } from '../wire/bytes.ts'
import { Pace } from '../wire/pace.ts'
import type { WireParts } from '../wire/parts.ts'
import type { IdleServers } from '../wire/server.ts'
import { Timer, type Lane } from '../wire/wheel.ts'
import { grpcFields, passableTrailers, responseFields, type StreamHead } from './fields.ts'
import { codes } from './frames.ts'
import type { Stream, StreamUser } from './stream-state.ts'

/** What the streams of one connection share. */
export interface StreamParts {
  readonly limits: HttpSpec
  readonly parts: WireParts
  readonly idle: IdleServers
  /** Of who reads a response. */
  readonly pace: PaceSpec
  readonly bodyPace: PaceSpec
  readonly lanes: StreamLanes
}

export interface StreamLanes {
  readonly body: Lane
  /** For a body that has used up the time that it had at first. */
  readonly look: Lane
  /** Between two messages of a call that streams. */
  readonly call: Lane
  /** Between two looks at a reader. */
  readonly reader: Lane
}

/** So much of a body is kept, so that a request can go to another server when the first one did not take it. */
const MAX_KEPT_BYTES = 65_536

/**
 *   begun -> (body flows) -> head out -> body out -> over
 *   each may go to over when the client or the connection is gone
 */
export class ClientStream implements Wire, ClientSide, StreamUser {
  readonly parts: WireParts
  readonly idle: IdleServers
  /** Tunnels over a stream (RFC 8441) are not offered. */
  readonly isUpgrade = false
  onGone: ((fault: Fault) => void) | null = null
  readonly #stream: Stream
  readonly #shared: StreamParts
  readonly #request: RequestHead
  readonly #isGrpc: boolean
  readonly #timer = new Timer(() => this.#bodyExpired())
  readonly #readerTimer = new Timer(() => this.#readerExpired())
  #expectsContinue: boolean
  #attempt: ServerSide | null = null
  /** Beside the attempt, until one of both ends: the other goes on as the attempt. */
  #rival: ServerSide | null = null
  #onSent: ((fault: Fault | null) => void) | null = null
  /** The response's head until it is out. */
  #head: ResponseHead | null = null
  #length = -1
  /** The attempt under way wants the body. */
  #isWanted = false
  #isBodyDone: boolean
  #bodyBytes = 0
  #bodyPace: Pace | null = null
  /** Of a call: something of it came since the last look. */
  #hasSpoken = false
  /** What came of the body as long as all of it can be sent again; null once it cannot. */
  #kept: Buffer[] | null = []
  #trailers: readonly string[] = []
  /** What waits for the reader as of the last look. */
  #unread = 0
  #readPace: Pace | null = null
  /** The request was not what it said it was. */
  #isBroken = false
  #isOver = false

  constructor(stream: Stream, { head, expectsContinue }: StreamHead, hasBody: boolean, shared: StreamParts) {
    this.#stream = stream
    this.#request = head
    this.#shared = shared
    this.parts = shared.parts
    this.idle = shared.idle
    this.#isGrpc = isGrpc(head.headers)
    this.#expectsContinue = expectsContinue
    this.#isBodyDone = !hasBody
    stream.isPaused = true
    stream.user = this
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

  collect(limitBytes: number, taken: (taken: TakenBody) => void): void {
    this.#kept = null
    this.#attempt = new BodyCollector(this, limitBytes, body => {
      if (body.is !== 'failed') this.#kept = [body.bytes]
      taken(body)
    })
    this.#attempt.start()
  }

  replaceBody(bytes: Buffer): void {
    this.#kept = [bytes]
    this.#trailers = []
  }

  answer(exchange: Exchange, body: Buffer, _closes: boolean, onSent: (fault: Fault | null) => void): void {
    if (this.isGone()) return onSent(goneFault())
    this.#onSent = onSent
    this.refuse(exchange.response!, body)
  }

  /** Sends a response of ours; also to what never became an exchange. */
  refuse(response: ResponseHead, body: Buffer): void {
    this.#stopBody()
    if (this.#isGrpc) return this.#stream.respond(grpcFields(response), true)
    const length = headerOf(response.headers, 'content-length')
    const fields = responseFields(response, length === undefined ? -1 : Number(length), this.parts.dates.now())
    this.#stream.respond(fields, body.length === 0)
    if (body.length > 0 && !this.#stream.write(body, 0, body.length, [])) this.#blocked()
  }

  serve(exchange: Exchange, onSent: (fault: Fault | null) => void): void {
    if (this.isGone()) return onSent(goneFault())
    this.#attempt = makeServing(this, exchange, onSent)
    this.#attempt.start()
  }

  close(): void {
    this.#reset(codes.CANCEL)
    this.#gone(goneFault())
  }

  abandon(fault: Fault): void {
    if (this.#attempt?.isResponseBegun === false) this.#attempt.fail(fault)
  }

  hedge(exchange: Exchange, destination: Destination, events: ForwardEvents): void {
    this.#rival = makeAttempt(this, exchange, destination, events)
    this.#rival.start()
  }

  abandonHedge(fault: Fault): void {
    this.#rival?.fail(fault)
  }

  // What an attempt asks for.

  isGone(): boolean {
    return this.#isOver || this.#stream.isClosed
  }

  interim(head: ResponseHead): void {
    if (!this.#stream.isHeadSent) this.#stream.respond(responseFields(head, -1, ''), false, true)
  }

  head(head: ResponseHead, { length }: BodyDelivery): string {
    this.#head = head
    this.#length = length
    return ''
  }

  send(_text: string, bytes: Buffer, from: number, to: number, _isChunked: boolean, trailers: readonly string[] | null): boolean {
    const passed = trailers === null || trailers.length === 0 ? trailers : passableTrailers(trailers)
    const isAll = from === to && passed?.length === 0
    if (this.#head !== null) {
      // A call that failed says so in its head alone, and that says nothing of a body.
      const fields = responseFields(this.#head, isAll && this.#isGrpc ? -1 : this.#length, this.parts.dates.now())
      this.#head = null
      this.#stream.respond(fields, isAll)
      if (isAll) return true
    }
    return this.#stream.write(bytes, from, to, passed) || this.#blocked()
  }

  /** `onFlushed` comes from below, once all of it is on its way. */
  flush(): void {
    if (this.#stream.outBytes > 0) this.#blocked()
  }

  flowBody(): void {
    if (this.#expectsContinue) {
      this.#expectsContinue = false
      if (!this.#stream.isHeadSent) this.#stream.respond([':status', '100'], false, true)
    }
    for (const chunk of this.#kept ?? []) sendPieces(this.#attempt, chunk)
    if (this.#isBodyDone) return void this.#attempt?.sendBody(EMPTY, 0, 0, true, this.#trailers)
    this.#isWanted = true
    this.#armBody()
    this.#stream.resume()
  }

  resumeBody(): void {
    if (!this.#isWanted || this.#isBodyDone || !this.#stream.isPaused) return
    this.#armBody()
    this.#stream.resume()
  }

  /** The stream is reset: whoever reads it sees that it did not come to its end. */
  cut(): void {
    this.#isOver = true
    this.#stopBody()
    this.#readerTimer.disarm()
    this.#reset(codes.INTERNAL_ERROR)
  }

  detach(): { socket: Socket; early: Buffer; idleTimeoutMs: number } {
    throw new Fault('ENGINE_BUG', 'a stream is no tunnel')
  }

  attemptEnded(attempt: ServerSide): void {
    if (this.#rival !== null) return this.#oneOfTwoEnded(attempt)
    if (this.#attempt !== attempt) return
    this.#attempt = null
    this.#stopBody()
  }

  #oneOfTwoEnded(attempt: ServerSide): void {
    if (this.#attempt === attempt) this.#attempt = this.#rival
    this.#rival = null
  }

  next(): void {
    this.#finish()
  }

  // What the client does.

  onData(bytes: Buffer, from: number, to: number): boolean {
    const { maxBodyBytes } = this.#shared.limits
    const { framing, contentLength } = this.#request
    const size = to - from
    this.#bodyBytes += size
    this.#hasSpoken = true
    this.#bodyPace?.passed(size, this.parts.wheel.nowMs)
    if (framing === 'length' && this.#bodyBytes > contentLength)
      return this.#failBody(new Fault('DOWNSTREAM_BAD_REQUEST', 'a body that is longer than its content-length'))
    if (maxBodyBytes !== null && this.#bodyBytes > maxBodyBytes)
      return this.#failBody(new Fault('DOWNSTREAM_BODY_TOO_LARGE', `a body over ${maxBodyBytes} bytes`))
    if (this.#bodyBytes > MAX_KEPT_BYTES) this.#kept = null
    else this.#kept?.push(Buffer.from(bytes.subarray(from, to)))
    const isFlowing = this.#attempt?.sendBody(bytes, from, to, false, []) ?? false
    if (!isFlowing) this.#timer.disarm()
    return isFlowing
  }

  onEnd(trailers: readonly string[]): void {
    const { framing, contentLength } = this.#request
    this.#timer.disarm()
    if (framing === 'length' && this.#bodyBytes !== contentLength) {
      this.#failBody(new Fault('DOWNSTREAM_BAD_REQUEST', 'a body that is shorter than its content-length'))
      return
    }
    this.#isBodyDone = true
    this.#trailers = passableTrailers(trailers)
    if (this.#isWanted) this.#attempt?.sendBody(EMPTY, 0, 0, true, this.#trailers)
  }

  onReset(): void {
    this.#gone(goneFault())
  }

  onDrain(): void {
    this.#readerTimer.disarm()
    this.#attempt?.clientDrained()
  }

  onFlushed(): void {
    this.#readerTimer.disarm()
    if (this.#isOver) return
    if (this.#attempt !== null) return this.#attempt.flushed()
    const onSent = this.#onSent
    this.#onSent = null
    this.#finish()
    onSent?.(null)
  }

  // Ends.

  #failBody(fault: Fault): false {
    this.#stopBody()
    this.#isBroken = true
    if (this.#attempt === null) this.#reset(codes.PROTOCOL_ERROR)
    else this.#attempt.fail(fault)
    return false
  }

  #stopBody(): void {
    this.#isWanted = false
    this.#timer.disarm()
    this.#stream.isPaused = true
  }

  #finish(): void {
    this.#isOver = true
    this.#stopBody()
    this.#kept = null
    this.#stream.finish(this.#isBroken)
  }

  /** By us: there is nothing to be told. */
  #reset(code: number): void {
    this.#stream.user = null
    this.#stream.reset(code)
  }

  #gone(fault: Fault): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer.disarm()
    this.#readerTimer.disarm()
    this.#kept = null
    this.#rival?.fail(fault)
    this.#attempt?.fail(fault)
    const onSent = this.#onSent
    this.#onSent = null
    onSent?.(fault)
    this.onGone?.(fault)
  }

  // What does not come in time.

  #armBody(): void {
    const { lanes, bodyPace } = this.#shared
    // Once it is being answered a request may take its time: both sides speak.
    if (this.#attempt?.isResponseBegun === true) return
    const lane = this.#isGrpc && this.#bodyBytes > 0 ? lanes.call : lanes.body
    lane.arm(this.#timer)
    this.#hasSpoken = false
    this.#bodyPace ??= new Pace(bodyPace)
    this.#bodyPace.begin(this.parts.wheel.nowMs)
  }

  #blocked(): false {
    if (this.#readerTimer.isArmed) return false
    const { lanes, pace } = this.#shared
    lanes.reader.arm(this.#readerTimer)
    this.#unread = this.#stream.outBytes
    this.#readPace ??= new Pace(pace)
    this.#readPace.begin(this.parts.wheel.nowMs)
    return false
  }

  #bodyExpired(): void {
    const { lanes, bodyPace } = this.#shared
    if (this.#attempt?.isResponseBegun === true) return
    if (this.#isGrpc && this.#hasSpoken) return this.#armBody()
    if (!this.#isGrpc && this.#bodyPace?.isTooSlow(this.parts.wheel.nowMs) === false) return lanes.look.arm(this.#timer)
    this.#failBody(new Fault('DOWNSTREAM_BODY_TIMEOUT', `too little of the body within ${bodyPace.graceMs} ms`))
  }

  /** As long as the connection itself is full it is the one that is looked at. */
  #readerExpired(): void {
    const { lanes, pace } = this.#shared
    const { nowMs } = this.parts.wheel
    const waiting = this.#stream.outBytes
    const reads = this.#readPace!
    if (this.#stream.isConnectionBlocked) reads.begin(nowMs)
    else reads.passed(this.#unread - waiting, nowMs)
    this.#unread = waiting
    if (!reads.isTooSlow(nowMs)) return lanes.reader.arm(this.#readerTimer)
    this.#reset(codes.CANCEL)
    this.#gone(new Fault('DOWNSTREAM_IDLE', `the client reads less than ${pace.minBytesPerS} bytes a second`))
  }
}

const goneFault = (): Fault => new Fault('DOWNSTREAM_RESET', 'the client went')
