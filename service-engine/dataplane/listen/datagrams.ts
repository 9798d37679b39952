/** One bound UDP socket. What it does with datagrams can be exchanged while it stays open. */
import { createSocket, type RemoteInfo, type Socket, type SocketOptions } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { ListenAddress } from './address.ts'

export type Receiver = (datagram: Buffer, from: RemoteInfo) => void

/** More than this waits for the network: what comes then is dropped, as a router would. */
const MAX_WAITING_BYTES = 4 << 20

/** A UDP socket of the family of an address. */
export function udpSocket(address: string, more: Omit<SocketOptions, 'type' | 'ipv6Only'> = {}): Socket {
  const isV6 = isIPv6(address)
  return createSocket({ type: isV6 ? 'udp6' : 'udp4', ...(isV6 ? { ipv6Only: true } : {}), ...more })
}

/** So many wait for the first receiver. */
const MAX_EARLY = 1_000

export class DatagramListener {
  readonly #socket: Socket
  #receiver: Receiver | null = null
  /** What came before anybody takes it. */
  #early: { readonly datagram: Buffer; readonly from: RemoteInfo }[] = []
  #isClosed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (datagram, from) => {
      if (this.#receiver !== null) this.#receiver(datagram, from)
      else if (this.#early.length < MAX_EARLY) this.#early.push({ datagram, from })
    })
    // What an answer met on its way to a client that is gone: nobody's loss.
    socket.on('error', () => undefined)
  }

  /**
   * Binds. What comes before there is a receiver waits for it.
   *
   * Shapes  reusePort: many workers share the port; the kernel gives each client always to the same one
   * Throws  the system's error: EADDRINUSE, EADDRNOTAVAIL, EACCES
   */
  static open(where: ListenAddress, options: { readonly reusePort: boolean }): Promise<DatagramListener> {
    // Clients are addresses, never names: each answer would wait for a turn of the resolver.
    const lookup: NonNullable<SocketOptions['lookup']> = (client, _options, done) => done(null, client, isIPv6(client) ? 6 : 4)
    const socket = udpSocket(where.address, { reusePort: options.reusePort, lookup })
    return bindDatagrams(socket, where).then(() => new DatagramListener(socket))
  }

  /** Who takes datagrams from now on. */
  set receiver(receiver: Receiver) {
    this.#receiver = receiver
    for (const { datagram, from } of this.#early.splice(0)) receiver(datagram, from)
  }

  get port(): number {
    return this.#isClosed ? 0 : this.#socket.address().port
  }

  get address(): string {
    return this.#isClosed ? '' : this.#socket.address().address
  }

  /** An answer to a client, from the address and port that it reached. Returns false when it was dropped. */
  send(datagram: Buffer, client: { readonly ip: string; readonly port: number }): boolean {
    if (this.#isClosed || this.#socket.getSendQueueSize() > MAX_WAITING_BYTES) return false
    this.#socket.send(datagram, client.port, client.ip, () => undefined)
    return true
  }

  /** Nothing comes in any more, and nothing goes out. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#isClosed = true
    return new Promise(resolve => void this.#socket.close(resolve))
  }
}

/**
 * Binds a socket.
 *
 * Throws  the system's error; the socket is closed then
 */
export function bindDatagrams(socket: Socket, { address, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', error => {
      socket.close()
      reject(error)
    })
    socket.bind({ address, port, exclusive: true }, () => {
      socket.removeAllListeners('error')
      resolve()
    })
  })
}
