/**
 * Flows of an address that its owner passes on: the rules of nftables that do it, before the host's own network sees a packet.
 *
 * Each engine of a service has the address. The owner, whom the network knows, chooses for each new flow one of them by a hash that is the same
 * on all engines, and sends its packets on to that engine's hardware address; the answers go to the client directly. A flow stays where it began:
 * each engine remembers the flows that it saw, by member, and only what nobody knows is chosen by the hash.
 *
 *   in_<device> --address--> a --port--> v --known--> t (remember, pass on or take)
 *                                        v --new, unknown--> h --hash--> n (forget elsewhere) --> t
 */
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { Layer2Flows } from '#model/snapshot/snapshot.ts'
import { dropTable } from '../kernel/ruleset.ts'

/** Another engine that flows are passed on to. */
export interface Member {
  readonly id: string
  /** What its flows are remembered by, 2 or more; 1 is this engine. */
  readonly number: number
  /** On the network of the address. */
  readonly address: string
  /** false: it keeps the flows that it has, and gets no new ones. */
  readonly isTaking: boolean
}

export interface SharedAddress {
  readonly address: string
  readonly device: string
  /** This engine. */
  readonly self: string
  /** None: it keeps the flows that it has, however they come. */
  readonly flows: readonly Layer2Flows[]
  /** None on an engine that does not own the address. */
  readonly others: readonly Member[]
}

/** Places of the hash: a share is exact to one of them. */
export const PLACES = 256
/** The same on every engine. */
const SEED = '0x57656972'
/** A flow on which nothing was sent for so long is forgotten: from then on it goes by the hash. */
const IDLE = '1h'
const IDLE_UDP = '10m'
/** So is one that ended, or never got beyond its beginning. */
const BRIEF = '60s'
/** Flows remembered for one member and family; what is beyond goes by the hash alone. */
const MAX_FLOWS = 262_144
const SELF = 1

/**
 * Who gets which place of the hash: for each the member that scores highest there, so that one that comes or goes changes its own places only.
 *
 * Returns PLACES indices into members; the same for the same members in any order
 */
export function placesOf(members: readonly string[]): readonly number[] {
  return Array.from({ length: PLACES }, (_, place) => {
    const scores = members.map(id => createHash('sha256').update(`${place} ${id}`).digest().readUIntBE(0, 6))
    return scores.indexOf(Math.max(...scores))
  })
}

interface Chain {
  readonly hook?: string
  readonly rules: string[]
}

class Builder {
  readonly chains = new Map<string, Chain>()
  /** Name -> type of its addresses. */
  readonly sets = new Map<string, 'ipv4_addr' | 'ipv6_addr'>()

  chain(name: string, rules: readonly string[], hook?: string): string {
    const known = this.chains.get(name)
    if (known !== undefined) known.rules.push(...rules)
    else this.chains.set(name, { rules: [...rules], ...(hook === undefined ? {} : { hook }) })
    return name
  }
}

/** What stands of a table: the names of its chains and sets. */
export interface Standing {
  readonly chains: readonly string[]
  readonly sets: readonly string[]
}

/**
 * The text that makes the table so, and keeps the flows that it remembers.
 *
 * Shapes  standing: as the last call returned it; null: nothing of it stands
 */
export function flowsText(
  table: string,
  shared: readonly SharedAddress[],
  standing: Standing | null
): Standing & { readonly text: string } {
  const built = new Builder()
  for (const [index, one] of shared.entries()) addAddress(built, one, index)
  const name = `netdev ${table}`
  const gone = (before: readonly string[], now: ReadonlyMap<string, unknown>): string[] => before.filter(one => !now.has(one))
  const lines = [
    `add table ${name}`,
    `flush table ${name}`,
    ...gone(standing?.chains ?? [], built.chains).map(chain => `delete chain ${name} ${chain}`),
    ...gone(standing?.sets ?? [], built.sets).map(set => `delete set ${name} ${set}`),
    ...[...built.sets].map(
      ([set, type]) =>
        `add set ${name} ${set} { type ${type} . ${type} . inet_service . inet_service; flags dynamic,timeout; timeout ${IDLE}; size ${MAX_FLOWS}; }`
    ),
    ...[...built.chains].map(([chain, { hook }]) => `add chain ${name} ${chain}${hook === undefined ? '' : ` { ${hook} }`}`),
    ...[...built.chains].flatMap(([chain, { rules }]) => rules.map(rule => `add rule ${name} ${chain} ${rule}`))
  ]
  return { text: `${lines.join('\n')}\n`, chains: [...built.chains.keys()], sets: [...built.sets.keys()] }
}

