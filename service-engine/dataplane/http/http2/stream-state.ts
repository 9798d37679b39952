/** A stream as its connection has it: its windows, and what waits to go in or out. RFC 9113 §5. */

/** The least that is set aside for what waits to be read. */
const HELD_BYTES = 4_096

/** What the one who uses a stream is told. */
export interface StreamUser {
  /**
   * Of who asks: a head of the answer; null when it was larger than the limit.
   *
   * Returns whether it was the last, not an interim one
   */
  readonly onHead?: (fields: readonly string[] | null, isEnd: boolean) => boolean
  /** Of who asks: a head came, and of a body nothing for now. */
  readonly onHeadAlone?: () => void
  /** More of the peer's body; bytes are not kept. False: no more for now. */
  readonly onData: (bytes: Buffer, from: number, to: number) => boolean
  readonly onEnd: (trailers: readonly string[]) => void
  /** The stream is gone before its end, by a code of RFC 9113 §7 or `LOST`. */
  readonly onReset: (code: number) => void
  /** What was written is on its way: more can be taken. */
  readonly onDrain: () => void
  /** All that we had to say is on its way. */
  readonly onFlushed: () => void
}

/** In place of a code: the connection is gone. */
export const LOST = -1

/** What a stream asks of its connection. */
export interface StreamOwner {
  readonly isBlocked: boolean
  readonly sendHead: (stream: Stream, fields: readonly string[], isEnd: boolean, isInterim: boolean) => void
  readonly sendBody: (stream: Stream, bytes: Buffer, from: number, to: number, trailers: readonly string[] | null) => boolean
  readonly reset: (stream: Stream, code: number) => void
  readonly finish: (stream: Stream, isBroken: boolean) => void
  readonly resume: (stream: Stream) => void
}

export class Stream {
  readonly id: number
  user: StreamUser | null = null
  /** What the peer still takes. */
  sendWindow: number
  receiveWindow: number
  /** Taken by the user, and not told to the peer yet. */
  credit = 0
  isPaused = false
  /** Came while it was paused. */
  held: Buffer[] = []
  /** Of the last of them, what is used. */
  heldSize = 0
  /** The peer may send a body: its head is here. */
  hasRemoteHead = false
  /** The peer has said all. */
  isRemoteEnded = false
  /** It has, and its user knows. */
  isEndTold = false
  remoteTrailers: readonly string[] = []
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
  readonly #connection: StreamOwner

  constructor(id: number, connection: StreamOwner, sendWindow: number, receiveWindow: number) {
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
   * More of the body, and its end when there are trailers, which may be none. What cannot be sent at once is copied.
   *
   * Returns false when no more should come for now
   */
  write(bytes: Buffer, from: number, to: number, trailers: readonly string[] | null): boolean {
    return this.isClosed || this.#connection.sendBody(this, bytes, from, to, trailers)
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

/** Keeps what came too early; frames of a few bytes share a piece, or their pieces would weigh more than they do. */
export function hold(stream: Stream, bytes: Buffer, from: number, to: number): void {
  const last = stream.held.at(-1)
  let at = from
  if (last !== undefined && stream.heldSize < last.length) {
    const size = bytes.copy(last, stream.heldSize, at, to)
    stream.heldSize += size
    at += size
  }
  if (at === to) return
  const piece = Buffer.allocUnsafeSlow(Math.max(HELD_BYTES, to - at))
  stream.heldSize = bytes.copy(piece, 0, at, to)
  stream.held.push(piece)
}
