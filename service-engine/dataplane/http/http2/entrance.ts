/** Connections of clients that speak HTTP/2; each stream is a request. */
import type { Socket } from 'node:net'
import type { Http2Spec, HttpSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Downstream } from '../../exchange/exchange.ts'
import type { Entrance, EntranceSpine } from '../../exchange/forwarder.ts'
import { answerTo } from '../rescue.ts'
import { bodyPaceOf, paceOf } from '../wire/pace.ts'
import type { WireParts } from '../wire/parts.ts'
import { ReaderWatch, watchParts, type WatchParts } from '../wire/reader-watch.ts'
import { IdleServers } from '../wire/server.ts'
import { Timer, type Lane } from '../wire/wheel.ts'
import { AcceptedConnection, type AcceptedLimits, type AcceptedUser } from './accepted.ts'
import type { ConnectionParts } from './connection.ts'
import { readStreamHead, type StreamHead } from './fields.ts'
import { codes } from './frames.ts'
import { ClientStream, type StreamParts } from './stream.ts'
import type { Stream } from './stream-state.ts'

/** The longest that a first request is waited for, whatever the profile says. */
const PATIENCE_MS = 10_000
/** How often it is looked whether a body or a reader has come to be too slow. */
const LOOK_MS = 500
/** A stream on which nobody says anything may be a call that waits for an event; but not without end. */
const CALL_IDLE_MS = 300_000
/** How long a connection that is told to end may take to say so. */
const LINGER_MS = 1_000
/** Streams that may break off beyond those that end well; then so many a second. */
const RESET_BURST = 200
const RESETS_PER_S = 20
/** Beyond the limit on fields, for a frame of them. */
const SPARE_BLOCK_BYTES = 32_768

/** Avi's own values. */
export const http2Defaults: Http2Spec = {
  initialWindowBytes: 65_536,
  maxStreams: 128,
  maxControlFrames: 1_000,
  maxEmptyDataFrames: 1_000,
  maxRequests: 1_000
}

interface SessionParts {
  readonly limits: HttpSpec
  readonly bounds: AcceptedLimits
  readonly maxRequests: number
  readonly spine: EntranceSpine
  readonly parts: WireParts
  readonly idle: IdleServers
  readonly streams: Omit<StreamParts, 'idle'>
  readonly connection: ConnectionParts
  readonly watch: WatchParts
  readonly first: Lane
  readonly keepAlive: Lane
  readonly linger: Lane
  readonly closed: (session: ClientSession) => void
}

/**
 *   first -> busy <-> idle -> draining (told to go away, streams may end) -> closed
 */
class ClientSession implements AcceptedUser {
  readonly #connection: AcceptedConnection
  readonly #downstream: Downstream
  readonly #shared: SessionParts
  readonly #streams: StreamParts
  readonly #timer = new Timer(() => this.#expired())
  readonly #reader: ReaderWatch
  /** Until no stream can have crossed our word that there should be no more. */
  readonly #crossingTimer = new Timer(() => this.#connection.drain())
  #requests = 0
  #resets = 0
  #resetsAtMs = 0

