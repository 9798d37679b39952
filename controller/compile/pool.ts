/** Pools, their servers and monitors. */
import { canonicalAddress } from '#model/resource/address.ts'
import type { FilledKind } from '#model/resource/catalogue.ts'
import { resilienceOf } from './resilience.ts'
import { upstreamTls } from './tls.ts'
import type {
  BalanceSpec,
  FailAction,
  MonitorSpec,
  PoolPart,
  ProbeSpec,
  ServerSpec,
  StickySpec,
  TargetSpec,
  UpstreamTlsSpec
} from '#model/snapshot/snapshot.ts'
import type { Read, Reader } from './resources.ts'

type Pool = FilledKind['pool']
type Monitor = FilledKind['healthmonitor']

/** Not a setting of Avi: long enough for a far server, short enough to try another. */
const CONNECT_TIMEOUT_MS = 5_000
/** `never` and `as many as there are`, in numbers that a timer and a list can take. */
const NEVER_MS = 86_400_000
const ALL_IDLE = 10_000
/** What engines do anyway. */
const USUAL_STALL_MS = 300_000
/** The longest that a timer takes is a little less than 25 days. */
const WITHOUT_END_S = 2_000_000

export function poolPart(reader: Reader, read: Read<'pool'>): PoolPart {
  const { uuid, name, tenant, body } = read
  const servers = serversOf(reader, body)
  const tls = tlsOf(reader, body)
  const connections = body.conn_pool_properties
  const idleMs = connections?.upstream_connpool_conn_idle_tmo ?? 60_000
  return {
    kind: 'pool',
    id: uuid,
    name,
    tenant,
    algorithm: algorithmOf(body),
    servers,
    monitors: (body.health_monitor_refs ?? []).map(ref => monitorOf(reader, reader.need('healthmonitor', ref), tls)),
    minMonitorsUp: body.min_health_monitors_up,
    ...((body.health_monitor_refs ?? []).some(ref => weighs(reader.need('healthmonitor', ref).body)) ? { isWeighed: true as const } : {}),
    tls,
    ...(body.enable_http2 ? { isHttp2: true } : {}),
    ...(body.http1_fallback ? { isHttp1Allowed: true } : {}),
    maxConnectionsPerServer: body.max_concurrent_connections_per_server === 0 ? null : body.max_concurrent_connections_per_server,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    serverTimeoutMs: body.server_timeout === 0 ? null : body.server_timeout,
    ...(body.server_stall_timeout === USUAL_STALL_MS ? {} : { stallTimeoutMs: body.server_stall_timeout }),
    idleConnectionTimeoutMs: idleMs === 0 ? NEVER_MS : idleMs,
    maxIdleConnectionsPerServer:
      connections === undefined || connections.upstream_connpool_server_max_cache === 0
        ? ALL_IDLE
        : connections.upstream_connpool_server_max_cache,
    rewritesHost: body.rewrite_host_header_to_sni ? 'sni' : body.rewrite_host_header_to_server_name ? 'server-name' : 'no',
    queue: body.request_queue_enabled ? { depth: body.request_queue_depth } : null,
    failAction: failActionOf(reader, body.fail_action),
    gracefulDisableS: body.graceful_disable_timeout < 0 ? WITHOUT_END_S : body.graceful_disable_timeout * 60,
    ...(body.use_service_port ? { usesServicePort: true } : {}),
    ...(body.locality === undefined ? {} : { locality: { overprovisioning: body.locality.overprovisioning / 100 } }),
    ...resilienceOf(reader, read, servers)
  }
}

function algorithmOf(pool: Pool): BalanceSpec {
  switch (pool.lb_algorithm) {
    case 'LB_ALGORITHM_ROUND_ROBIN':
      return { is: 'round-robin' }
    case 'LB_ALGORITHM_LEAST_CONNECTIONS':
      return { is: 'least-connections' }
    case 'LB_ALGORITHM_FASTEST_RESPONSE':
      return { is: 'fastest-response' }
    case 'LB_ALGORITHM_RANDOM':
      return { is: 'random' }
    case 'LB_ALGORITHM_LEAST_LOAD':
      return { is: 'least-load' }
    case 'LB_ALGORITHM_FEWEST_SERVERS':
      return { is: 'fewest-servers', capacity: Math.max(1, pool.max_concurrent_connections_per_server) }
    case 'LB_ALGORITHM_CONSISTENT_HASH':
      return {
        is: 'consistent-hash',
        by: hashOf[pool.lb_algorithm_hash],
        header: pool.lb_algorithm_consistent_hash_hdr ?? null,
        ...(pool.lb_algorithm_consistent_hash_cookie === undefined ? {} : { cookie: pool.lb_algorithm_consistent_hash_cookie })
      }
  }
}

