/**
 * The privileged side of owning addresses: puts those that it is told to hold onto an interface, tells the network, and takes them away
 * when the word is not repeated within a lease. So an engine that hangs, is stopped or dies answers for no address that another may own.
 */
import { createSocket } from 'node:dgram'
import { readFileSync, writeFileSync } from 'node:fs'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'
import type { Writable } from 'node:stream'
import type { Clock } from '#model/base/clock.ts'
import { dropTable } from '../kernel/ruleset.ts'
import { LEASE_MS } from './election.ts'

export type HoldOrder =
  /** All addresses to hold from now on, for one lease. */
  | { readonly is: 'hold'; readonly addresses: readonly string[]; readonly fallback: string }
  /** Sockets may be bound to addresses that are not here yet. */
  | { readonly is: 'prepare' }
  /** Takes away what an engine of before left. */
  | { readonly is: 'drop'; readonly held: readonly Held[] }

export interface Held {
  readonly address: string
  readonly interface: string
}

export type HoldAnswer =
  | {
      readonly is: 'done'
      readonly held: readonly Held[]
      readonly failed: readonly { readonly address: string; readonly reason: string }[]
    }
  | { readonly is: 'failed'; readonly reason: string }

const MAX_ADDRESSES = 1_000
const interfaceName = /^[A-Za-z0-9_.@-]{1,15}$/

type Loose = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value)
const isAddress = (value: unknown): value is string => typeof value === 'string' && isIP(value) !== 0 && !value.includes('%')
const isInterface = (value: unknown): value is string => typeof value === 'string' && interfaceName.test(value)

/**
 * Reads an order.
 *
 * Returns undefined for anything that is not one
 */
export function readHoldOrder(value: unknown): HoldOrder | undefined {
  if (!isObject(value)) return undefined
  const { is, addresses, fallback, held } = value
  if (is === 'prepare') return { is }
  if (is === 'hold') {
    if (!Array.isArray(addresses) || addresses.length > MAX_ADDRESSES || !addresses.every(isAddress)) return undefined
    if (fallback !== '' && !isInterface(fallback)) return undefined
    return { is, addresses, fallback }
  }
  if (is !== 'drop' || !Array.isArray(held) || held.length > MAX_ADDRESSES) return undefined
  const sound = held.filter((one): one is Held => isObject(one) && isAddress(one['address']) && isInterface(one['interface']))
  return sound.length === held.length ? { is, held: sound.map(({ address, interface: on }) => ({ address, interface: on })) } : undefined
}

/**
 * The interface whose network holds an address; link-local networks are every interface's.
 *
 * Returns undefined when none does
 */
export function interfaceOf(address: string, interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces()): string | undefined {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  let best: { readonly name: string; readonly prefix: number } | undefined
  for (const [name, entries] of Object.entries(interfaces))
    for (const { cidr, internal, family: own, address: base } of entries ?? []) {
      const prefix = Number(cidr?.split('/')[1])
      // An address that is held has a network of its own only.
      if (internal || own.toLowerCase() !== family || !(prefix < (family === 'ipv6' ? 128 : 32)) || /^fe[89ab]/i.test(base)) continue
      const network = new BlockList()
      network.addSubnet(base, prefix, family)
      if (network.check(address, family) && prefix > (best?.prefix ?? -1)) best = { name: name.split(':')[0]!, prefix }
    }
  return best?.name
}

export interface HoldHost {
  /** Runs `ip` with lines of a batch; answers what it complained of. */
  readonly ip: (lines: readonly string[]) => Promise<{ readonly code: number; readonly stderr: string }>
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  /** Below /proc/sys. */
  readonly setting: { readonly get: (path: string) => string; readonly set: (path: string, value: string) => void }
  /** Loads a text of `nft`; false where that cannot be. */
  readonly nft: (text: string) => Promise<boolean>
  /** Sends a datagram from an address that is held. */
  readonly send: (from: string, to: string) => Promise<void>
  readonly clock: Clock
}

/**
 * When the network is told of an address that came: any may be lost, and without `nft` Linux overlooks what comes within a second of
 * another change.
 */
const TELL_AT_MS = [0, 200, 500, 800, 1_100, 4_000]
/** Until the kernel has told of an IPv6 address. */
const TELLING_MS = 300

