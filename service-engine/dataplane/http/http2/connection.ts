/** A connection of HTTP/2, whichever end is ours: frames in and out, streams, windows. RFC 9113. */
import type { Socket } from 'node:net'
import { EMPTY } from '../wire/bytes.ts'
import type { Buffers } from '../wire/parts.ts'
import { areTrailers } from './fields.ts'
import {
  ACK,
  codes,
  CONTINUATION,
  DATA,
  DEFAULT_WINDOW,
  END_HEADERS,
  END_STREAM,
  FRAME_HEAD,
  GOAWAY,
  HEADERS,
  INITIAL_WINDOW,
  MAX_FRAME,
  MAX_FRAME_BYTES,
  MAX_WINDOW,
  PADDED,
  PING,
  PREFACE,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  WITH_PRIORITY
} from './frames.ts'
import { HpackDecoder } from './hpack.ts'
import { Output } from './output.ts'
import { hold, LOST, type Stream, type StreamOwner } from './stream-state.ts'

/** What all streams together may have under way to us. */
const CONNECTION_WINDOW = 1_048_576
/** CONTINUATION frames of one block; a block that needs more is an attack (CVE-2024-27983 and its like). */
const MAX_CONTINUATIONS = 32
/** Settings said at once: each may change the window of every stream. */
const MAX_SETTINGS = 32
/** WINDOW_UPDATE frames beyond those that what we send explains. */
const SPARE_UPDATES = 1_000

export interface ConnectionLimits {
  readonly initialWindowBytes: number
  /** Of PING, SETTINGS and the like beyond what streams account for; 0: without bound. */
  readonly maxControlFrames: number
  /** 0: without bound. */
  readonly maxEmptyDataFrames: number
  readonly maxHeaderBytes: number
}

/** What connections of a worker share. */
export interface ConnectionParts {
  readonly buffers: Buffers
  /** What blocks are decoded in. */
  readonly scratch: Buffer
}

export interface ConnectionUser {
  /** A stream is over; `isBroken`: by a reset, whoever sent it. */
  readonly onStreamClosed: (isBroken: boolean) => void
  /** No stream is begun any more. */
  readonly onDraining: () => void
  /** Nothing is read any more, and the end is on its way. */
  readonly onClosing: () => void
  readonly onClosed: () => void
  /** The peer takes nothing for now; or again. */
  readonly onBlocked: (isBlocked: boolean) => void
}

/**
 * What both ends have in common.
 *
 *   open -> draining (no new streams, those that there are may end) -> closing (nothing is read any more) -> closed
 */
export abstract class Connection implements StreamOwner {
  /** Frames of streams that came, so that silence can be told; wraps. */
  heard = 0
  protected readonly socket: Socket
  protected readonly limits: ConnectionLimits
  protected readonly out: Output
  protected readonly streams = new Map<number, Stream>()
  /** The last one that was begun, by whoever begins them. */
  protected lastStream = 0
  protected initialSendWindow = DEFAULT_WINDOW
  protected isReading = false
  protected isGoing = false
  protected isClosing = false
  /** Bytes of bodies that wait for who reads them. */
  protected heldBytes = 0
  protected maxHeldBytes = Infinity
  protected controlFrames = 0
  protected hasPreface = true
  readonly #user: ConnectionUser
  readonly #decoder: HpackDecoder
  /** Streams that have something to say and no window or no room for it. */
  readonly #waiting = new Set<Stream>()
  #bytes: Buffer = EMPTY
  #hasSettings = false
  /** A block that is not whole: its stream, its parts, whether the stream ends with it. */
  #blockStream = 0
  #block: Buffer[] = []
  #blockBytes = 0
  #blockFrames = 0
  #blockEnds = false
  #sendWindow = DEFAULT_WINDOW
  #receiveWindow = CONNECTION_WINDOW
  #credit = 0
  #ended: Stream[] = []
  #isFlushDue = false
  #isClosed = false
  #emptyFrames = 0
  #updates = 0
  #explainedUpdates = SPARE_UPDATES

