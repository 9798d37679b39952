/** A connection of a client: its requests one after another, and what is answered. */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { HttpSpec, PaceSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Downstream, Exchange, ResponseHead, TakenBody } from '../../exchange/exchange.ts'
import type { Destination, EntranceSpine, ForwardEvents, Wire } from '../../exchange/forwarder.ts'
import { hasToken, headerOf } from '../../exchange/headers.ts'
import { makeAttempt, makeServing } from '../attempts.ts'
import { BodyCollector, sendPieces } from '../collector.ts'
import { settleHead } from '../head.ts'
import { answerTo } from '../rescue.ts'
import type { BodyDelivery, ClientSide, ServerSide } from '../sides.ts'
import { BodyReader } from './body-reader.ts'
import { CR, EMPTY, LF } from './bytes.ts'
import { CLOSE, KEEP, lastChunk, responseText } from './compose.ts'
import { INCOMPLETE, type RequestReader } from './head-reader.ts'
import { Pace, tunnelIdleOf } from './pace.ts'
import { HeldWrites, SMALL_BYTES, type WireParts } from './parts.ts'
import { ReaderWatch, type WatchParts } from './reader-watch.ts'
import { IdleServers } from './server.ts'
import type { Turned } from './turn.ts'
import { Timer, type Lane } from './wheel.ts'

/** What the connections of one entrance share. */
export interface EntranceParts {
  readonly limits: HttpSpec
  readonly spine: EntranceSpine
  readonly parts: WireParts
  readonly idle: IdleServers
  readonly requests: RequestReader
  readonly watch: WatchParts
  readonly bodyPace: PaceSpec
  readonly lanes: EntranceLanes
  readonly closed: (connection: ClientConnection) => void
  readonly isRetiring: () => boolean
}

export interface EntranceLanes {
  readonly accept: Lane
  readonly firstHeader: Lane
  readonly header: Lane
  readonly keepAlive: Lane
  readonly body: Lane
  /** For a body that has used up the time that it had at first. */
  readonly look: Lane
  readonly halfClosed: Lane
  readonly linger: Lane
  /** Of an idle connection that is to end: a request that is on its way is answered, as the last. */
  readonly leaving: Lane
}

/** The longest head that is put into one buffer with what follows it. */
/** A longer text is not kept until the end of the turn. */
const MAX_LATE = 32_768
const MAX_JOINED_HEAD = 8_192
/** A rest of a request that is not worth a connection is read and thrown away. */
const SMALL_REST_BYTES = 65_536
/** A longer body is not sent again. */
const MAX_KEPT_BYTES = 65_536

/**
 *   first -> busy -> idle -> head -> busy -> ... -> closing -> closed
 *   busy -> spliced when it becomes a tunnel; any -> closed when the client goes
 */
const FIRST = 0
const IDLE = 1
const HEAD = 2
const BUSY = 3
const SPLICED = 4
const CLOSING = 5
const CLOSED = 6

/** Who takes the request's body. */
const NOBODY = 0
const SERVER = 1
const NOWHERE = 2

export class ClientConnection implements Wire, ClientSide, Turned {
  readonly socket: Socket
  readonly parts: WireParts
  readonly idle: IdleServers
  isUpgrade = false
  burstBytes = 0
  isResting = false
  onGone: ((fault: Fault) => void) | null = null
  readonly #entrance: EntranceParts
  readonly #downstream: Downstream
  readonly #timer = new Timer(() => this.#expired())
  readonly #reader: ReaderWatch
  readonly #body = new BodyReader()
  /** What came and is not used yet: from `#at` to `#to`. */
  #bytes: Buffer = EMPTY
  #at = 0
  #to = 0
  /** It stands in the buffer that all connections share, and has to leave it before the next read. */
  #isBorrowed = false
  /** Sent at the end of the turn. */
  #late = ''
  #phase = FIRST
  #bodyTo = NOBODY
  #bodyBytes = 0
  /** Of the body under way; null as long as none had to be waited for. */
  #bodyPace: Pace | null = null
  #served = 0
  #isAdvancing = false
  #isPaused = false
  #isServerBlocked = false
  /** The client has ended its side. */
  #hasEnded = false
  #isLast = false
  #wantsKeep = false
  #isOld = false
  #expects = false
  #keeps = false
  /** All of the body that was taken so far, where it may have to be sent again; null: it is not kept. */
  #kept: Buffer[] | null = null
  #attempt: ServerSide | null = null
  /** Beside the attempt, until one of both ends: the other goes on as the attempt. */
  #rival: ServerSide | null = null
  #onSent: ((fault: Fault | null) => void) | null = null
  #held: HeldWrites | null = null

