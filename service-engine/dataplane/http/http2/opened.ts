/** A connection of HTTP/2 that we have opened to a server: our requests are its streams. */
import type { Socket } from 'node:net'
import { Connection, type ConnectionLimits, type ConnectionParts, type ConnectionUser } from './connection.ts'
import { codes, ENABLE_PUSH, INITIAL_WINDOW, MAX_HEADER_LIST, MAX_STREAMS, MAX_WINDOW, PING, PREFACE } from './frames.ts'
import { Stream, type StreamUser } from './stream-state.ts'

/** As long as a server has not said how many it takes: RFC 9113 §6.5.2 asks for no fewer. */
export const STREAMS_UNTIL_TOLD = 100
/** Bodies that wait for clients who read slowly; what is beyond is left with the server. */
const MAX_HELD_BYTES = 16_777_216
/** What piles up for a server that does not read but goes on asking. */
const MAX_GATHERED_BYTES = 8_388_608
/** Frames that were under way on a stream when we gave it up. */
const STRAYS_OF_A_RESET = 64
const PING_DATA: Buffer = Buffer.from('are you?', 'latin1')

export interface OpenedUser extends ConnectionUser {
  /** The answer to a `ping`. */
  readonly onPong: () => void
}

export class OpenedConnection extends Connection {
  /** Streams that the server takes at a time. */
  maxStreams = STREAMS_UNTIL_TOLD
  readonly #opened: OpenedUser
  /** Streams above it are not served. */
  #lastServed = MAX_WINDOW
  #strays = STRAYS_OF_A_RESET
  /** Got their head in this read, and nothing else so far. */
  #fresh: Stream[] = []

  constructor(socket: Socket, limits: ConnectionLimits, parts: ConnectionParts, user: OpenedUser) {
    super(socket, limits, parts, user)
    this.#opened = user
    this.maxHeldBytes = MAX_HELD_BYTES
    this.lastStream = -1
    this.out.bytes(PREFACE, 0, PREFACE.length)
    this.sendSettings([
      [ENABLE_PUSH, 0],
      [INITIAL_WINDOW, limits.initialWindowBytes],
      [MAX_HEADER_LIST, limits.maxHeaderBytes]
    ])
  }

  /** There is a place for so many more streams. */
  hasPlace(more: number): boolean {
    return !this.isDraining && this.heldBytes <= MAX_HELD_BYTES && this.streams.size + more <= this.maxStreams
  }

  /** Sends a request's head; ask only where there is a place. */
  ask(fields: readonly string[], isEnd: boolean, user: StreamUser): Stream {
    this.lastStream += 2
    const stream = new Stream(this.lastStream, this, this.initialSendWindow, this.limits.initialWindowBytes)
    stream.user = user
    this.streams.set(stream.id, stream)
    this.sendHead(stream, fields, isEnd, false)
    if (this.lastStream >= MAX_WINDOW - 2) this.drain()
    return stream
  }

  ping(): void {
    this.out.frame(PING, 0, 0, PING_DATA)
    this.schedule()
  }

  override receive(bytes: Buffer, size: number): void {
    super.receive(bytes, size)
    if (this.#fresh.length > 0) {
      for (const stream of this.#fresh) if (!stream.isClosed && !stream.isEndTold) stream.user?.onHeadAlone?.()
      this.#fresh = []
    }
    if (this.out.isBlocked && this.out.gatheredBytes > MAX_GATHERED_BYTES) this.destroy()
    this.schedule()
  }

  drain(): void {
    if (this.isDraining) return
    this.isGoing = true
    this.#opened.onDraining()
    if (this.streams.size === 0) this.onEmpty()
  }

  /** The server pushes nothing. */
  protected override lastPeerStream(): number {
    return 0
  }

  protected override onFields(id: number, fields: readonly string[] | null, isEnd: boolean): void {
    if (this.isIdle(id)) return this.fail(codes.PROTOCOL_ERROR)
    const stream = this.streams.get(id)
    if (stream === undefined || stream.isRemoteEnded) return this.onStray(stream)
    if (this.controlFrames > 0) this.controlFrames--
    if (stream.hasRemoteHead) return this.onTrailers(stream, fields, isEnd)
    const isFinal = stream.user?.onHead?.(fields, isEnd) ?? true
    if (stream.isClosed || !isFinal) return
    stream.hasRemoteHead = true
    if (!isEnd) return void this.#fresh.push(stream)
    stream.isRemoteEnded = true
    if (!stream.isPaused) this.tellEnd(stream)
  }

  /** What was under way when we gave a stream up is nobody's fault; what goes on is. */
  protected override onStray(stream: Stream | undefined): void {
    if (stream !== undefined) return this.reset(stream, stream.isRemoteEnded ? codes.STREAM_CLOSED : codes.PROTOCOL_ERROR)
    if (this.#strays > 0) this.#strays--
    else this.onControl()
  }

  /** The answer may be here in full although the request is not there: the rest of it is not wanted (RFC 9113 §8.1). */
  protected override onResetFrame(id: number, code: number): void {
    const stream = this.streams.get(id)
    if (stream === undefined) return this.onStray(undefined)
    if (!stream.isRemoteEnded) return this.closeStream(stream, true, code)
    this.stopSending(stream)
    if (stream.isEndTold) this.closeStream(stream, false, code)
  }

  protected override onResetSent(): void {
    this.#strays += STRAYS_OF_A_RESET
  }

  protected override onGoaway(lastStream: number): void {
    this.onControl()
    if (lastStream > this.#lastServed) return this.fail(codes.PROTOCOL_ERROR)
    this.#lastServed = lastStream
    this.isGoing = true
    this.#opened.onDraining()
    for (const stream of Array.from(this.streams.values()))
      if (stream.id > lastStream) this.closeStream(stream, true, stream.hasRemoteHead ? codes.CANCEL : codes.REFUSED_STREAM)
    if (this.streams.size === 0) this.onEmpty()
  }

  protected override onPong(): void {
    this.#opened.onPong()
  }

  protected override onSetting(key: number, value: number): number {
    if (key === ENABLE_PUSH && value !== 0) return codes.PROTOCOL_ERROR
    if (key === MAX_STREAMS) {
      this.maxStreams = value
      if (value === 0) this.drain()
    }
    return codes.NO_ERROR
  }

  protected override onEmpty(): void {
    if (this.isClosing) return
    this.sendGoaway(codes.NO_ERROR, 0)
    this.close(codes.NO_ERROR)
  }

  protected override isServed(stream: Stream): boolean {
    return stream.isEndTold
  }

  /** It is read on: what it says may be what it waits for. */
  protected override onUnblocked(): void {
    this.schedule()
  }

  /** What has come in full outlives its connection. */
  protected override closeStreams(code: number): void {
    for (const stream of this.streams.values()) {
      if (!stream.isRemoteEnded || stream.isEndTold) continue
      this.stopSending(stream)
      this.streams.delete(stream.id)
    }
    super.closeStreams(code)
  }
}
