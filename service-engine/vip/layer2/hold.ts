/**
 * The privileged side of owning addresses: puts those that it is told to hold onto an interface, tells the network, and takes them away
 * when the word is not repeated within a lease. So an engine that hangs, is stopped or dies answers for no address that another may own.
 */
import { createSocket } from 'node:dgram'
import { readFileSync, writeFileSync } from 'node:fs'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os'
import type { Writable } from 'node:stream'
import { LEASE_MS } from './election.ts'
import { Teller, type Datagram, type TellHost } from './tell.ts'

export type HoldOrder =
  /** All addresses to hold from now on, for one lease; the last words are said when the one who orders is gone before that. */
  | {
      readonly is: 'hold'
      readonly addresses: readonly string[]
      readonly fallback: string
      readonly lastWords?: readonly LastWord[]
    }
  /** Sockets may be bound to addresses that are not here yet. */
  | { readonly is: 'prepare' }
  /** Takes away what an engine of before left. */
  | { readonly is: 'drop'; readonly held: readonly Held[] }

/** A datagram of the engine, ready to be sent. */
export interface LastWord {
  readonly to: string
  readonly port: number
  /** Base 64. */
  readonly bytes: string
}

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

export const MAX_ADDRESSES = 1_000
const MAX_LAST_WORDS = 128
const interfaceName = /^[A-Za-z0-9_.@-]{1,15}$/

type Loose = Readonly<Record<string, unknown>>
export const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value)
export const isAddress = (value: unknown): value is string => typeof value === 'string' && isIP(value) !== 0 && !value.includes('%')
const isInterface = (value: unknown): value is string => typeof value === 'string' && interfaceName.test(value)

const lastWord = /^[A-Za-z0-9+/=]{1,256}$/
const isLastWord = (value: unknown): value is LastWord =>
  isObject(value) &&
  isAddress(value['to']) &&
  Number.isInteger(value['port']) &&
  Number(value['port']) > 0 &&
  Number(value['port']) < 65_536 &&
  typeof value['bytes'] === 'string' &&
  lastWord.test(value['bytes'])

/**
 * Reads an order.
 *
 * Returns undefined for anything that is not one
 */
