/**
 * The nftables ruleset that forwards virtual services in the kernel, as text for `nft -f`. One table of our own:
 *
 *   prerouting, output   a new connection to one of our doors -> v_ (the service) -> s_ (the server that is next): DNAT
 *   postrouting          its source becomes this host's, unless the service keeps the client's
 *   timeouts...          how long its connections may be silent
 *   outgoing, incoming   every packet of it, once -> b_ (its server's bytes)
 *
 * A connection keeps its server whatever the maps say later: conntrack remembers it. What is ours is known by a mark of the
 * connection that says service and server: a number that is never used twice in the life of the table.
 */
import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import type { Forwarded, ForwardedServer } from './order.ts'

/** What stands in the table beside its base chains, so that the next ruleset can remove what it does not have. */
export interface Standing {
  readonly chains: readonly string[]
  readonly counters: readonly string[]
  /** Never removed: the kernel resets every connection that was given one which goes. */
  readonly timeouts: readonly string[]
  /** Pair -> the number in its connections' mark. */
  readonly numbers: ReadonlyMap<string, number>
  readonly lastNumber: number
}

export interface Ruleset extends Standing {
  readonly text: string
  /** Counter names of a pair -> whose they are. */
  readonly pairs: readonly { readonly name: string; readonly service: string; readonly server: string }[]
}

/** Text that removes a table; added first, so that it never fails because there is none. */
export const dropTable = (family: 'inet' | 'arp' | 'ip6' | 'netdev', table: string): string =>
  `add table ${family} ${table}\ndelete table ${family} ${table}\n`

export const nothingStands: Standing = { chains: [], counters: [], timeouts: [], numbers: new Map(), lastNumber: 0 }

/** Places of a turn, or of a hash: a share is exact to one of them. */
const MAX_TURN = 1_024
const HASH_PLACES = 1_024
/** The same on every engine, so that a client finds its server through any of them. */
const HASH_SEED = '0x57656972'

const baseChains = [
  ['prerouting', 'type nat hook prerouting priority -100; policy accept;'],
  ['output', 'type nat hook output priority -100; policy accept;'],
  ['postrouting', 'type nat hook postrouting priority 100; policy accept;'],
  ['timeouts_in', 'type filter hook prerouting priority -150; policy accept;'],
  ['timeouts_out', 'type filter hook output priority -150; policy accept;'],
  ['outgoing', 'type filter hook postrouting priority 300; policy accept;'],
  ['incoming', 'type filter hook input priority 300; policy accept;']
] as const

const MASK = 'mask'
/** Of the mark: its upper bits tell tables of one host apart, its lower bits are the number. */
const NUMBER_BITS = 20
const TABLE_BITS = 12

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)
const isAll = (address: string): boolean => address === '0.0.0.0' || address === '::'
const isLoopback = (ip: string): boolean => ip.startsWith('127.') || ip === '::1'

/**
 * Whether a server can only be reached from this host itself: then its service is forwarded for clients on this host only, by
 * a loopback address; what comes from elsewhere stays with user space.
 */
export const staysOnHost = (service: Pick<Forwarded, 'servers'>): boolean => service.servers.every(({ ip }) => isLoopback(ip))

interface Family {
  readonly isV6: boolean
  readonly ip: 'ip' | 'ip6'
}

/**
 * Builds the ruleset as one transaction: it takes effect whole or not at all, and counters go on.
 *
 * Shapes  standing: what the ruleset before this one left in the table
 *         withTimeouts: false where this kernel cannot time out connections by rule
 */
