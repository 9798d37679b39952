/** Connections of HTTP/2 to servers: many exchanges on each. */
import { connect as netConnect, type OnReadOpts, type Socket } from 'node:net'
import { connect as tlsConnect, type TLSSocket } from 'node:tls'
import type { FaultCode } from '#engine/base/fault.ts'
import type { Destination } from '../../exchange/forwarder.ts'
import { connectFault, endOf } from '../../upstream/end.ts'
import { upstreamTlsOptions } from '../../upstream/tls.ts'
import type { WireParts } from '../wire/parts.ts'
import { Timer, type Lane } from '../wire/wheel.ts'
import type { ConnectionLimits } from './connection.ts'
import { OpenedConnection, STREAMS_UNTIL_TOLD, type OpenedUser } from './opened.ts'
import type { Stream, StreamUser } from './stream-state.ts'

/** Whom a connection serves: an attempt. */
export interface SessionUser {
  /** A connection stands, with a place for one stream that is taken. `isFresh`: it was opened for this. */
  readonly ready: (session: ServerSession, isFresh: boolean) => void
  readonly unable: (code: FaultCode, cause: Error | undefined) => void
}

/** Servers are trusted with more than clients, but not without end. */
const limits: ConnectionLimits = {
  initialWindowBytes: 262_144,
  maxControlFrames: 1_000,
  maxEmptyDataFrames: 10_000,
  maxHeaderBytes: 65_536
}
/** Beyond the limit on fields, for a frame of them. */
const SPARE_BLOCK_BYTES = 32_768
/** What blocks of servers are decoded in: 8/5 of the largest. */
export const SCRATCH_BYTES: number = 2 * (limits.maxHeaderBytes + SPARE_BLOCK_BYTES)
/** A server that says nothing on its streams for so long is asked whether it is there, and has as long to answer. */
const SILENCE_MS = 30_000
/** From then on it is asked at every so many silences: servers of gRPC take offence at more than one question in 5 minutes. */
const SILENCES_BETWEEN = 11
/** A server that takes nothing at all for so long is gone, whatever its connection says. */
const STALL_MS = 60_000
/** How long a connection that is told to end may take to do so. */
const LINGER_MS = 1_000

/** How long a server that did not agree to HTTP/2 is not asked again. */
const HTTP1_MS = 600_000

/** The server did not agree to HTTP/2, and need not. */
export function isHttp1Only({ http1Until, wheel }: WireParts, destination: Destination): boolean {
  return destination.isHttp1Allowed === true && (http1Until.get(destination) ?? -1) > wheel.nowMs
}

/**
 *   connecting -> (securing ->) standing: busy <-> idle -> draining (nothing new) -> closed
 */
export class ServerSession implements OpenedUser {
  readonly destination: Destination
  readonly #pool: SessionPool
  readonly #parts: WireParts
  readonly #socket: Socket
  readonly #timer = new Timer(() => this.#expired())
  readonly #watch = new Timer(() => this.#watched())
  readonly #stall = new Timer(() => this.#stalled())
  #connection: OpenedConnection | null = null
  #waiting: SessionUser[] = []
  #isSecuring = false
  #isDraining = false
  /** It answered somebody before. */
  isProven = false
  #heard = 0
  #silences = 0
  #isAsked = false
  #untaken = 0

