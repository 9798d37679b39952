/**
 * The server's end of a connection of HTTP/2: frames in and out, streams, windows. RFC 9113.
 *
 *   preface -> open -> draining (told to go away, streams may end) -> closing (nothing is read any more) -> closed
 */
import type { Socket } from 'node:net'
import { fieldName, fieldValue } from './fields.ts'
import { encodeBlock, HpackDecoder } from './hpack.ts'

export const codes = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11
} as const

const DATA = 0
const HEADERS = 1
const PRIORITY = 2
const RST_STREAM = 3
const SETTINGS = 4
const PUSH_PROMISE = 5
const PING = 6
const GOAWAY = 7
const WINDOW_UPDATE = 8
const CONTINUATION = 9

const ACK = 1
const END_STREAM = 1
const END_HEADERS = 4
const PADDED = 8
const WITH_PRIORITY = 32

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const FRAME_HEAD = 9
/** The least that every peer takes, and the most that we do. */
const MAX_FRAME_BYTES = 16_384
const MAX_WINDOW = 0x7fff_ffff
const DEFAULT_WINDOW = 65_535
/** What all streams together may have under way to us. */
const CONNECTION_WINDOW = 1_048_576
/** CONTINUATION frames of one block; a block that needs more is an attack (CVE-2024-27983 and its like). */
const MAX_CONTINUATIONS = 32
/** Streams that we reset and the client may not know of yet: what comes on them is passed over. */
const MAX_REMEMBERED = 128
/** Settings said at once: each may change the window of every stream. */
const MAX_SETTINGS = 32
/** WINDOW_UPDATE frames beyond those that what we send explains. */
const SPARE_UPDATES = 1_000
/** A batch is written at once when it is so large. */
const BATCH_BYTES = 65_536
const EMPTY = Buffer.alloc(0)

export interface ConnectionLimits {
  readonly initialWindowBytes: number
  readonly maxStreams: number
  /** Of PING, SETTINGS and the like beyond what streams account for; 0: without bound. */
  readonly maxControlFrames: number
  /** 0: without bound. */
  readonly maxEmptyDataFrames: number
  readonly maxHeaderBytes: number
}

export interface ConnectionUser {
  /** A request's head; null when it was larger than the limit. */
  readonly onStream: (stream: Stream, fields: readonly string[] | null, hasBody: boolean) => void
  /** A stream is over; `isBroken`: by a reset, whoever sent it. */
  readonly onStreamClosed: (isBroken: boolean) => void
  /** It is told to open no more streams: `drain` again says which was the last. */
  readonly onDraining: () => void
  /** Nothing is read any more, and the end is on its way. */
  readonly onClosing: () => void
  readonly onClosed: () => void
  /** The client takes nothing for now; or again. */
  readonly onBlocked: (isBlocked: boolean) => void
}

/** What the one who answers a stream is told. */
export interface StreamUser {
  /** More of the request's body; bytes are not kept. False: no more for now. */
  readonly onData: (bytes: Buffer, from: number, to: number) => boolean
  readonly onEnd: (trailers: readonly string[]) => void
  /** The stream is gone before its end. */
  readonly onReset: () => void
  /** What was written is on its way: more can be taken. */
  readonly onDrain: () => void
  /** The whole response is on its way. */
  readonly onFlushed: () => void
}

export class Stream {
  readonly id: number
  user: StreamUser | null = null
  /** What the client still takes. */
  sendWindow: number
  receiveWindow: number
  /** Taken by the user, and not told to the client yet. */
  credit = 0
  isPaused = false
  /** Came while it was paused. */
  held: Buffer[] = []
  /** The client has said all. */
  isRemoteEnded = false
  /** It has, and its user knows. */
  isEndTold = false
  requestTrailers: readonly string[] = []
  isHeadSent = false
  /** What waits to be sent, from `outAt` of the first on. */
  out: Buffer[] = []
  outAt = 0
  outBytes = 0
  /** The end comes behind what waits, with these trailers. */
  trailers: readonly string[] | null = null
  isLocalEnded = false
  isClosed = false
  isWaiting = false
  readonly #connection: Connection

