/** A connection of HTTP/2 that a client has opened: its streams are requests. */
import type { Socket } from 'node:net'
import { Connection, type ConnectionLimits, type ConnectionParts, type ConnectionUser } from './connection.ts'
import { codes, ENABLE_CONNECT, ENABLE_PUSH, INITIAL_WINDOW, MAX_HEADER_LIST, MAX_STREAMS, MAX_WINDOW, RST_STREAM } from './frames.ts'
import { Stream } from './stream-state.ts'

/** Streams that we reset and the client may not know of yet: what comes on them is passed over. */
const MAX_REMEMBERED = 128

export interface AcceptedLimits extends ConnectionLimits {
  readonly maxStreams: number
}

export interface AcceptedUser extends ConnectionUser {
  /** A request's head; null when it was larger than the limit. */
  readonly onStream: (stream: Stream, fields: readonly string[] | null, hasBody: boolean) => void
}

export class AcceptedConnection extends Connection {
  readonly #accepted: AcceptedUser
  readonly #maxStreams: number
  readonly #remembered = new Set<number>()
  /** Above it nothing is begun any more. */
  #lastAccepted = MAX_WINDOW
  /** The client knows which stream was the last. */
  #isLastTold = false

  constructor(socket: Socket, limits: AcceptedLimits, parts: ConnectionParts, user: AcceptedUser) {
    super(socket, limits, parts, user)
    this.#accepted = user
    this.#maxStreams = limits.maxStreams
    this.hasPreface = false
    socket.on('data', (chunk: Buffer) => {
      this.receive(chunk, chunk.length)
      this.flush()
    })
    // Nobody is there to read an answer.
    socket.on('end', () => socket.destroy())
    this.sendSettings([
      [MAX_STREAMS, limits.maxStreams],
      [INITIAL_WINDOW, limits.initialWindowBytes],
      [MAX_HEADER_LIST, limits.maxHeaderBytes]
    ])
  }

  /**
   * Tells the client to open no more streams; what is under way may end, and then the connection does. As long as there is
   * something under way streams that cross the message are still begun, until this is called again.
   *
   * Source  RFC 9113 §6.8
   */
  drain(): void {
    if (this.isClosing || this.#isLastTold) return
    const isFirst = !this.isGoing && this.streams.size > 0
    this.isGoing = true
    this.#isLastTold = !isFirst
    if (!isFirst) this.#lastAccepted = this.lastStream
    this.sendGoaway(codes.NO_ERROR, this.#lastAccepted)
    this.schedule()
    if (isFirst) this.#accepted.onDraining()
    else if (this.streams.size === 0) this.close(codes.NO_ERROR)
  }

  protected override lastPeerStream(): number {
    return this.lastStream
  }

  protected override onFields(id: number, fields: readonly string[] | null, isEnd: boolean): void {
    const known = this.streams.get(id)
    if (known !== undefined) return known.isRemoteEnded ? this.onStray(known, id) : this.onTrailers(known, fields, isEnd)
    if (id <= this.lastStream) {
      // Never opened, or over; one that we reset may still get its trailers.
      if (!this.#remembered.has(id)) this.fail(codes.STREAM_CLOSED)
      return
    }
    this.lastStream = id
    if (id > this.#lastAccepted) return
    if (this.controlFrames > 0) this.controlFrames--
    if (this.streams.size >= this.#maxStreams) {
      this.out.number(RST_STREAM, id, codes.REFUSED_STREAM)
      this.#remember(id)
      return this.#accepted.onStreamClosed(true)
    }
    const stream = new Stream(id, this, this.initialSendWindow, this.limits.initialWindowBytes)
    stream.hasRemoteHead = true
    stream.isRemoteEnded = isEnd
    stream.isEndTold = isEnd
    this.streams.set(id, stream)
    this.#accepted.onStream(stream, fields, !isEnd)
  }

  protected override onStray(stream: Stream | undefined, id: number): void {
    if (stream !== undefined) return this.reset(stream, codes.STREAM_CLOSED)
    if (this.#remembered.has(id)) return this.onControl()
    this.out.number(RST_STREAM, id, codes.STREAM_CLOSED)
    this.#remember(id)
    this.#accepted.onStreamClosed(true)
  }

  protected override onResetFrame(id: number, code: number): void {
    const stream = this.streams.get(id)
    if (stream === undefined) return this.onControl()
    this.closeStream(stream, true, code)
  }

  protected override onResetSent(stream: Stream): void {
    this.#remember(stream.id)
  }

  protected override onGoaway(): void {
    this.drain()
  }

  protected override onPong(): void {
    // We never ask.
  }

  protected override onSetting(key: number, value: number): number {
    return (key === ENABLE_PUSH || key === ENABLE_CONNECT) && value > 1 ? codes.PROTOCOL_ERROR : codes.NO_ERROR
  }

  protected override onEmpty(): void {
    if (this.#isLastTold) this.close(codes.NO_ERROR)
    else this.drain()
  }

  protected override isServed(stream: Stream): boolean {
    return stream.isLocalEnded
  }

  /** Who does not read is not read from: what it asks for would only pile up. */
  protected override onBlocked(): void {
    this.socket.pause()
    super.onBlocked()
  }

  protected override onUnblocked(): void {
    this.socket.resume()
  }

  #remember(id: number): void {
    this.#remembered.add(id)
    if (this.#remembered.size <= MAX_REMEMBERED) return
    for (const oldest of this.#remembered) {
      this.#remembered.delete(oldest)
      break
    }
  }
}
