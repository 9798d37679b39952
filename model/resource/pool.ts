import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import {
  cloudRef,
  each,
  failAction,
  flag,
  headerName,
  inTenant,
  integer,
  ipAddr,
  list,
  nested,
  oneOf,
  ref,
  shape,
  statusRange,
  text,
  toolText
} from './common.ts'
import { canonicalAddress, isHostname } from './address.ts'
import type { CheckContext, JsonObject } from './kind.ts'
import { rateLimiter } from './ratelimit.ts'
import type { Violation } from './violation.ts'

export const server = shape(
  'server',
  {
    ip: nested(ipAddr, 'Address of the server, or its name with type DNS.', { required: true, first: true }),
    hostname: text('Name of the server; resolved when resolve_server_by_dns is true.', { maxLength: 255 }),
    unix_path: text(
      'Path of a Unix socket on the host of every engine that runs the pool, instead of an address and port; ip, or hostname, is then only its name.',
      { minLength: 2, maxLength: 107, pattern: '^/[^\\u0000]+$', say: 'must be an absolute path' }
    ),
    port: integer('Port; that of the pool when left out or 0.', { min: 0, max: 65535, special: { '0': 'port of the pool' }, first: true }),
    enabled: flag('When false it gets no new connections and drains.', { default: true, first: true }),
    ratio: integer('Share of the traffic beside the other servers.', { default: 1, min: 1, max: 20, first: true }),
    preference_order: integer('Servers of the lowest order that are up get everything; the others stand by. As 1 when left out.', {
      min: 1,
      max: 128
    }),
    availability_zone: text('Zone that it is in: with locality, engines whose label zone is the same prefer it.', { maxLength: 128 }),
    resolve_server_by_dns: flag('Resolve the name again and again, by its TTL.', { default: false }),
    description: text('What it is, in your words.', {}),
    prst_hdr_val: text('Requests whose header of the persistence profile has this value go to this server.', { maxLength: 1024 }),
    external_uuid: text('Identity in the tool that made it.', {}),
    external_orchestration_id: text('Identity in the tool that made it.', {})
  },
  {
    autoscaling_group_name: '',
    discovered_networks: [],
    location: {},
    mac_address: '',
    nw_ref: '',
    rewrite_host_header: false,
    server_node: '',
    static: false,
    verify_network: false,
    vm_ref: ''
  }
)

export const connPoolProperties = shape(
  'connection pool',
  {
    upstream_connpool_conn_idle_tmo: integer('An idle connection to a server is closed after this time.', {
      default: 60000,
      min: 0,
      max: 86400000,
      unit: 'ms',
      special: { '0': 'never' }
    }),
    upstream_connpool_server_max_cache: integer('Idle connections kept for one server.', {
      default: 0,
      min: 0,
      max: 100000,
      special: { '0': 'as many as there are' }
    })
  },
  {
    upstream_connpool_conn_life_tmo: 600000,
    upstream_connpool_conn_max_reuse: 0
  }
)

const reselectStatus = shape('statuses', {
  codes: list(integer('A status.', { min: 400, max: 599 }), 'Statuses.', { maxItems: 200 }),
  ranges: list(each(statusRange), 'Ranges of statuses.', { maxItems: 100 }),
  resp_code_block: list(oneOf(['HTTP_RSP_4XX', 'HTTP_RSP_5XX'], 'A class of statuses.', {}), 'Classes of statuses.', { maxItems: 2 })
})

