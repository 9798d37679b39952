/** What a client connection, a request on it, and an attempt to get it answered share. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { HttpSpec } from '#model/snapshot/snapshot.ts'
import type { Fault } from '#engine/base/fault.ts'
import type { Downstream } from '../../exchange/exchange.ts'
import type { Agents } from './agents.ts'
import type { Outlet } from './outlet.ts'

export interface StockParts {
  readonly agents: Agents
  readonly outlet: Outlet
}

/** A request that the parser has read the head of. */
export interface Arrival {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly expects: 'nothing' | 'continue' | 'unknown'
  /** For an upgrade: the connection, and what came after the head. */
  readonly upgrade: { readonly socket: Socket; readonly head: Buffer } | null
}

/** One client connection. */
export interface Connection {
  readonly socket: Socket
  readonly downstream: Downstream
  readonly waiting: Arrival[]
  current: { readonly broken: (fault: Fault) => void } | null
  served: number
  /** Its next response is its last. */
  isLast: boolean
  /** The last response is under way; whatever else came is not looked at. */
  isOver: boolean
  /** Where connections to servers are not shared between clients. */
  readonly agents: Agents
}

/** A request under way, as an attempt to get it answered sees it. */
export interface Passage {
  readonly arrival: Arrival
  readonly connection: Connection
  readonly limits: HttpSpec
  readonly parts: StockParts
  /** The client's connection became a splice, and that is over. */
  readonly spliced: () => void
}