const hashOf = {
  LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS: 'source-address',
  LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT: 'source-address-and-port',
  LB_ALGORITHM_CONSISTENT_HASH_URI: 'uri',
  LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_HEADER: 'header',
  LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_STRING: 'text',
  LB_ALGORITHM_CONSISTENT_HASH_COOKIE: 'cookie'
} as const

export const serverId = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

function serversOf(reader: Reader, pool: Pool): ServerSpec[] {
  const group = pool.ipaddrgroup_ref === undefined ? undefined : reader.need('ipaddrgroup', pool.ipaddrgroup_ref).body
  return serverSpecs(
    pool,
    (group?.addrs ?? []).map(({ addr }) => addr)
  )
}

/**
 * The servers of a pool as engines know them.
 *
 * Shapes  groupAddresses: of its `ipaddrgroup_ref`; servers beside those listed, none twice
 */
export function serverSpecs(pool: Pool, groupAddresses: readonly string[]): ServerSpec[] {
  const servers = new Map<string, ServerSpec>()
  for (const one of pool.servers ?? []) {
    const given = one.hostname === undefined || one.hostname === '' ? null : one.hostname
    const path = one.unix_path
    const isName = path === undefined && (one.ip.type === 'DNS' || (one.resolve_server_by_dns && given !== null))
    const host =
      path !== undefined
        ? (given ?? one.ip.addr).toLowerCase()
        : isName
          ? (given ?? one.ip.addr).toLowerCase()
          : canonicalAddress(one.ip.addr)
    const port = one.port === undefined || one.port === 0 ? pool.default_server_port : one.port
    const id = path === undefined ? serverId(host, port) : `unix:${path}`
    servers.set(id, {
      id,
      host,
      port,
      ...(path === undefined ? {} : { path }),
      isName,
      isEnabled: pool.enabled && one.enabled,
      weight: one.ratio,
      ...((one.availability_zone ?? '') === '' ? {} : { zone: one.availability_zone! }),
      ...((one.preference_order ?? 1) === 1 ? {} : { order: one.preference_order! }),
      hostHeader: given ?? (isName ? host : null)
    })
  }
  for (const addr of groupAddresses) {
    const host = canonicalAddress(addr)
    const id = serverId(host, pool.default_server_port)
    if (!servers.has(id))
      servers.set(id, { id, host, port: pool.default_server_port, isName: false, isEnabled: pool.enabled, weight: 1, hostHeader: null })
  }
  return [...servers.values()]
}

function tlsOf(reader: Reader, pool: Pool): UpstreamTlsSpec | null {
  if (pool.ssl_profile_ref === undefined) return null
  return upstreamTls(reader, {
    sslProfile: pool.ssl_profile_ref,
    pkiProfile: pool.pki_profile_ref,
    certificate: pool.ssl_key_and_certificate_ref,
    isSniEnabled: pool.sni_enabled,
    serverName: pool.server_name,
    isHostChecked: pool.host_check_enabled
  })
}

function monitorOf(reader: Reader, { uuid, name, body }: Read<'healthmonitor'>, poolTls: UpstreamTlsSpec | null): MonitorSpec {
  return {
    id: uuid,
    name,
    probe: probeOf(reader, body, poolTls),
    sendIntervalMs: body.send_interval * 1000,
    receiveTimeoutMs: body.receive_timeout * 1000,
    successfulChecks: body.successful_checks,
    failedChecks: body.failed_checks,
    port: body.monitor_port === undefined || body.monitor_port === 0 ? null : body.monitor_port,
    isQuickStart: !body.disable_quickstart
  }
}

function weighs({ tcp_monitor: tcp, http_monitor: http, https_monitor: https }: Monitor): boolean {
  return tcp?.agent_check === true || (http ?? https)?.weight_header !== undefined
}

