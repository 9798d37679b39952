/** Connections of HTTP/2 to servers: many exchanges on each. */
import { connect as http2Connect, type ClientHttp2Session } from 'node:http2'
import { connect as netConnect, type Socket } from 'node:net'
import { connect as tlsConnect, type TLSSocket } from 'node:tls'
import type { FaultCode } from '#engine/base/fault.ts'
import type { Destination } from '../../exchange/forwarder.ts'
import { upstreamTlsOptions } from '../../upstream/tls.ts'
import { Timer, type Wheel } from '../wire/wheel.ts'

/** Whom a connection serves: an attempt. */
export interface SessionUser {
  /** A connection stands, with a place for one stream that is taken. `isFresh`: it was opened for this. */
  readonly ready: (session: ServerSession, isFresh: boolean) => void
  readonly unable: (code: FaultCode, cause: Error | undefined) => void
}

/** Streams on a connection whose server has not said yet how many it takes: RFC 9113 §6.5.2 asks for no fewer. */
const STREAMS_UNTIL_TOLD = 100
/** Servers are trusted with more than clients, but not without end. */
const MAX_HEADER_BYTES = 65_536
const MAX_FIELDS = 4_096
const MAX_SESSION_MB = 64
const STREAM_WINDOW_BYTES = 262_144
const CONNECTION_WINDOW_BYTES = 1_048_576

/**
 *   connecting -> (securing ->) standing: busy <-> idle -> draining (nothing new) -> closed
 */
export class ServerSession {
  readonly destination: Destination
  readonly #pool: SessionPool
  readonly #wheel: Wheel
  readonly #timer = new Timer(() => this.close())
  readonly #socket: Socket
  #session: ClientHttp2Session | null = null
  #waiting: SessionUser[] = []
  #open = 0
  #isSecuring = false
  #isDraining = false
  /** It answered somebody before. */
  isProven = false

  constructor(destination: Destination, pool: SessionPool, wheel: Wheel) {
    this.destination = destination
    this.#pool = pool
    this.#wheel = wheel
    const { tls } = destination
    const where = {
      host: destination.address(),
      port: destination.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000
    }
    let error: Error | undefined
    destination.connectionOpened()
    const socket = tls === null ? netConnect(where) : tlsConnect({ ...where, ...upstreamTlsOptions(tls), ALPNProtocols: ['h2'] })
    if (tls === null) socket.once('connect', () => this.#stand())
    else {
      socket.once('connect', () => (this.#isSecuring = true))
      socket.once('secureConnect', () => {
        if ((socket as TLSSocket).alpnProtocol === 'h2') return this.#stand()
        socket.destroy(new Error('the server does not speak HTTP/2'))
      })
    }
    socket.on('error', (cause: Error) => (error = cause))
    socket.once('close', () => this.#closed(error))
    this.#socket = socket
  }

  hasPlace(): boolean {
    if (this.#isDraining || this.#session?.closed === true) return false
    const limit = this.#session?.remoteSettings?.maxConcurrentStreams ?? STREAMS_UNTIL_TOLD
    return this.#open + this.#waiting.length < Math.min(limit, 0x7fff_ffff)
  }

  get library(): ClientHttp2Session | null {
    return this.#session
  }

  /** Serves at once, or when the connection stands. */
  serve(user: SessionUser): void {
    if (this.#session === null) return void this.#waiting.push(user)
    this.#take()
    user.ready(this, false)
  }

  /** Who waits does so no more; a connection that nobody waits for is given up. */
  leave(user: SessionUser): void {
    const index = this.#waiting.indexOf(user)
    if (index < 0) return
    this.#waiting.splice(index, 1)
    if (this.#waiting.length === 0 && this.#session === null) this.#socket.destroy()
  }

  /** A stream is over. */
  release(): void {
    this.#open--
    if (this.#open > 0) return
    if (this.#isDraining) return this.#session?.close()
    this.#wheel.lane(this.destination.idleTimeoutMs).arm(this.#timer)
  }

  /** Nothing new; closes when its streams are over. */
  close(): void {
    this.#isDraining = true
    this.#timer.disarm()
    if (this.#session === null && this.#waiting.length === 0) this.#socket.destroy()
    else if (this.#open === 0) this.#session?.close()
  }

  #take(): void {
    this.#open++
    this.#timer.disarm()
  }

  #stand(): void {
    if (this.#socket.destroyed) return
    const options = {
      createConnection: () => this.#socket,
      maxHeaderListPairs: MAX_FIELDS,
      maxSessionMemory: MAX_SESSION_MB,
      strictSingleValueFields: false,
      peerMaxConcurrentStreams: STREAMS_UNTIL_TOLD,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES, maxHeaderListSize: MAX_HEADER_BYTES }
    }
    const session = http2Connect(`${this.destination.tls === null ? 'http' : 'https'}://${this.destination.serverId}`, options)
    this.#session = session
    session.on('error', () => undefined)
    session.once('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
    })
    session.on('goaway', () => (this.#isDraining = true))
    session.once('close', () => {
      this.#isDraining = true
      this.#pool.remove(this)
    })
    const waiting = this.#waiting
    this.#waiting = []
    for (const user of waiting) {
      this.#take()
      user.ready(this, true)
    }
    if (this.#open === 0) this.#wheel.lane(this.destination.idleTimeoutMs).arm(this.#timer)
  }

  #closed(error: Error | undefined): void {
    this.#isDraining = true
    this.#timer.disarm()
    this.#pool.remove(this)
    this.destination.connectionClosed()
    const waiting = this.#waiting
    this.#waiting = []
    for (const user of waiting) user.unable(this.#isSecuring ? 'UPSTREAM_TLS_FAILED' : 'UPSTREAM_CONNECT_REFUSED', error)
  }
}

/** The connections of one sharer: all clients of a worker, or one client where servers are not to be shared. */
export class SessionPool {
  readonly #sessions = new Map<Destination, ServerSession[]>()

  /** A place on a connection: the first that has one is filled before the next. */
  acquire(destination: Destination, user: SessionUser, wheel: Wheel): ServerSession {
    let list = this.#sessions.get(destination)
    if (list === undefined) this.#sessions.set(destination, (list = []))
    let session = list.find(one => one.hasPlace())
    if (session === undefined) {
      session = new ServerSession(destination, this, wheel)
      list.push(session)
    }
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
