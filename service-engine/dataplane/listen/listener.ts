/** One bound socket. What it does with connections can be exchanged while it stays open. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { bindDatagrams, udpSocket } from './datagrams.ts'
import type { ListenAddress } from './address.ts'

export type Acceptor = (socket: Socket) => void

/** So many wait in the kernel's queue, and as many here for the first acceptor. */
const BACKLOG = 4_096

export class Listener {
  readonly #server: Server
  #acceptor: Acceptor | null = null
  /** Who came before anybody takes them. */
  #early: Socket[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', socket => this.#accept(socket))
    // Out of descriptors and the like: what is open goes on, the kernel keeps the rest in its queue.
    server.on('error', () => undefined)
  }

  /**
   * Binds and listens. Who comes before there is an acceptor waits for it: with a shared port the kernel sends some here at once.
   *
   * Shapes  reusePort: many workers share the port, each with its own queue; probe before the first of them
   * Throws  the system's error: EADDRINUSE, EADDRNOTAVAIL, EACCES
   */
  static open(where: ListenAddress, options: { readonly reusePort: boolean }): Promise<Listener> {
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 })
    return bind(server, where, options.reusePort).then(() => new Listener(server))
  }

  /** Who takes connections from now on. */
  set acceptor(acceptor: Acceptor) {
    this.#acceptor = acceptor
    for (const socket of this.#early.splice(0)) acceptor(socket)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0
  }

  /** No new connections; those that are open do not notice. */
  close(): Promise<void> {
    return new Promise(resolve => {
      this.#server.close()
      for (const socket of this.#early.splice(0)) socket.destroy()
      // `close` calls back after the last connection; the port is free at once.
      resolve()
    })
  }

  #accept(socket: Socket): void {
    if (this.#acceptor !== null) return this.#acceptor(socket)
    if (this.#early.length >= BACKLOG) return void socket.destroy()
    socket.on('error', () => undefined)
    this.#early.push(socket)
  }
}

function bind(server: Server, { address, port }: ListenAddress, reusePort: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address, port, reusePort, ipv6Only: true, backlog: BACKLOG }, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

/**
 * Whether an address and port can be had: binds without sharing and lets go again. With `reusePort` alone a second
 * owner would go unnoticed and take half of the connections.
 *
 * Returns the system's error code; undefined when it is free
 */
export async function probePort(where: ListenAddress & { readonly protocol?: 'udp' }): Promise<string | undefined> {
  if (where.protocol === 'udp') return probeDatagrams(where)
  const server = createServer()
  try {
    await bind(server, where, false)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'EUNKNOWN'
  }
  await new Promise(resolve => server.close(resolve))
  return undefined
}

async function probeDatagrams(where: ListenAddress): Promise<string | undefined> {
  const socket = udpSocket(where.address)
  try {
    await bindDatagrams(socket, where)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'EUNKNOWN'
  }
  await new Promise<void>(resolve => void socket.close(resolve))
  return undefined
}