function probeOf(reader: Reader, monitor: Monitor, poolTls: UpstreamTlsSpec | null): ProbeSpec {
  switch (monitor.type) {
    case 'HEALTH_MONITOR_PING':
      return { is: 'ping' }
    case 'HEALTH_MONITOR_TCP': {
      const tcp = monitor.tcp_monitor
      return {
        is: 'tcp',
        request: tcp?.tcp_request ?? null,
        response: tcp?.tcp_response ?? null,
        maintenanceResponse: tcp?.maintenance_response ?? null,
        isHalfOpen: tcp?.tcp_half_open ?? false,
        ...(tcp?.agent_check === true ? { isAgent: true as const } : {})
      }
    }
    case 'HEALTH_MONITOR_UDP': {
      const udp = monitor.udp_monitor
      return {
        is: 'udp',
        request: udp?.udp_request ?? null,
        response: udp?.udp_response ?? null,
        maintenanceResponse: udp?.maintenance_response ?? null
      }
    }
    case 'HEALTH_MONITOR_HTTP':
      return httpProbe(reader, 'http', monitor, poolTls)
    case 'HEALTH_MONITOR_HTTPS':
      return httpProbe(reader, 'https', monitor, poolTls)
    case 'HEALTH_MONITOR_GRPC': {
      const own = monitor.grpc_monitor?.ssl_attributes
      return { is: 'grpc', service: monitor.grpc_monitor?.service ?? '', tls: own === undefined ? poolTls : monitorTls(reader, own) }
    }
    case 'HEALTH_MONITOR_DNS':
      return dnsProbe(monitor)
    case 'HEALTH_MONITOR_EXTERNAL':
      return externalProbe(monitor)
  }
}

const acceptedOf = { DNS_QUERY_TYPE: 'type', DNS_ANY_TYPE: 'record', DNS_ANY_THING: 'anything' } as const

/** Numbers of the record types (RFC 1035 §3.2.2 and the registry of IANA). */
const recordTypes = {
  DNS_RECORD_A: 1,
  DNS_RECORD_NS: 2,
  DNS_RECORD_CNAME: 5,
  DNS_RECORD_SOA: 6,
  DNS_RECORD_PTR: 12,
  DNS_RECORD_HINFO: 13,
  DNS_RECORD_MX: 15,
  DNS_RECORD_TXT: 16,
  DNS_RECORD_RP: 17,
  DNS_RECORD_AAAA: 28,
  DNS_RECORD_SRV: 33,
  DNS_RECORD_RRSIG: 46,
  DNS_RECORD_DNSKEY: 48,
  DNS_RECORD_ANY: 255
} as const

function dnsProbe({ dns_monitor: dns }: Monitor): ProbeSpec {
  return {
    is: 'dns',
    name: dns?.query_name ?? '.',
    recordType: recordTypes[dns?.record_type ?? 'DNS_RECORD_A'],
    accepts: acceptedOf[dns?.qtype ?? 'DNS_QUERY_TYPE'],
    isErrorAccepted: dns?.rcode === 'RCODE_ANYTHING',
    expected: dns?.response_string === undefined || dns.response_string === '' ? null : dns.response_string
  }
}

const wordsOf = (text: string): string[] => text.split(/\s+/).filter(word => word !== '')

function externalProbe({ external_monitor: external }: Monitor): ProbeSpec {
  return {
    is: 'external',
    code: external?.command_code ?? '',
    parameters: wordsOf(external?.command_parameters ?? ''),
    variables: Object.fromEntries(
      wordsOf(external?.command_variables ?? '').map(word => {
        const at = word.indexOf('=')
        return [word.slice(0, at), word.slice(at + 1)] as const
      })
    )
  }
}

type MonitorTls = NonNullable<NonNullable<Monitor['grpc_monitor']>['ssl_attributes']>

function monitorTls(reader: Reader, own: MonitorTls): UpstreamTlsSpec {
  return upstreamTls(reader, {
    sslProfile: own.ssl_profile_ref,
    pkiProfile: own.pki_profile_ref,
    certificate: own.ssl_key_and_certificate_ref,
    isSniEnabled: true,
    serverName: own.server_name,
    isHostChecked: own.pki_profile_ref !== undefined && own.server_name !== undefined
  })
}

const statusOf = {
  HTTP_ANY: { from: 100, to: 599 },
  HTTP_1XX: { from: 100, to: 199 },
  HTTP_2XX: { from: 200, to: 299 },
  HTTP_3XX: { from: 300, to: 399 },
  HTTP_4XX: { from: 400, to: 499 },
  HTTP_5XX: { from: 500, to: 599 }
} as const