export const serverReselect = shape('server reselect', {
  enabled: flag('A request that a server fails goes to another one.', { default: false }),
  num_retries: integer('Other servers that are asked, at most.', { default: 4, min: 0, max: 100 }),
  retry_nonidempotent: flag('Also requests that a server may have acted on, and that must not be acted on twice.', { default: false }),
  retry_timeout: integer('Time to an answer for each further server; per_try_timeout when 0.', {
    default: 0,
    min: 0,
    max: 3600000,
    unit: 'ms',
    special: { '0': 'as the first' }
  }),
  svr_resp_code: nested(reselectStatus, 'Answers that are failures, beside broken connections and time-outs.', {}),
  per_try_timeout: integer('Time to an answer for each server. Not a field of Avi.', {
    default: 0,
    min: 0,
    max: 3600000,
    unit: 'ms',
    special: { '0': 'unlimited' }
  }),
  backoff: nested(
    shape('back-off', {
      base_interval: integer('Bound of the wait before the first retry; doubles with each.', {
        default: 25,
        min: 1,
        max: 60000,
        unit: 'ms'
      }),
      max_interval: integer('The bound grows no further.', { default: 250, min: 1, max: 60000, unit: 'ms' })
    }),
    'Retries wait, each for a random time up to a bound; at once when left out. Not a field of Avi.',
    {}
  ),
  retry_budget: nested(
    shape('retry budget', {
      percent: integer('Retries for each hundred requests.', { default: 20, min: 0, max: 1000 }),
      min_per_s: integer('Retries each second that are always allowed, on each engine.', { default: 10, min: 0, max: 100000 })
    }),
    'All retries of the pool together; unlimited when left out. Not a field of Avi.',
    {}
  )
})

export const hedge = shape('hedging', {
  delay: integer('Time without an answer after which a second server is asked; with percentile the least that it may be.', {
    default: 0,
    min: 0,
    max: 60000,
    unit: 'ms',
    special: { '0': 'by percentile alone' }
  }),
  percentile: integer('Of the times to the first byte of the pool: a request that takes longer than so many of a hundred is hedged.', {
    default: 0,
    min: 0,
    max: 99,
    special: { '0': 'by delay alone' }
  })
})

export const locality = shape('locality', {
  overprovisioning: integer(
    'A zone keeps all of its traffic as long as the share of its servers that is up, times this, is 100 % or more.',
    { default: 140, min: 100, max: 1000, unit: 'percent' }
  )
})

export const serverRate = shape(
  'server rate',
  {
    rate_limiter: nested(rateLimiter, 'How often.', { required: true }),
    action: nested(
      shape('server rate action', {
        type: oneOf(
          ['RL_ACTION_DROP_CONN', 'RL_ACTION_RESET_CONN', 'RL_ACTION_CLOSE_CONN'],
          'What is too much for a server never reaches it: it goes to another, waits in the request queue, or is refused.',
          { required: true, unsupported: ['RL_ACTION_NONE', 'RL_ACTION_LOCAL_RSP', 'RL_ACTION_REDIRECT'] }
        )
      }),
      'What becomes of what is too much.',
      { required: true }
    )
  },
  { explicit_tracking: false, fine_grain: false, http_cookie: '', http_header: '' }
)

const orOff = { '0': 'not looked at' }

export const outlierDetection = shape('outlier detection', {
  consecutive_5xx: integer('Errors in a row, of the server or of the way to it, after which it is left out.', {
    default: 5,
    min: 0,
    max: 100000,
    special: orOff
  }),
  consecutive_gateway_errors: integer('The same for 502, 503, 504 and failed connections.', {
    default: 0,
    min: 0,
    max: 100000,
    special: orOff
  }),
  consecutive_local_failures: integer('The same for connections that are refused, break or are too slow.', {
    default: 5,
    min: 0,
    max: 100000,
    special: orOff
  }),
  success_rate_deviation: integer(
    'A server whose success rate lies so far below the mean of the pool is left out: thousandths of a standard deviation, 1900 is usual.',
    { default: 0, min: 0, max: 100000, special: orOff }
  ),
  success_rate_min_servers: integer('Success rates are compared when so many servers have enough requests.', {
    default: 5,
    min: 3,
    max: 5000
  }),
  success_rate_min_requests: integer('Requests within the interval that are enough.', { default: 100, min: 1, max: 1000000 }),
  interval: integer('How often success rates are compared.', { default: 10, min: 1, max: 3600, unit: 'sec' }),
  base_ejection_time: integer('For how long a server is left out the first time; twice as long the second time, and so on.', {
    default: 30,
    min: 1,
    max: 86400,
    unit: 'sec'
  }),
  max_ejection_time: integer('The longest that a server is left out at once.', { default: 300, min: 1, max: 86400, unit: 'sec' }),
  max_ejection_percent: integer('Share of the servers that may be left out at once; at least one where it is not 0.', {
    default: 10,
    min: 0,
    max: 100
  })
})

