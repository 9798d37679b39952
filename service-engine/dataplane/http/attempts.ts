/** Which side answers an exchange: the protocol that the server is spoken to in decides. */
import type { Fault } from '#engine/base/fault.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../exchange/forwarder.ts'
import { StreamAttempt } from './http2/attempt.ts'
import { isHttp1Only } from './http2/sessions.ts'
import { makePassing } from './passing.ts'
import { Serving } from './serving.ts'
import type { ClientSide, ServerSide } from './sides.ts'
import { Attempt } from './wire/attempt.ts'

/** An attempt, behind what else is to be done with the bytes. */
export function makeAttempt(client: ClientSide, exchange: Exchange, destination: Destination, events: ForwardEvents): ServerSide {
  const isPlain = exchange.copy === null && exchange.chooseCoder === null && exchange.keeper === null && exchange.pacer === null
  if (exchange.inspector !== null)
    return makePassing((passing, isHolding) => plainAttempt(passing, exchange, destination, holding(events, isHolding)), client, exchange)
  if (isPlain || client.isUpgrade) return plainAttempt(client, exchange, destination, events)
  return makePassing(passing => plainAttempt(passing, exchange, destination, events), client, exchange)
}

/** Of an answer that is held nothing is with the client, whatever its attempt has sent on. */
function holding(events: ForwardEvents, isHolding: () => boolean): ForwardEvents {
  return {
    connected: () => events.connected(),
    responded: isReplayable => events.responded(isReplayable),
    ended: (fault, progress) => events.ended(fault, isHolding() ? { ...progress, isResponseBegun: false } : progress)
  }
}

/** What is there already, behind the same. */
export function makeServing(client: ClientSide, exchange: Exchange, onSent: (fault: Fault | null) => void): ServerSide {
  return makePassing(passing => new Serving(passing, exchange, onSent), client, exchange)
}

/** A tunnel is one of HTTP/1.1, whatever else the server speaks. */
function plainAttempt(client: ClientSide, exchange: Exchange, destination: Destination, events: ForwardEvents): ServerSide {
  if (destination.isHttp2 !== true || client.isUpgrade || isHttp1Only(client.parts, destination))
    return new Attempt(client, exchange, destination, events)
  return new StreamAttempt(client, exchange, destination, events)
}
