/** Sockets of one engine: what is bound, by whom, and what can still be. */
import type { Listener, Protocol } from '#model/resource/conflict.ts'

/** One socket as it would be bound on an engine. */
export interface Socket {
  /** Protocol, family and port: what excludes each other is under one key. */
  readonly key: string
  readonly protocol: Protocol
  readonly port: number
  /** '*': all addresses of the family. */
  readonly address: string
}

/** HOST mode: an address of the engine, or of every host, is bound as it is; for any other, all addresses are. */
export function socketOf({ address, protocol, port }: Listener, isOwn: (address: string) => boolean): Socket {
  const family = address.includes(':') ? 6 : 4
  return { key: `${protocol}${family} ${port}`, protocol, port, address: isOwn(address) ? address : '*' }
}

export const socketInWords = ({ address, protocol, port }: Socket): string =>
  `${protocol === 'UDP' ? 'UDP port' : 'port'} ${port} on ${address === '*' ? 'all addresses' : address}`

interface Claims {
  /** Name of the virtual service that has all addresses. */
  all: string | undefined
  readonly byAddress: Map<string, string>
}

export class Ports {
  readonly #claims = new Map<string, Claims>()

  /** Who holds what one of the sockets needs; undefined when all are free. All addresses of a port exclude any single one. */
  holder(sockets: readonly Socket[]): { readonly socket: Socket; readonly name: string } | undefined {
    for (const socket of sockets) {
      const claims = this.#claims.get(socket.key)
      if (claims === undefined) continue
      const name = claims.all ?? (socket.address === '*' ? claims.byAddress.values().next().value : claims.byAddress.get(socket.address))
      if (name !== undefined) return { socket, name }
    }
    return undefined
  }

  claim(sockets: readonly Socket[], name: string): void {
    for (const socket of sockets) {
      const claims = this.#claims.get(socket.key) ?? { all: undefined, byAddress: new Map<string, string>() }
      this.#claims.set(socket.key, claims)
      if (socket.address === '*') claims.all = name
      else claims.byAddress.set(socket.address, name)
    }
  }

  /** Gives back what the same sockets claimed. */
  release(sockets: readonly Socket[]): void {
    for (const { key, address } of sockets) {
      const claims = this.#claims.get(key)
      if (claims === undefined) continue
      if (address === '*') claims.all = undefined
      else claims.byAddress.delete(address)
    }
  }
}
