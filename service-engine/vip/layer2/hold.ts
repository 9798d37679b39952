/**
 * The privileged side of owning addresses: puts those that it is told to hold onto an interface, tells the network, and takes them away
 * when the word is not repeated within a lease. So an engine that hangs, is stopped or dies answers for no address that another may own.
 */
import { isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import type { Writable } from 'node:stream'
import { LEASE_MS } from './election.ts'
import { interfaceOf, lengthOf, type Setting } from './network.ts'
import { isObject, readHoldOrder, type HoldAnswer, type HoldOrder, type LastWord } from './order.ts'
import { Sharer } from './share.ts'
import { Teller, type Datagram, type TellHost } from './tell.ts'

export interface HoldHost extends TellHost {
  readonly interfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  readonly setting: Setting
}

/** Until the kernel has told of an IPv6 address. */
const TELLING_MS = 300

export class Holder {
  readonly read = readHoldOrder
  readonly #host: HoldHost
  readonly #teller: Teller
  readonly #sharer: Sharer
  readonly #held = new Map<string, string>()
  #lastWords: readonly LastWord[] = []
  #lease = (): void => undefined
  #queue: Promise<unknown> = Promise.resolve()

  /** `table`: the name of what is ours in nftables. */
  constructor(host: HoldHost, table: string) {
    this.#host = host
    this.#teller = new Teller(host, table)
    this.#sharer = new Sharer(host, table)
  }

  /** Takes away the tables that a process before left. */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#teller.prepare(this.#held)
      await this.#sharer.start()
    })
  }

  carryOut(order: HoldOrder): Promise<HoldAnswer> {
    if (order.is === 'hold') {
      this.#renew(order.addresses.length > 0 || (order.shared ?? []).length > 0)
      this.#lastWords = order.lastWords ?? []
    }
    return this.#inTurn(() => this.#carryOut(order))
  }

  /** Nobody orders any more: nothing is held, then the last words are said. */
  async close(): Promise<void> {
    this.#lease()
    await this.#inTurn(async () => {
      await this.#takeAway()
      await this.#sharer.join([])
    })
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
    this.#lease = isNeeded ? this.#host.clock.after(LEASE_MS, () => void this.#inTurn(() => this.#takeAway())) : () => undefined
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
    const failed: { address: string; reason: string }[] = []
    const added = order.addresses.filter(address => !this.#held.has(address))
    const asked = order.shared ?? []
    const interfaces = added.length === 0 && asked.length === 0 ? {} : this.#host.interfaces()
    const there = new Set(Object.values(interfaces).flatMap(list => (list ?? []).map(({ address }) => address)))
    const isOwn = (address: string): boolean => there.has(address) && !this.#held.has(address) && !this.#sharer.addresses.has(address)
    const coming = new Map<string, string>()
    for (const address of added) {
      const on = interfaceOf(address, interfaces) ?? order.fallback
      if (isOwn(address)) failed.push({ address, reason: 'is an address of this host itself' })
      else if (on === '') failed.push({ address, reason: 'is in no network of this host, and no interface is set for such' })
      else coming.set(address, on)
    }
    const gone = [...this.#held.keys()].filter(address => !wanted.has(address))
    const staying = [...this.#held].filter(([address]) => wanted.has(address))
    const shared = this.#sharer.find(asked, { interfaces, fallback: order.fallback, isOwn })
    const quiet = shared.filter(({ address }) => !wanted.has(address) && !isIPv6(address))
    // Nobody may hear of an address that is served here for another: its silence comes before it and goes after it.
    await this.#sharer.leave(new Set(shared.map(({ address }) => address)))
    const isQuiet = await this.#teller.prepare(
      new Map([...staying, ...coming]),
      new Map(quiet.map(({ address, askBy }) => [address, askBy]))
    )
    await this.#remove(gone)
    await this.#sharer.join(isQuiet ? shared : [])
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
    const held = [...this.#held].map(([address, on]) => ({ address, interface: on }))
    return { is: 'done', held, failed, shared: [...this.#sharer.addresses] }
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
    if (addresses.length === 0) return
    await this.#host.ip(addresses.map(address => `address del ${address}/${lengthOf(address)} dev ${this.#held.get(address)!}`))
    for (const address of addresses) this.#held.delete(address)
  }

  /** No address is here any more. Where flows belong stays known: an engine that only stood still goes on with them. */
  async #takeAway(): Promise<void> {
    await this.#sharer.leave(new Set())
    await this.#remove([...this.#held.keys()])
    await this.#teller.prepare(this.#held)
  }
}

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
