/**
 * TLS sessions as what a client is known by: each ticket has an id of its own, which the client shows when it comes again, to whichever
 * engine. The id is the ticket's initialisation vector: random, in the clear (RFC 5077 §4), and covered by the ticket's MAC.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { TlsSession } from '../exchange/exchange.ts'
import type { ShownTicket } from './client-hello.ts'

/** Tickets of one connection that are followed. */
const MAX_IDS = 8
const NAME_BYTES = 16
const ID_BYTES = 16

/** What tells a connection from others that are open now; a TLS socket has the same as the one that it is on. */
export const keyOf = ({ remoteAddress, remotePort, localPort }: Socket): string => `${remoteAddress}|${remotePort}|${localPort}`

/** The id of a ticket; '' of what cannot be one of ours. */
function idOf(ticket: Uint8Array): string {
  return ticket.length <= NAME_BYTES + ID_BYTES ? '' : Buffer.from(ticket.subarray(NAME_BYTES, NAME_BYTES + ID_BYTES)).toString('hex')
}

class Followed implements TlsSession {
  readonly ids: string[]
  readonly #binders = new Map<string, (id: string) => void>()

  constructor(shown: string) {
    this.ids = shown === '' ? [] : [shown]
  }

  follow(poolId: string, bind: (id: string) => void): void {
    this.#binders.set(poolId, bind)
    for (const id of this.ids) bind(id)
  }

  issued(id: string): void {
    if (this.ids.length >= MAX_IDS) return
    this.ids.push(id)
    for (const bind of this.#binders.values()) bind(id)
  }
}

/**
 * Knows which connection a ticket is for, which the library does not say. Of TLS 1.3 it makes tickets right after a handshake has ended, of
 * TLS 1.2 right before, and nothing else happens between.
 */
export class SessionFollower {
  /** Connection -> the ticket that it showed, until its handshake is over. */
  readonly #shown = new Map<string, string>()
  /** Shown as TLS 1.3 does: clients use those once, and want another. */
  readonly #once = new Set<string>()
  #current: Followed | null = null
  #pending: string[] = []

  /** A connection is about to be secured. */
  began(socket: Socket, ticket: ShownTicket | undefined): void {
    const id = ticket === undefined ? '' : idOf(ticket.bytes)
    if (id === '') return
    const key = keyOf(socket)
    this.#shown.set(key, id)
    if (ticket?.isOnce === true) this.#once.add(id)
    socket.once('close', () => {
      this.#shown.delete(key)
      this.#once.delete(id)
    })
  }

  /** Whether a client that shows this ticket is given a new one. */
  readonly renews = (id: Buffer): boolean => this.#once.delete(id.toString('hex'))

  readonly issued = (id: Buffer): void => {
    const text = id.toString('hex')
    if (this.#current !== null) return this.#current.issued(text)
    this.#pending.push(text)
    if (this.#pending.length > MAX_IDS) this.#pending.shift()
  }

  secured(socket: TLSSocket): TlsSession {
    const key = keyOf(socket)
    const isResumed = socket.isSessionReused()
    const session = new Followed(isResumed ? (this.#shown.get(key) ?? '') : '')
    this.#shown.delete(key)
    const pending = this.#pending
    this.#pending = []
    this.#current = null
    if (socket.getProtocol() === 'TLSv1.3') {
      this.#current = session
      setImmediate(() => {
        if (this.#current === session) this.#current = null
      })
    } else if (!isResumed) for (const id of pending) session.issued(id)
    return session
  }
}
