/**
 * Two virtual services may not listen for the same address, protocol and port on engines that overlap. Judged on virtual
 * services, never on vsvips: several may share one vsvip with different ports.
 */
import { canonicalAddress } from './address.ts'
import type { CheckContext, JsonObject } from './kind.ts'
import type { Violation } from './violation.ts'

export type Protocol = 'TCP' | 'UDP'

/** The group of a virtual service that names none. */
export const DEFAULT_GROUP = 'Default-Group'

export interface Listener {
  readonly address: string
  readonly protocol: Protocol
  readonly port: number
}

interface ListeningService {
  readonly uuid: string
  readonly name: string
  /** Uuid of its engine group. */
  readonly group: string
  readonly listeners: readonly Listener[]
}

export interface Conflict {
  readonly listener: Listener
  readonly owners: readonly [ListeningService, ListeningService]
}

type Lookup = Pick<CheckContext, 'resource'>
interface ServiceLike {
  readonly network_profile_ref?: unknown
}

const objectsIn = (value: unknown): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter((item): item is JsonObject => typeof item === 'object' && item !== null && !Array.isArray(item)) : []
const textIn = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Protocol of a virtual service, from its network profile. */
export function protocolOf(body: ServiceLike, context: Lookup): Protocol {
  const reference = textIn(body.network_profile_ref)
  const profile = reference === '' ? undefined : context.resource('networkprofile', reference)
  const union = profile?.['profile']
  const type = typeof union === 'object' && union !== null && !Array.isArray(union) ? textIn((union as JsonObject)['type']) : ''
  return type.startsWith('PROTOCOL_TYPE_UDP') ? 'UDP' : 'TCP'
}

/** Addresses of a vsvip that are listened for, in their one spelling. */
export function addressesOf(vsvip: JsonObject | undefined): string[] {
  return objectsIn(vsvip?.['vip'])
    .filter(vip => vip['enabled'] !== false)
    .flatMap(vip => [vip['ip_address'], vip['ip6_address']])
    .flatMap(address =>
      typeof address === 'object' && address !== null && !Array.isArray(address) ? [textIn((address as JsonObject)['addr'])] : []
    )
    .filter(address => address !== '')
    .map(canonicalAddress)
}

/** Every port of a service: one, or a range. */
export function portsOf(service: { readonly port?: unknown; readonly port_range_end?: unknown }): number[] {
  const { port, port_range_end: end } = service
  if (typeof port !== 'number') return []
  const last = typeof end === 'number' && end > port ? Math.min(end, 65_535) : port
  return Array.from({ length: last - port + 1 }, (_, i) => port + i)
}

/** What a virtual service listens for; nothing when it is disabled. */
export function listenersOf(body: JsonObject, context: Lookup): Listener[] {
  if (body['enabled'] === false) return []
  const protocol = protocolOf(body, context)
  const ports = objectsIn(body['services']).flatMap(portsOf)
  return addressesOf(context.resource('vsvip', textIn(body['vsvip_ref']))).flatMap(address =>
    ports.map(port => ({ address, protocol, port }))
  )
}

/**
 * Finds every listener of `candidates` that another virtual service holds already.
 *
 * Shapes  candidates: being written, uuid undefined when it is new; their stored state in `context.all` is left aside
 * Cost    one look at each virtual service that may listen at the same place
 */
export function conflictsOf(
  candidates: readonly { readonly uuid: string | undefined; readonly body: JsonObject }[],
  context: Pick<CheckContext, 'resource' | 'all' | 'listening'>
): Conflict[] {
  const defaultGroup = context.all('serviceenginegroup').find(({ body }) => body['name'] === DEFAULT_GROUP)?.uuid ?? ''
  const groupOf = (body: JsonObject): string => textIn(body['se_group_ref']) || defaultGroup
  const own: ListeningService[] = candidates.map(({ uuid, body }) => ({
    uuid: uuid ?? '',
    name: textIn(body['name']),
    group: groupOf(body),
    listeners: listenersOf(body, context)
  }))
  const taken = new Map<string, ListeningService>()
  const conflicts: Conflict[] = []
  for (const service of own)
    for (const listener of service.listeners) {
      const key = keyOf(service.group, listener)
      const other = taken.get(key)
      if (other !== undefined && other !== service) conflicts.push({ listener, owners: [service, other] })
      else taken.set(key, service)
    }
  if (taken.size === 0) return conflicts

  const written = new Set(candidates.map(({ uuid }) => uuid))
  for (const { uuid, body } of context.listening(own.flatMap(({ listeners }) => listeners))) {
    if (written.has(uuid)) continue
    const group = groupOf(body)
    for (const listener of listenersOf(body, context)) {
      const holder = taken.get(keyOf(group, listener))
      if (holder === undefined) continue
      conflicts.push({ listener, owners: [holder, { uuid, name: textIn(body['name']), group, listeners: [] }] })
    }
  }
  return conflicts
}

const keyOf = (group: string, { address, protocol, port }: Listener): string => `${group} ${protocol} ${address} ${port}`

/** Address and port as people write them. */
export const listenerInWords = ({ address, protocol, port }: Listener): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port} (${protocol})`

/** The conflicts as violations of one document; both owners are named. */
export function conflictViolations(
  candidates: readonly { readonly uuid: string | undefined; readonly body: JsonObject }[],
  context: Pick<CheckContext, 'resource' | 'all' | 'listening'>,
  pointer: string
): Violation[] {
  return conflictsOf(candidates, context).map(({ listener, owners: [own, other] }) => ({
    pointer,
    message: `${listenerInWords(listener)} of virtual service ${own.name} is already listened for by virtual service ${other.name}`
  }))
}
