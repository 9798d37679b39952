/** The forwarder at byte level: HTTP/1.1 on sockets, towards clients and towards servers; HTTP/2 beside it. */
import type { Clock } from '#model/base/clock.ts'
import type { HttpSpec } from '#model/snapshot/snapshot.ts'
import type { Entrance, EntranceSpine, Forwarder } from '../../exchange/forwarder.ts'
import { joinEntrances } from '../entrances.ts'
import { openHttp2Entrance } from '../http2/entrance.ts'
import { SCRATCH_BYTES } from '../http2/sessions.ts'
import { Nobody } from '../nobody.ts'
import { makeResponseReader } from './attempt.ts'
import { ClientConnection, type EntranceParts } from './client.ts'
import { Dates } from './compose.ts'
import { RequestReader } from './head-reader.ts'
import { Buffers, READ_BYTES, type WireParts } from './parts.ts'
import { bodyPaceOf, paceOf } from './pace.ts'
import { Readers } from './readers.ts'
import { watchParts } from './reader-watch.ts'
import { SendQueues } from './send-queues.ts'
import { IdleServers } from './server.ts'
import { Turn } from './turn.ts'
import { Wheel } from './wheel.ts'

/** The longest that the first header is waited for, whatever the profile says. */
const PATIENCE_MS = 10_000
/** How often it is looked whether a body has come to be too slow. */
const LOOK_MS = 500
/** A client that ended its side may still read; or it is gone, which looks the same until something is sent. */
const HALF_CLOSED_MS = 2_000
/** How long a client may go on sending what nobody wants, so that it gets to read our answer instead of a reset. */
const LINGER_MS = 1_000
/** Longer than a request takes from nearly every client. */
const LEAVING_MS = 500

export function makeWireForwarder(options: { readonly clock: Clock }): Forwarder {
  const { clock } = options
  const idle = new IdleServers()
  const parts: WireParts = {
    wheel: new Wheel(clock),
    dates: new Dates(clock.nowEpochMs),
    readBuffer: Buffer.allocUnsafeSlow(READ_BYTES),
    readers: new Readers(Buffer.allocUnsafeSlow(READ_BYTES)),
    turn: new Turn(),
    buffers: new Buffers(),
    scratch: Buffer.allocUnsafeSlow(SCRATCH_BYTES),
    responses: makeResponseReader(),
    queues: new SendQueues(clock),
    http1Until: new WeakMap(),
    sessions: new WeakMap()
  }
  return {
    kind: 'wire',
    speaksHttp2: true,
    openEntrance: (limits, spine) => joinEntrances(openEntrance(limits, spine, parts, idle), openHttp2Entrance(limits, spine, parts, idle)),
    adopt: socket => parts.readers.adopt(socket),
    forget: destination => idle.forget(destination),
    fetch: (exchange, destination, events) => {
      const nobody = new Nobody(parts, idle, exchange, destination, events)
      nobody.start()
      return nobody
    },
    close: () => {
      idle.close()
      parts.wheel.stop()
    }
  }
}

function openEntrance(limits: HttpSpec, spine: EntranceSpine, parts: WireParts, idle: IdleServers): Entrance {
  const { wheel } = parts
  const connections = new Set<ClientConnection>()
  const bodyPace = bodyPaceOf(limits)
  let isRetiring = false
  let onEmpty: (() => void) | null = null
  const shared: EntranceParts = {
    limits,
    spine,
    parts,
    idle,
    requests: new RequestReader(limits),
    watch: watchParts(parts, paceOf(limits)),
    bodyPace,
    lanes: {
      accept: wheel.lane(Math.min(limits.acceptTimeoutMs ?? PATIENCE_MS, PATIENCE_MS)),
      firstHeader: wheel.lane(Math.min(limits.headerTimeoutMs, PATIENCE_MS)),
      header: wheel.lane(limits.headerTimeoutMs),
      keepAlive: wheel.lane(limits.keepAliveTimeoutMs),
      body: wheel.lane(bodyPace.graceMs),
      look: wheel.lane(LOOK_MS),
      halfClosed: wheel.lane(HALF_CLOSED_MS),
      linger: wheel.lane(LINGER_MS),
      leaving: wheel.lane(LEAVING_MS)
    },
    closed: connection => {
      connections.delete(connection)
      if (connections.size === 0) onEmpty?.()
    },
    isRetiring: () => isRetiring
  }
  return {
    accept: (socket, downstream) => void connections.add(new ClientConnection(socket, downstream, shared)),
    connections: () => connections.size,
    retire: whenEmpty => {
      isRetiring = true
      onEmpty = whenEmpty
      for (const connection of connections) connection.retire()
      if (connections.size === 0) whenEmpty()
    },
    destroy: () => {
      for (const connection of connections) connection.close()
    }
  }
}
