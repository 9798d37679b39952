/** What the privileged process can be told: these orders and no others, each checked to the last field. */
import { isIP } from 'node:net'

/** A virtual service that the kernel forwards. All its addresses and servers are of one family. */
export interface Forwarded {
  readonly id: string
  readonly protocol: 'tcp' | 'udp'
  /** `0.0.0.0` and `::` are all addresses of the host. */
  readonly doors: readonly { readonly address: string; readonly ports: readonly number[] }[]
  readonly balance: 'in-turn' | 'random' | 'source' | 'source-and-port'
  /** At least one; `port` null keeps the one that the client reached. */
  readonly servers: readonly ForwardedServer[]
  /** Servers see the client's address; else that of this host. */
  readonly preservesClient: boolean
  /** Seconds without traffic; 0: the host's own time. */
  readonly idleTimeoutS: number
}

export interface ForwardedServer {
  /** What its counters are known by. */
  readonly key: string
  readonly ip: string
  readonly port: number | null
  /** Above 0; 0 for a server that takes nothing new and is only counted. */
  readonly weight: number
}

/** Flows to a server that are to end now. */
export interface Cut {
  readonly protocol: 'tcp' | 'udp'
  readonly ip: string
  readonly port: number | null
}

export type KernelOrder =
  | { readonly is: 'apply'; readonly services: readonly Forwarded[]; readonly cuts: readonly Cut[] }
  | { readonly is: 'read' }
  | { readonly is: 'clear' }

export interface PairCount {
  readonly service: string
  readonly server: string
  readonly connections: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** `counts` are of the table as it was before the order. */
export type KernelAnswer =
  | { readonly is: 'done'; readonly counts: readonly PairCount[]; readonly hasTimeouts: boolean }
  | { readonly is: 'failed'; readonly reason: string }

/** Bounds that no sound order meets. */
const MAX_SERVICES = 10_000
const MAX_SERVERS = 1_000
const MAX_DOORS = 64
const MAX_PORTS = 1_024
const MAX_TEXT = 512

type Loose = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value)

class Malformed extends Error {}

function need(isSound: boolean, what: string): asserts isSound {
  if (!isSound) throw new Malformed(what)
}
function listOf<T>(value: unknown, max: number, what: string, read: (item: Loose) => T): T[] {
  need(Array.isArray(value) && value.length <= max, what)
  return value.map(item => {
    need(isObject(item), what)
    return read(item)
  })
}
function oneOf<const T extends string>(value: unknown, words: readonly T[], what: string): T {
  const found = words.find(word => word === value)
  need(found !== undefined, what)
  return found
}
function integer(value: unknown, min: number, max: number, what: string): number {
  need(typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max, what)
  return value
}
function text(value: unknown, what: string): string {
  need(typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT, what)
  return value
}
function address(value: unknown, what: string): string {
  need(typeof value === 'string' && isIP(value) !== 0 && !value.includes('%'), what)
  return value
}
const port = (value: unknown): number => integer(value, 1, 65_535, 'port')
const protocol = (value: unknown): 'tcp' | 'udp' => oneOf(value, ['tcp', 'udp'], 'protocol')

function server(item: Loose): ForwardedServer {
  return {
    key: text(item['key'], 'key'),
    ip: address(item['ip'], 'ip'),
    port: item['port'] === null ? null : port(item['port']),
    weight: integer(item['weight'], 0, 1_000, 'weight')
  }
}

function service(item: Loose): Forwarded {
  const found: Forwarded = {
    id: text(item['id'], 'id'),
    protocol: protocol(item['protocol']),
    doors: listOf(item['doors'], MAX_DOORS, 'doors', door => {
      const ports = door['ports']
      need(Array.isArray(ports) && ports.length > 0 && ports.length <= MAX_PORTS, 'ports')
      return { address: address(door['address'], 'address'), ports: ports.map(port) }
    }),
    balance: oneOf(item['balance'], ['in-turn', 'random', 'source', 'source-and-port'], 'balance'),
    servers: listOf(item['servers'], MAX_SERVERS, 'servers', server),
    preservesClient: item['preservesClient'] === true,
    idleTimeoutS: integer(item['idleTimeoutS'], 0, 1_000_000, 'idleTimeoutS')
  }
  const families = [...found.doors.map(door => door.address), ...found.servers.map(one => one.ip)].map(ip => isIP(ip))
  need(found.doors.length > 0 && found.servers.length > 0 && new Set(families).size === 1, 'families')
  return found
}

/**
 * Reads an order.
 *
 * Returns undefined for anything that is not one
 */
export function readOrder(value: unknown): KernelOrder | undefined {
  try {
    need(isObject(value), 'order')
    const is = oneOf(value['is'], ['apply', 'read', 'clear'], 'is')
    if (is !== 'apply') return { is }
    return {
      is,
      services: listOf(value['services'], MAX_SERVICES, 'services', service),
      cuts: listOf(value['cuts'], MAX_SERVICES, 'cuts', item => ({
        protocol: protocol(item['protocol']),
        ip: address(item['ip'], 'ip'),
        port: item['port'] === null ? null : port(item['port'])
      }))
    }
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}