const orUnlimited = { '0': 'unlimited' }

export const circuitBreaker = shape('circuit breaker', {
  max_requests: integer('Requests and connections that servers of the pool have at once, from each engine.', {
    default: 0,
    min: 0,
    max: 10000000,
    special: orUnlimited
  }),
  max_pending: integer('Requests that wait for a place, on each engine; the others are refused at once.', {
    default: 0,
    min: 0,
    max: 65535,
    special: { '0': 'as request_queue_enabled says' }
  }),
  max_retries: integer('Retries that are under way at once, from each engine.', {
    default: 0,
    min: 0,
    max: 10000000,
    special: orUnlimited
  })
})

function utf8Length(text: string): number {
  let bytes = 0
  for (const char of text) {
    const code = char.codePointAt(0)!
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

export const pool = defineKind({
  kind: 'pool',
  title: 'Pool',
  titlePlural: 'Pools',
  description: 'Servers that answer the same requests, how one is picked, and how their health is watched.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    ...toolText,
    enabled: flag('When false no server gets traffic.', { default: true }),
    servers: list(each(server), 'The servers.', { maxItems: 5000, first: true }),
    autoscale_policy_ref: ref('serverautoscalepolicy', 'How many servers there should be, by load, schedule and forecast.', {}),
    ipaddrgroup_ref: ref('ipaddrgroup', 'Servers from a group of addresses, beside those listed.', {}),
    default_server_port: integer('Port of servers that name none.', { default: 80, min: 1, max: 65535, first: true }),
    use_service_port: flag('Connections go to the port that the client reached, not to that of the server; layer 4 only.', {
      default: false
    }),
    enable_http2: flag('Servers are spoken to in HTTP/2: agreed on in TLS; without TLS they must know.', { default: false }),
    http1_fallback: flag(
      'With enable_http2 and TLS: servers that do not agree to HTTP/2 are spoken to in HTTP/1.1. When false that is a failed connection.',
      { default: false }
    ),
    lb_algorithm: oneOf(
      [
        'LB_ALGORITHM_LEAST_CONNECTIONS',
        'LB_ALGORITHM_ROUND_ROBIN',
        'LB_ALGORITHM_FASTEST_RESPONSE',
        'LB_ALGORITHM_CONSISTENT_HASH',
        'LB_ALGORITHM_RANDOM',
        'LB_ALGORITHM_LEAST_LOAD',
        'LB_ALGORITHM_FEWEST_SERVERS'
      ],
      'How a server is picked.',
      {
        default: 'LB_ALGORITHM_LEAST_CONNECTIONS',
        first: true,
        unsupported: ['LB_ALGORITHM_FEWEST_TASKS', 'LB_ALGORITHM_NEAREST_SERVER', 'LB_ALGORITHM_CORE_AFFINITY', 'LB_ALGORITHM_TOPOLOGY']
      }
    ),
    lb_algorithm_hash: oneOf(
      [
        'LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS',
        'LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT',
        'LB_ALGORITHM_CONSISTENT_HASH_URI',
        'LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_HEADER',
        'LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_STRING',
        'LB_ALGORITHM_CONSISTENT_HASH_COOKIE'
      ],
      'What CONSISTENT_HASH goes by; CUSTOM_STRING is what a script says, COOKIE is not a word of Avi.',
      {
        default: 'LB_ALGORITHM_CONSISTENT_HASH_SOURCE_IP_ADDRESS',
        unsupported: ['LB_ALGORITHM_CONSISTENT_HASH_CALLID']
      }
    ),
    lb_algorithm_consistent_hash_hdr: text('Header that CONSISTENT_HASH_CUSTOM_HEADER goes by.', headerName),
    lb_algorithm_consistent_hash_cookie: text('Cookie that CONSISTENT_HASH_COOKIE goes by. Not a field of Avi.', {
      ...headerName,
      say: 'must be the name of a cookie'
    }),
    locality: nested(
      locality,
      'Engines prefer servers whose availability_zone is their label zone, and spill over to the others as those fail. Not a field of Avi.',
      {}
    ),
    health_monitor_refs: list(
      ref('healthmonitor', 'A health monitor.', {}),
      'Health monitors; a server is up when they say so, or at once without any.',
      {
        maxItems: 16,
        first: true
      }
    ),
    min_health_monitors_up: integer('A server is up when at least so many of its monitors say so.', {
      default: 0,
      min: 0,
      max: 16,
      special: { '0': 'all of them' }
    }),
    ssl_profile_ref: ref('sslprofile', 'TLS to the servers, with these versions and ciphers.', {}),
    pki_profile_ref: ref('pkiprofile', 'Roots that the certificates of the servers must lead to; not verified without.', {}),
    ssl_key_and_certificate_ref: ref('sslkeyandcertificate', 'Certificate shown to the servers.', {}),
    sni_enabled: flag('Send the server name in TLS.', { default: true }),
    server_name: text('Server name sent in TLS, and verified; that of the server when left out.', { maxLength: 255 }),
    host_check_enabled: flag('The certificate of a server must be for its name.', { default: false }),
    rewrite_host_header_to_server_name: flag('Host header becomes the name of the server.', { default: false }),
    rewrite_host_header_to_sni: flag('Host header becomes the server name sent in TLS.', { default: false }),
    max_concurrent_connections_per_server: integer(
      'Requests under way, and connections of layer 4, that one server has at most from each engine.',
      {
        default: 0,
        min: 0,
        max: 1000000,
        special: { '0': 'unlimited' }
      }
    ),
    server_timeout: integer('Time to the first byte of an answer.', {
      default: 0,
      min: 0,
      max: 21600000,
      unit: 'ms',
      special: { '0': 'unlimited' }
    }),
    server_stall_timeout: integer(
      'Time that a server may pause in the middle of an answer, or take nothing of a request. Not a field of Avi.',
      {
        default: 300000,
        min: 0,
        max: 86400000,
        unit: 'ms',
        special: { '0': 'unlimited' }
      }
    ),
    conn_pool_properties: nested(connPoolProperties, 'Connections that are kept for the next request.', {}),
    request_queue_enabled: flag('Requests wait when every server is at its limit, instead of failing.', { default: false }),
    request_queue_depth: integer('Requests that may wait.', { default: 128, min: 1, max: 65535 }),
    fail_action: nested(failAction, 'What clients get when no server can answer; the connection closes when left out.', {}),
    graceful_disable_timeout: integer('Time that a disabled or removed server may finish what it has.', {
      default: 1,
      min: -1,
      max: 7200,
      unit: 'min',
      special: { '0': 'at once', '-1': 'without end' }
    }),
    server_reselect: nested(serverReselect, 'What becomes of a request that a server fails.', {}),
    hedge: nested(
      hedge,
      'A GET, HEAD or OPTIONS that is not answered in time goes to a second server as well, and the first answer counts. Not a field of Avi.',
      {}
    ),
    application_persistence_profile_ref: ref('applicationpersistenceprofile', 'How a client stays with its server.', {}),
    server_disable_type: oneOf(
      ['DISALLOW_NEW_CONNECTION', 'ALLOW_NEW_CONNECTION_IF_PERSISTENCE_PRESENT'],
      'Whether clients that are bound to a disabled server may go on with it, for its graceful_disable_timeout.',
      { default: 'DISALLOW_NEW_CONNECTION' }
    ),
    connection_ramp_duration: integer(
      'Time in which a server that came up reaches its share, with LEAST_CONNECTIONS, LEAST_LOAD and FASTEST_RESPONSE.',
      {
        default: 10,
        min: 0,
        max: 300,
        unit: 'min',
        special: { '0': 'at once' }
      }
    ),
    max_conn_rate_per_server: nested(serverRate, 'Requests and connections that one server gets in a time, from each engine.', {}),
    outlier_detection: nested(outlierDetection, 'Servers that fail requests are left out for a while. Not a field of Avi.', {}),
    circuit_breaker: nested(circuitBreaker, 'What the pool is given at once. Not a field of Avi.', {}),
    cloud_ref: cloudRef
  },
  unsupported: {
    analytics_policy: {},
    analytics_profile_ref: '',
    append_port: 'NON_DEFAULT_80_443',
    autoscale_launch_config_ref: '',
    autoscale_networks: [],
    capacity_estimation: false,
    capacity_estimation_ttfb_thresh: 0,
    delete_server_on_dns_refresh: true,
    domain_name: [],
    east_west: false,
    external_autoscale_groups: [],
    fewest_tasks_feedback_delay: 10,
    graceful_hm_down_disable_timeout: -1,
    gslb_sp_enabled: false,
    horizon_profile: {},
    http2_properties: { max_http2_header_field_size: 4096 },
    ignore_server_port: false,
    inline_health_monitor: true,
    lb_algo_rr_per_se: false,
    lb_algorithm_core_nonaffinity: 2,
    lookup_server_by_name: false,
    min_servers_up: 0,
    networks: [],
    nsx_securitygroup: [],
    placement_networks: [],
    pool_type: 'POOL_TYPE_GENERIC_APP',
    resolve_pool_by_dns: false,
    routing_pool: false,
    sp_gs_info: {},
    tier1_lr: '',
    use_service_ssl_mode: false,
    vrf_ref: ''
  },
  check: (body, context) => {
    const violations: Violation[] = []
    const say = (pointer: string, message: string): number => violations.push({ pointer, message })
    const seen = new Map<string, number>()
    for (const [i, one] of (body.servers ?? []).entries()) {
      const isResolved = one.resolve_server_by_dns && one.hostname !== undefined && one.hostname !== ''
      const host = isResolved ? one.hostname!.toLowerCase() : canonicalAddress(one.ip.addr.toLowerCase())
      if (one.resolve_server_by_dns && one.ip.type !== 'DNS' && !isResolved)
        say(`/servers/${i}/hostname`, 'is required, because resolve_server_by_dns is true')
      if (isResolved && !isHostname(one.hostname!)) say(`/servers/${i}/hostname`, 'must be a host name')
      const path = one.unix_path
      if (path !== undefined) {
        // What the kernel takes, in bytes, with the zero behind it: unix(7).
        if (utf8Length(path) > 107) say(`/servers/${i}/unix_path`, 'must have at most 107 bytes')
        if (path.split('/').some(part => part === '..' || part === '.')) say(`/servers/${i}/unix_path`, 'must be without . and ..')
        if (one.resolve_server_by_dns) say(`/servers/${i}/resolve_server_by_dns`, 'must be false, because unix_path is there')
        if (body.use_service_port) say('/use_service_port', `must be false, because /servers/${i} has a unix_path`)
        for (const [j, ref] of (body.health_monitor_refs ?? []).entries()) {
          const monitor = context.resource('healthmonitor', ref)
          const isStream = ['HEALTH_MONITOR_TCP', 'HEALTH_MONITOR_HTTP', 'HEALTH_MONITOR_HTTPS'].some(type => monitor?.['type'] === type)
          if (monitor !== undefined && (!isStream || ((monitor['monitor_port'] ?? 0) as number) > 0))
            say(`/health_monitor_refs/${j}`, `must be TCP, HTTP or HTTPS without a monitor_port, because /servers/${i} has a unix_path`)
        }
      }
      const key =
        path !== undefined ? `unix:${path}` : `${host} ${one.port === undefined || one.port === 0 ? body.default_server_port : one.port}`
      const other = seen.get(key)
      if (other !== undefined) say(`/servers/${i}`, `is the same server as /servers/${other}`)
      seen.set(key, i)
    }
    for (const [hash, field] of [
      ['LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_HEADER', 'lb_algorithm_consistent_hash_hdr'],
      ['LB_ALGORITHM_CONSISTENT_HASH_COOKIE', 'lb_algorithm_consistent_hash_cookie']
    ] as const)
      if (body.lb_algorithm === 'LB_ALGORITHM_CONSISTENT_HASH' && body.lb_algorithm_hash === hash && body[field] === undefined)
        say(`/${field}`, `is required, because lb_algorithm_hash is ${hash}`)
    if (body.min_health_monitors_up > (body.health_monitor_refs ?? []).length)
      say('/min_health_monitors_up', `must not be above the number of monitors (${(body.health_monitor_refs ?? []).length})`)
    if (body.http1_fallback && body.ssl_profile_ref === undefined)
      say('/http1_fallback', 'needs ssl_profile_ref: without TLS nothing is agreed on')
    if (body.ssl_profile_ref === undefined)
      for (const name of ['pki_profile_ref', 'ssl_key_and_certificate_ref'] as const)
        if (body[name] !== undefined) say(`/${name}`, 'needs ssl_profile_ref')
    if (body.use_service_port)
      for (const [i, ref] of (body.health_monitor_refs ?? []).entries()) {
        const monitor = context.resource('healthmonitor', ref)
        if (monitor !== undefined && monitor['type'] !== 'HEALTH_MONITOR_PING' && !(((monitor['monitor_port'] ?? 0) as number) > 0))
          say(`/health_monitor_refs/${i}`, 'must have a monitor_port, because use_service_port is true')
      }
    if (body.host_check_enabled && body.pki_profile_ref === undefined) say('/host_check_enabled', 'needs pki_profile_ref')
    if (body.rewrite_host_header_to_server_name && body.rewrite_host_header_to_sni)
      say('/rewrite_host_header_to_sni', 'must not be true beside rewrite_host_header_to_server_name')
    if (body.lb_algorithm === 'LB_ALGORITHM_FEWEST_SERVERS' && body.max_concurrent_connections_per_server === 0)
      say('/max_concurrent_connections_per_server', 'must say when a server is full, because lb_algorithm is LB_ALGORITHM_FEWEST_SERVERS')
    if (body.locality !== undefined && !(body.servers ?? []).some(({ availability_zone: zone = '' }) => zone !== ''))
      say('/locality', 'needs servers with an availability_zone')
    if (body.hedge !== undefined) {
      if (body.hedge.delay === 0 && body.hedge.percentile === 0) say('/hedge', 'needs a delay or a percentile')
      if (body.hedge.percentile > 0 && body.hedge.percentile < 50) say('/hedge/percentile', 'must be 0, or from 50 to 99')
      if (body.application_persistence_profile_ref !== undefined)
        say('/hedge', 'must not be there beside application_persistence_profile_ref: a client that stays with its server has no second one')
    }
    violations.push(...persistenceViolations(body.application_persistence_profile_ref, context))
    violations.push(...failActionViolations(body.fail_action))
    if (context.uuid !== undefined && body.fail_action?.backup_pool?.backup_pool_ref === context.uuid)
      say('/fail_action/backup_pool/backup_pool_ref', 'must be another pool')
    return violations
  }
})
export type Pool = Written<typeof pool.fields>
export type FilledPool = Filled<typeof pool.fields>

/** A fail action must carry what its type needs. */
export function failActionViolations(action: FilledPool['fail_action']): Violation[] {
  if (action?.type === 'FAIL_ACTION_HTTP_REDIRECT' && action.redirect === undefined)
    return [{ pointer: '/fail_action/redirect', message: 'is required, because type is FAIL_ACTION_HTTP_REDIRECT' }]
  if (action?.type === 'FAIL_ACTION_BACKUP_POOL' && action.backup_pool === undefined)
    return [{ pointer: '/fail_action/backup_pool', message: 'is required, because type is FAIL_ACTION_BACKUP_POOL' }]
  return []
}

function persistenceViolations(ref: string | undefined, context: CheckContext): Violation[] {
  const pointer = '/application_persistence_profile_ref'
  const profile = ref === undefined ? undefined : context.resource('applicationpersistenceprofile', ref)
  const header = profile?.['hdr_persistence_profile'] as JsonObject | undefined
  if (profile?.['persistence_type'] === 'PERSISTENCE_TYPE_CUSTOM_HTTP_HEADER' && header?.['prst_hdr_name'] === undefined)
    return [{ pointer, message: 'is a profile that does not name its header' }]
  return []
}