export function buildRuleset(
  table: string,
  services: readonly Forwarded[],
  standing: Standing = nothingStands,
  withTimeouts = true
): Ruleset {
  const name = `inet ${table}`
  const rules: string[] = []
  const chains: string[] = []
  const pairs: { name: string; service: string; server: string }[] = []
  const timeouts = new Map<string, string>()
  const counted: (readonly [mark: string, chain: string])[] = []
  const masked: (readonly [mark: string, chain: string])[] = []
  const numbers = new Map<string, number>()
  let { lastNumber } = standing
  const markOf = (pair: string): string => {
    const number = numbers.get(pair) ?? standing.numbers.get(pair) ?? ++lastNumber
    numbers.set(pair, number)
    return markText(table, number)
  }
  const rule = (chain: string, ...parts: readonly string[]): void => void rules.push(`add rule ${name} ${chain} ${parts.join(' ')}`)
  const chain = (own: string): string => {
    chains.push(own)
    return own
  }

  for (const service of services) {
    const family = familyOf(service)
    const id = hashOf(service.id)
    for (const server of service.servers) {
      const pair = hashOf(`${service.id} ${server.key}`)
      pairs.push({ name: pair, service: service.id, server: server.key })
      if (server.weight > 0) {
        chain(`s_${pair}`)
        rule(
          `s_${pair}`,
          `counter name "n_${pair}" ct mark set ${markOf(pair)}`,
          `meta l4proto ${service.protocol} dnat ${family.ip} to ${targetOf(server)}`
        )
      }
      chain(`b_${pair}`)
      rule(`b_${pair}`, `ct direction original counter name "i_${pair}" return`)
      rule(`b_${pair}`, `counter name "o_${pair}"`)
      counted.push([markOf(pair), `b_${pair}`])
      if (!service.preservesClient && !staysOnHost(service)) masked.push([markOf(pair), MASK])
    }
    chain(`v_${id}`)
    const places = placesOf(service).map(server => `s_${hashOf(`${service.id} ${server.key}`)}`)
    // A connection that began before the table stood is not taken away from who has it.
    const fresh = service.protocol === 'tcp' ? 'tcp flags & (fin|syn|rst|ack) == syn' : ''
    if (places.length > 0)
      rule(`v_${id}`, fresh, chooserOf(service, family, places.length), `vmap { ${elements(places.map((to, i) => [i, to]))} }`)
    if (withTimeouts && service.idleTimeoutS > 0) {
      const timeout = `${service.protocol}${family.isV6 ? '6' : '4'}_${service.idleTimeoutS}`
      timeouts.set(timeout, timeoutOf(service, family))
    }
  }
  if (masked.length > 0) {
    rule(chain(MASK), 'masquerade')
    rule('postrouting', `ct status dnat oifname != "lo" ct mark vmap { ${elements(masked)} }`)
  }
  if (counted.length > 0) {
    rule('outgoing', `ct status dnat ct mark vmap { ${elements(counted)} }`)
    // What this host sends to itself has gone out already.
    rule('incoming', `iifname != "lo" ct status dnat ct mark vmap { ${elements(counted)} }`)
  }
  for (const timeout of timeouts.keys()) rule(chain(`t_${timeout}`), `ct timeout set "${timeout}"`)
  for (const family of [
    { isV6: false, ip: 'ip' },
    { isV6: true, ip: 'ip6' }
  ] as const) {
    const own = services.filter(service => familyOf(service).isV6 === family.isV6)
    if (own.length > 0) addEntrances(rule, own, family, withTimeouts)
  }

  const counters = pairs.flatMap(({ name: pair }) => [`n_${pair}`, `i_${pair}`, `o_${pair}`])
  const gone = (before: readonly string[], now: readonly string[]): string[] => {
    const kept = new Set(now)
    return before.filter(one => !kept.has(one))
  }
  const text = [
    `add table ${name}`,
    ...baseChains.map(([own, what]) => `add chain ${name} ${own} { ${what} }`),
    `flush table ${name}`,
    ...gone(standing.chains, chains).map(own => `delete chain ${name} ${own}`),
    ...gone(standing.counters, counters).map(own => `delete counter ${name} ${own}`),
    ...counters.map(own => `add counter ${name} ${own}`),
    ...[...timeouts].map(([own, what]) => `add ct timeout ${name} ${own} { ${what} }`),
    ...chains.map(own => `add chain ${name} ${own}`),
    ...rules
  ]
  return {
    text: `${text.join('\n')}\n`,
    pairs,
    chains,
    counters,
    timeouts: [...new Set([...standing.timeouts, ...timeouts.keys()])],
    numbers,
    lastNumber
  }
}

function familyOf({ doors }: Forwarded): Family {
  return isIPv6(doors[0]?.address ?? '') ? { isV6: true, ip: 'ip6' } : { isV6: false, ip: 'ip' }
}