export class Holder {
  readonly #host: HoldHost
  readonly #table: string
  readonly #held = new Map<string, string>()
  /** Our table may be there. */
  #stands = false
  #lease = (): void => undefined
  #round = 0
  #queue: Promise<unknown> = Promise.resolve()

  /** `table`: the name of what is ours in nftables. */
  constructor(host: HoldHost, table: string) {
    this.#host = host
    this.#table = table
  }

  /** Takes away the table that a process before left. */
  start(): Promise<void> {
    this.#stands = true
    return this.#inTurn(() => this.#announce())
  }

  carryOut(order: HoldOrder): Promise<HoldAnswer> {
    if (order.is === 'hold') this.#renew(order.addresses.length > 0)
    return this.#inTurn(() => this.#carryOut(order))
  }

  async close(): Promise<void> {
    this.#lease()
    await this.#inTurn(() => this.#remove([...this.#held.keys()]))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  #renew(isNeeded: boolean): void {
    this.#lease()
    this.#lease = isNeeded
      ? this.#host.clock.after(LEASE_MS, () => void this.#inTurn(() => this.#remove([...this.#held.keys()])))
      : () => undefined
  }

  async #carryOut(order: HoldOrder): Promise<HoldAnswer> {
    const { ip } = this.#host
    if (order.is === 'prepare') {
      try {
        for (const family of ['ipv4', 'ipv6']) this.#need(`net/${family}/ip_nonlocal_bind`, '1')
      } catch (error) {
        return { is: 'failed', reason: `net.ipv4.ip_nonlocal_bind and net.ipv6.ip_nonlocal_bind cannot be set: ${String(error)}` }
      }
      return this.#answer([])
    }
    if (order.is === 'drop') {
      for (const { address, interface: on } of order.held) await ip([`address del ${address}/${lengthOf(address)} dev ${on}`])
      return this.#answer([])
    }
    const wanted = new Set(order.addresses)
    await this.#remove([...this.#held.keys()].filter(address => !wanted.has(address)))
    const failed: { address: string; reason: string }[] = []
    const added = order.addresses.filter(address => !this.#held.has(address))
    const interfaces = added.length === 0 ? {} : this.#host.interfaces()
    const own = new Set(Object.values(interfaces).flatMap(list => (list ?? []).map(({ address }) => address)))
    for (const address of added) {
      const on = interfaceOf(address, interfaces) ?? order.fallback
      const reason = own.has(address)
        ? 'is an address of this host itself'
        : on === ''
          ? 'is in no network of this host, and no interface is set for such'
          : await this.#add(address, on)
      if (reason === undefined) this.#held.set(address, on)
      else failed.push({ address, reason })
    }
    const came = added.filter(address => this.#held.has(address))
    if (came.length > 0) await this.#announce()
    this.#tell(came)
    return this.#answer(failed)
  }

  /**
   * Makes of requests of ARP that tell the network of an address (see below) requests for that address itself: gratuitous ones, which
   * Linux takes at once, even when the entry of its neighbour has just changed (`locktime` in arp(7)).
   */
  async #announce(): Promise<void> {
    const addresses = [...this.#held.keys()].filter(address => !isIPv6(address))
    if (addresses.length === 0 && !this.#stands) return
    const next = addresses.length === 0 ? '' : tellingTable(this.#table, addresses)
    // All of it or nothing: what cannot be loaded leaves the table as it was.
    if (await this.#host.nft(dropTable('arp', this.#table) + next)) this.#stands = addresses.length > 0
  }

  /** What is so already need not be writable. */
  #need(path: string, value: string): void {
    const { get, set } = this.#host.setting
    if (get(path) !== value) set(path, value)
  }

  #answer(failed: readonly { readonly address: string; readonly reason: string }[]): HoldAnswer {
    return { is: 'done', held: [...this.#held].map(([address, on]) => ({ address, interface: on })), failed }
  }

  async #add(address: string, on: string): Promise<string | undefined> {
    const { setting, ip, clock } = this.#host
    if (isIPv6(address)) {
      // Without a search for doubles, which takes a second, the kernel tells all neighbours at once.
      const path = `net/ipv6/conf/${on}`
      try {
        this.#need(`${path}/ndisc_notify`, '1')
        const before = setting.get(`${path}/accept_dad`)
        if (before !== '0') {
          setting.set(`${path}/accept_dad`, '0')
          clock.after(TELLING_MS, () => setting.set(`${path}/accept_dad`, before))
        }
      } catch (error) {
        return `cannot be told to neighbours: ${String(error)}`
      }
    }
    const { code, stderr } = await ip([`address add ${address}/${lengthOf(address)} dev ${on}${isIPv6(address) ? ' preferred_lft 0' : ''}`])
    return code === 0 ? undefined : `cannot be added to ${on}: ${stderr.split('\n')[0] ?? ''}`
  }

  async #remove(addresses: readonly string[]): Promise<void> {
    const lines = addresses.flatMap(address => {
      const on = this.#held.get(address)
      return on === undefined ? [] : [`address del ${address}/${lengthOf(address)} dev ${on}`]
    })
    if (lines.length === 0) return
    await this.#host.ip(lines)
    for (const address of addresses) this.#held.delete(address)
    await this.#announce()
  }

  /**
   * Every host that knows an IPv4 address learns who has it now from any request of ARP that comes from it (RFC 826, "merge"). The kernel
   * sends one when something leaves from the address for a neighbour that it does not know: one of TEST-NET-1, which nobody is. Our table
   * makes a gratuitous one of it.
   */
  #tell(addresses: readonly string[]): void {
    for (const delayMs of TELL_AT_MS)
      for (const address of addresses.filter(one => !isIPv6(one))) {
        const tell = (): void => void this.#inTurn(() => this.#tellOnce(address))
        if (delayMs === 0) tell()
        else this.#host.clock.after(delayMs, tell)
      }
  }

  async #tellOnce(address: string): Promise<void> {
    const on = this.#held.get(address)
    if (on === undefined) return
    this.#round = (this.#round % 254) + 1
    const nobody = `${NOBODY}.${this.#round}`
    const { code } = await this.#host.ip([`route replace ${nobody}/32 dev ${on} scope link`])
    if (code !== 0) return
    await this.#host.send(address, nobody)
    await this.#host.ip([`route del ${nobody}/32 dev ${on} scope link`])
  }
}

