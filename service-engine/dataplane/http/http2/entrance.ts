/** Connections of clients that speak HTTP/2; each stream is a request. */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { Http2Spec, HttpSpec } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Downstream } from '../../exchange/exchange.ts'
import type { Entrance, EntranceSpine } from '../../exchange/forwarder.ts'
import { answerTo } from '../rescue.ts'
import type { WireParts } from '../wire/parts.ts'
import { IdleServers } from '../wire/server.ts'
import { Timer, type Lane } from '../wire/wheel.ts'
import { readStreamHead, type StreamHead } from './fields.ts'
import { ClientStream, type StreamParts } from './stream.ts'

/** The longest that a first request, and a body or a reader below a minimum rate, are waited for, whatever the profile says. */
const PATIENCE_MS = 10_000
/** A stream on which nobody says anything may be a call that waits for an event; but not without end. */
const CALL_IDLE_MS = 300_000
/** How long a connection that is told to end may take to say so. */
const LINGER_MS = 1_000
/** What one connection may hold in the library, in MB: every stream's window and what waits to be written. */
const MAX_SESSION_MB = 16
/** Streams that may break off beyond those that end well; then so many a second. */
const RESET_BURST = 200
const RESETS_PER_S = 20
/** Beside the limit on fields: what is over that by little is answered by a status, what is over this ends the stream. */
const SPARE_FIELDS = 64

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
  readonly http2: Http2Spec
  readonly spine: EntranceSpine
  readonly parts: WireParts
  readonly idle: IdleServers
  readonly streams: Omit<StreamParts, 'idle'>
  readonly first: Lane
  readonly keepAlive: Lane
  readonly linger: Lane
  readonly closed: (session: ClientSession) => void
}

/**
 *   first -> busy <-> idle -> draining (told to go away, streams may end) -> closed
 */
class ClientSession {
  readonly #session: ServerHttp2Session
  readonly #downstream: Downstream
  readonly #shared: SessionParts
  readonly #streams: StreamParts
  readonly #timer = new Timer(() => this.#expired())
  #open = 0
  #requests = 0
  #controlFrames = 0
  #resets = 0
  #resetsAtMs = 0

  constructor(socket: Socket, downstream: Downstream, shared: SessionParts) {
    const { http2, limits } = shared
    this.#downstream = downstream
    this.#shared = shared
    const idle = limits.isConnectionMultiplexed ? shared.idle : new IdleServers()
    this.#streams = { ...shared.streams, idle }
    const session = performServerHandshake(socket, {
      maxHeaderListPairs: limits.maxHeaderCount + SPARE_FIELDS,
      maxSessionMemory: MAX_SESSION_MB,
      maxSessionInvalidFrames: http2.maxEmptyDataFrames || 0xffff_ffff,
      // Judged by our own rules: a server may repeat a field.
      strictSingleValueFields: false,
      settings: {
        maxConcurrentStreams: http2.maxStreams,
        initialWindowSize: http2.initialWindowBytes,
        maxHeaderListSize: limits.maxHeaderBytes
      }
    })
    this.#session = session
    session.on('stream', (stream, _fields, flags, raw) => this.#onStream(stream, flags, raw as unknown as string[]))
    session.on('ping', () => this.#onControl())
    session.on('remoteSettings', () => this.#onControl())
    session.on('error', () => undefined)
    session.once('close', () => {
      this.#timer.disarm()
      if (idle !== shared.idle) idle.close()
      shared.closed(this)
    })
    shared.first.arm(this.#timer)
  }

  /** No new requests; those that are under way may end. */
  retire(): void {
    if (this.#session.closed) return
    this.#session.close()
    if (this.#open === 0) this.#shared.linger.arm(this.#timer)
  }

  destroy(): void {
    this.#session.destroy()
  }

  #onStream(stream: ServerHttp2Stream, flags: number, fields: readonly string[]): void {
    const { http2, limits, spine } = this.#shared
    stream.on('error', () => undefined)
    // Taken back before it was looked at.
    if (stream.destroyed || stream.closed) return this.#ended(stream)
    this.#timer.disarm()
    this.#open++
    this.#requests++
    stream.once('close', () => this.#streamClosed(stream))
    if (http2.maxRequests !== 0 && this.#requests >= http2.maxRequests) this.retire()
    const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0
    const head = readStreamHead(fields, hasBody, limits)
    if (head instanceof Fault) return this.#refuse(stream, head, hasBody)
    spine.begin(head.head, this.#downstream, new ClientStream(stream, head, hasBody, this.#streams))
  }

  #refuse(stream: ServerHttp2Stream, fault: Fault, hasBody: boolean): void {
    const { answer } = answerTo(fault)
    const headers = [...answer.headers, 'content-length', String(answer.body.length)]
    const wire = new ClientStream(stream, unread, hasBody, this.#streams)
    wire.refuse({ status: answer.status, reason: answer.reason, headers }, answer.body)
    wire.flush()
    this.#shared.spine.refused(fault, this.#downstream)
  }

  #streamClosed(stream: ServerHttp2Stream): void {
    this.#open--
    this.#ended(stream)
    if (this.#open > 0 || this.#session.destroyed) return
    const { keepAlive, linger } = this.#shared
    ;(this.#session.closed ? linger : keepAlive).arm(this.#timer)
  }

  /** Streams that break off cost more than they pay for, whoever resets them: CVE-2023-44487, CVE-2025-8671. */
  #ended(stream: ServerHttp2Stream): void {
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR) {
      if (this.#resets > 0) this.#resets--
      return
    }
    const nowMs = this.#shared.parts.wheel.nowMs
    const forgiven = ((nowMs - this.#resetsAtMs) * RESETS_PER_S) / 1000
    this.#resets = Math.max(0, this.#resets - forgiven) + 1
    this.#resetsAtMs = nowMs
    if (this.#resets > RESET_BURST) this.#calmDown()
  }

  /** Told to go once there were many, cut off when it goes on. */
  #onControl(): void {
    const { maxControlFrames } = this.#shared.http2
    if (maxControlFrames === 0) return
    this.#controlFrames++
    if (this.#controlFrames === maxControlFrames) this.retire()
    else if (this.#controlFrames > 2 * maxControlFrames) this.#calmDown()
  }

  #calmDown(): void {
    if (!this.#session.destroyed) this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  #expired(): void {
    if (this.#session.closed) return this.destroy()
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
  const sessions = new Set<ClientSession>()
  let onEmpty: (() => void) | null = null
  const shared: SessionParts = {
    limits,
    http2: limits.http2 ?? http2Defaults,
    spine,
    parts,
    idle,
    streams: {
      limits,
      parts,
      lanes: {
        body: wheel.lane(Math.min(limits.bodyTimeoutMs, PATIENCE_MS)),
        call: wheel.lane(CALL_IDLE_MS),
        reader: wheel.lane(PATIENCE_MS)
      }
    },
    first: wheel.lane(Math.min(limits.headerTimeoutMs, PATIENCE_MS)),
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