function targetOf({ ip, port }: ForwardedServer): string {
  if (port === null) return ip
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`
}

const elements = (pairs: readonly (readonly [key: number | string, chain: string])[]): string =>
  pairs.map(([key, to]) => `${key} : goto ${to}`).join(', ')

/** Which server each place belongs to: the turn of round robin, or the table of the hash. */
function placesOf(service: Forwarded): readonly ForwardedServer[] {
  const active = service.servers.filter(server => server.weight > 0)
  if (active.length === 0) return []
  if (service.balance === 'source' || service.balance === 'source-and-port') return hashTable(active)
  const divisor = active.reduce((common, server) => greatestCommonDivisor(common, server.weight), 0)
  const sum = active.reduce((total, server) => total + server.weight / divisor, 0)
  const scale = Math.min(1, MAX_TURN / sum)
  // A server of weight w has its turns at equal distances: the shares are interleaved, not in blocks.
  return active
    .flatMap((server, order) => {
      const turns = Math.max(1, Math.round((server.weight / divisor) * scale))
      return Array.from({ length: turns }, (_, i) => ({ at: (i + 0.5) / turns, order, server }))
    })
    .toSorted((a, b) => a.at - b.at || a.order - b.order)
    .map(({ server }) => server)
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))

/** Weighted rendezvous hashing: when a server goes, its places move and no others. */
function hashTable(servers: readonly ForwardedServer[]): ForwardedServer[] {
  return Array.from({ length: HASH_PLACES }, (_, place) => {
    const scored = servers.map(server => {
      const digest = createHash('sha1').update(`${place} ${server.ip} ${server.port}`).digest()
      return { server, score: -server.weight / Math.log((digest.readUInt32BE(0) + 0.5) / 2 ** 32) }
    })
    return scored.reduce((best, one) => (one.score > best.score ? one : best)).server
  })
}

function chooserOf({ balance }: Forwarded, { ip }: Family, places: number): string {
  if (balance === 'in-turn') return `numgen inc mod ${places}`
  if (balance === 'random') return `numgen random mod ${places}`
  const key = balance === 'source' ? `${ip} saddr` : `${ip} saddr . th sport`
  return `jhash ${key} mod ${places} seed ${HASH_SEED}`
}

function markText(table: string, number: number): string {
  const own = Number.parseInt(hashOf(table).slice(0, 8), 16) >>> (32 - TABLE_BITS)
  return `0x${(own * 2 ** NUMBER_BITS + (number % 2 ** NUMBER_BITS)).toString(16).padStart(8, '0')}`
}

function timeoutOf({ protocol, idleTimeoutS }: Forwarded, { ip }: Family): string {
  const policy = protocol === 'tcp' ? `established: ${idleTimeoutS}` : `unreplied: ${idleTimeoutS}, replied: ${idleTimeoutS}`
  return `protocol ${protocol}; l3proto ${ip}; policy = { ${policy} };`
}

type AddRule = (chain: string, ...parts: readonly string[]) => void

/** The rules of the base chains: one look into a map finds the service of a packet, however many there are. */
function addEntrances(rule: AddRule, services: readonly Forwarded[], { ip, isV6 }: Family, withTimeouts: boolean): void {
  const loopback = isV6 ? '::1' : '127.0.0.0/8'
  const ofFamily = `meta nfproto ${isV6 ? 'ipv6' : 'ipv4'}`
  const map = (chain: string, guard: string, of: readonly Forwarded[], goTo: (service: Forwarded) => string): void => {
    const doors = of.flatMap(service => service.doors.map(door => ({ ...door, protocol: service.protocol, to: goTo(service) })))
    const entries = (ports: typeof doors, keyOf: (address: string, port: number) => string) =>
      ports.flatMap(({ address, ports: own, protocol, to }) => own.map(port => [`${protocol} . ${keyOf(address, port)}`, to] as const))
    const own = entries(
      doors.filter(door => !isAll(door.address)),
      (address, port) => `${address} . ${port}`
    )
    const all = entries(
      doors.filter(door => isAll(door.address)),
      (_address, port) => String(port)
    )
    if (own.length > 0) rule(chain, guard, `meta l4proto . ${ip} daddr . th dport vmap { ${elements(own)} }`)
    if (all.length > 0) rule(chain, guard, `fib daddr type local meta l4proto . th dport vmap { ${elements(all)} }`)
  }
  const toService = (service: Forwarded): string => `v_${hashOf(service.id)}`
  const here = services.filter(staysOnHost)
  const beyond = services.filter(service => !staysOnHost(service))
  map('prerouting', ofFamily, beyond, toService)
  map('output', `${ip} daddr != ${loopback}`, beyond, toService)
  map('output', `${ip} daddr ${loopback}`, here, toService)
  if (!withTimeouts) return
  const timed = services.filter(service => service.idleTimeoutS > 0)
  const toTimeout = ({ protocol, idleTimeoutS }: Forwarded): string => `t_${protocol}${isV6 ? '6' : '4'}_${idleTimeoutS}`
  for (const chain of ['timeouts_in', 'timeouts_out']) map(chain, `${ofFamily} ct state new`, timed, toTimeout)
}