/** TEST-NET-1 (RFC 5737), its first three bytes. */
const NOBODY = '192.0.2'

const tellingTable = (table: string, addresses: readonly string[]): string =>
  `table arp ${table} {
  chain out {
    type filter hook output priority 0; policy accept;
    arp operation request arp daddr ip ${NOBODY}.0/24 arp daddr ip set arp saddr ip map { ${addresses.map(one => `${one} : ${one}`).join(', ')} }
  }
}
`

const lengthOf = (address: string): number => (isIPv6(address) ? 128 : 32)

export const systemSetting: HoldHost['setting'] = {
  get: path => readFileSync(`/proc/sys/${path}`, 'utf8').trim(),
  set: (path, value) => writeFileSync(`/proc/sys/${path}`, value)
}

/** Discard (RFC 863): nobody gets to see it anyway. */
const DISCARD_PORT = 9

export const sendFrom: HoldHost['send'] = (from, to) =>
  new Promise(done => {
    const socket = createSocket('udp4')
    const end = (): void => {
      socket.close()
      done()
    }
    socket.once('error', end)
    socket.bind({ address: from, port: 0, exclusive: true }, () => socket.send('', DISCARD_PORT, to, end))
  })

/** Serves until the input ends; then nothing is held any more. */
export async function serveHolder(holder: Holder, input: AsyncIterable<unknown>, output: Writable): Promise<void> {
  output.on('error', () => undefined)
  // Not waited for: what is ordered comes after it.
  void holder.start()
  let seen = ''
  for await (const chunk of input) {
    seen += String(chunk)
    if (seen.length > MAX_INPUT) break
    for (let end = seen.indexOf('\n'); end >= 0; end = seen.indexOf('\n')) {
      const line = seen.slice(0, end)
      seen = seen.slice(end + 1)
      // Not waited for: a lease is renewed also while something is being done.
      void answer(holder, line).then(text => output.write(text))
    }
  }
  await holder.close()
}

const MAX_INPUT = 1 << 20

async function answer(holder: Holder, line: string): Promise<string> {
  let message: unknown
  try {
    message = JSON.parse(line)
  } catch {
    message = undefined
  }
  const order = isObject(message) ? readHoldOrder(message['order']) : undefined
  const result = order === undefined ? { is: 'failed', reason: 'not an order' } : await holder.carryOut(order)
  return `${JSON.stringify({ sequence: isObject(message) ? Number(message['sequence']) : 0, ...result })}\n`
}
