/** The client's side of a request that no client waits for: it sends its body as the server takes it, and forgets the answer. */
import { Fault } from '#engine/base/fault.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Destination, Fetched, ForwardEvents } from '../exchange/forwarder.ts'
import { makeAttempt } from './attempts.ts'
import type { ClientSide, ServerSide } from './sides.ts'
import { EMPTY } from './wire/bytes.ts'
import type { WireParts } from './wire/parts.ts'
import type { IdleServers } from './wire/server.ts'

export class Nobody implements ClientSide, Fetched {
  readonly parts: WireParts
  readonly idle: IdleServers
  readonly isUpgrade = false
  readonly #attempt: ServerSide
  /** Of the body: what the server has not taken yet. */
  readonly #waiting: Buffer[] = []
  #waitingBytes = 0
  #isWanted = false
  #isWhole = false
  #isOver = false

  constructor(parts: WireParts, idle: IdleServers, exchange: Exchange, destination: Destination, events: ForwardEvents) {
    this.parts = parts
    this.idle = idle
    this.#attempt = makeAttempt(this, exchange, destination, events)
  }

  start(): void {
    this.#attempt.start()
  }

  write(bytes: Buffer, from: number, to: number): number {
    if (this.#isOver) return 0
    // No longer than what is read at a time, which is what attempts have buffers for.
    this.#waiting.push(Buffer.from(bytes.subarray(from, to)))
    this.#waitingBytes += to - from
    this.#pump()
    return this.#waitingBytes
  }

  end(): void {
    this.#isWhole = true
    this.#pump()
  }

  abandon(fault: Fault): void {
    this.#attempt.fail(fault)
  }

  #pump(): void {
    while (this.#isWanted && this.#waiting.length > 0) {
      const bytes = this.#waiting.shift()!
      this.#waitingBytes -= bytes.length
      if (!this.#attempt.sendBody(bytes, 0, bytes.length, false, [])) this.#isWanted = false
    }
    if (this.#isWanted && this.#isWhole) {
      this.#isWanted = false
      this.#attempt.sendBody(EMPTY, 0, 0, true, [])
    }
  }

  isGone(): boolean {
    return false
  }
  interim(): void {
    // Nobody hears it.
  }
  head(): string {
    return ''
  }
  send(): boolean {
    return true
  }
  flush(): void {
    this.#attempt.flushed()
  }
  flowBody(): void {
    this.#isWanted = true
    this.#pump()
  }
  resumeBody(): void {
    this.#isWanted = true
    this.#pump()
  }
  cut(): void {
    // Nobody has any of it.
  }
  detach(): ReturnType<ClientSide['detach']> {
    throw new Fault('ENGINE_BUG', 'nobody is no tunnel')
  }
  attemptEnded(): void {
    this.#isOver = true
    this.#waiting.length = 0
    this.#waitingBytes = 0
  }
  next(): void {
    // Nothing comes after it.
  }
}
