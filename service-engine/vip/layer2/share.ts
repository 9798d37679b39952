/** The privileged side of serving an address that another engine may own: it is on the loopback interface, and its flows are passed on. */
import { isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { FlowTable, type SharedAddress } from './flows.ts'
import { interfaceOf, lengthOf } from './network.ts'
import type { SharedVip } from './order.ts'
import type { TellHost } from './tell.ts'

const LOOPBACK = 'lo'

/** One of them on this host. */
export interface Shareable extends SharedAddress {
  /** What this host asks by instead of it. */
  readonly askBy: string
}

export interface Surroundings {
  readonly interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>
  /** The interface for addresses that are in no network of this host; '' for none. */
  readonly fallback: string
  /** An address that the host has by itself. */
  readonly isOwn: (address: string) => boolean
}

export class Sharer {
  readonly #host: Pick<TellHost, 'ip' | 'nft'>
  readonly #flows: FlowTable
  readonly #here = new Set<string>()

  constructor(host: Pick<TellHost, 'ip' | 'nft'>, table: string) {
    this.#host = host
    this.#flows = new FlowTable(host.nft, table)
  }

  start(): Promise<void> {
    return this.#flows.start()
  }

  /** Addresses that are on the loopback interface because they are served here. */
  get addresses(): ReadonlySet<string> {
    return this.#here
  }

  /** What can be served here: in a network of this host, and not an address of its own. */
  find(vips: readonly SharedVip[], { interfaces, fallback, isOwn }: Surroundings): readonly Shareable[] {
    const known = new Map<string, string | undefined>()
    // Members are the same for one address after another.
    const deviceOf = (address: string): string | undefined => {
      if (!known.has(address)) known.set(address, interfaceOf(address, interfaces))
      return known.get(address)
    }
    return vips.flatMap(({ addresses, flows, self, others }) =>
      addresses.flatMap(address => {
        const device = deviceOf(address) ?? fallback
        const family = isIPv6(address) ? 'IPv6' : 'IPv4'
        const own = (interfaces[device] ?? []).find(one => one.family === family && Number(one.cidr?.split('/')[1]) < lengthOf(address))
        if (own === undefined || isOwn(address)) return []
        const members = others.flatMap(({ addresses: theirs, ...other }) => {
          const to = theirs.find(one => isIPv6(one) === isIPv6(address) && deviceOf(one) === device)
          return to === undefined ? [] : [{ ...other, address: to }]
        })
        return [{ address, device, self, flows, others: members, askBy: own.address }]
      })
    )
  }

  /** Takes away those that are served here no more. */
  async leave(staying: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#here].filter(address => !staying.has(address))
    if (gone.length === 0) return
    await this.#host.ip(gone.map(address => `address del ${address}/${lengthOf(address)} dev ${LOOPBACK}`))
    for (const address of gone) this.#here.delete(address)
  }

  /** Serves these; `leave` was called before. Without the rules for their flows none is served. */
  async join(shared: readonly Shareable[]): Promise<void> {
    const isDone = await this.#flows.apply(shared.map(({ askBy: _, ...one }) => one))
    if (!isDone) return this.leave(new Set())
    for (const { address } of shared.filter(one => !this.#here.has(one.address))) {
      const options = isIPv6(address) ? 'nodad preferred_lft 0' : 'scope host'
      const { code } = await this.#host.ip([`address add ${address}/${lengthOf(address)} dev ${LOOPBACK} ${options}`])
      if (code === 0) this.#here.add(address)
    }
  }
}
