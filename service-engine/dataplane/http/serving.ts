/** The server's side of an exchange whose answer is there already. */
import type { Fault } from '#engine/base/fault.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { ClientSide, ServerSide } from './sides.ts'
import { EMPTY } from './wire/bytes.ts'

const NO_TRAILERS: readonly string[] = []

/** Stands behind the steps that send a body that is there. */
export class Serving implements ServerSide {
  readonly #client: ClientSide
  readonly #exchange: Exchange
  readonly #onSent: (fault: Fault | null) => void
  #isBegun = false
  #isEnded = false

  constructor(client: ClientSide, exchange: Exchange, onSent: (fault: Fault | null) => void) {
    this.#client = client
    this.#exchange = exchange
    this.#onSent = onSent
  }

  get isResponseBegun(): boolean {
    return this.#isBegun
  }

  start(): void {
    this.#isBegun = true
    const text = this.#client.head(this.#exchange.response!, { length: -1, isChunked: false }, true)
    this.#client.send(text, EMPTY, 0, 0, false, NO_TRAILERS)
    this.#client.flush()
  }

  fail(fault: Fault): void {
    if (this.#isEnded) return
    this.#client.cut(true)
    this.#end(fault)
  }

  sendBody(): boolean {
    return true
  }

  clientDrained(): void {
    // What is there is sent by the steps in front of it.
  }

  flushed(): void {
    if (!this.#isEnded) this.#end(null)
  }

  #end(fault: Fault | null): void {
    this.#isEnded = true
    this.#client.attemptEnded(this)
    this.#onSent(fault)
    if (fault === null) this.#client.next()
  }
}