  constructor(socket: Socket, downstream: Downstream, shared: SessionParts) {
    this.#downstream = downstream
    this.#shared = shared
    const idle = shared.limits.isConnectionMultiplexed ? shared.idle : new IdleServers()
    this.#streams = { ...shared.streams, idle }
    this.#reader = new ReaderWatch(socket, shared.watch, () => this.destroy())
    this.#connection = new AcceptedConnection(socket, shared.bounds, shared.connection, this)
    shared.first.arm(this.#timer)
  }

  /** No new requests; those that are under way may end. */
  retire(): void {
    this.#connection.drain()
  }

  destroy(): void {
    this.#connection.destroy()
  }

  onStream(stream: Stream, fields: readonly string[] | null, hasBody: boolean): void {
    const { limits, maxRequests, spine } = this.#shared
    this.#timer.disarm()
    if (++this.#requests === maxRequests) this.retire()
    const head =
      fields === null
        ? new Fault('DOWNSTREAM_HEADERS_TOO_LARGE', `a header over ${limits.maxHeaderBytes} bytes`)
        : readStreamHead(fields, hasBody, limits)
    if (head instanceof Fault) return this.#refuse(stream, head, hasBody)
    spine.begin(head.head, this.#downstream, new ClientStream(stream, head, hasBody, this.#streams))
  }

  /** Streams that break off cost more than they pay for, whoever resets them: CVE-2023-44487, CVE-2025-8671. */
  onStreamClosed(isBroken: boolean): void {
    if (this.#connection.openStreams === 0 && !this.#connection.isDraining) this.#shared.keepAlive.arm(this.#timer)
    if (!isBroken) {
      if (this.#resets > 0) this.#resets--
      return
    }
    const { nowMs } = this.#shared.parts.wheel
    const forgiven = ((nowMs - this.#resetsAtMs) * RESETS_PER_S) / 1000
    this.#resets = Math.max(0, this.#resets - forgiven) + 1
    this.#resetsAtMs = nowMs
    if (this.#resets > RESET_BURST) this.#connection.fail(codes.ENHANCE_YOUR_CALM)
  }

  onDraining(): void {
    this.#shared.linger.arm(this.#crossingTimer)
  }

  onClosing(): void {
    this.#crossingTimer.disarm()
    this.#shared.linger.arm(this.#timer)
  }

  onClosed(): void {
    this.#timer.disarm()
    this.#reader.rests()
    this.#crossingTimer.disarm()
    if (this.#streams.idle !== this.#shared.idle) this.#streams.idle.close()
    this.#shared.closed(this)
  }

  onBlocked(isBlocked: boolean): void {
    if (isBlocked) this.#reader.waits()
    else this.#reader.rests()
  }

  #refuse(stream: Stream, fault: Fault, hasBody: boolean): void {
    const { answer } = answerTo(fault)
    const headers = [...answer.headers, 'content-length', String(answer.body.length)]
    new ClientStream(stream, unread, hasBody, this.#streams).refuse({ status: answer.status, reason: answer.reason, headers }, answer.body)
    this.#shared.spine.refused(fault, this.#downstream)
  }

  #expired(): void {
    if (this.#connection.isDraining) return this.destroy()
    this.retire()
  }
}

/** Stands for a request that could not be understood. */
const unread: StreamHead = {
  head: {
    method: '',
    target: '',
    path: '',
    query: '',
    host: '',
    authority: '',
    version: '2',
    headers: [],
    framing: 'none',
    contentLength: 0,
    isWebSocket: false
  },
  expectsContinue: false
}

export function openHttp2Entrance(limits: HttpSpec, spine: EntranceSpine, parts: WireParts, idle: IdleServers): Entrance {
  const { wheel } = parts
  const http2 = limits.http2 ?? http2Defaults
  const pace = paceOf(limits)
  const bodyPace = bodyPaceOf(limits)
  const sessions = new Set<ClientSession>()
  let onEmpty: (() => void) | null = null
  const shared: SessionParts = {
    limits,
    bounds: { ...http2, maxHeaderBytes: limits.maxHeaderBytes },
    maxRequests: http2.maxRequests,
    spine,
    parts,
    idle,
    streams: {
      limits,
      parts,
      pace,
      bodyPace,
      lanes: {
        body: wheel.lane(bodyPace.graceMs),
        look: wheel.lane(LOOK_MS),
        call: wheel.lane(CALL_IDLE_MS),
        reader: wheel.lane(Math.min(pace.graceMs / 2, LOOK_MS))
      }
    },
    connection: { buffers: parts.buffers, scratch: Buffer.allocUnsafeSlow(2 * (limits.maxHeaderBytes + SPARE_BLOCK_BYTES)) },
    watch: watchParts(parts, pace),
    first: wheel.lane(Math.min(limits.headerTimeoutMs, limits.acceptTimeoutMs ?? PATIENCE_MS, PATIENCE_MS)),
    keepAlive: wheel.lane(limits.keepAliveTimeoutMs),
    linger: wheel.lane(LINGER_MS),
    closed: session => {
      sessions.delete(session)
      if (sessions.size === 0) onEmpty?.()
    }
  }
  return {
    accept: (socket, downstream) => void sessions.add(new ClientSession(socket, downstream, shared)),
    connections: () => sessions.size,
    retire: whenEmpty => {
      onEmpty = whenEmpty
      for (const session of sessions) session.retire()
      if (sessions.size === 0) whenEmpty()
    },
    destroy: () => {
      for (const session of sessions) session.destroy()
    }
  }
}
