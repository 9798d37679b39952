/**
 * The privileged side of announcing addresses: has them on the loopback interface, and a route to each that is announced in a table of its
 * own, which nothing but the host's BIRD reads. When the word is not repeated within a lease the routes go, so that an engine that hangs or
 * is stopped gets no more clients; when it ends, the addresses go as well.
 */
import { BlockList, isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import type { Clock } from '#model/base/clock.ts'
import { LEASE_MS } from '../layer2/election.ts'
import { lengthOf } from '../layer2/network.ts'
import { isAddress, isObject, MAX_ADDRESSES } from '../layer2/order.ts'

/** Of the kernel: no rule looks into it, so it leads no packet anywhere. */
export const BGP_TABLE = 9445

const ASSERT_EACH_MS = 5_000

/** All that is there, and which of it is announced. */
export interface Announced {
  readonly addresses: readonly string[]
  readonly announced: readonly string[]
}

export type AnnounceOrder =
  /** What is to be there from now on; announced for one lease. */
  | ({ readonly is: 'announce' } & Announced)
  /** Takes over what another process left. */
  | ({ readonly is: 'adopt' } & Announced)
  /** Takes away what an engine of before left. */
  | { readonly is: 'drop'; readonly addresses: readonly string[] }
  /** What is there stays, for who comes after. */
  | { readonly is: 'leave' }

export type AnnounceAnswer =
  | ({ readonly is: 'done'; readonly failed: readonly { readonly address: string; readonly reason: string }[] } & Announced)
  | { readonly is: 'failed'; readonly reason: string }

/** Of every host, of none, or of many: nothing that a router could be told of. */
const unannounceable = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3]
] as const)
  unannounceable.addSubnet(net, prefix, 'ipv4')
for (const [net, prefix] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8]
] as const)
  unannounceable.addSubnet(net, prefix, 'ipv6')

const isList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.length <= MAX_ADDRESSES && value.every(isAddress)

/**
 * Reads an order.
 *
 * Returns undefined for anything that is not one
 */
export function readAnnounceOrder(value: unknown): AnnounceOrder | undefined {
  if (!isObject(value)) return undefined
  const { is, addresses, announced } = value
  if (is === 'leave') return { is }
  if (!isList(addresses)) return undefined
  if (is === 'drop') return { is, addresses }
  if ((is !== 'announce' && is !== 'adopt') || !isList(announced)) return undefined
  return announced.every(address => addresses.includes(address)) ? { is, addresses, announced } : undefined
}

export interface AnnounceHost {
  /** Runs `ip` with lines of a batch; answers what it complained of. */
  readonly ip: (lines: readonly string[]) => Promise<{ readonly code: number; readonly stderr: string }>
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  readonly clock: Clock
}

export class Announcer {
  readonly read = readAnnounceOrder
  readonly #host: AnnounceHost
  readonly #held = new Set<string>()
  readonly #announced = new Set<string>()
  #assertedAtMs = 0
  #lease = (): void => undefined
  #queue: Promise<unknown> = Promise.resolve()

  constructor(host: AnnounceHost) {
    this.#host = host
  }

  carryOut(order: AnnounceOrder): Promise<AnnounceAnswer> {
    if (order.is === 'announce' || order.is === 'adopt') this.#renew(order.announced.length > 0)
    return this.#inTurn(() => this.#carryOut(order))
  }

  async close(): Promise<void> {
    this.#lease()
    await this.#inTurn(() => this.#remove([...this.#held]))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  #renew(isNeeded: boolean): void {
    this.#lease()
    // The addresses stay: connections of an engine that goes on are still there.
    this.#lease = isNeeded
      ? this.#host.clock.after(LEASE_MS, () => void this.#inTurn(() => this.#withdraw([...this.#announced])))
      : () => undefined
  }

  async #carryOut(order: AnnounceOrder): Promise<AnnounceAnswer> {
    const failed: { address: string; reason: string }[] = []
    if (order.is === 'leave') {
      this.#lease()
      this.#held.clear()
      this.#announced.clear()
    } else if (order.is === 'drop') {
      const here = this.#own()
      for (const address of order.addresses) if (here.has(address)) this.#held.add(address)
      // A route may be there without its address.
      for (const address of order.addresses) this.#announced.add(address)
      await this.#remove(order.addresses)
    } else if (order.is === 'adopt') {
      const here = this.#own()
      for (const address of order.addresses) if (here.has(address)) this.#held.add(address)
      await this.#announce(order.announced, failed)
    } else {
      const [wanted, toAnnounce] = [new Set(order.addresses), new Set(order.announced)]
      await this.#withdraw([...this.#announced].filter(address => !toAnnounce.has(address)))
      await this.#remove([...this.#held].filter(address => !wanted.has(address)))
      const here = this.#own()
      for (const address of this.#held) if (!here.has(address)) this.#held.delete(address)
      await this.#add(order.addresses, here, failed)
      await this.#announce(order.announced, failed)
      await this.#assert()
    }
    return { is: 'done', addresses: [...this.#held], announced: [...this.#announced], failed }
  }

  #own(): ReadonlySet<string> {
    return new Set(Object.values(this.#host.interfaces()).flatMap(list => (list ?? []).map(({ address }) => address)))
  }

  async #add(addresses: readonly string[], own: ReadonlySet<string>, failed: { address: string; reason: string }[]): Promise<void> {
    for (const address of addresses) {
      if (this.#held.has(address)) continue
      const reason = unannounceable.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
        ? 'is no address that can be announced'
        : own.has(address)
          ? 'is an address of this host itself'
          : await this.#try(`address add ${address}/${lengthOf(address)} dev lo${lengthOf(address) === 128 ? ' preferred_lft 0' : ''}`)
      if (reason === undefined) this.#held.add(address)
      else failed.push({ address, reason })
    }
  }

  async #announce(addresses: readonly string[], failed: { address: string; reason: string }[]): Promise<void> {
    for (const address of addresses) {
      if (this.#announced.has(address) || !this.#held.has(address)) continue
      const reason = await this.#try(`route replace ${routeTo(address)}`)
      if (reason === undefined) this.#announced.add(address)
      else failed.push({ address, reason })
    }
  }

  /** Whoever took a route away - a hand, a process before us that ends late - is not told to us. */
  async #assert(): Promise<void> {
    const nowMs = this.#host.clock.nowMs()
    if (this.#announced.size === 0 || nowMs - this.#assertedAtMs < ASSERT_EACH_MS) return
    this.#assertedAtMs = nowMs
    await this.#host.ip([...this.#announced].map(address => `route replace ${routeTo(address)}`))
  }

  async #try(line: string): Promise<string | undefined> {
    const { code, stderr } = await this.#host.ip([line])
    return code === 0 ? undefined : `cannot be put onto this host: ${(stderr.split('\n')[0] ?? '').slice(0, 200)}`
  }

  async #withdraw(addresses: readonly string[]): Promise<void> {
    const gone = addresses.filter(address => this.#announced.delete(address))
    if (gone.length > 0) await this.#host.ip(gone.map(address => `route del ${routeTo(address)}`))
  }

  async #remove(addresses: readonly string[]): Promise<void> {
    await this.#withdraw(addresses)
    const gone = addresses.filter(address => this.#held.delete(address))
    if (gone.length > 0) await this.#host.ip(gone.map(address => `address del ${address}/${lengthOf(address)} dev lo`))
  }
}

/** It says where to announce, and never where to send: what looks for it sees nothing behind it. */
const routeTo = (address: string): string => `blackhole ${address}/${lengthOf(address)} table ${BGP_TABLE}`
