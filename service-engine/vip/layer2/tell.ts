/**
 * Telling the network who has an address now, several times: any word may be lost.
 *
 * Programs without raw sockets cannot send ARP or neighbour discovery themselves. The kernel sends a question of either when something
 * leaves from the address for a neighbour that it does not know: one of the networks of documentation, which nobody is. A table of nftables
 * of ours makes an announcement of that question.
 */
import { isIPv6 } from 'node:net'
import type { Clock } from '#model/base/clock.ts'
import { parseAddress } from '#model/resource/address.ts'
import { dropTable } from '../kernel/ruleset.ts'

export interface Datagram {
  /** null: whichever address of this host. */
  readonly from: string | null
  readonly to: string
  readonly port: number
  readonly bytes: Uint8Array
}

export interface TellHost {
  /** Runs `ip` with lines of a batch; answers what it complained of. */
  readonly ip: (lines: readonly string[]) => Promise<{ readonly code: number; readonly stderr: string }>
  /** Loads a text of `nft`; false where that cannot be. */
  readonly nft: (text: string) => Promise<boolean>
  /** The hardware address of an interface, as `ip` writes it; '' for one without. */
  readonly hardwareAddress: (name: string) => string
  /** Never fails: what could not be sent is lost, as any datagram may be. */
  readonly send: (datagram: Datagram) => Promise<void>
  readonly clock: Clock
}

/** Without `nft` Linux overlooks what comes within a second of another change of an ARP entry (`locktime` in arp(7)). */
const TELL_AT_MS = [0, 200, 500, 800, 1_100, 4_000]
/** Discard (RFC 863): nobody gets to see it anyway. */
const DISCARD_PORT = 9

/** TEST-NET-1 (RFC 5737), and the prefix of documentation (RFC 3849). */
const nobody = {
  arp: { hosts: '192.0.2.', length: 32 },
  ip6: { hosts: '2001:db8::', length: 128 }
} as const
type Family = keyof typeof nobody
const familyOf = (address: string): Family => (isIPv6(address) ? 'ip6' : 'arp')

