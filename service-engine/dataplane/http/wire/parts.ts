/** What all connections of a worker share. */
import type { Destination } from '../../exchange/forwarder.ts'
import type { Dates } from './compose.ts'
import type { Socket } from 'node:net'
import type { ResponseReader } from './head-reader.ts'
import type { Readers } from './readers.ts'
import type { SendQueues } from './send-queues.ts'
import type { Turn } from './turn.ts'
import type { Wheel } from './wheel.ts'

export interface WireParts {
  readonly wheel: Wheel
  readonly dates: Dates
  /** Every connection to a server reads into it: what is read is used up before the next read. */
  readonly readBuffer: Buffer
  readonly readers: Readers
  readonly turn: Turn
  readonly buffers: Buffers
  /** Blocks of fields of servers are decoded in it. */
  readonly scratch: Buffer
  /** A head is read in one go, and used up before the next is. */
  readonly responses: ResponseReader
  readonly queues: SendQueues
  /** Until when servers that did not agree to HTTP/2 are not asked again; on the wheel's clock. */
  readonly http1Until: WeakMap<Destination, number>
  /** TLS sessions to go on with. */
  readonly sessions: WeakMap<Destination, Buffer>
}

export const READ_BYTES = 65_536
/** So many bytes are sent as one text with what is around them; above, the copy into a buffer is cheaper. */
export const SMALL_BYTES = 8_192
/** A read, the head before it and the framing around it. */
const WRITE_BYTES = READ_BYTES + 12_288
/** Beyond so many that nobody uses they are left to the collector. */
const MAX_SPARE = 64

/** Buffers for what is written and cannot be forgotten before the kernel has it. */
export class Buffers {
  readonly #spare: Buffer[] = []

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(WRITE_BYTES)
  }

  give(buffer: Buffer): void {
    if (this.#spare.length < MAX_SPARE) this.#spare.push(buffer)
  }
}

/** Writes on one socket of what is in such buffers. */
export class HeldWrites {
  readonly #buffers: Buffers
  readonly #held: Buffer[] = []

  constructor(buffers: Buffers) {
    this.#buffers = buffers
  }

  /** Takes the buffer over, and gives it back when it is written. False: no more for now. */
  write(socket: Socket, buffer: Buffer, length: number): boolean {
    this.#held.push(buffer)
    return socket.write(buffer.subarray(0, length), this.#onWritten)
  }

  readonly #onWritten = (): void => {
    const buffer = this.#held.shift()
    if (buffer !== undefined) this.#buffers.give(buffer)
  }
}