  constructor(id: number, connection: Connection, sendWindow: number, receiveWindow: number) {
    this.id = id
    this.#connection = connection
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }

  /** A head; also one of an interim response, which does not count as one. */
  respond(fields: readonly string[], isEnd: boolean, isInterim = false): void {
    if (!this.isClosed) this.#connection.sendHead(this, fields, isEnd, isInterim)
  }

  /**
   * More of the body, and its end when there are trailers, which may be none. The bytes are the stream's from now on.
   *
   * Returns false when no more should come for now
   */
  write(bytes: Buffer, trailers: readonly string[] | null): boolean {
    return this.isClosed || this.#connection.sendBody(this, bytes, trailers)
  }

  reset(code: number): void {
    if (!this.isClosed) this.#connection.reset(this, code)
  }

  finish(isBroken: boolean): void {
    if (!this.isClosed) this.#connection.finish(this, isBroken)
  }

  /** Nothing more goes out on any stream for now. */
  get isConnectionBlocked(): boolean {
    return this.#connection.isBlocked
  }

  /** The body may flow on. */
  resume(): void {
    if (this.isPaused && !this.isClosed) this.#connection.resume(this)
  }
}

export class Connection {
  readonly #socket: Socket
  readonly #limits: ConnectionLimits
  readonly #user: ConnectionUser
  readonly #decoder: HpackDecoder
  readonly #streams = new Map<number, Stream>()
  readonly #remembered = new Set<number>()
  /** Streams that have something to say and no window or no room for it. */
  readonly #waiting = new Set<Stream>()
  #bytes: Buffer = EMPTY
  #hasPreface = false
  #hasSettings = false
  #lastStream = 0
  /** Above it nothing is begun any more. */
  #lastAccepted = MAX_WINDOW
  /** A block that is not whole: its stream, its parts, whether the stream ends with it. */
  #blockStream = 0
  #block: Buffer[] = []
  #blockBytes = 0
  #blockFrames = 0
  #blockEnds = false
  #sendWindow = DEFAULT_WINDOW
  #receiveWindow = CONNECTION_WINDOW
  #credit = 0
  #initialSendWindow = DEFAULT_WINDOW
  #isFirstBlock = true
  #batch: Buffer[] = []
  #batchBytes = 0
  #ended: Stream[] = []
  #isFlushDue = false
  #isReading = false
  #isBlocked = false
  #isDraining = false
  /** The client knows which stream was the last. */
  #isLastTold = false
  #isClosing = false
  #isClosed = false
  #controlFrames = 0
  #emptyFrames = 0
  #updates = 0
  #dataFramesSent = 0