  constructor(socket: Socket, downstream: Downstream, entrance: EntranceParts) {
    this.socket = socket
    this.parts = entrance.parts
    this.idle = entrance.limits.isConnectionMultiplexed ? entrance.idle : new IdleServers()
    this.#downstream = downstream
    this.#entrance = entrance
    this.#reader = new ReaderWatch(socket, entrance.watch, () => this.#readsTooSlowly())
    // Until it says something it has the shorter time of the two.
    const { accept, firstHeader } = entrance.lanes
    ;(accept.delayMs < firstHeader.delayMs ? accept : firstHeader).arm(this.#timer)
    socket.on('end', this.#onEnd).on('drain', this.#onDrain)
    socket.once('close', () => this.#closed())
    if (!this.parts.readers.attach(socket, this.#onRead)) socket.on('data', this.#onData)
  }

  // What the spine asks for.

  forward(exchange: Exchange, destination: Destination, events: ForwardEvents): void {
    if (destination.keepsBody === true && this.#bodyBytes === 0 && !this.#body.isDone) this.#kept = []
    const attempt = makeAttempt(this, exchange, destination, this.#kept === null ? events : this.#keeping(events))
    this.#attempt = attempt
    if (this.#phase === CLOSED) attempt.fail(goneFault())
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
    this.#body.trailers = []
  }

  /** What was taken of a body can be sent again as long as all of it is kept. */
  #keeping(events: ForwardEvents): ForwardEvents {
    return {
      connected: () => events.connected(),
      responded: isReplayable => events.responded(isReplayable || this.#kept !== null),
      ended: (fault, progress) => events.ended(fault, { ...progress, isBodyConsumed: progress.isBodyConsumed && this.#kept === null })
    }
  }

  answer(exchange: Exchange, body: Buffer, closes: boolean, onSent: (fault: Fault | null) => void): void {
    if (this.#phase !== BUSY) return onSent(goneFault())
    const response = exchange.response!
    const { framing, contentLength } = exchange.request
    const hasRest = !this.#body.isDone
    const isNear = hasRest && framing === 'length' && contentLength <= SMALL_REST_BYTES && !this.#expects
    this.#onSent = onSent
    this.#writeAnswer(response, body, this.respond(!closes && (!hasRest || isNear)))
    this.flush()
  }

  serve(exchange: Exchange, onSent: (fault: Fault | null) => void): void {
    if (this.#phase !== BUSY) return onSent(goneFault())
    this.#attempt = makeServing(this, exchange, onSent)
    this.#attempt.start()
  }

  close(): void {
    this.#destroy()
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
    return this.socket.destroyed
  }

  interim(head: ResponseHead): void {
    this.write(responseText(head, { length: -1, isChunked: false, connection: '' }, ''))
  }

  head(head: ResponseHead, { length, isChunked }: BodyDelivery, isKeepable: boolean): string {
    return responseText(head, { length, isChunked, connection: this.respond(isKeepable) }, this.parts.dates.now())
  }

  respond(isKeepable: boolean): string {
    this.#keeps = isKeepable && this.#wantsKeep && !this.#isLast
    if (!this.#keeps) return CLOSE
    return this.#isOld ? KEEP : ''
  }

  write(text: string): boolean {
    if (this.socket.writableLength > 0) return this.socket.write(this.#takeLate() + text, 'latin1') || this.#blocked()
    if (this.#late === '') this.parts.turn.writeLater(this)
    this.#late += text
    // Of a client that asks for much at once and reads nothing, not more than this is kept.
    if (this.#late.length > MAX_LATE) this.sendLate()
    return this.socket.writableLength === 0
  }

  /** Sends what waits for the end of the turn. */
  sendLate(): void {
    const text = this.#takeLate()
    if (text !== '' && !this.socket.destroyed && !this.socket.write(text, 'latin1')) this.#blocked()
  }

  /** What was said is still sent, as far as the kernel takes it. */
  #destroy(): void {
    this.sendLate()
    this.socket.destroy()
  }

  #takeLate(): string {
    const text = this.#late
    this.#late = ''
    return text
  }

  send(text: string, bytes: Buffer, from: number, to: number, isChunked: boolean, trailers: readonly string[] | null): boolean {
    const size = to - from
    const end = isChunked && trailers !== null ? lastChunk(trailers) : ''
    if (size <= SMALL_BYTES) {
      let out = text
      if (size > 0) {
        const data = bytes.toString('latin1', from, to)
        out += isChunked ? `${size.toString(16)}\r\n${data}\r\n` : data
      }
      out += end
      return out === '' ? !this.socket.writableNeedDrain : this.write(out)
    }
    text = this.#takeLate() + text
    const out = this.parts.buffers.take()
    const isJoined = text.length <= MAX_JOINED_HEAD && end.length < 16
    let length = isJoined ? out.write(text, 0, 'latin1') : 0
    if (isChunked) length += out.write(`${size.toString(16)}\r\n`, length, 'latin1')
    length += bytes.copy(out, length, from, to)
    if (isChunked) length += out.write(`\r\n${isJoined ? end : ''}`, length, 'latin1')
    if (isJoined) return this.#writeHeld(out, length)
    this.socket.cork()
    this.socket.write(text, 'latin1')
    let isFlowing = this.#writeHeld(out, length)
    if (end !== '') isFlowing = this.socket.write(end, 'latin1')
    this.socket.uncork()
    return isFlowing
  }

  flush(): void {
    if (this.socket.writableLength === 0) return this.#flushed()
    this.#blocked()
    this.socket.write(EMPTY, () => {
      if (this.#phase === BUSY) this.#flushed()
    })
  }

  flowBody(): void {
    if (this.#expects && this.#at === this.#to) {
      this.#expects = false
      this.write('HTTP/1.1 100 Continue\r\n\r\n')
    }
    this.#bodyTo = SERVER
    this.#sendKept()
    this.#startBody()
    while (this.#readBody());
    this.#settle()
  }

  /** What a server before this one was sent already. */
  #sendKept(): void {
    if (this.#kept === null) return
    for (const chunk of this.#kept) sendPieces(this.#attempt, chunk)
    if (this.#body.isDone) this.#attempt?.sendBody(EMPTY, 0, 0, true, this.#body.trailers)
  }

  resumeBody(): void {
    if (!this.#isServerBlocked) return
    this.#startBody()
    this.#advance()
  }

  attemptEnded(attempt: ServerSide): void {
    if (this.#rival !== null) return this.#oneOfTwoEnded(attempt)
    if (this.#attempt !== attempt) return
    this.#attempt = null
    if (this.#bodyTo === SERVER) {
      this.#bodyTo = NOBODY
      this.#isServerBlocked = false
      this.#timer.disarm()
    }
  }

  #oneOfTwoEnded(attempt: ServerSide): void {
    if (this.#attempt === attempt) this.#attempt = this.#rival
    this.#rival = null
  }

  cut(isDelimited: boolean): void {
    this.#phase = CLOSING
    if (isDelimited || this.socket instanceof TLSSocket) this.#destroy()
    else this.socket.resetAndDestroy()
  }

  detach(): { socket: Socket; early: Buffer; idleTimeoutMs: number } {
    this.sendLate()
    const early = Buffer.from(this.#bytes.subarray(this.#at, this.#to))
    this.parts.readers.detach(this.socket)
    this.#phase = SPLICED
    this.#dropBytes()
    this.#timer.disarm()
    this.#reader.rests()
    this.socket.removeListener('data', this.#onData).removeListener('end', this.#onEnd).removeListener('drain', this.#onDrain)
    return { socket: this.socket, early, idleTimeoutMs: tunnelIdleOf(this.#entrance.limits) }
  }

  next(): void {
    if (this.#phase !== BUSY) return
    this.#kept = null
    if (!this.#keeps) return this.#finish()
    if (!this.#body.isDone) {
      this.#bodyTo = NOWHERE
      this.#startBody()
    } else {
      this.#phase = IDLE
      const { lanes, isRetiring } = this.#entrance
      // The client was told that it may go on: it may have, already.
      ;(isRetiring() ? lanes.leaving : lanes.keepAlive).arm(this.#timer)
      this.#resume()
    }
    this.#advance()
  }

  /** Closes with its next response; idle: soon, as a request may be on its way. One that was never answered came for one. */
  retire(): void {
    this.#isLast = true
    if (this.#phase === IDLE) this.#entrance.lanes.leaving.arm(this.#timer)
  }

  // What the client does.

  readonly #onData = (chunk: Buffer): void => {
    this.#take(chunk, chunk.length, false)
    if (!this.parts.turn.mayGoOn(this, chunk.length)) this.socket.pause()
  }

  readonly #onRead = (bytes: Buffer, size: number): boolean => {
    this.#take(bytes, size, true)
    return this.parts.turn.mayGoOn(this, size) && !this.#isPaused
  }

  #take(bytes: Buffer, size: number, isBorrowed: boolean): void {
    if (this.#phase >= CLOSING) return
    const isMore = this.#at < this.#to
    this.#bytes = isMore ? Buffer.concat([this.#bytes.subarray(this.#at, this.#to), bytes.subarray(0, size)]) : bytes
    this.#to = isMore ? this.#bytes.length : size
    this.#at = 0
    this.#isBorrowed = isBorrowed && !isMore
    // A line that does not end yet is not read again and again.
    if (isMore && this.#phase <= HEAD && bytes.subarray(0, size).indexOf(LF) < 0) {
      const fault = this.#entrance.requests.overflow(this.#to, !this.#bytes.includes(LF))
      if (fault !== undefined) this.#refuse(fault)
      return
    }
    this.#advance()
  }

  readonly #onEnd = (): void => {
    this.#hasEnded = true
    this.#settle()
  }

  readonly #onDrain = (): void => {
    this.#reader.rests()
    this.#attempt?.clientDrained()
  }

  #closed(): void {
    const isTunnel = this.#phase === SPLICED
    this.#phase = CLOSED
    this.#timer.disarm()
    this.#reader.rests()
    this.#dropBytes()
    if (!isTunnel) this.#gone(goneFault())
    if (this.idle !== this.#entrance.idle) this.idle.close()
    this.#entrance.closed(this)
  }

  #gone(fault: Fault): void {
    this.#rival?.fail(fault)
    this.#attempt?.fail(fault)
    const onSent = this.#onSent
    this.#onSent = null
    onSent?.(fault)
    this.onGone?.(fault)
  }

  // Requests, one after another.

  #advance(): void {
    if (this.#isAdvancing) return
    this.#isAdvancing = true
    while (this.#phase === BUSY ? this.#readBody() : this.#phase <= HEAD && this.#readHead());
    this.#isAdvancing = false
    this.#settle()
  }

  /** What cannot be used now waits with the client; what is used up is let go. */
  #settle(): void {
    const isUsedUp = this.#at === this.#to
    if (isUsedUp) this.#dropBytes()
    else {
      if (this.#isBorrowed) this.#keepBytes()
      if (this.#phase === BUSY) this.#pause()
    }
    if (!this.#hasEnded || !isUsedUp) return
    if (this.#phase === BUSY) {
      if (this.#body.isDone) this.#entrance.lanes.halfClosed.arm(this.#timer)
      else {
        this.#gone(goneFault())
        this.#destroy()
      }
    } else if (this.#phase <= HEAD) this.#destroy()
  }

  #dropBytes(): void {
    this.#bytes = EMPTY
    this.#at = 0
    this.#to = 0
    this.#isBorrowed = false
  }

  #keepBytes(): void {
    this.#bytes = Buffer.from(this.#bytes.subarray(this.#at, this.#to))
    this.#at = 0
    this.#to = this.#bytes.length
    this.#isBorrowed = false
  }

  #readHead(): boolean {
    const { requests, lanes, limits } = this.#entrance
    if (this.#at === this.#to) return false
    const end = requests.read(this.#bytes, this.#at, this.#to)
    if (end instanceof Fault) {
      this.#refuse(end)
      return false
    }
    if (end === INCOMPLETE) {
      if (this.#phase === IDLE) lanes.header.arm(this.#timer)
      else if (this.#phase === FIRST && lanes.accept.delayMs < lanes.firstHeader.delayMs) lanes.firstHeader.arm(this.#timer)
      this.#phase = HEAD
      return false
    }
    this.#timer.disarm()
    this.#at = end
    this.#served++
    if (this.#served >= limits.maxRequestsPerConnection || this.#entrance.isRetiring()) this.#isLast = true
    this.#begin()
    return this.#phase <= BUSY
  }

  #begin(): void {
    const { requests, limits, spine } = this.#entrance
    const { headers, version } = requests
    let expectation: string | undefined
    let upgrade: string | undefined
    this.#isOld = version === '1.0'
    this.#wantsKeep = !this.#isOld
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!
      if (name === 'connection') {
        if (hasToken(headers[i + 1], 'close')) this.#wantsKeep = false
        else if (this.#isOld && hasToken(headers[i + 1], 'keep-alive')) this.#wantsKeep = true
      } else if (name === 'expect') expectation = expectation === undefined ? headers[i + 1]!.toLowerCase() : 'more than one'
      else if (name === 'upgrade') upgrade = headers[i + 1]!.toLowerCase()
    }
    const head = settleHead(requests, requests.hostOf)
    if (head instanceof Fault) return this.#refuse(head)
    if (expectation !== undefined && expectation !== '100-continue' && !this.#isOld)
      return this.#refuse(new Fault('DOWNSTREAM_EXPECTATION_FAILED', 'an expectation that is not known'))
    this.isUpgrade = limits.isWebsocketEnabled && head.isWebSocket
    if (limits.isWebsocketEnabled && upgrade === 'websocket' && !head.isWebSocket)
      return this.#refuse(new Fault('DOWNSTREAM_BAD_REQUEST', 'a WebSocket handshake that is none'))
    if (this.isUpgrade) this.#isLast = true
    this.#body.begin(head.framing, head.contentLength)
    this.#expects = expectation !== undefined && !this.#isOld && !this.#body.isDone
    this.#bodyTo = NOBODY
    this.#bodyBytes = 0
    this.#kept = null
    this.#keeps = false
    this.#phase = BUSY
    spine.begin(head, this.#downstream, this)
  }

  /** True when there may be more to read. */
  #readBody(): boolean {
    const body = this.#body
    if (body.isDone || this.#bodyTo === NOBODY || this.#isServerBlocked || this.#at === this.#to) return false
    this.#at = body.read(this.#bytes, this.#at, this.#to)
    const size = body.dataEnd - body.dataAt
    this.#bodyBytes += size
    this.#bodyPace?.passed(size, this.parts.wheel.nowMs)
    if (body.isBroken) return this.#failBody(new Fault('DOWNSTREAM_BAD_REQUEST', 'a body that is not framed as it should be'))
    if (body.isDone) this.#timer.disarm()
    if (this.#bodyTo === NOWHERE) {
      if (body.isDone) this.next()
      // What came in the same piece is the next request.
      return body.isDone
    }
    const { maxBodyBytes } = this.#entrance.limits
    if (maxBodyBytes !== null && this.#bodyBytes > maxBodyBytes)
      return this.#failBody(new Fault('DOWNSTREAM_BODY_TOO_LARGE', `a body over ${maxBodyBytes} bytes`))
    if (this.#kept !== null) {
      if (this.#bodyBytes > MAX_KEPT_BYTES) this.#kept = null
      else if (size > 0) this.#kept.push(Buffer.from(this.#bytes.subarray(body.dataAt, body.dataEnd)))
    }
    const isFlowing = this.#attempt?.sendBody(this.#bytes, body.dataAt, body.dataEnd, body.isDone, body.trailers) ?? true
    if (!isFlowing && !body.isDone && this.#attempt !== null) {
      this.#isServerBlocked = true
      this.#timer.disarm()
      this.#pause()
    }
    return false
  }

  #failBody(fault: Fault): false {
    this.#isLast = true
    if (this.#attempt === null) this.#finish()
    else this.#attempt.fail(fault)
    return false
  }

  #startBody(): void {
    this.#isServerBlocked = false
    if (!this.#body.isDone) {
      const { lanes, bodyPace } = this.#entrance
      lanes.body.arm(this.#timer)
      this.#bodyPace ??= new Pace(bodyPace)
      this.#bodyPace.begin(this.parts.wheel.nowMs)
    }
    this.#resume()
  }

  /** What came is no request: it is answered, and nothing after it is looked at. */
  #refuse(fault: Fault): void {
    const { answer } = answerTo(fault)
    const headers = [...answer.headers, 'content-length', String(answer.body.length)]
    this.#writeAnswer({ status: answer.status, reason: answer.reason, headers }, answer.body, CLOSE)
    this.#finish()
    this.#entrance.spine.refused(fault, this.#downstream)
  }

  /** Nothing more is read; the client gets to read what was sent before the connection goes. */
  #finish(): void {
    this.#phase = CLOSING
    this.#dropBytes()
    this.#entrance.lanes.linger.arm(this.#timer)
    this.#resume()
    this.sendLate()
    this.socket.end()
  }

  // What is sent.

  #writeAnswer(response: ResponseHead, body: Buffer, connection: string): void {
    const length = headerOf(response.headers, 'content-length')
    const delivery = { length: length === undefined ? -1 : Number(length), isChunked: false, connection }
    const text = responseText(response, delivery, this.parts.dates.now())
    if (body.length <= SMALL_BYTES) return void this.write(text + body.toString('latin1'))
    this.socket.cork()
    this.socket.write(this.#takeLate() + text, 'latin1')
    this.socket.write(body)
    this.socket.uncork()
  }

  #writeHeld(buffer: Buffer, length: number): boolean {
    this.#held ??= new HeldWrites(this.parts.buffers)
    return this.#held.write(this.socket, buffer, length) || this.#blocked()
  }

  #flushed(): void {
    this.#reader.rests()
    if (this.#attempt !== null) return this.#attempt.flushed()
    const onSent = this.#onSent
    this.#onSent = null
    onSent?.(null)
    this.next()
  }

  #blocked(): false {
    this.#reader.waits()
    return false
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.socket.pause()
  }

  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.goOn()
  }

  goOn(): void {
    if (!this.#isPaused && !this.isResting && !this.socket.destroyed) this.socket.resume()
  }

  // What did not come in time.

  #expired(): void {
    const { lanes, bodyPace } = this.#entrance
    switch (this.#phase) {
      case FIRST:
      case HEAD:
        // An empty line behind the last request is no beginning of another.
        if (this.#to - this.#at <= 2 && !this.#hasBegun()) return this.#destroy()
        return this.#refuse(new Fault('DOWNSTREAM_HEADERS_TIMEOUT', 'the header did not come in time'))
      case BUSY: {
        if (this.#hasEnded) {
          this.#gone(goneFault())
          return this.#destroy()
        }
        if (this.#bodyPace?.isTooSlow(this.parts.wheel.nowMs) === false) return lanes.look.arm(this.#timer)
        this.#failBody(new Fault('DOWNSTREAM_BODY_TIMEOUT', `too little of the body within ${bodyPace.graceMs} ms`))
        return
      }
      default:
        this.#destroy()
    }
  }

  #hasBegun(): boolean {
    return this.#at < this.#to && this.#bytes[this.#at] !== CR
  }

  #readsTooSlowly(): void {
    if (this.#phase >= CLOSING) return
    const { pace } = this.#entrance.watch
    this.#gone(new Fault('DOWNSTREAM_IDLE', `the client reads less than ${pace.minBytesPerS} bytes a second`))
    this.#phase = CLOSING
    if (this.socket instanceof TLSSocket) this.#destroy()
    else this.socket.resetAndDestroy()
  }
}

const goneFault = (): Fault => new Fault('DOWNSTREAM_RESET', 'the client went')
