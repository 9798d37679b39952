/** One form, three objects: what the new-service form sends as one transaction. */
import type { JsonObject } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import { addressValue, parseServers } from '../form/address.ts'
import { referenceTo } from '../feed/reference.ts'

export interface NewService {
  readonly name: string
  /** Address of a new vsvip; used when `vsvipUuid` is null. */
  readonly address: string
  readonly vsvipUuid: string | null
  readonly port: number
  readonly isTls: boolean
  readonly certificateUuid: string | null
  readonly isTcp: boolean
  /** Servers as typed; used when `poolUuid` is null. */
  readonly servers: string
  readonly poolUuid: string | null
  readonly defaultServerPort: number
  readonly algorithm: string
  readonly monitorUuids: readonly string[]
  readonly groupUuid: string | null
  /** Uuid of the L4 application profile, for a TCP service. */
  readonly tcpProfileUuid: string | null
}

/** The fields of the form that a violation can be shown at. */
export type NewServiceField =
  | 'name'
  | 'address'
  | 'port'
  | 'certificate'
  | 'servers'
  | 'defaultServerPort'
  | 'monitors'
  | 'algorithm'
  | 'group'

function vipOf(address: string): JsonObject {
  const { addr, type } = addressValue(address)
  return { vip_id: '0', [type === 'V6' ? 'ip6_address' : 'ip_address']: { addr, type: type === 'V6' ? 'V6' : 'V4' } }
}

/** The body of `POST /api/macro`. Fields at their defaults are left out. */
export function macroOf(service: NewService): JsonObject {
  const { name } = service
  const pool: JsonObject = {
    name: `${name}-pool`,
    default_server_port: service.defaultServerPort,
    lb_algorithm: service.algorithm,
    servers: parseServers(service.servers).map(server => ({ ...server, ip: { ...server.ip } })),
    ...(service.monitorUuids.length === 0
      ? {}
      : { health_monitor_refs: service.monitorUuids.map(uuid => referenceTo('healthmonitor', uuid)) })
  }
  return {
    model_name: 'VirtualService',
    data: {
      name,
      services: [{ port: service.port, ...(service.isTls ? { enable_ssl: true } : {}) }],
      ...(service.vsvipUuid === null
        ? { vsvip_ref_data: { name: `${name}-vip`, vip: [vipOf(service.address)] } }
        : { vsvip_ref: referenceTo('vsvip', service.vsvipUuid) }),
      ...(service.poolUuid === null ? { pool_ref_data: pool } : { pool_ref: referenceTo('pool', service.poolUuid) }),
      ...(service.isTls && service.certificateUuid !== null
        ? { ssl_key_and_certificate_refs: [referenceTo('sslkeyandcertificate', service.certificateUuid)] }
        : {}),
      ...(service.isTcp && service.tcpProfileUuid !== null
        ? { application_profile_ref: referenceTo('applicationprofile', service.tcpProfileUuid) }
        : {}),
      ...(service.groupUuid === null ? {} : { se_group_ref: referenceTo('serviceenginegroup', service.groupUuid) })
    }
  }
}

const places: readonly (readonly [pattern: RegExp, field: NewServiceField])[] = [
  [/\/vip(\/|$)|vsvip_ref/u, 'address'],
  [/\/servers(\/|$)/u, 'servers'],
  [/\/default_server_port$/u, 'defaultServerPort'],
  [/\/lb_algorithm$/u, 'algorithm'],
  [/\/health_monitor_refs/u, 'monitors'],
  [/ssl_key_and_certificate_refs/u, 'certificate'],
  [/se_group_ref/u, 'group'],
  [/\/services(\/|$)/u, 'port'],
  [/\/name$/u, 'name']
]

/**
 * Which field of the form shows a violation of the macro; a pool or vsvip of that name that exists is the name's.
 *
 * Returns the rest in `others`
 */
export function layMacroViolations(violations: readonly Violation[]): {
  readonly byField: Readonly<Partial<Record<NewServiceField, string>>>
  readonly others: readonly Violation[]
} {
  const byField: Partial<Record<NewServiceField, string>> = {}
  const others: Violation[] = []
  for (const violation of violations) {
    const field = places.find(([pattern]) => pattern.test(violation.pointer))?.[1]
    if (field === undefined) others.push(violation)
    else byField[field] = byField[field] === undefined ? violation.message : `${byField[field]}; ${violation.message}`
  }
  return { byField, others }
}
