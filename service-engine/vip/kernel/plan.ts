/** Which virtual services the kernel can forward now, and to which servers. What it cannot stays in user space, with a reason. */
import { isIPv6 } from 'node:net'
import type { Verdict } from '#model/message/message.ts'
import type { PoolPart, ServerSpec, Snapshot, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { staysOnHost } from './ruleset.ts'
import type { Forwarded, ForwardedServer } from './order.ts'

/** What the host lets through and has. */
export interface HostForwarding {
  readonly passesOnV4: boolean
  readonly passesOnV6: boolean
  /** The program `conntrack`: without it sessions of a server that is gone would stay with it. */
  readonly hasConntrack: boolean
}

export interface PlanInput {
  readonly snapshot: Snapshot
  readonly host: HostForwarding
  readonly verdictOf: (poolId: string, serverId: string) => Verdict
  /** How much of its share a server says that it can take, in percent; all of it when left out. */
  readonly shareOf?: (poolId: string, serverId: string) => number
  /** Addresses of a server that is given by name. */
  readonly addressesOf: (poolId: string, serverId: string) => readonly string[]
}

export interface Plan {
  readonly services: readonly Forwarded[]
  /** Virtual service -> why it is not among them. */
  readonly reasons: ReadonlyMap<string, string>
}

/**
 * Plans for every virtual service that asks for it.
 *
 * Returns services with all their servers; those that take nothing new have the weight 0
 */
export function planForwarding(input: PlanInput): Plan {
  const services: Forwarded[] = []
  const reasons = new Map<string, string>()
  const pools = new Map(input.snapshot.pools.map(pool => [pool.id, pool]))
  for (const part of input.snapshot.virtualServices) {
    if (part.forwarding === undefined || !part.isTrafficEnabled) continue
    const planned = planService(part, pools, input)
    if (typeof planned === 'string') reasons.set(part.id, planned)
    else services.push(planned)
  }
  return { services, reasons }
}

function planService(part: VirtualServicePart, pools: ReadonlyMap<string, PoolPart>, input: PlanInput): Forwarded | string {
  const { target } = part
  if (part.connectionLimit !== undefined) return 'it limits the rate of connections'
  if (target === null) return 'it has no pool'
  if (target.is === 'group') return 'it has a group of pools'
  const pool = pools.get(target.poolId)
  if (pool === undefined) return 'it has no pool'
  const balance = balanceOf(pool)
  if (balance === undefined) return `the kernel cannot balance by ${pool.algorithm.is}`
  if (pool.servers.some(({ path }) => path !== undefined)) return 'its pool has a Unix socket'
  if (pool.tls !== null) return 'its pool speaks TLS'
  if (pool.maxConnectionsPerServer !== null) return 'its pool limits connections'
  // What user space keeps in its own memory.
  if (Object.hasOwn(pool, 'persistence')) return 'its pool keeps clients with their servers'
  if (pool.locality !== undefined) return 'its pool prefers servers of a zone'
  if (pool.servers.some(({ order = 1 }) => order !== 1)) return 'its pool has servers that stand by'
  if (Object.hasOwn(pool, 'outliers') || Object.hasOwn(pool, 'breaker')) return 'its pool watches its traffic for failures'
  const isUdp = part.application === 'udp'
  if (isUdp && !input.host.hasConntrack) return 'the program conntrack is not on this host'

  const servers = serversOf(pool, input)
  if (typeof servers === 'string') return servers
  const service: Forwarded = {
    id: part.id,
    protocol: isUdp ? 'udp' : 'tcp',
    doors: doorsOf(part),
    balance,
    servers,
    preservesClient: part.forwarding === 'kernel-only',
    idleTimeoutS: Math.floor(part.tcp.idleTimeoutMs / 1000)
  }
  const families = new Set([...service.doors.map(door => door.address), ...servers.map(server => server.ip)].map(isIPv6))
  if (families.size !== 1) return 'its addresses and servers are of two families'
  const loopbacks = servers.filter(server => staysOnHost({ servers: [server] })).length
  if (loopbacks > 0 && loopbacks < servers.length) return 'some of its servers can only be reached from this host'
  const isV6 = families.has(true)
  if (loopbacks === 0 && !(isV6 ? input.host.passesOnV6 : input.host.passesOnV4))
    return `this host does not pass packets on (net.${isV6 ? 'ipv6.conf.all.forwarding' : 'ipv4.ip_forward'} is 0)`
  return service
}

function balanceOf({ algorithm }: PoolPart): Forwarded['balance'] | undefined {
  switch (algorithm.is) {
    case 'round-robin':
      return 'in-turn'
    case 'random':
      return 'random'
    case 'consistent-hash':
      if (algorithm.by === 'source-address') return 'source'
      return algorithm.by === 'source-address-and-port' ? 'source-and-port' : undefined
    case 'least-connections':
    case 'fastest-response':
      return undefined
  }
}

function doorsOf(part: VirtualServicePart): { address: string; ports: number[] }[] {
  const ports = new Map<string, number[]>()
  for (const { address, port } of part.listeners) ports.set(address, [...(ports.get(address) ?? []), port])
  return [...ports].map(([address, own]) => ({ address, ports: own }))
}

/** The rules of the data plane's pools: up first, before any verdict those that nobody knows. */
function serversOf(pool: PoolPart, { verdictOf, addressesOf, shareOf }: PlanInput): ForwardedServer[] | string {
  const able = pool.servers.filter(server => server.isEnabled && server.weight > 0)
  const inState = (verdict: Verdict): ServerSpec[] => able.filter(server => verdictOf(pool.id, server.id) === verdict)
  const up = pool.monitors.length === 0 ? able : inState('up')
  const active = new Set(up.length > 0 || pool.monitors.length === 0 ? up : inState('unknown'))
  const servers: ForwardedServer[] = []
  for (const server of pool.servers) {
    const ip = server.isName ? addressesOf(pool.id, server.id)[0] : server.host
    if (ip === undefined) continue
    const port = pool.usesServicePort === true ? null : server.port
    // In steps of 5 %, as the data plane counts them.
    const shares = pool.isWeighed === true ? Math.ceil((shareOf?.(pool.id, server.id) ?? 100) / 5) : 1
    servers.push({ key: `${pool.id}/${server.id}`, ip, port, weight: active.has(server) ? server.weight * shares : 0 })
  }
  return servers.length === 0 ? 'it has no server with an address' : servers
}