export function readHoldOrder(value: unknown): HoldOrder | undefined {
  if (!isObject(value)) return undefined
  const { is, addresses, fallback, held, lastWords = [] } = value
  if (is === 'prepare') return { is }
  if (is === 'hold') {
    if (!Array.isArray(addresses) || addresses.length > MAX_ADDRESSES || !addresses.every(isAddress)) return undefined
    if (fallback !== '' && !isInterface(fallback)) return undefined
    if (!Array.isArray(lastWords) || lastWords.length > MAX_LAST_WORDS || !lastWords.every(isLastWord)) return undefined
    return { is, addresses, fallback, lastWords: lastWords.map(({ to, port, bytes }) => ({ to, port, bytes })) }
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

export interface HoldHost extends TellHost {
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  /** Below /proc/sys. */
  readonly setting: { readonly get: (path: string) => string; readonly set: (path: string, value: string) => void }
}

/** Until the kernel has told of an IPv6 address. */
const TELLING_MS = 300

export class Holder {
  readonly read = readHoldOrder
  readonly #host: HoldHost
  readonly #teller: Teller
  readonly #held = new Map<string, string>()
  #lastWords: readonly LastWord[] = []
  #lease = (): void => undefined
  #queue: Promise<unknown> = Promise.resolve()

  /** `table`: the name of what is ours in nftables. */
  constructor(host: HoldHost, table: string) {
    this.#host = host
    this.#teller = new Teller(host, table)
  }

  /** Takes away the tables that a process before left. */
  start(): Promise<void> {
    return this.#inTurn(() => this.#teller.prepare(this.#held))
  }

  carryOut(order: HoldOrder): Promise<HoldAnswer> {
    if (order.is === 'hold') {
      this.#renew(order.addresses.length > 0)
      this.#lastWords = order.lastWords ?? []
    }
    return this.#inTurn(() => this.#carryOut(order))
  }

  /** Nobody orders any more: nothing is held, then the last words are said. */
  async close(): Promise<void> {
    this.#lease()
    await this.#inTurn(() => this.#remove([...this.#held.keys()]))
    const datagrams = this.#lastWords.map(({ to, port, bytes }): Datagram => ({
      from: null,
      to,
      port,
      bytes: Buffer.from(bytes, 'base64')
    }))
    await Promise.all(datagrams.map(datagram => this.#host.send(datagram)))
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
    if (added.length === 0) return this.#answer(failed)
    const interfaces = this.#host.interfaces()
    const own = new Set(Object.values(interfaces).flatMap(list => (list ?? []).map(({ address }) => address)))
    const coming = new Map<string, string>()
    for (const address of added) {
      const on = interfaceOf(address, interfaces) ?? order.fallback
      if (own.has(address)) failed.push({ address, reason: 'is an address of this host itself' })
      else if (on === '') failed.push({ address, reason: 'is in no network of this host, and no interface is set for such' })
      else coming.set(address, on)
    }
    await this.#teller.prepare(new Map([...this.#held, ...coming]))
    for (const [address, on] of coming) {
      const reason = await this.#add(address, on)
      if (reason === undefined) this.#held.set(address, on)
      else failed.push({ address, reason })
    }
    for (const address of coming.keys())
      if (this.#held.has(address))
        this.#teller.tell(
          address,
          work => this.#inTurn(work),
          () => this.#held.get(address)
        )
    return this.#answer(failed)
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
    const { ip } = this.#host
    let options = ''
    if (isIPv6(address)) {
      // No search for doubles, which takes a second.
      const isTold = this.#teller.announces(address)
      const reason = isTold ? undefined : this.#letKernelTell(on)
      if (reason !== undefined) return reason
      // Nobody calls from it by itself.
      options = isTold ? ' nodad preferred_lft 0' : ' preferred_lft 0'
    }
    const { code, stderr } = await ip([`address add ${address}/${lengthOf(address)} dev ${on}${options}`])
    return code === 0 ? undefined : `cannot be added to ${on}: ${stderr.split('\n')[0] ?? ''}`
  }

  /** Without `nft`: the kernel tells all neighbours, once, of an address that is not searched for doubles though it might be. */
  #letKernelTell(on: string): string | undefined {
    const { setting, clock } = this.#host
    const path = `net/ipv6/conf/${on}`
    try {
      this.#need(`${path}/ndisc_notify`, '1')
      const before = setting.get(`${path}/accept_dad`)
      if (before === '0') return undefined
      setting.set(`${path}/accept_dad`, '0')
      clock.after(TELLING_MS, () => setting.set(`${path}/accept_dad`, before))
      return undefined
    } catch (error) {
      return `cannot be told to neighbours: ${String(error)}`
    }
  }

  async #remove(addresses: readonly string[]): Promise<void> {
    const lines = addresses.flatMap(address => {
      const on = this.#held.get(address)
      return on === undefined ? [] : [`address del ${address}/${lengthOf(address)} dev ${on}`]
    })
    if (lines.length === 0) return
    await this.#host.ip(lines)
    for (const address of addresses) this.#held.delete(address)
    await this.#teller.prepare(this.#held)
  }
}

/** Of the prefix of a single host. */
export const lengthOf = (address: string): number => (isIPv6(address) ? 128 : 32)

export const systemSetting: HoldHost['setting'] = {
  get: path => readFileSync(`/proc/sys/${path}`, 'utf8').trim(),
  set: (path, value) => writeFileSync(`/proc/sys/${path}`, value)
}

export const hardwareAddressOf: HoldHost['hardwareAddress'] = name => {
  try {
    return readFileSync(`/sys/class/net/${name}/address`, 'utf8').trim()
  } catch {
    return ''
  }
}

export const sendDatagram: HoldHost['send'] = ({ from, to, port, bytes }) =>
  new Promise(done => {
    const socket = createSocket(isIPv6(to) ? 'udp6' : 'udp4')
    const end = (): void => {
      socket.close()
      done()
    }
    socket.once('error', end)
    socket.bind({ ...(from === null ? {} : { address: from }), port: 0, exclusive: true }, () => socket.send(bytes, port, to, end))
  })

/** Who carries out orders that come as lines. */
export interface OrderTaker<Order> {
  readonly read: (value: unknown) => Order | undefined
  readonly carryOut: (order: Order) => Promise<object>
  readonly close: () => Promise<void>
  /** Takes away what a process before left. */
  readonly start?: () => Promise<unknown>
}

/** Serves until the input ends; then nothing is held any more, and the others are told. */
export async function serveHolder<Order>(holder: OrderTaker<Order>, input: AsyncIterable<unknown>, output: Writable): Promise<void> {
  output.on('error', () => undefined)
  // Not waited for: what is ordered comes after it.
  void holder.start?.()
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

async function answer<Order>(holder: OrderTaker<Order>, line: string): Promise<string> {
  let message: unknown
  try {
    message = JSON.parse(line)
  } catch {
    message = undefined
  }
  const order = isObject(message) ? holder.read(message['order']) : undefined
  const result = order === undefined ? { is: 'failed', reason: 'not an order' } : await holder.carryOut(order)
  return `${JSON.stringify({ sequence: isObject(message) ? Number(message['sequence']) : 0, ...result })}\n`
}