  constructor(socket: Socket, limits: ConnectionLimits, parts: ConnectionParts, user: ConnectionUser) {
    this.socket = socket
    this.limits = limits
    this.#user = user
    this.out = new Output(socket, parts.buffers)
    this.#decoder = new HpackDecoder(limits.maxHeaderBytes, parts.scratch)
    socket.on('drain', () => this.#onDrain())
    socket.once('close', () => this.#onClosed())
  }

  get openStreams(): number {
    return this.streams.size
  }

  get isDraining(): boolean {
    return this.isGoing || this.isClosing
  }

  get isBlocked(): boolean {
    return this.out.isBlocked
  }

  /** Bytes that the kernel has not taken yet. */
  get waitingBytes(): number {
    return this.out.unwrittenBytes
  }

  /** No new streams; what is under way may end, and then the connection does. */
  abstract drain(): void

  /** The connection's end, said with a code; streams are cut. */
  fail(code: number): void {
    if (this.isClosing) return
    this.sendGoaway(code, this.lastPeerStream())
    // Whoever is hurt by it: it was the peer.
    this.close(codes.PROTOCOL_ERROR)
  }

  destroy(): void {
    this.socket.destroy()
  }

  // What differs between the ends.

  /** The last stream of the peer's that we have begun to serve. */
  protected abstract lastPeerStream(): number
  /** A block of fields; null when they are beyond the limit. */
  protected abstract onFields(id: number, fields: readonly string[] | null, isEnd: boolean): void
  /** DATA where there should be none: on a stream that is over (undefined), without a head, or behind the end. */
  protected abstract onStray(stream: Stream | undefined, id: number): void
  protected abstract onResetFrame(id: number, code: number): void
  protected abstract onGoaway(lastStream: number): void
  protected abstract onPong(): void
  /** Returns the code of the error that the setting is. */
  protected abstract onSetting(key: number, value: number): number
  /** The last stream of a connection that is to end is over. */
  protected abstract onEmpty(): void
  /** Whether its user has nothing to fear from a stream's end any more. */
  protected abstract isServed(stream: Stream): boolean

  // What streams ask for.

  sendHead(stream: Stream, fields: readonly string[], isEnd: boolean, isInterim: boolean): void {
    if (stream.isLocalEnded || (stream.isHeadSent && !isInterim)) return
    if (!isInterim) stream.isHeadSent = true
    this.#explainedUpdates++
    this.out.block(stream.id, fields, isEnd)
    if (isEnd) this.endLocal(stream)
    this.schedule()
  }

  sendBody(stream: Stream, bytes: Buffer, from: number, to: number, trailers: readonly string[] | null): boolean {
    if (stream.isLocalEnded || stream.trailers !== null) return true
    stream.trailers = trailers
    const at = stream.outBytes === 0 ? this.#sendData(stream, bytes, from, to, true) : from
    if (at < to) {
      stream.out.push(Buffer.from(bytes.subarray(at, to)))
      stream.outBytes += to - at
      stream.isWaiting = true
      this.#waiting.add(stream)
    } else if (trailers !== null && stream.outBytes === 0 && !stream.isLocalEnded) this.#sendEnd(stream, trailers)
    this.schedule()
    return stream.outBytes === 0
  }

  reset(stream: Stream, code: number): void {
    this.out.number(RST_STREAM, stream.id, code)
    this.onResetSent(stream)
    this.closeStream(stream, code !== codes.NO_ERROR, code)
    this.schedule()
  }

  protected abstract onResetSent(stream: Stream): void

  /** The response is whole: what is left of the request is not wanted (RFC 9113 §8.1), or was none. */
  finish(stream: Stream, isBroken: boolean): void {
    if (stream.isRemoteEnded) this.closeStream(stream, isBroken, codes.NO_ERROR)
    else this.reset(stream, isBroken ? codes.PROTOCOL_ERROR : codes.NO_ERROR)
  }

  resume(stream: Stream): void {
    stream.isPaused = false
    this.#give(stream)
    while (!stream.isPaused && stream.held.length > 0) {
      const chunk = stream.held.shift()!
      const size = stream.held.length === 0 ? stream.heldSize : chunk.length
      this.heldBytes -= size
      this.#deliver(stream, chunk, 0, size)
    }
    if (!stream.isPaused) this.tellEnd(stream)
    this.#giveConnection()
    this.schedule()
  }

  // What the peer sends.

  /** Reads what came; `bytes` may be overwritten afterwards. */
  receive(bytes: Buffer, size: number): void {
    if (this.isClosing) return
    let input = bytes
    let to = size
    if (this.#bytes.length > 0) {
      input = Buffer.concat([this.#bytes, size === bytes.length ? bytes : bytes.subarray(0, size)])
      to = input.length
      this.#bytes = EMPTY
    }
    this.isReading = true
    const at = this.#readAll(input, to)
    if (!this.isClosing && at < to) this.#bytes = Buffer.from(input.subarray(at, to))
    this.isReading = false
  }

  /** Returns the offset of the first byte that is of no whole frame. */
  #readAll(bytes: Buffer, to: number): number {
    let at = 0
    if (!this.hasPreface) {
      const length = Math.min(to, PREFACE.length)
      if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) {
        this.fail(codes.PROTOCOL_ERROR)
        return to
      }
      if (length < PREFACE.length) return 0
      this.hasPreface = true
      at = PREFACE.length
    }
    while (!this.isClosing && to - at >= FRAME_HEAD) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
      if (length > MAX_FRAME_BYTES) {
        this.fail(codes.FRAME_SIZE_ERROR)
        return to
      }
      const from = at + FRAME_HEAD
      const end = from + length
      if (end > to) break
      const stream = ((bytes[at + 5]! & 127) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!
      this.#onFrame(bytes[at + 3]!, bytes[at + 4]!, stream, bytes, from, end)
      at = end
    }
    return at
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
        return this.onControl()
      case RST_STREAM:
        if (stream === 0 || this.isIdle(stream)) return this.fail(codes.PROTOCOL_ERROR)
        if (to - from !== 4) return this.fail(codes.FRAME_SIZE_ERROR)
        return this.onResetFrame(stream, bytes.readUInt32BE(from))
      case SETTINGS:
        return this.#onSettings(flags, stream, bytes, from, to)
      case PUSH_PROMISE:
        return this.fail(codes.PROTOCOL_ERROR)
      case PING:
        if (stream !== 0) return this.fail(codes.PROTOCOL_ERROR)
        if (to - from !== 8) return this.fail(codes.FRAME_SIZE_ERROR)
        this.onControl()
        if ((flags & ACK) !== 0) return this.onPong()
        this.out.head(PING, ACK, 0, 8)
        return this.out.bytes(bytes, from, to)
      case GOAWAY:
        if (stream !== 0) return this.fail(codes.PROTOCOL_ERROR)
        if (to - from < 8) return this.fail(codes.FRAME_SIZE_ERROR)
        return this.onGoaway(bytes.readUInt32BE(from) & MAX_WINDOW)
      case WINDOW_UPDATE:
        return this.#onWindowUpdate(stream, bytes, from, to)
      case CONTINUATION:
        return this.#onContinuation(flags, stream, bytes, from, to)
      default:
        return this.onControl()
    }
  }

  #onDataFrame(flags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0 || this.isIdle(id)) return this.fail(codes.PROTOCOL_ERROR)
    this.heard = (this.heard + 1) | 0
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
    this.#giveConnection()
    const isEnd = (flags & END_STREAM) !== 0
    const { maxEmptyDataFrames } = this.limits
    if (from === to && !isEnd && ++this.#emptyFrames > maxEmptyDataFrames && maxEmptyDataFrames > 0)
      return this.fail(codes.ENHANCE_YOUR_CALM)
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isRemoteEnded || !stream.hasRemoteHead) return this.onStray(stream, id)
    stream.receiveWindow -= size
    if (stream.receiveWindow < 0) return this.reset(stream, codes.FLOW_CONTROL_ERROR)
    stream.credit += size - (to - from)
    stream.isRemoteEnded = isEnd
    if (from < to) {
      if (this.controlFrames > 0) this.controlFrames--
      if (stream.isPaused || stream.user === null) {
        hold(stream, bytes, from, to)
        this.heldBytes += to - from
      } else this.#deliver(stream, bytes, from, to)
    }
    if (isEnd && !stream.isPaused) this.tellEnd(stream)
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
    if (++this.#blockFrames > MAX_CONTINUATIONS || this.#blockBytes > this.limits.maxHeaderBytes + MAX_FRAME_BYTES)
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
    this.heard = (this.heard + 1) | 0
    this.onFields(id, result === 'fields' ? this.#decoder.fields : null, isEnd)
  }

  protected onTrailers(stream: Stream, fields: readonly string[] | null, isEnd: boolean): void {
    if (!isEnd || fields === null || !areTrailers(fields)) return this.reset(stream, codes.PROTOCOL_ERROR)
    stream.isRemoteEnded = true
    stream.remoteTrailers = fields
    if (!stream.isPaused) this.tellEnd(stream)
  }

  #onSettings(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0) return this.fail(codes.PROTOCOL_ERROR)
    const size = to - from
    this.onControl()
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
    this.out.head(SETTINGS, ACK, 0, 0)
    this.#pumpAll()
  }

  /** RFC 9113 §6.5.2; the sizes of frames and tables that the peer takes are never used up. */
  #onSetting(key: number, value: number): number {
    if (key === MAX_FRAME && (value < MAX_FRAME_BYTES || value > 16_777_215)) return codes.PROTOCOL_ERROR
    if (key !== INITIAL_WINDOW) return this.onSetting(key, value)
    if (value > MAX_WINDOW) return codes.FLOW_CONTROL_ERROR
    const change = value - this.initialSendWindow
    this.initialSendWindow = value
    for (const stream of this.streams.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > MAX_WINDOW) return codes.FLOW_CONTROL_ERROR
    }
    return codes.NO_ERROR
  }

  #onWindowUpdate(id: number, bytes: Buffer, from: number, to: number): void {
    if (to - from !== 4) return this.fail(codes.FRAME_SIZE_ERROR)
    if (id !== 0 && this.isIdle(id)) return this.fail(codes.PROTOCOL_ERROR)
    if (++this.#updates > this.#explainedUpdates) return this.fail(codes.ENHANCE_YOUR_CALM)
    const increment = bytes.readUInt32BE(from) & MAX_WINDOW
    if (id === 0) {
      if (increment === 0) return this.fail(codes.PROTOCOL_ERROR)
      this.#sendWindow += increment
      if (this.#sendWindow > MAX_WINDOW) return this.fail(codes.FLOW_CONTROL_ERROR)
      return this.#pumpAll()
    }
    const stream = this.streams.get(id)
    if (stream === undefined) return
    if (increment === 0) return this.reset(stream, codes.PROTOCOL_ERROR)
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW) return this.reset(stream, codes.FLOW_CONTROL_ERROR)
    this.#pump(stream)
  }

  /** Told to go once there were many, cut off when it goes on. */
  protected onControl(): void {
    const { maxControlFrames } = this.limits
    this.controlFrames++
    if (maxControlFrames === 0 || this.controlFrames < maxControlFrames) return
    if (this.controlFrames > 2 * maxControlFrames) this.fail(codes.ENHANCE_YOUR_CALM)
    else if (!this.isGoing) this.drain()
  }

  protected isIdle(id: number): boolean {
    return (id & 1) === 0 || id > this.lastStream
  }

  // Bodies in.

  #deliver(stream: Stream, bytes: Buffer, from: number, to: number): void {
    stream.credit += to - from
    if (stream.user === null || stream.user.onData(bytes, from, to)) this.#give(stream)
    else stream.isPaused = true
  }

  /** Tells the client that it may send as much as was taken. */
  #give(stream: Stream): void {
    if (stream.isClosed || stream.isRemoteEnded || stream.credit < this.limits.initialWindowBytes / 2) return
    this.out.number(WINDOW_UPDATE, stream.id, stream.credit)
    stream.receiveWindow += stream.credit
    stream.credit = 0
  }

  /** What may be read of all streams together, as long as what was read is not too much already. */
  #giveConnection(): void {
    if (this.#credit < CONNECTION_WINDOW / 2 || this.heldBytes > this.maxHeldBytes || this.isClosing) return
    this.out.number(WINDOW_UPDATE, 0, this.#credit)
    this.#receiveWindow += this.#credit
    this.#credit = 0
  }

  protected tellEnd(stream: Stream): void {
    if (!stream.isRemoteEnded || stream.isEndTold || stream.held.length > 0 || stream.user === null) return
    stream.isEndTold = true
    stream.user.onEnd(stream.remoteTrailers)
    if (stream.isLocalEnded) this.closeStream(stream, false, codes.NO_ERROR)
  }

  // Out.

  /** Sends of a part of a body what windows and the socket let through; returns the offset behind it. */
  #sendData(stream: Stream, bytes: Buffer, from: number, to: number, isLastPart: boolean): number {
    let at = from
    while (at < to && !this.out.isBlocked) {
      const size = Math.min(to - at, stream.sendWindow, this.#sendWindow, MAX_FRAME_BYTES)
      if (size <= 0) break
      const isLast = isLastPart && at + size === to && stream.trailers?.length === 0
      this.out.head(DATA, isLast ? END_STREAM : 0, stream.id, size)
      this.out.bytes(bytes, at, at + size)
      this.#explainedUpdates += 4
      if (this.controlFrames > 0) this.controlFrames--
      stream.sendWindow -= size
      this.#sendWindow -= size
      at += size
      if (isLast) this.endLocal(stream)
    }
    if (this.out.isBlocked) this.#blocked()
    return at
  }

  #sendEnd(stream: Stream, trailers: readonly string[]): void {
    if (trailers.length > 0) this.out.block(stream.id, trailers, true)
    else this.out.head(DATA, END_STREAM, stream.id, 0)
    this.endLocal(stream)
  }

  /** Sends what waits on a stream as far as windows and the socket let it. */
  #pump(stream: Stream): void {
    while (stream.outBytes > 0) {
      const chunk = stream.out[0]!
      const at = this.#sendData(stream, chunk, stream.outAt, chunk.length, stream.out.length === 1)
      if (stream.isClosed) return
      stream.outBytes -= at - stream.outAt
      stream.outAt = at
      if (at < chunk.length) {
        this.#waiting.add(stream)
        return
      }
      stream.out.shift()
      stream.outAt = 0
    }
    this.#waiting.delete(stream)
    if (stream.isLocalEnded) return
    if (stream.trailers !== null) return this.#sendEnd(stream, stream.trailers)
    if (!stream.isWaiting) return
    stream.isWaiting = false
    stream.user?.onDrain()
  }

  #pumpAll(): void {
    for (const stream of Array.from(this.#waiting)) {
      if (this.#sendWindow <= 0 || this.out.isBlocked) break
      if (stream.isClosed || stream.sendWindow <= 0) continue
      // At the back, so that all get their turn.
      this.#waiting.delete(stream)
      this.#pump(stream)
    }
    this.schedule()
  }

  protected endLocal(stream: Stream): void {
    stream.isLocalEnded = true
    stream.isWaiting = false
    this.#waiting.delete(stream)
    this.#ended.push(stream)
    if (stream.isEndTold) this.closeStream(stream, false, codes.NO_ERROR)
  }

  /** Nothing more is said on a stream, and nobody wants to hear it. */
  protected stopSending(stream: Stream): void {
    stream.out = []
    stream.outAt = 0
    stream.outBytes = 0
    stream.isLocalEnded = true
    stream.isWaiting = false
    this.#waiting.delete(stream)
  }

  protected closeStream(stream: Stream, isBroken: boolean, code: number): void {
    if (stream.isClosed) return
    const isServed = this.isServed(stream)
    stream.isClosed = true
    for (const [i, chunk] of stream.held.entries()) this.heldBytes -= i === stream.held.length - 1 ? stream.heldSize : chunk.length
    stream.out = []
    stream.held = []
    stream.outBytes = 0
    this.#waiting.delete(stream)
    this.streams.delete(stream.id)
    if (isBroken && !isServed) stream.user?.onReset(code)
    this.#user.onStreamClosed(isBroken)
    if (this.isGoing && this.streams.size === 0) this.onEmpty()
  }

  protected sendGoaway(code: number, lastStream: number): void {
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(lastStream, 0)
    payload.writeUInt32BE(code, 4)
    this.out.frame(GOAWAY, 0, 0, payload)
  }

  /** Settings and window with which a connection begins. */
  protected sendSettings(pairs: readonly (readonly [key: number, value: number])[]): void {
    const payload = Buffer.allocUnsafe(pairs.length * 6)
    for (const [i, [key, value]] of pairs.entries()) {
      payload.writeUInt16BE(key, i * 6)
      payload.writeUInt32BE(value, i * 6 + 2)
    }
    this.out.frame(SETTINGS, 0, 0, payload)
    this.out.number(WINDOW_UPDATE, 0, CONNECTION_WINDOW - DEFAULT_WINDOW)
    this.schedule()
  }

  /** What one turn of the loop has to say goes out in one write. */
  protected schedule(): void {
    if (this.#isFlushDue || this.isReading) return
    this.#isFlushDue = true
    setImmediate(this.#onTurn)
  }

  readonly #onTurn = (): void => {
    this.#isFlushDue = false
    this.flush()
  }

  protected flush(): void {
    if (this.isReading) return
    this.out.flush()
    if (this.out.isBlocked) return this.#blocked()
    if (this.isClosing) return void this.socket.end()
    this.#tellFlushed()
  }

  /** Behind what the socket has, more than it takes. */
  protected onBlocked(): void {
    this.#user.onBlocked(true)
  }

  #isBlockedTold = false

  #blocked(): void {
    if (this.#isBlockedTold) return
    this.#isBlockedTold = true
    this.onBlocked()
  }

  #tellFlushed(): void {
    if (this.#ended.length === 0) return
    const ended = this.#ended
    this.#ended = []
    for (const stream of ended) stream.user?.onFlushed()
  }

  #onDrain(): void {
    if (!this.out.isBlocked) return
    this.out.isBlocked = false
    this.#isBlockedTold = false
    this.#user.onBlocked(false)
    this.#pumpAll()
    this.flush()
    if (!this.out.isBlocked) this.onUnblocked()
  }

  /** The socket takes more. */
  protected abstract onUnblocked(): void

  /** The end: streams that are not over hear of it by that code. */
  protected close(code: number): void {
    if (this.isClosing) return
    this.isClosing = true
    this.#bytes = EMPTY
    this.#block = []
    this.closeStreams(code)
    this.#user.onClosing()
    setImmediate(this.#onTurn)
  }

  protected closeStreams(code: number): void {
    for (const stream of Array.from(this.streams.values())) this.closeStream(stream, true, code)
  }

  #onClosed(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.isClosing = true
    this.out.drop()
    this.closeStreams(LOST)
    this.#tellFlushed()
    this.#user.onClosed()
  }
}