  constructor(socket: Socket, limits: ConnectionLimits, scratch: Buffer, user: ConnectionUser) {
    this.#socket = socket
    this.#limits = limits
    this.#user = user
    this.#decoder = new HpackDecoder(limits.maxHeaderBytes, scratch)
    socket.on('data', this.#onBytes)
    socket.on('drain', () => this.#onDrain())
    socket.on('end', () => this.#onEnd())
    socket.once('close', () => this.#onClosed())
    this.#sendSettings()
  }

  get openStreams(): number {
    return this.#streams.size
  }

  get isDraining(): boolean {
    return this.#isDraining || this.#isClosing
  }

  get isBlocked(): boolean {
    return this.#isBlocked
  }

  /**
   * Tells the client to open no more streams; what is under way may end, and then the connection does. As long as there is
   * something under way streams that cross the message are still begun, until this is called again.
   *
   * Source  RFC 9113 §6.8
   */
  drain(): void {
    if (this.#isClosing || this.#isLastTold) return
    const isFirst = !this.#isDraining && this.#streams.size > 0
    this.#isDraining = true
    this.#isLastTold = !isFirst
    if (!isFirst) this.#lastAccepted = this.#lastStream
    this.#sendGoaway(codes.NO_ERROR, this.#lastAccepted)
    this.#schedule()
    if (isFirst) this.#user.onDraining()
    else if (this.#streams.size === 0) this.#close()
  }

  /** The connection's end, said with a code; streams are cut. */
  fail(code: number): void {
    if (this.#isClosing) return
    this.#sendGoaway(code, this.#lastStream)
    this.#close()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  // What streams ask for.

  sendHead(stream: Stream, fields: readonly string[], isEnd: boolean, isInterim: boolean): void {
    if (stream.isLocalEnded || (stream.isHeadSent && !isInterim)) return
    if (!isInterim) stream.isHeadSent = true
    this.#pushBlock(stream.id, fields, isEnd)
    if (isEnd) this.#endLocal(stream)
    this.#schedule()
  }

  sendBody(stream: Stream, bytes: Buffer, trailers: readonly string[] | null): boolean {
    if (stream.isLocalEnded || stream.trailers !== null) return true
    if (bytes.length > 0) {
      stream.out.push(bytes)
      stream.outBytes += bytes.length
    }
    stream.trailers = trailers
    this.#pump(stream)
    this.#schedule()
    return stream.outBytes === 0
  }

  reset(stream: Stream, code: number): void {
    this.#pushFrame(RST_STREAM, 0, stream.id, number(code))
    this.#remember(stream.id)
    this.#closeStream(stream, code !== codes.NO_ERROR)
    this.#schedule()
  }

  /** The response is whole: what is left of the request is not wanted (RFC 9113 §8.1), or was none. */
  finish(stream: Stream, isBroken: boolean): void {
    if (stream.isRemoteEnded) this.#closeStream(stream, isBroken)
    else this.reset(stream, isBroken ? codes.PROTOCOL_ERROR : codes.NO_ERROR)
  }

  resume(stream: Stream): void {
    stream.isPaused = false
    this.#give(stream)
    while (!stream.isPaused && stream.held.length > 0) {
      const chunk = stream.held.shift()!
      this.#deliver(stream, chunk, 0, chunk.length)
    }
    if (!stream.isPaused) this.#tellEnd(stream)
    this.#schedule()
  }

  // What the client sends.

  readonly #onBytes = (chunk: Buffer): void => {
    if (this.#isClosing) return
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    this.#isReading = true
    this.#readAll()
    this.#isReading = false
    this.#flush()
  }

  #readAll(): void {
    const bytes = this.#bytes
    let at = 0
    if (!this.#hasPreface) {
      const length = Math.min(bytes.length, PREFACE.length)
      if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return this.fail(codes.PROTOCOL_ERROR)
      if (length < PREFACE.length) return
      this.#hasPreface = true
      at = PREFACE.length
    }
    while (!this.#isClosing && bytes.length - at >= FRAME_HEAD) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
      if (length > MAX_FRAME_BYTES) return this.fail(codes.FRAME_SIZE_ERROR)
      const end = at + FRAME_HEAD + length
      if (end > bytes.length) break
      const type = bytes[at + 3]!
      const stream = bytes.readUInt32BE(at + 5) & MAX_WINDOW
      const from = at + FRAME_HEAD
      at = end
      this.#onFrame(type, bytes[from - 5]!, stream, bytes, from, end)
    }
    // A small rest does not keep a large chunk.
    this.#bytes = this.#isClosing || at === bytes.length ? EMPTY : at === 0 ? bytes : Buffer.from(bytes.subarray(at))
  }

  #onFrame(type: number, flags: number, stream: number, bytes: Buffer, from: number, to: number): void {
    if (this.#blockStream !== 0 && (type !== CONTINUATION || stream !== this.#blockStream)) return this.fail(codes.PROTOCOL_ERROR)
    if (!this.#hasSettings && (type !== SETTINGS || (flags & ACK) !== 0)) return this.fail(codes.PROTOCOL_ERROR)
    switch (type) {
      case DATA:
        return this.#onDataFrame(flags, stream, bytes, from, to)
      case HEADERS:
        return this.#onHeaders(flags, stream, bytes, from, to)
      case PRIORITY:
        if (stream === 0) return this.fail(codes.PROTOCOL_ERROR)
        if (to - from !== 5) return this.fail(codes.FRAME_SIZE_ERROR)
        return this.#onControl()
      case RST_STREAM:
        return this.#onReset(stream, to - from)
      case SETTINGS:
        return this.#onSettings(flags, stream, bytes, from, to)
      case PUSH_PROMISE:
        return this.fail(codes.PROTOCOL_ERROR)
      case PING:
        if (stream !== 0) return this.fail(codes.PROTOCOL_ERROR)
        if (to - from !== 8) return this.fail(codes.FRAME_SIZE_ERROR)
        this.#onControl()
        if ((flags & ACK) === 0) this.#pushFrame(PING, ACK, 0, bytes.subarray(from, to))
        return
      case GOAWAY:
        if (stream !== 0) return this.fail(codes.PROTOCOL_ERROR)
        if (to - from < 8) return this.fail(codes.FRAME_SIZE_ERROR)
        return this.drain()
      case WINDOW_UPDATE:
        return this.#onWindowUpdate(stream, bytes, from, to)
      case CONTINUATION:
        return this.#onContinuation(flags, stream, bytes, from, to)
      default:
        return this.#onControl()
    }
  }

  #onDataFrame(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0 || this.#isIdle(id)) return this.fail(codes.PROTOCOL_ERROR)
    const size = end - start
    let from = start
    let to = end
    if ((flags & PADDED) !== 0) {
      if (size === 0) return this.fail(codes.FRAME_SIZE_ERROR)
      to = end - bytes[from]!
      from++
      if (to < from) return this.fail(codes.PROTOCOL_ERROR)
    }
    this.#receiveWindow -= size
    if (this.#receiveWindow < 0) return this.fail(codes.FLOW_CONTROL_ERROR)
    this.#credit += size
    if (this.#credit >= CONNECTION_WINDOW / 2) {
      this.#pushFrame(WINDOW_UPDATE, 0, 0, number(this.#credit))
      this.#receiveWindow += this.#credit
      this.#credit = 0
    }
    const isEnd = (flags & END_STREAM) !== 0
    const { maxEmptyDataFrames } = this.#limits
    if (from === to && !isEnd && ++this.#emptyFrames > maxEmptyDataFrames && maxEmptyDataFrames > 0)
      return this.fail(codes.ENHANCE_YOUR_CALM)
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.isRemoteEnded) return this.#onStray(stream, id)
    stream.receiveWindow -= size
    if (stream.receiveWindow < 0) return this.reset(stream, codes.FLOW_CONTROL_ERROR)
    stream.credit += size - (to - from)
    stream.isRemoteEnded = isEnd
    if (from < to) {
      if (this.#controlFrames > 0) this.#controlFrames--
      if (stream.isPaused || stream.user === null) stream.held.push(Buffer.from(bytes.subarray(from, to)))
      else this.#deliver(stream, bytes, from, to)
    }
    if (isEnd && !stream.isPaused) this.#tellEnd(stream)
  }

  #onHeaders(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0 || (id & 1) === 0) return this.fail(codes.PROTOCOL_ERROR)
    let from = start
    let to = end
    if ((flags & PADDED) !== 0) {
      if (from === to) return this.fail(codes.FRAME_SIZE_ERROR)
      to -= bytes[from]!
      from++
    }
    if ((flags & WITH_PRIORITY) !== 0) from += 5
    if (from > to) return this.fail(from > end ? codes.FRAME_SIZE_ERROR : codes.PROTOCOL_ERROR)
    const isEnd = (flags & END_STREAM) !== 0
    if ((flags & END_HEADERS) !== 0) return this.#onBlock(id, isEnd, bytes, from, to)
    this.#blockStream = id
    this.#blockEnds = isEnd
    this.#blockFrames = 0
    this.#blockBytes = to - from
    this.#block = [Buffer.from(bytes.subarray(from, to))]
  }

  #onContinuation(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id === 0 || id !== this.#blockStream) return this.fail(codes.PROTOCOL_ERROR)
    this.#blockBytes += to - from
    // In the clear fields are hardly shorter than in a block; what is beyond that is not waited for.
    if (++this.#blockFrames > MAX_CONTINUATIONS || this.#blockBytes > this.#limits.maxHeaderBytes + MAX_FRAME_BYTES)
      return this.fail(codes.ENHANCE_YOUR_CALM)
    this.#block.push(Buffer.from(bytes.subarray(from, to)))
    if ((flags & END_HEADERS) === 0) return
    const whole = Buffer.concat(this.#block)
    this.#block = []
    this.#blockStream = 0
    this.#onBlock(id, this.#blockEnds, whole, 0, whole.length)
  }

  /** A whole block: it is decoded whatever becomes of it, or the next could not be. */
  #onBlock(id: number, isEnd: boolean, bytes: Buffer, from: number, to: number): void {
    const result = this.#decoder.decode(bytes, from, to)
    if (result === 'broken') return this.fail(codes.COMPRESSION_ERROR)
    const { fields } = this.#decoder
    const known = this.#streams.get(id)
    if (known !== undefined) return this.#onTrailers(known, fields, isEnd && result === 'fields')
    if (id <= this.#lastStream) {
      // Never opened, or over; one that we reset may still get its trailers.
      if (!this.#remembered.has(id)) this.fail(codes.STREAM_CLOSED)
      return
    }
    this.#lastStream = id
    if (id > this.#lastAccepted) return
    if (this.#controlFrames > 0) this.#controlFrames--
    if (this.#streams.size >= this.#limits.maxStreams) {
      this.#pushFrame(RST_STREAM, 0, id, number(codes.REFUSED_STREAM))
      this.#remember(id)
      return this.#user.onStreamClosed(true)
    }
    const stream = new Stream(id, this, this.#initialSendWindow, this.#limits.initialWindowBytes)
    stream.isRemoteEnded = isEnd
    stream.isEndTold = isEnd
    this.#streams.set(id, stream)
    this.#user.onStream(stream, result === 'fields' ? fields : null, !isEnd)
  }

  #onTrailers(stream: Stream, fields: readonly string[], isSound: boolean): void {
    if (stream.isRemoteEnded) return this.#onStray(stream, stream.id)
    if (!isSound || !areTrailers(fields)) return this.reset(stream, codes.PROTOCOL_ERROR)
    stream.isRemoteEnded = true
    stream.requestTrailers = fields
    if (!stream.isPaused) this.#tellEnd(stream)
  }

  /** On a stream whose client has ended it, or that is over. */
  #onStray(stream: Stream | undefined, id: number): void {
    if (stream !== undefined) return this.reset(stream, codes.STREAM_CLOSED)
    if (this.#remembered.has(id)) return this.#onControl()
    this.#pushFrame(RST_STREAM, 0, id, number(codes.STREAM_CLOSED))
    this.#remember(id)
    this.#user.onStreamClosed(true)
  }

  #onReset(id: number, size: number): void {
    if (id === 0 || this.#isIdle(id)) return this.fail(codes.PROTOCOL_ERROR)
    if (size !== 4) return this.fail(codes.FRAME_SIZE_ERROR)
    const stream = this.#streams.get(id)
    if (stream === undefined) return this.#onControl()
    this.#closeStream(stream, true)
  }

  #onSettings(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0) return this.fail(codes.PROTOCOL_ERROR)
    const size = to - from
    this.#onControl()
    if ((flags & ACK) !== 0) return size === 0 ? undefined : this.fail(codes.FRAME_SIZE_ERROR)
    if (size % 6 !== 0) return this.fail(codes.FRAME_SIZE_ERROR)
    if (size > 6 * MAX_SETTINGS) return this.fail(codes.ENHANCE_YOUR_CALM)
    this.#hasSettings = true
    for (let at = from; at < to; at += 6) {
      const key = bytes.readUInt16BE(at)
      const value = bytes.readUInt32BE(at + 2)
      const code = this.#onSetting(key, value)
      if (code !== codes.NO_ERROR) return this.fail(code)
    }
    this.#pushFrame(SETTINGS, ACK, 0, EMPTY)
    this.#pumpAll()
  }

  /** RFC 9113 §6.5.2; the sizes of frames and tables that the client takes are never used up. */
  #onSetting(key: number, value: number): number {
    if ((key === 2 || key === 8) && value > 1) return codes.PROTOCOL_ERROR
    if (key === 5 && (value < MAX_FRAME_BYTES || value > 16_777_215)) return codes.PROTOCOL_ERROR
    if (key !== 4) return codes.NO_ERROR
    if (value > MAX_WINDOW) return codes.FLOW_CONTROL_ERROR
    const change = value - this.#initialSendWindow
    this.#initialSendWindow = value
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > MAX_WINDOW) return codes.FLOW_CONTROL_ERROR
    }
    return codes.NO_ERROR
  }

  #onWindowUpdate(id: number, bytes: Buffer, from: number, to: number): void {
    if (to - from !== 4) return this.fail(codes.FRAME_SIZE_ERROR)
    if (id !== 0 && this.#isIdle(id)) return this.fail(codes.PROTOCOL_ERROR)
    if (++this.#updates > SPARE_UPDATES + 4 * this.#dataFramesSent) return this.fail(codes.ENHANCE_YOUR_CALM)
    const increment = bytes.readUInt32BE(from) & MAX_WINDOW
    if (id === 0) {
      if (increment === 0) return this.fail(codes.PROTOCOL_ERROR)
      this.#sendWindow += increment
      if (this.#sendWindow > MAX_WINDOW) return this.fail(codes.FLOW_CONTROL_ERROR)
      return this.#pumpAll()
    }
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    if (increment === 0) return this.reset(stream, codes.PROTOCOL_ERROR)
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW) return this.reset(stream, codes.FLOW_CONTROL_ERROR)
    this.#pump(stream)
  }

  /** Told to go once there were many, cut off when it goes on. */
  #onControl(): void {
    const { maxControlFrames } = this.#limits
    this.#controlFrames++
    if (maxControlFrames === 0 || this.#controlFrames < maxControlFrames) return
    if (this.#controlFrames > 2 * maxControlFrames) this.fail(codes.ENHANCE_YOUR_CALM)
    else if (!this.#isDraining) this.drain()
  }

  #isIdle(id: number): boolean {
    return (id & 1) === 0 || id > this.#lastStream
  }

  // Bodies in.

  #deliver(stream: Stream, bytes: Buffer, from: number, to: number): void {
    stream.credit += to - from
    if (stream.user === null || stream.user.onData(bytes, from, to)) this.#give(stream)
    else stream.isPaused = true
  }

  /** Tells the client that it may send as much as was taken. */
  #give(stream: Stream): void {
    if (stream.isClosed || stream.isRemoteEnded || stream.credit < this.#limits.initialWindowBytes / 2) return
    this.#pushFrame(WINDOW_UPDATE, 0, stream.id, number(stream.credit))
    stream.receiveWindow += stream.credit
    stream.credit = 0
  }

  #tellEnd(stream: Stream): void {
    if (!stream.isRemoteEnded || stream.isEndTold || stream.held.length > 0 || stream.user === null) return
    stream.isEndTold = true
    stream.user.onEnd(stream.requestTrailers)
    if (stream.isLocalEnded) this.#closeStream(stream, false)
  }

  // Out.

  /** Sends what waits on a stream as far as windows and the socket let it. */
  #pump(stream: Stream): void {
    let isHeld = false
    while (stream.outBytes > 0) {
      const size = Math.min(stream.outBytes, stream.sendWindow, this.#sendWindow, MAX_FRAME_BYTES)
      if (size <= 0 || this.#isBlocked) {
        isHeld = true
        break
      }
      const chunk = stream.out[0]!
      const part = Math.min(size, chunk.length - stream.outAt)
      const isLast = part === stream.outBytes && stream.trailers?.length === 0
      this.#pushHead(DATA, isLast ? END_STREAM : 0, stream.id, part)
      this.#push(stream.outAt === 0 && part === chunk.length ? chunk : chunk.subarray(stream.outAt, stream.outAt + part))
      this.#dataFramesSent++
      stream.outAt += part
      stream.outBytes -= part
      stream.sendWindow -= part
      this.#sendWindow -= part
      if (stream.outAt === chunk.length) {
        stream.out.shift()
        stream.outAt = 0
      }
      if (isLast) return this.#endLocal(stream)
    }
    if (isHeld) {
      stream.isWaiting = true
      this.#waiting.add(stream)
      return
    }
    this.#waiting.delete(stream)
    if (stream.trailers !== null && !stream.isLocalEnded) {
      if (stream.trailers.length > 0) this.#pushBlock(stream.id, stream.trailers, true)
      else this.#pushHead(DATA, END_STREAM, stream.id, 0)
      return this.#endLocal(stream)
    }
    if (!stream.isWaiting) return
    stream.isWaiting = false
    stream.user?.onDrain()
  }

  #pumpAll(): void {
    for (const stream of Array.from(this.#waiting)) {
      if (this.#sendWindow <= 0 || this.#isBlocked) break
      if (stream.isClosed || stream.sendWindow <= 0) continue
      // At the back, so that all get their turn.
      this.#waiting.delete(stream)
      this.#pump(stream)
    }
    this.#schedule()
  }

  #endLocal(stream: Stream): void {
    stream.isLocalEnded = true
    stream.isWaiting = false
    this.#waiting.delete(stream)
    this.#ended.push(stream)
    if (stream.isEndTold) this.#closeStream(stream, false)
  }

  #closeStream(stream: Stream, isBroken: boolean): void {
    if (stream.isClosed) return
    stream.isClosed = true
    stream.out = []
    stream.held = []
    stream.outBytes = 0
    this.#waiting.delete(stream)
    this.#streams.delete(stream.id)
    if (isBroken && !stream.isLocalEnded) stream.user?.onReset()
    this.#user.onStreamClosed(isBroken)
    if (this.#isDraining && this.#streams.size === 0) {
      if (this.#isLastTold) this.#close()
      else this.drain()
    }
  }

  #remember(id: number): void {
    this.#remembered.add(id)
    if (this.#remembered.size <= MAX_REMEMBERED) return
    for (const oldest of this.#remembered) {
      this.#remembered.delete(oldest)
      break
    }
  }

  #sendSettings(): void {
    const { maxStreams, initialWindowBytes, maxHeaderBytes } = this.#limits
    const pairs = [
      [3, maxStreams],
      [4, initialWindowBytes],
      [6, maxHeaderBytes]
    ] as const
    const payload = Buffer.allocUnsafe(pairs.length * 6)
    for (const [i, [key, value]] of pairs.entries()) {
      payload.writeUInt16BE(key, i * 6)
      payload.writeUInt32BE(value, i * 6 + 2)
    }
    this.#pushFrame(SETTINGS, 0, 0, payload)
    this.#pushFrame(WINDOW_UPDATE, 0, 0, number(CONNECTION_WINDOW - DEFAULT_WINDOW))
    this.#schedule()
  }

  #sendGoaway(code: number, lastStream: number): void {
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(lastStream, 0)
    payload.writeUInt32BE(code, 4)
    this.#pushFrame(GOAWAY, 0, 0, payload)
  }

  #pushBlock(id: number, fields: readonly string[], isEnd: boolean): void {
    const block = encodeBlock(fields, this.#isFirstBlock)
    this.#isFirstBlock = false
    const end = isEnd ? END_STREAM : 0
    if (block.length <= MAX_FRAME_BYTES) return this.#pushFrame(HEADERS, end | END_HEADERS, id, block)
    this.#pushFrame(HEADERS, end, id, block.subarray(0, MAX_FRAME_BYTES))
    for (let at = MAX_FRAME_BYTES; at < block.length; at += MAX_FRAME_BYTES) {
      const part = block.subarray(at, at + MAX_FRAME_BYTES)
      this.#pushFrame(CONTINUATION, at + part.length === block.length ? END_HEADERS : 0, id, part)
    }
  }

  #pushFrame(type: number, flags: number, id: number, payload: Buffer): void {
    this.#pushHead(type, flags, id, payload.length)
    if (payload.length > 0) this.#push(payload)
  }

  #pushHead(type: number, flags: number, id: number, size: number): void {
    const head = Buffer.allocUnsafe(FRAME_HEAD)
    head[0] = size >> 16
    head[1] = (size >> 8) & 255
    head[2] = size & 255
    head[3] = type
    head[4] = flags
    head.writeUInt32BE(id, 5)
    this.#push(head)
  }

  #push(bytes: Buffer): void {
    this.#batch.push(bytes)
    this.#batchBytes += bytes.length
    if (this.#batchBytes >= BATCH_BYTES && !this.#isBlocked) this.#write()
  }

  /** What one turn of the loop has to say goes out in one write. */
  #schedule(): void {
    if (this.#isFlushDue || this.#isReading) return
    this.#isFlushDue = true
    setImmediate(() => {
      this.#isFlushDue = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#isReading) return
    if (this.#batchBytes > 0 && !this.#isBlocked) this.#write()
    if (!this.#isBlocked && !this.#isClosing) this.#tellFlushed()
    if (this.#isClosing && !this.#isBlocked) this.#socket.end()
  }

  #write(): void {
    const batch = this.#batch
    if (batch.length === 0 || this.#socket.destroyed) return
    // The bytes of a frame's head go out with what follows.
    const bytes = batch.length === 1 ? batch[0]! : Buffer.concat(batch, this.#batchBytes)
    this.#batch = []
    this.#batchBytes = 0
    if (this.#socket.write(bytes)) return
    this.#isBlocked = true
    // Who does not read is not read from: what it asks for would only pile up.
    this.#socket.pause()
    this.#user.onBlocked(true)
  }

  #tellFlushed(): void {
    if (this.#ended.length === 0) return
    const ended = this.#ended
    this.#ended = []
    for (const stream of ended) stream.user?.onFlushed()
  }

  #onDrain(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    this.#user.onBlocked(false)
    this.#pumpAll()
    this.#flush()
    if (!this.#isBlocked) this.#socket.resume()
  }

  #onEnd(): void {
    // Nobody is there to read an answer.
    this.#socket.destroy()
  }

  #close(): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#bytes = EMPTY
    this.#block = []
    for (const stream of Array.from(this.#streams.values())) this.#closeStream(stream, true)
    this.#user.onClosing()
    if (!this.#isReading) this.#schedule()
  }

  #onClosed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#isClosing = true
    this.#batch = []
    for (const stream of Array.from(this.#streams.values())) this.#closeStream(stream, true)
    this.#tellFlushed()
    this.#user.onClosed()
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function areTrailers(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) if (!fieldName.test(fields[i]!) || !fieldValue.test(fields[i + 1]!)) return false
  return true
}
