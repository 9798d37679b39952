/** Which side answers an exchange: the protocol that the server is spoken to in decides. */
import type { Exchange } from '../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../exchange/forwarder.ts'
import type { ClientSide, ServerSide } from './sides.ts'
import { Attempt } from './wire/attempt.ts'

export function makeAttempt(client: ClientSide, exchange: Exchange, destination: Destination, events: ForwardEvents): ServerSide {
  return new Attempt(client, exchange, destination, events)
}