  constructor(destination: Destination, pool: SessionPool, parts: WireParts) {
    this.destination = destination
    this.#pool = pool
    this.#parts = parts
    const { tls } = destination
    const onread: OnReadOpts = {
      buffer: parts.readBuffer,
      callback: (size, bytes) => {
        this.#connection?.receive(bytes as Buffer, size)
        return true
      }
    }
    const where = {
      ...endOf(destination),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      onread
    }
    let error: Error | undefined
    destination.connectionOpened()
    const socket =
      tls === null
        ? netConnect(where)
        : tlsConnect({
            ...where,
            ...upstreamTlsOptions(tls),
            ALPNProtocols: destination.isHttp1Allowed === true ? ['h2', 'http/1.1'] : ['h2']
          })
    if (tls === null) socket.once('connect', () => this.#stand())
    else {
      socket.once('connect', () => (this.#isSecuring = true))
      socket.once('secureConnect', () => {
        if ((socket as TLSSocket).alpnProtocol === 'h2') return this.#stand()
        if (destination.isHttp1Allowed === true) this.#fallBack()
        socket.destroy(new Error('the server does not speak HTTP/2'))
      })
    }
    // Nobody is there to take a request.
    socket.on('end', () => socket.destroy())
    socket.on('error', (cause: Error) => (error = cause))
    socket.once('close', () => this.#closed(error))
    this.#socket = socket
  }

  get isStanding(): boolean {
    return this.#connection !== null
  }

  hasPlace(): boolean {
    if (this.#isDraining) return false
    return this.#connection === null ? this.#waiting.length < STREAMS_UNTIL_TOLD : this.#connection.hasPlace(1)
  }

  /** Serves at once, or when the connection stands. */
  serve(user: SessionUser): void {
    if (this.#connection === null) this.#waiting.push(user)
    else user.ready(this, false)
  }

  /** Begins a stream, for whom it is `ready`. */
  ask(fields: readonly string[], isEnd: boolean, user: StreamUser): Stream {
    this.#timer.disarm()
    return this.#connection!.ask(fields, isEnd, user)
  }

  /** Who waits does so no more; a connection that nobody waits for is given up. */
  leave(user: SessionUser): void {
    const index = this.#waiting.indexOf(user)
    if (index < 0) return
    this.#waiting.splice(index, 1)
    if (this.#waiting.length === 0 && this.#connection === null) this.#socket.destroy()
  }

  /** Nothing new; closes when its streams are over. */
  close(): void {
    this.#isDraining = true
    if (this.#connection !== null) this.#connection.drain()
    else if (this.#waiting.length === 0) this.#socket.destroy()
  }

  onStreamClosed(): void {
    if (this.#connection?.openStreams === 0 && !this.#isDraining) this.#idle()
  }

  onDraining(): void {
    this.#isDraining = true
    this.#pool.remove(this)
  }

  onClosing(): void {
    this.onDraining()
    this.#lane(LINGER_MS).arm(this.#timer)
  }

  onClosed(): void {
    // The socket says so too.
  }

  onBlocked(isBlocked: boolean): void {
    if (!isBlocked) return this.#stall.disarm()
    this.#untaken = this.#connection!.waitingBytes
    this.#lane(STALL_MS).arm(this.#stall)
  }

  onPong(): void {
    this.#isAsked = false
  }

  #stand(): void {
    if (this.#socket.destroyed) return
    this.#connection = new OpenedConnection(this.#socket, limits, this.#parts, this)
    this.#lane(SILENCE_MS).arm(this.#watch)
    const waiting = this.#waiting
    this.#waiting = []
    for (const user of waiting) user.ready(this, true)
    if (this.#connection.openStreams > 0) return
    if (this.#isDraining) this.#connection.drain()
    else this.#idle()
  }

  /** Nothing was sent: who waits tries again, in HTTP/1.1. */
  #fallBack(): void {
    const { http1Until, wheel } = this.#parts
    http1Until.set(this.destination, wheel.nowMs + HTTP1_MS)
    this.#isDraining = true
    this.#pool.remove(this)
    const waiting = this.#waiting
    this.#waiting = []
    for (const user of waiting) user.unable('UPSTREAM_STREAM_REFUSED', undefined)
  }

  #idle(): void {
    this.#lane(this.destination.idleTimeoutMs).arm(this.#timer)
  }

  #expired(): void {
    if (this.#connection === null || this.#connection.isDraining) this.#socket.destroy()
    else this.close()
  }

  /** Streams may be silent for long; a server that does not answer a question is gone. */
  #watched(): void {
    const connection = this.#connection!
    this.#lane(SILENCE_MS).arm(this.#watch)
    if (connection.openStreams === 0 || connection.heard !== this.#heard) {
      this.#heard = connection.heard
      this.#silences = 0
      this.#isAsked = false
      return
    }
    if (this.#isAsked) return void this.#socket.destroy(new Error('the server does not answer a ping'))
    if (this.#silences++ % SILENCES_BETWEEN !== 0) return
    this.#isAsked = true
    connection.ping()
  }

  #stalled(): void {
    const { waitingBytes } = this.#connection!
    if (waitingBytes >= this.#untaken) return void this.#socket.destroy(new Error('the server does not read'))
    this.#untaken = waitingBytes
    this.#lane(STALL_MS).arm(this.#stall)
  }

  #lane(delayMs: number): Lane {
    return this.#parts.wheel.lane(delayMs)
  }

  #closed(error: Error | undefined): void {
    this.#isDraining = true
    this.#timer.disarm()
    this.#watch.disarm()
    this.#stall.disarm()
    this.#pool.remove(this)
    this.destination.connectionClosed()
    const waiting = this.#waiting
    this.#waiting = []
    for (const user of waiting) user.unable(connectFault(error, this.#isSecuring), error)
  }
}

/** The connections of one sharer: all clients of a worker, or one client where servers are not to be shared. */
export class SessionPool {
  readonly #sessions = new Map<Destination, ServerSession[]>()

  /** A place on a connection: the first that has one is filled before the next. */
  acquire(destination: Destination, user: SessionUser, parts: WireParts): ServerSession {
    let list = this.#sessions.get(destination)
    if (list === undefined) this.#sessions.set(destination, (list = []))
    for (const session of list) {
      if (!session.hasPlace()) continue
      session.serve(user)
      return session
    }
    const session = new ServerSession(destination, this, parts)
    list.push(session)
    session.serve(user)
    return session
  }

  remove(session: ServerSession): void {
    const list = this.#sessions.get(session.destination)
    const index = list?.indexOf(session) ?? -1
    if (list === undefined || index < 0) return
    list.splice(index, 1)
    if (list.length === 0) this.#sessions.delete(session.destination)
  }

  /** Nothing new on what is open; what is under way may end. */
  forget(destination: Destination): void {
    const list = this.#sessions.get(destination)
    this.#sessions.delete(destination)
    for (const session of list ?? []) session.close()
  }

  close(): void {
    for (const destination of this.#sessions.keys()) this.forget(destination)
  }
}