function addAddress(built: Builder, { address, device, self, flows, others }: SharedAddress, index: number): void {
  if (flows.length === 0) return
  const family = isIPv6(address) ? 'ip6' : 'ip'
  const key = `${family} saddr . ${family} daddr . th sport . th dport`
  const setOf = (number: number): string => `${family}_${number}`
  const members = [{ id: self, number: SELF, address: '', isTaking: true }, ...others].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const where = Buffer.from(device).toString('hex')
  const toOf = ({ number, address: to }: Member): string => {
    const name = `t_${where}_${setOf(number)}`
    if (built.chains.has(name)) return name
    const set = setOf(number)
    built.sets.set(set, family === 'ip6' ? 'ipv6_addr' : 'ipv4_addr')
    const pass = number === SELF ? 'accept' : `fwd ${family} to ${to} device "${device}"`
    // Each a rule of its own: one that finds the set full ends there, and the flow is passed on all the same.
    const remember = [
      `tcp flags & psh != 0 update @${set} { ${key} }`,
      `tcp flags & (fin | syn | rst) != 0 update @${set} { ${key} timeout ${BRIEF} }`,
      `meta l4proto udp update @${set} { ${key} timeout ${IDLE_UDP} }`
    ]
    return built.chain(name, [...remember, pass])
  }
  const newOf = (member: Member): string => {
    const name = `n_${index}_${member.number}`
    const elsewhere = members.filter(other => other !== member).map(({ number }) => `delete @${setOf(number)} { ${key} }`)
    return built.chains.has(name) ? name : built.chain(name, [...elsewhere, `goto ${toOf(member)}`])
  }
  for (const member of members) toOf(member)
  const taking = members.filter(({ isTaking }) => isTaking)
  const places = placesOf(taking.map(({ id }) => id))
  const shares = rangesOf(places).map(({ from, to, index: at }) => `${from === to ? from : `${from}-${to}`} : goto ${newOf(taking[at]!)}`)
  const base = built.chain(`in_${where}`, [], `type filter hook ingress device "${device}" priority -150; policy accept;`)
  built.chain(base, [`${family} daddr ${address} goto a_${index}`])
  for (const [at, { protocol, ports, by }] of flows.entries()) {
    const what = by === 'source' ? `${family} saddr` : `${family} saddr . th sport`
    const hash = built.chain(`h_${index}_${at}`, [
      taking.length === 1 ? `goto ${newOf(taking[0]!)}` : `jhash ${what} mod ${PLACES} seed ${SEED} vmap { ${shares.join(', ')} }`
    ])
    const known = members.map(member => `${key} @${setOf(member.number)} goto ${toOf(member)}`)
    const begins = protocol === 'tcp' ? [`tcp flags & (fin | syn | rst | ack) == syn goto ${hash}`] : []
    const flow = built.chain(`v_${index}_${at}`, [...begins, ...known, `goto ${hash}`])
    const numbers = ports.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
    built.chain(`a_${index}`, [`${protocol} dport { ${numbers.join(', ')} } goto ${flow}`])
  }
}

function rangesOf(places: readonly number[]): { readonly from: number; readonly to: number; readonly index: number }[] {
  const ranges: { from: number; to: number; index: number }[] = []
  for (const [place, index] of places.entries()) {
    const last = ranges.at(-1)
    if (last?.index === index) last.to = place
    else ranges.push({ from: place, to: place, index })
  }
  return ranges
}

/** Keeps the table of one engine as it should be. */
export class FlowTable {
  readonly #nft: (text: string) => Promise<boolean>
  readonly #table: string
  /** null: one that another process left may be there. */
  #standing: Standing | null = null
  #made = { key: '', isDone: true }

  constructor(nft: (text: string) => Promise<boolean>, table: string) {
    this.#nft = nft
    this.#table = table
  }

  /** Takes away what a process before left. */
  async start(): Promise<void> {
    await this.#nft(dropTable('netdev', this.#table))
  }

  /** Answers whether it is so now; where it cannot be nothing of it is left. */
  async apply(shared: readonly SharedAddress[]): Promise<boolean> {
    const key = shared.length === 0 ? '' : JSON.stringify(shared)
    if (key !== this.#made.key) this.#made = { key, isDone: await this.#make(shared) }
    return this.#made.isDone
  }

  async #make(shared: readonly SharedAddress[]): Promise<boolean> {
    const drop = dropTable('netdev', this.#table)
    if (shared.length > 0 && this.#standing !== null && (await this.#load(shared, this.#standing, ''))) return true
    // What does not stand as we thought is made anew: the flows that it remembered are lost.
    if (shared.length > 0 && (await this.#load(shared, null, drop))) return true
    this.#standing = null
    return (await this.#nft(drop)) && shared.length === 0
  }

  async #load(shared: readonly SharedAddress[], standing: Standing | null, before: string): Promise<boolean> {
    const next = flowsText(this.#table, shared, standing)
    const isDone = await this.#nft(before + next.text)
    if (isDone) this.#standing = next
    return isDone
  }
}
