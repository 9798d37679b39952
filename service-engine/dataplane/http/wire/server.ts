/** Connections to servers: one at a time serves one attempt, and is idle in between. */
import { connect as netConnect, type OnReadOpts, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { Destination } from '../../exchange/forwarder.ts'
import { endOf } from '../../upstream/end.ts'
import { upstreamTlsOptions } from '../../upstream/tls.ts'
import { SessionPool } from '../http2/sessions.ts'
import { HeldWrites, type WireParts } from './parts.ts'
import type { Turned } from './turn.ts'
import { Timer } from './wheel.ts'

/** Whom a connection serves: an attempt. */
export interface ServerUser {
  /** A new connection stands. */
  readonly connected: () => void
  /** Bytes that are not kept: what is not used at once is copied. False stops the reading. */
  readonly onBytes: (bytes: Buffer, size: number) => boolean
  readonly serverDrained: () => void
  readonly serverEnded: () => void
  readonly lost: (cause: Error | undefined) => void
  readonly timedOut: () => void
}

/**
 *   connecting -> (securing ->) standing: serving <-> idle -> closed
 */
export class ServerConnection implements Turned {
  readonly destination: Destination
  readonly timer: Timer = new Timer(() => this.#expired())
  readonly socket: Socket
  /** Whom it serves; null while it is idle. */
  attempt: ServerUser | null
  /** It served somebody before. */
  isReused = false
  isSecuring = false
  burstBytes = 0
  isResting = false
  readonly #parts: WireParts
  readonly #idle: IdleServers
  #error: Error | undefined
  #held: HeldWrites | null = null
  /** Whom it serves takes no more for now. */
  #isHeldBack = false
  #late = ''

  /**
   * Shapes  isTunnel: its bytes are to be had as a stream, not out of the buffer that all connections share
   */
  constructor(attempt: ServerUser, destination: Destination, idle: IdleServers, parts: WireParts, isTunnel: boolean) {
    this.attempt = attempt
    this.destination = destination
    this.#idle = idle
    this.#parts = parts
    this.socket = this.#open(isTunnel)
    destination.connectionOpened()
  }

  /** Writes a text when the turn is over. */
  writeSoon(text: string): void {
    if (this.#late === '') this.#parts.turn.writeLater(this)
    this.#late += text
  }

  sendLate(): void {
    const text = this.#late
    this.#late = ''
    if (text !== '' && !this.socket.destroyed) this.socket.write(text, 'latin1')
  }

  /** Writes what is in a buffer of the worker's, and gives it back. False: no more for now. */
  writeHeld(buffer: Buffer, length: number): boolean {
    this.#held ??= new HeldWrites(this.#parts.buffers)
    return this.#held.write(this.socket, buffer, length)
  }

  /** More can be taken. */
  resume(): void {
    this.#isHeldBack = false
    this.goOn()
  }

  goOn(): void {
    if (!this.#isHeldBack && !this.isResting && !this.socket.destroyed) this.socket.resume()
  }

  /** Back among the idle ones, unless it is of no more use. */
  release(isSound: boolean): void {
    this.attempt = null
    this.timer.disarm()
    if (!isSound || this.socket.destroyed || !this.#idle.put(this)) return this.destroy()
    this.isReused = true
    this.#parts.wheel.lane(this.destination.idleTimeoutMs).arm(this.timer)
  }

  /** Taken from the idle ones. */
  serve(attempt: ServerUser): void {
    this.timer.disarm()
    this.attempt = attempt
  }

  destroy(): void {
    this.attempt = null
    this.timer.disarm()
    this.#idle.remove(this)
    this.socket.destroy()
  }

  #open(isTunnel: boolean): Socket {
    const { destination } = this
    const { tls } = destination
    const onread: OnReadOpts = {
      buffer: this.#parts.readBuffer,
      callback: (size, bytes) => this.#onBytes(bytes as Buffer, size)
    }
    const where = {
      ...endOf(destination),
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      allowHalfOpen: isTunnel,
      ...(isTunnel ? {} : { onread })
    }
    const { sessions } = this.#parts
    const session = sessions.get(destination)
    const socket =
      tls === null ? netConnect(where) : tlsConnect({ ...where, ...upstreamTlsOptions(tls), ...(session === undefined ? {} : { session }) })
    if (isTunnel) {
      socket.on('data', (bytes: Buffer) => {
        if (!this.#onBytes(bytes, bytes.length)) socket.pause()
      })
    }
    if (tls === null) socket.once('connect', () => this.attempt?.connected())
    else {
      socket.once('connect', () => (this.isSecuring = true))
      socket.once('secureConnect', () => {
        this.isSecuring = false
        this.attempt?.connected()
      })
      socket.on('session', (next: Buffer) => sessions.set(destination, next))
    }
    socket.on('drain', () => this.attempt?.serverDrained())
    socket.on('end', () => {
      if (this.attempt === null) this.destroy()
      else this.attempt.serverEnded()
    })
    socket.on('error', (error: Error) => {
      this.#error = error
      socket.destroy()
    })
    socket.once('close', () => this.#closed())
    return socket
  }

  /** False stops the reading. */
  #onBytes(bytes: Buffer, size: number): boolean {
    if (this.attempt !== null) {
      this.#isHeldBack = !this.attempt.onBytes(bytes, size)
      return this.#parts.turn.mayGoOn(this, size) && !this.#isHeldBack
    }
    // Nobody asked: what it says must not become somebody's answer.
    this.destroy()
    return false
  }

  #closed(): void {
    this.timer.disarm()
    this.#idle.remove(this)
    this.destination.connectionClosed()
    const { attempt } = this
    this.attempt = null
    attempt?.lost(this.#error)
  }

  #expired(): void {
    if (this.attempt === null) this.destroy()
    else this.attempt.timedOut()
  }
}

/** The idle connections of one sharer: all clients of a worker, or one client where servers are not to be shared. */
export class IdleServers {
  /** Connections of HTTP/2, which are idle and busy at once. */
  readonly sessions = new SessionPool()
  readonly #idle = new Map<Destination, ServerConnection[]>()
  /** Gets nothing new: what comes back is closed. */
  readonly #forgotten = new WeakSet<Destination>()
  #isClosed = false

  /** The one that was used last: it is the least likely to be closed by now. */
  take(destination: Destination): ServerConnection | undefined {
    const list = this.#idle.get(destination)
    for (let server = list?.pop(); server !== undefined; server = list?.pop()) if (!server.socket.destroyed) return server
    return undefined
  }

  /** False when there is no place for it. */
  put(server: ServerConnection): boolean {
    const { destination } = server
    if (this.#isClosed || this.#forgotten.has(destination)) return false
    let list = this.#idle.get(destination)
    if (list === undefined) this.#idle.set(destination, (list = []))
    if (list.length >= destination.maxIdleConnections) return false
    list.push(server)
    return true
  }

  remove(server: ServerConnection): void {
    const list = this.#idle.get(server.destination)
    const index = list?.indexOf(server) ?? -1
    if (index >= 0) list?.splice(index, 1)
  }

  /** One kept connection turned out dead: the others are of the same age, and are not tried one by one. */
  dropIdle(destination: Destination): void {
    const list = this.#idle.get(destination)
    this.#idle.delete(destination)
    for (const server of list ?? []) server.destroy()
  }

  forget(destination: Destination): void {
    this.#forgotten.add(destination)
    this.sessions.forget(destination)
    this.dropIdle(destination)
  }

  close(): void {
    this.#isClosed = true
    this.sessions.close()
    for (const destination of this.#idle.keys()) this.dropIdle(destination)
  }
}
