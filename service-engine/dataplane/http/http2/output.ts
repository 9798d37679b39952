/** What a connection of HTTP/2 says: frames, gathered in buffers of the worker's, so that a turn of the loop is one write. */
import type { Socket } from 'node:net'
import { HeldWrites, type Buffers } from '../wire/parts.ts'
import { CONTINUATION, END_HEADERS, END_STREAM, FRAME_HEAD, HEADERS, MAX_FRAME_BYTES } from './frames.ts'
import { blockRoom, encodeBlock, putBlock } from './hpack.ts'

export class Output {
  /** The socket takes nothing for now. */
  isBlocked = false
  readonly #socket: Socket
  readonly #buffers: Buffers
  readonly #held: HeldWrites
  #out: Buffer | null = null
  #size = 0
  /** Full ones, behind a socket that takes nothing. */
  readonly #full: Buffer[] = []
  readonly #fullSizes: number[] = []
  #isFirstBlock = true

  constructor(socket: Socket, buffers: Buffers) {
    this.#socket = socket
    this.#buffers = buffers
    this.#held = new HeldWrites(buffers)
  }

  /** Bytes that the kernel has not taken yet. */
  get unwrittenBytes(): number {
    const { _handle: handle } = this.#socket as { readonly _handle?: { readonly writeQueueSize?: number } | null }
    return this.#socket.writableLength + (handle?.writeQueueSize ?? 0)
  }

  /** Bytes that the socket has not been given yet. */
  get gatheredBytes(): number {
    let bytes = this.#size
    for (const size of this.#fullSizes) bytes += size
    return bytes
  }

  head(type: number, flags: number, id: number, size: number): void {
    const at = this.#room(FRAME_HEAD)
    putHead(this.#out!, at, type, flags, id, size)
  }

  frame(type: number, flags: number, id: number, payload: Buffer): void {
    this.head(type, flags, id, payload.length)
    this.bytes(payload, 0, payload.length)
  }

  /** A frame whose payload is one number. */
  number(type: number, id: number, value: number): void {
    const at = this.#room(FRAME_HEAD + 4)
    putHead(this.#out!, at, type, 0, id, 4)
    this.#out!.writeUInt32BE(value, at + FRAME_HEAD)
  }

  /** A part of a frame's payload; it is copied. */
  bytes(bytes: Buffer, from: number, to: number): void {
    let at = from
    while (at < to) {
      if (this.#out === null || this.#size === this.#out.length) this.#turn()
      const out = this.#out!
      const size = bytes.copy(out, this.#size, at, to)
      this.#size += size
      at += size
    }
  }

  /** A block of fields, in as many frames as it takes. */
  block(id: number, fields: readonly string[], isEnd: boolean): void {
    const isFirst = this.#isFirstBlock
    const end = isEnd ? END_STREAM : 0
    const room = blockRoom(fields)
    this.#isFirstBlock = false
    if (room <= MAX_FRAME_BYTES) {
      const at = this.#room(FRAME_HEAD + room)
      const out = this.#out!
      const to = putBlock(out, at + FRAME_HEAD, fields, isFirst)
      putHead(out, at, HEADERS, end | END_HEADERS, id, to - at - FRAME_HEAD)
      this.#size = to
      return
    }
    const block = encodeBlock(fields, isFirst)
    for (let at = 0; at < block.length; at += MAX_FRAME_BYTES) {
      const to = Math.min(at + MAX_FRAME_BYTES, block.length)
      this.head(at === 0 ? HEADERS : CONTINUATION, (at === 0 ? end : 0) | (to === block.length ? END_HEADERS : 0), id, to - at)
      this.bytes(block, at, to)
    }
  }

  /** Gives the socket what it takes; `isBlocked` says afterwards whether that was too much. */
  flush(): void {
    if (this.isBlocked) return
    if (this.#size > 0) this.#stow()
    this.#write()
  }

  /** Nothing is written any more. */
  drop(): void {
    if (this.#out !== null) this.#stow()
    for (const buffer of this.#full.splice(0)) this.#buffers.give(buffer)
    this.#fullSizes.length = 0
  }

  /** Where so many bytes in a row go. */
  #room(bytes: number): number {
    if (this.#out === null || this.#size + bytes > this.#out.length) this.#turn()
    const at = this.#size
    this.#size += bytes
    return at
  }

  #turn(): void {
    if (this.#out !== null) {
      this.#stow()
      if (!this.isBlocked) this.#write()
    }
    this.#out = this.#buffers.take()
  }

  #stow(): void {
    this.#full.push(this.#out!)
    this.#fullSizes.push(this.#size)
    this.#out = null
    this.#size = 0
  }

  #write(): void {
    while (!this.isBlocked && this.#full.length > 0) {
      const buffer = this.#full.shift()!
      const size = this.#fullSizes.shift()!
      if (this.#socket.destroyed || this.#socket.writableEnded) this.#buffers.give(buffer)
      // What the kernel has taken at once blocks nobody, however much it was.
      else if (!this.#held.write(this.#socket, buffer, size)) this.isBlocked = this.#socket.writableLength > 0
    }
  }
}

function putHead(out: Buffer, at: number, type: number, flags: number, id: number, size: number): void {
  out[at] = size >> 16
  out[at + 1] = (size >> 8) & 255
  out[at + 2] = size & 255
  out[at + 3] = type
  out[at + 4] = flags
  out[at + 5] = id >>> 24
  out[at + 6] = (id >> 16) & 255
  out[at + 7] = (id >> 8) & 255
  out[at + 8] = id & 255
}