export class Teller {
  readonly #host: TellHost
  readonly #table: string
  /** Addresses that our tables announce. */
  readonly #announced: Record<Family, ReadonlySet<string>> = { arp: new Set(), ip6: new Set() }
  /** What the tables were made for last, '' for none, and whether they could be; at first one that another process left may be there. */
  readonly #made: Record<Family, { readonly key: string | null; readonly isDone: boolean }> = {
    arp: { key: null, isDone: false },
    ip6: { key: null, isDone: false }
  }
  #round = 0

  /** `table`: the name of what is ours in nftables. */
  constructor(host: TellHost, table: string) {
    this.#host = host
    this.#table = table
  }

  /** Whether an announcement can be made of what leaves from the address. */
  announces(address: string): boolean {
    return this.#announced[familyOf(address)].has(address)
  }

  /**
   * The tables for these addresses and no others; where that cannot be they stay as they were.
   *
   * Shapes  quiet: address that this host has and must not be known for -> an address of its own to ask by. IPv6 asks for nothing: what is not
   *         on an interface is not told there.
   * Returns whether those are kept quiet
   */
  async prepare(interfaceByAddress: ReadonlyMap<string, string>, quiet: ReadonlyMap<string, string> = new Map()): Promise<boolean> {
    const all = [...interfaceByAddress.keys()]
    const told = all.filter(address => !isIPv6(address))
    const isQuiet = await this.#load('arp', told, (table, addresses) => arpTable(table, addresses, quiet), JSON.stringify([...quiet]))
    const hardware = new Map(all.filter(isIPv6).map(address => [address, this.#host.hardwareAddress(interfaceByAddress.get(address)!)]))
    const known = [...hardware].filter(([, on]) => isHardwareAddress.test(on)).map(([address]) => address)
    await this.#load('ip6', known, (table, addresses) => advertisingTable(table, new Map(addresses.map(one => [one, hardware.get(one)!]))))
    return isQuiet
  }

  async #load(
    family: Family,
    addresses: readonly string[],
    textFor: (table: string, addresses: readonly string[]) => string,
    also = '[]'
  ): Promise<boolean> {
    const isNothing = addresses.length === 0 && also === '[]'
    const key = isNothing ? '' : `${addresses.join(' ')} ${also}`
    const made = this.#made[family]
    if (key === made.key) return made.isDone
    const next = isNothing ? '' : textFor(this.#table, addresses)
    // All of it or nothing.
    const isDone = await this.#host.nft(dropTable(family, this.#table) + next)
    if (isDone) this.#announced[family] = new Set(addresses)
    this.#made[family] = { key, isDone }
    return isDone
  }

  /** Says it, and says it again as long as it is so: `inTurn` runs work beside which nothing else is done to addresses. */
  tell(address: string, inTurn: (work: () => Promise<void>) => Promise<unknown>, interfaceNow: () => string | undefined): void {
    const tell = (): void =>
      void inTurn(async () => {
        const on = interfaceNow()
        if (on !== undefined) await this.#tellOnce(address, on)
      })
    for (const delayMs of TELL_AT_MS)
      if (delayMs === 0) tell()
      else this.#host.clock.after(delayMs, tell)
  }

  async #tellOnce(address: string, on: string): Promise<void> {
    const family = familyOf(address)
    // A question for an IPv6 address reaches only who may have it; a question of ARP tells all who hear it (RFC 826, "merge").
    if (family === 'ip6' && !this.announces(address)) return
    this.#round = (this.#round % 254) + 1
    const { hosts, length } = nobody[family]
    const to = `${hosts}${family === 'ip6' ? this.#round.toString(16) : this.#round}`
    const { code } = await this.#host.ip([`route replace ${to}/${length} dev ${on} scope link`])
    if (code !== 0) return
    await this.#host.send({ from: address, to, port: DISCARD_PORT, bytes: new Uint8Array() })
    await this.#host.ip([`route del ${to}/${length} dev ${on} scope link`])
  }
}

/**
 * The request becomes one for the address itself, a gratuitous one, which Linux takes at once. Of quiet addresses nobody hears: they are
 * answered for by another host.
 */
function arpTable(table: string, addresses: readonly string[], quiet: ReadonlyMap<string, string>): string {
  const map = (pairs: readonly (readonly [string, string])[]): string => pairs.map(([from, to]) => `${from} : ${to}`).join(', ')
  const asked = `arp operation request arp daddr ip ${nobody.arp.hosts}0/24`
  const announce =
    addresses.length === 0 ? '' : `    ${asked} arp daddr ip set arp saddr ip map { ${map(addresses.map(one => [one, one]))} }\n`
  const ask = quiet.size === 0 ? '' : `    arp saddr ip set arp saddr ip map { ${map([...quiet])} }\n`
  const ignore = quiet.size === 0 ? '' : `    arp daddr ip { ${[...quiet.keys()].join(', ')} } drop\n`
  return `table arp ${table} {
  chain out {
    type filter hook output priority 0; policy accept;
${announce}${ask}  }
  chain in {
    type filter hook input priority 0; policy accept;
${ignore}  }
}
`
}

/** The solicitation becomes an unsolicited advertisement to all nodes. */
const advertisingTable = (table: string, hardwareByAddress: ReadonlyMap<string, string>): string =>
  `table ip6 ${table} {
  chain out {
    type route hook output priority 0; policy accept;
${[...hardwareByAddress].map(([address, hardware]) => `    ${advertise(address, hardware)}\n`).join('')}  }
}
`

const isHardwareAddress = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/

const ADVERTISEMENT = 136
const OVERRIDE = 0x20
const TARGET_HARDWARE_ADDRESS = 2
const ALL_NODES = 'ff02::1'
const ICMPV6 = 58

/**
 * Writes a neighbour advertisement (RFC 4861 section 4.4) over the solicitation (section 4.3), which is as long; its checksum is known,
 * for all of it is.
 */
function advertise(address: string, hardwareAddress: string): string {
  const own = bytesOf(address)
  const option = Buffer.from(`0${TARGET_HARDWARE_ADDRESS}01${hardwareAddress.replaceAll(':', '')}`, 'hex')
  const message = Buffer.concat([Buffer.from([ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0]), own, option])
  const hex = (from: number, length: number): string => `0x${message.toString('hex', from, from + length)}`
  return [
    `ip6 saddr ${address} icmpv6 type nd-neighbor-solicit @th,64,32 0x${bytesOf(nobody.ip6.hosts).toString('hex', 0, 4)}`,
    `@th,0,16 set ${hex(0, 2)} @th,32,32 set ${hex(4, 4)} @th,64,128 set ${hex(8, 16)} @th,192,8 set ${hex(24, 1)}`,
    // The checksum last: `nft` mends it by itself for what it knows of the others.
    `ip6 daddr set ${ALL_NODES} @th,16,16 set ${checksumOf(own, bytesOf(ALL_NODES), message)}`
  ].join(' ')
}

const bytesOf = (address: string): Buffer => Buffer.from((parseAddress(address)?.value ?? 0n).toString(16).padStart(32, '0'), 'hex')

/** Of ICMPv6, with its pseudo-header (RFC 8200 section 8.1). */
function checksumOf(from: Uint8Array, to: Uint8Array, message: Uint8Array): number {
  const all = Buffer.concat([from, to, Buffer.from([0, 0, 0, message.length, 0, 0, 0, ICMPV6]), message])
  let sum = 0
  for (let at = 0; at < all.length; at += 2) sum += all.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
