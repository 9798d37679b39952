/**
 * Accepted connections that are read without a stream between: the kernel's bytes come in one buffer that all share, and
 * are used up before the next read.
 */
import { Socket, type SocketConstructorOpts } from 'node:net'

/** Bytes that are not kept. False stops the reading. */
export type Sink = (bytes: Buffer, size: number) => boolean

export class Readers {
  readonly #buffer: Buffer
  readonly #readers = new WeakMap<Socket, { sink: Sink | null }>()

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  /**
   * The same connection as a socket that can be read so; `accepted` is of no use afterwards. As long as nobody attaches a
   * sink it is a stream like any other.
   */
  adopt(accepted: Socket): Socket {
    const held = accepted as unknown as { _handle?: object | null }
    const handle = held._handle
    if (!handle || accepted.readableLength > 0 || accepted.destroyed) return accepted
    held._handle = null
    accepted.destroy()
    const reader: { sink: Sink | null } = { sink: null }
    const options = {
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: this.#buffer,
        callback: (size: number, bytes: Uint8Array): boolean =>
          reader.sink === null ? socket.push(Buffer.from(bytes.subarray(0, size))) : reader.sink(bytes as Buffer, size)
      }
    }
    const socket = new Socket(options as SocketConstructorOpts)
    this.#readers.set(socket, reader)
    return socket
  }

  /** False when the socket was not adopted: it is read as a stream. */
  attach(socket: Socket, sink: Sink): boolean {
    const reader = this.#readers.get(socket)
    if (reader === undefined) return false
    reader.sink = sink
    for (let early = socket.read() as Buffer | null; early !== null; early = socket.read() as Buffer | null) sink(early, early.length)
    return true
  }

  /** A stream again. */
  detach(socket: Socket): void {
    const reader = this.#readers.get(socket)
    if (reader !== undefined) reader.sink = null
  }
}
