/** Takes a request's body into memory ahead of any server, up to a limit: it stands where an attempt would. */
import type { Fault } from '#engine/base/fault.ts'
import type { TakenBody } from '../exchange/exchange.ts'
import type { ClientSide, ServerSide } from './sides.ts'

/** No longer than what is read at a time, which is what attempts have buffers for. */
const PIECE_BYTES = 32_768

/** Sends what is there of a body, but for its end. */
export function sendPieces(to: Pick<ServerSide, 'sendBody'> | null, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) to?.sendBody(bytes, at, Math.min(bytes.length, at + PIECE_BYTES), false, [])
}

export class BodyCollector implements ServerSide {
  readonly isResponseBegun = false
  readonly #client: Pick<ClientSide, 'flowBody' | 'attemptEnded'>
  readonly #limitBytes: number
  readonly #taken: (taken: TakenBody) => void
  readonly #chunks: Buffer[] = []
  #size = 0
  #isOver = false

  constructor(client: Pick<ClientSide, 'flowBody' | 'attemptEnded'>, limitBytes: number, taken: (taken: TakenBody) => void) {
    this.#client = client
    this.#limitBytes = limitBytes
    this.#taken = taken
  }

  start(): void {
    this.#client.flowBody()
  }

  fail(fault: Fault): void {
    this.#end({ is: 'failed', fault })
  }

  sendBody(bytes: Buffer, from: number, to: number, isDone: boolean): boolean {
    if (this.#isOver) return false
    // What is read is in a buffer that the next read overwrites.
    if (to > from) this.#chunks.push(Buffer.from(bytes.subarray(from, to)))
    this.#size += to - from
    if (this.#size > this.#limitBytes) this.#end({ is: 'begun', bytes: Buffer.concat(this.#chunks) })
    else if (isDone) this.#end({ is: 'whole', bytes: Buffer.concat(this.#chunks) })
    return !this.#isOver
  }

  clientDrained(): void {
    // Nothing is sent.
  }

  flushed(): void {
    // Nothing is sent.
  }

  #end(taken: TakenBody): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#client.attemptEnded(this)
    this.#taken(taken)
  }
}
