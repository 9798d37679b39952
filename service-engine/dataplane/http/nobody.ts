/** The client's side of a request that no client waits for: it takes everything at once, and forgets it. */
import { Fault } from '#engine/base/fault.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../exchange/forwarder.ts'
import { makeAttempt } from './attempts.ts'
import type { ClientSide, ServerSide } from './sides.ts'
import type { WireParts } from './wire/parts.ts'
import type { IdleServers } from './wire/server.ts'

export class Nobody implements ClientSide {
  readonly parts: WireParts
  readonly idle: IdleServers
  readonly isUpgrade = false
  readonly #attempt: ServerSide

  constructor(parts: WireParts, idle: IdleServers, exchange: Exchange, destination: Destination, events: ForwardEvents) {
    this.parts = parts
    this.idle = idle
    this.#attempt = makeAttempt(this, exchange, destination, events)
  }

  start(): void {
    this.#attempt.start()
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
    // There is none.
  }
  resumeBody(): void {
    // There is none.
  }
  cut(): void {
    // Nobody has any of it.
  }
  detach(): ReturnType<ClientSide['detach']> {
    throw new Fault('ENGINE_BUG', 'nobody is no tunnel')
  }
  attemptEnded(): void {
    // It is forgotten with its attempt.
  }
  next(): void {
    // Nothing comes after it.
  }
}
