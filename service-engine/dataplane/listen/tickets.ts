/**
 * Session tickets: TLS sessions that clients keep and bring again, to whichever worker or engine. What encrypts them is derived for each
 * virtual service and each of its ways to shake hands, so that a session of one is none of another.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { Server as TlsServer } from 'node:tls'

/** The secrets of now; another list takes their place when they are rotated. */
export interface TicketKeys {
  /** The first encrypts, all decrypt; at least one, each of 32 bytes or more. */
  current: readonly Buffer[]
}

/** What OpenSSL wants of each: a name that finds it, a key that authenticates, a key that encrypts. */
interface Ticket {
  readonly name: Buffer
  readonly mac: Buffer
  readonly cipher: Buffer
}

const PART_BYTES = 16

function ticketOf(secret: Buffer, purpose: string): Ticket {
  const bytes = createHmac('sha384', secret).update(purpose).digest()
  return { name: bytes.subarray(0, 16), mac: bytes.subarray(16, 32), cipher: bytes.subarray(32, 48) }
}

/** RFC 5077 §5.1. In Node without a name of its own: the documented `setTicketKeys` knows one key, and so no rotation. */
interface TicketContext {
  enableTicketKeyCallback?: () => void
  onticketkeycallback?: (name: Buffer, iv: Buffer, isNew: boolean) => readonly (number | Buffer)[]
}

const NO_TICKET = 0
const TAKEN = 1
/** Taken, and the client gets one of the newest key. */
const RENEWED = 2
const NOTHING = Buffer.alloc(PART_BYTES)

/** Who wants to know of the tickets. */
export interface TicketFollower {
  /** Whether a client that shows the ticket with this id is given a new one. */
  readonly renews: (id: Buffer) => boolean
  readonly issued: (id: Buffer) => void
}

/** Makes a server write tickets by the first of the keys and take those of all. */
export function useTickets(server: TlsServer, keys: TicketKeys, purpose: string, follower: TicketFollower | null): void {
  let from: readonly Buffer[] = []
  let tickets: readonly Ticket[] = []
  const now = (): readonly Ticket[] => {
    if (from !== keys.current) {
      from = keys.current
      tickets = from.map(secret => ticketOf(secret, purpose))
    }
    return tickets
  }
  const context = (server as unknown as { readonly _sharedCreds?: { readonly context?: TicketContext } })._sharedCreds?.context
  if (typeof context?.enableTicketKeyCallback !== 'function') {
    const [first] = now()
    if (first !== undefined) server.setTicketKeys(Buffer.concat([first.name, first.mac, first.cipher]))
    return
  }
  context.onticketkeycallback = (name, iv, isNew) => {
    const known = now()
    if (isNew) {
      const fresh = randomBytes(PART_BYTES)
      follower?.issued(fresh)
      return [TAKEN, known[0]!.mac, known[0]!.cipher, known[0]!.name, fresh]
    }
    const found = known.findIndex(ticket => ticket.name.equals(name))
    if (found < 0) return [NO_TICKET, NOTHING, NOTHING, NOTHING, NOTHING]
    const isRenewed = follower === null ? found > 0 : follower.renews(iv)
    return [isRenewed ? RENEWED : TAKEN, known[found]!.mac, known[found]!.cipher, NOTHING, NOTHING]
  }
  context.enableTicketKeyCallback()
}