function httpProbe(reader: Reader, is: 'http' | 'https', monitor: Monitor, poolTls: UpstreamTlsSpec | null): ProbeSpec {
  const http = is === 'http' ? monitor.http_monitor : monitor.https_monitor
  const codes = http?.http_response_code ?? []
  const own = http?.ssl_attributes
  const tls = own === undefined ? poolTls : monitorTls(reader, own)
  return {
    is,
    request: http?.http_request ?? 'GET / HTTP/1.0',
    isExactRequest: http?.exact_http_request ?? false,
    statusRanges: (codes.length === 0 ? (['HTTP_2XX'] as const) : codes).map(code => statusOf[code]),
    bodyContains: http?.http_response === undefined || http.http_response === '' ? null : http.http_response,
    maintenanceStatuses: http?.maintenance_code ?? [],
    maintenanceBody: http?.maintenance_response === undefined || http.maintenance_response === '' ? null : http.maintenance_response,
    tls: is === 'https' ? tls : null,
    authorization: http?.auth_type === undefined ? null : authorizationOf(reader, monitor),
    ...((http?.http_request_body ?? '') === '' ? {} : { body: http?.http_request_body ?? '' }),
    ...(http === undefined || http.response_size === 2048 ? {} : { maxBodyBytes: http.response_size }),
    ...(http?.weight_header === undefined ? {} : { weightHeader: http.weight_header.toLowerCase() })
  }
}

/** Basic credentials (RFC 7617); the password is sealed in the store. */
function authorizationOf(reader: Reader, { authentication }: Monitor): string | null {
  if (authentication === undefined) return null
  return `Basic ${Buffer.from(`${authentication.username}:${reader.openSecret(authentication.password)}`).toString('base64')}`
}

export const statusNumber = (name: string): number => Number(name.slice(-3))

export function failActionOf(reader: Reader, action: Pool['fail_action']): FailAction {
  if (action?.type === 'FAIL_ACTION_BACKUP_POOL' && action.backup_pool !== undefined)
    return { is: 'pool', poolId: reader.poolPart(action.backup_pool.backup_pool_ref) }
  if (action?.type === 'FAIL_ACTION_HTTP_REDIRECT' && action.redirect !== undefined) {
    const { protocol, host, path = '', query = '', status_code: status } = action.redirect
    const target = `${path === '' || path.startsWith('/') ? path : `/${path}`}${query === '' ? '' : `?${query}`}`
    return { is: 'redirect', location: `${protocol.toLowerCase()}://${host}${target}`, status: statusNumber(status) }
  }
  if (action?.type === 'FAIL_ACTION_HTTP_LOCAL_RSP') {
    const { status_code: status = 'FAIL_HTTP_STATUS_CODE_503', file } = action.local_rsp ?? {}
    return { is: 'respond', status: statusNumber(status), ...bodyOf(file) }
  }
  return { is: 'close' }
}

/** The body of an answer of ours, in the form that survives JSON. */
export function bodyOf(file: { readonly content_type: string; readonly file_content: string } | undefined): {
  readonly contentType: string
  readonly bodyBase64: string
} {
  return { contentType: file?.content_type ?? '', bodyBase64: Buffer.from(file?.file_content ?? '').toString('base64') }
}

/** Where traffic goes: a pool, or the members of a group. */
export function targetOf(
  reader: Reader,
  ref: { readonly pool: string | undefined; readonly group: string | undefined }
): TargetSpec | null {
  if (ref.pool !== undefined) return { is: 'pool', poolId: reader.poolPart(ref.pool) }
  if (ref.group === undefined) return null
  const { uuid, name, body } = reader.need('poolgroup', ref.group)
  return {
    is: 'group',
    id: uuid,
    name,
    members: (body.members ?? []).map(({ pool_ref: pool, ratio, priority_label: priority = '' }) => ({
      poolId: reader.poolPart(pool, body.enable_http2),
      ratio,
      priority: Number(priority)
    })),
    failAction: failActionOf(reader, body.fail_action),
    ...(body.sticky === undefined ? {} : { sticky: stickyOf(body.sticky) })
  }
}

function stickyOf({ by, name, max_age: maxAgeS }: NonNullable<FilledKind['poolgroup']['sticky']>): StickySpec {
  if (by === 'HEADER') return { by: 'header', name: (name ?? '').toLowerCase() }
  return by === 'COOKIE' ? { by: 'cookie', name: name ?? 'weir_side', maxAgeS } : { by: 'client-address' }
}
