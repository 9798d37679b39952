import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { cloudRef, each, flag, inTenant, integer, list, nested, oneOf, ref, shape, text, toolText } from './common.ts'
import { bandwidth } from './bandwidth.ts'
import { contentRewriteProfile, contentRewriteViolations } from './contentrewrite.ts'
import { corsPolicy, corsViolations } from './cors.ts'
import { faultInjection } from './fault.ts'
import { conflictViolations, DEFAULT_GROUP, portsOf, protocolOf } from './conflict.ts'
import type { CheckContext, JsonObject } from './kind.ts'
import { matchViolations } from './match.ts'
import { placementViolations, placementWish } from './placement.ts'
import { rateProfile, rateViolations } from './ratelimit.ts'
import { timeouts } from './timeouts.ts'
import { vhDomain, vhMatch, virtualHostViolations } from './virtualhost.ts'
import type { Violation } from './violation.ts'

export const service = shape(
  'service',
  {
    port: integer('Port that clients reach.', { required: true, min: 1, max: 65535, first: true }),
    port_range_end: integer('Last of a range of ports that begins with port.', {
      default: 0,
      min: 0,
      max: 65535,
      special: { '0': 'one port' }
    }),
    enable_ssl: flag('TLS on this port.', { default: false, first: true }),
    enable_http2: flag('HTTP/2 beside HTTP/1.1 on this port: agreed on in TLS; without TLS for clients that begin with it.', {
      default: false
    }),
    accept_proxy_protocol: flag(
      'Connections must begin with a PROXY protocol header, version 1 or 2; the client is who it says. Not a field of Avi.',
      { default: false }
    ),
    proxy_protocol_trusted_ref: ref('ipaddrgroup', 'Proxies that may send that header; anybody when left out. Not a field of Avi.', {})
  },
  {
    horizon_internal_ports: false,
    is_active_ftp_data_port: false,
    override_application_profile_ref: '',
    override_network_profile_ref: ''
  }
)

export const analyticsPolicy = shape(
  'analytics policy',
  {
    full_client_logs: nested(
      shape(
        'full client logs',
        { enabled: flag('Every request is logged, not only failed and slow ones.', { required: true }) },
        {
          duration: 30,
          throttle: 10
        }
      ),
      'Which requests are logged.',
      {}
    ),
    metrics_realtime_update: nested(
      shape('real-time metrics', {
        enabled: flag('Kept for compatibility: metrics are always of the last second.', { required: true }),
        duration: integer('Kept for compatibility.', { default: 30, unit: 'min', special: { '0': 'infinite' } })
      }),
      'Kept for compatibility: metrics are always of the last second.',
      {}
    )
  },
  {
    all_headers: false,
    client_insights: 'NO_INSIGHTS',
    client_insights_sampling: {},
    client_log_filters: [],
    learning_log_policy: {},
    significant_log_throttle: 10,
    udf_log_throttle: 10
  }
)

export const httpPolicies = shape('policy', {
  index: integer('Order among the policies, lowest first.', { required: true }),
  http_policy_set_ref: ref('httppolicyset', 'The policy.', { required: true })
})

export const scriptSets = shape('script set', {
  index: integer('Order among the script sets, lowest first.', { required: true }),
  vs_datascript_set_ref: ref('vsdatascriptset', 'The script set.', { required: true })
})

export const mirrorTo = shape('mirror', {
  pool_ref: ref('pool', 'The pool.', { required: true }),
  percent: integer('Share of the requests.', { default: 100, min: 0, max: 100, unit: 'percent' })
})

const fields = {
  ...inTenant,
  ...toolText,
  enabled: flag('Placed on engines when true.', { default: true, first: true }),
  traffic_enabled: flag('When false, connections are accepted and closed at once.', { default: true }),
  vsvip_ref: ref('vsvip', 'Addresses that clients reach; required unless it is a child.', { first: true }),
  services: list(each(service), 'Ports that clients reach; required unless it is a child.', { default: [], maxItems: 64, first: true }),
  pool_ref: ref('pool', 'Servers that traffic goes to when no rule says otherwise.', { first: true }),
  pool_group_ref: ref('poolgroup', 'Pools that share the traffic, instead of one pool.', {}),
  application_profile_ref: ref('applicationprofile', 'How the application protocol is handled; System-HTTP when left out.', {
    first: true
  }),
  network_profile_ref: ref('networkprofile', 'How connections are handled; System-TCP-Proxy when left out.', {}),
  ssl_key_and_certificate_refs: list(
    ref('sslkeyandcertificate', 'A certificate.', {}),
    'Certificates; the name that a client asks for picks one.',
    {
      maxItems: 100
    }
  ),
  ssl_profile_ref: ref('sslprofile', 'TLS versions and ciphers; System-Standard when left out.', {}),
  http_policies: list(each(httpPolicies), 'Rules for requests and responses.', { maxItems: 100 }),
  vs_datascripts: list(each(scriptSets), 'Scripts, after the rules.', { maxItems: 20 }),
  network_security_policy_ref: ref('networksecuritypolicy', 'Clients that may connect.', {}),
  timeouts: nested(timeouts, 'How long it waits for what. Not a field of Avi.', {}),
  fault: nested(faultInjection, 'Failures made on purpose. Not a field of Avi.', {}),
  mirror: nested(mirrorTo, 'A second pool that gets a copy of requests; what it answers is dropped. Not a field of Avi.', {}),
  content_rewrite: nested(contentRewriteProfile, 'Texts that are replaced in the bodies of answers.', {}),
  cors_policy: nested(corsPolicy, 'Which other sites may read answers. Not a field of Avi.', {}),
  requests_rate_limit: nested(rateProfile, 'How often it may be asked.', {}),
  connections_rate_limit: nested(rateProfile, 'How often clients may connect.', {}),
  bandwidth: nested(bandwidth, 'How fast bytes may go: what is too fast waits, and nothing is dropped. Not a field of Avi.', {}),
  error_page_profile_ref: ref('errorpageprofile', 'Pages instead of plain error answers.', {}),
  analytics_policy: nested(analyticsPolicy, 'What is logged.', {}),
  analytics_profile_ref: ref('analyticsprofile', 'What is logged; System-Analytics-Profile when left out.', {}),
  se_group_ref: ref('serviceenginegroup', 'Engines that carry it; Default-Group when left out.', {}),
  enable_rhi: flag(
    'Its addresses are announced where address_mode of its group is BGP; of a child that of its parent counts. Unlike Avi true is the default.',
    {
      default: true
    }
  ),
  advertise_down_vs: flag('They are announced also by engines on which none of its servers is up.', { default: false }),
  flow_dist: oneOf(
    ['LOAD_AWARE', 'CONSISTENT_HASH_SOURCE_IP_ADDRESS', 'CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT'],
    'With address_mode L2: which of its engines serve. CONSISTENT_HASH: all of them; the one that has the address passes flows on, all of a client to one engine, or each by itself. LOAD_AWARE, the default of Avi: the one that has the address serves alone, load decides only how many stand by.',
    { default: 'LOAD_AWARE' }
  ),
  active_standby_se_tag: oneOf(
    ['ACTIVE_STANDBY_SE_1', 'ACTIVE_STANDBY_SE_2'],
    'Which engine of an active/standby group that distributes load is active for it: the one that joined first, or second. Services that share an address go with the oldest.',
    { default: 'ACTIVE_STANDBY_SE_1' }
  ),
  placement: nested(placementWish, 'What it asks of its engines. Not a field of Avi.', {}),
  cloud_ref: cloudRef,
  type: oneOf(
    ['VS_TYPE_NORMAL', 'VS_TYPE_VH_PARENT', 'VS_TYPE_VH_CHILD'],
    'NORMAL and VH_PARENT have addresses of their own; a VH_CHILD is reached by names through its parent.',
    { default: 'VS_TYPE_NORMAL' }
  ),
  vh_type: oneOf(
    ['VS_TYPE_VH_SNI', 'VS_TYPE_VH_ENHANCED'],
    'What chooses a child: the name of the TLS connection, or host and rules of the request. The same for parent and children.',
    { default: 'VS_TYPE_VH_SNI' }
  ),
  vh_parent_vs_ref: ref('virtualservice', 'For a child: its parent.', {}),
  vh_domain_name: list(vhDomain, 'For a child by SNI: its names.', { maxItems: 100 }),
  vh_matches: list(each(vhMatch), 'For an enhanced child: its hosts, each with rules.', { maxItems: 100 }),
  vsvip_cloud_config_cksum: text('Checksum of the tool that made it.', { last: true })
} as const
export type VirtualService = Written<typeof fields>
export type FilledVirtualService = Filled<typeof fields>

export const virtualservice = defineKind({
  kind: 'virtualservice',
  title: 'Virtual service',
  titlePlural: 'Virtual services',
  description: 'What clients reach: addresses and ports, how traffic is handled, and the servers that it goes to.',
  scope: 'tenant',
  fields,
  unsupported: {
    allow_invalid_client_cert: false,
    azure_availability_set: '',
    bgp_local_preference: 0,
    bgp_num_as_path_prepend: 0,
    bgp_peer_labels: [],
    bot_policy_ref: '',
    bulk_sync_kvcache: false,
    close_client_conn_on_config_update: false,
    cloud_type: 'CLOUD_NONE',
    csrf_policy_ref: '',
    delay_fairness: false,
    dns_info: [],
    dns_policies: [],
    east_west_placement: false,
    enable_autogw: true,
    enable_rhi_snat: false,
    enable_session: false,
    flow_label_type: 'NO_LABEL',
    fqdn: '',
    host_name_xlate: '',
    icap_request_profile_refs: [],
    ign_pool_net_reach: false,
    jwt_config: {},
    l4_policies: [],
    ldap_vs_config: {},
    limit_doser: false,
    max_cps_per_client: 0,
    microservice_ref: '',
    min_pools_up: 0,
    nsx_securitygroup: [],
    oauth_vs_config: {},
    performance_limits: {},
    remove_listening_port_on_vs_down: false,
    revoke_vip_route: false,
    saml_sp_config: {},
    scaleout_ecmp: false,
    security_policy_ref: '',
    server_network_profile_ref: '',
    service_pool_select: [],
    sideband_profile: {},
    snat_ip: [],
    snat_ip6_addresses: [],
    sp_pool_refs: [],
    ssl_profile_selectors: [],
    ssl_sess_cache_avg_size: 1024,
    sso_policy_ref: '',
    static_dns_records: [],
    test_se_datastore_level_1_ref: '',
    topology_policies: [],
    traffic_clone_profile_ref: '',
    use_bridge_ip_as_vip: false,
    use_vip_as_snat: false,
    vip: [],
    vrf_context_ref: '',
    waf_policy_ref: '',
    weight: 1
  },
  check: (body, context) => [...ownRules(body, context), ...conflicts(body, context)]
})

/** Each is a socket of its own in every worker. */
const MAX_PORTS = 1024

/** Type of the application profile; HTTP when none is named. */
function applicationType(body: FilledVirtualService, context: CheckContext): unknown {
  if (body.application_profile_ref === undefined) return 'APPLICATION_PROFILE_TYPE_HTTP'
  return context.resource('applicationprofile', body.application_profile_ref)?.['type']
}

function sendsProxyProtocol(body: FilledVirtualService, context: CheckContext): boolean {
  if (body.application_profile_ref === undefined) return false
  const profile = context.resource('applicationprofile', body.application_profile_ref)
  return partOf(profile, 'tcp_app_profile')?.['proxy_protocol_enabled'] === true
}

/** Whether servers see the client's address as it is, which only the kernel can do; and by which of its profiles. */
function preservesClient(body: FilledVirtualService, context: CheckContext): 'application' | 'network' | undefined {
  const { application_profile_ref: application, network_profile_ref: network } = body
  if (application !== undefined && context.resource('applicationprofile', application)?.['preserve_client_ip'] === true)
    return 'application'
  const udp =
    network === undefined ? undefined : partOf(partOf(context.resource('networkprofile', network), 'profile'), 'udp_fast_path_profile')
  return udp?.['snat'] === false ? 'network' : undefined
}

function partOf(of: JsonObject | undefined, name: string): JsonObject | undefined {
  const part = of?.[name]
  return typeof part === 'object' && part !== null && !Array.isArray(part) ? (part as JsonObject) : undefined
}

function isFastPath(body: FilledVirtualService, context: CheckContext): boolean {
  if (body.network_profile_ref === undefined) return false
  const type = partOf(context.resource('networkprofile', body.network_profile_ref), 'profile')?.['type']
  return type === 'PROTOCOL_TYPE_TCP_FAST_PATH' || type === 'PROTOCOL_TYPE_UDP_FAST_PATH'
}

/** What the kernel cannot do for a service whose servers see the client's address. */
function kernelRules(body: FilledVirtualService, context: CheckContext, type: unknown): Violation[] {
  const by = preservesClient(body, context)
  if (by === undefined) return []
  const because = `because the ${by} profile preserves the address of clients`
  const violations: Violation[] = []
  const say = (pointer: string, what: string): number => violations.push({ pointer, message: `${what}, ${because}` })
  if (type !== 'APPLICATION_PROFILE_TYPE_L4') say('/application_profile_ref', 'must be of type L4')
  if (!isFastPath(body, context)) say('/network_profile_ref', 'must be a fast path profile')
  if (sendsProxyProtocol(body, context)) say('/application_profile_ref', 'must not send the PROXY protocol')
  if (body.network_security_policy_ref !== undefined) say('/network_security_policy_ref', 'must not be there')
  if (body.pool_group_ref !== undefined) say('/pool_group_ref', 'must not be there')
  if (body.bandwidth !== undefined) say('/bandwidth', 'must not be there')
  for (const [i, one] of body.services.entries())
    if (one.accept_proxy_protocol) say(`/services/${i}/accept_proxy_protocol`, 'must be false')
  return violations
}

function usesServicePort(body: FilledVirtualService, context: CheckContext): boolean {
  return body.pool_ref !== undefined && context.resource('pool', body.pool_ref)?.['use_service_port'] === true
}

function keepsByTls(body: FilledVirtualService, context: CheckContext): boolean {
  const profile = body.pool_ref === undefined ? undefined : context.resource('pool', body.pool_ref)?.['application_persistence_profile_ref']
  return (
    typeof profile === 'string' &&
    context.resource('applicationpersistenceprofile', profile)?.['persistence_type'] === 'PERSISTENCE_TYPE_TLS'
  )
}

/** Flows are passed on where one engine has the address, and the others serve besides. */
function flowViolations({ flow_dist: by, se_group_ref: ref }: FilledVirtualService, context: CheckContext): Violation[] {
  if (by === 'LOAD_AWARE') return []
  const say = (message: string): Violation[] => [{ pointer: '/flow_dist', message }]
  const group =
    ref === undefined
      ? context.all('serviceenginegroup').find(one => one.body['name'] === DEFAULT_GROUP)?.body
      : context.resource('serviceenginegroup', ref)
  if (group?.['address_mode'] !== 'L2') return say('needs an engine group with address_mode L2')
  return group['ha_mode'] === 'HA_MODE_LEGACY_ACTIVE_STANDBY' ? say('must be LOAD_AWARE: of an active/standby group one engine serves') : []
}

function ownRules(body: FilledVirtualService, context: CheckContext): Violation[] {
  const violations: Violation[] = []
  const say = (pointer: string, message: string): number => violations.push({ pointer, message })
  if (body.pool_ref !== undefined && body.pool_group_ref !== undefined) say('/pool_group_ref', 'must not be there beside pool_ref')

  const ports = new Map<number, number>()
  for (const [i, one] of body.services.entries()) {
    if (one.port_range_end !== 0 && one.port_range_end < one.port)
      say(`/services/${i}/port_range_end`, `must not be below port ${one.port}`)
    const own = portsOf(one)
    if (ports.size + own.length > MAX_PORTS) {
      say(`/services/${i}/port_range_end`, `must leave the virtual service with at most ${MAX_PORTS} ports`)
      break
    }
    const taken = own.find(port => ports.has(port))
    if (taken !== undefined)
      say(
        `/services/${i}/port`,
        own.length === 1 ? `is the same as that of /services/${ports.get(taken)}` : `meets port ${taken} of /services/${ports.get(taken)}`
      )
    for (const port of own) ports.set(port, i)
  }

  for (const [i, one] of body.services.entries())
    if (one.proxy_protocol_trusted_ref !== undefined && !one.accept_proxy_protocol)
      say(`/services/${i}/proxy_protocol_trusted_ref`, 'must not be there, because accept_proxy_protocol is false')

  if (applicationType(body, context) !== 'APPLICATION_PROFILE_TYPE_HTTP')
    for (const [i, one] of body.services.entries())
      if (one.enable_http2) say(`/services/${i}/enable_http2`, 'needs an HTTP application profile')

  const secured = body.services.find(one => one.enable_ssl)
  if (secured !== undefined && (body.ssl_key_and_certificate_refs ?? []).length === 0)
    say('/ssl_key_and_certificate_refs', `must name a certificate, because service port ${secured.port} has enable_ssl`)

  const type = applicationType(body, context)
  if (protocolOf(body, context) === 'UDP') {
    if (type !== 'APPLICATION_PROFILE_TYPE_L4')
      say('/network_profile_ref', 'is a UDP profile, which needs an application profile of type L4')
    if (sendsProxyProtocol(body, context)) say('/application_profile_ref', 'sends the PROXY protocol, which a UDP profile cannot carry')
    for (const [i, one] of body.services.entries())
      if (one.accept_proxy_protocol) say(`/services/${i}/accept_proxy_protocol`, 'must be false, because the network profile is of UDP')
    if (body.bandwidth !== undefined)
      say('/bandwidth', 'must not be there, because the network profile is of UDP: datagrams cannot be made to wait')
  }
  if (secured === undefined && keepsByTls(body, context))
    say('/pool_ref', 'has a persistence profile of type PERSISTENCE_TYPE_TLS, which needs a service port with enable_ssl')
  if (type === 'APPLICATION_PROFILE_TYPE_HTTP' && usesServicePort(body, context))
    say('/pool_ref', 'has use_service_port, which needs an application profile of type L4 or SSL')
  if (type === 'APPLICATION_PROFILE_TYPE_L4') {
    for (const [i, one] of body.services.entries())
      if (one.enable_ssl) say(`/services/${i}/enable_ssl`, 'needs an application profile of type HTTP or SSL')
  }
  if (type !== 'APPLICATION_PROFILE_TYPE_HTTP' && (body.http_policies ?? []).length > 0)
    say('/http_policies', 'needs an HTTP application profile')
  if (type !== 'APPLICATION_PROFILE_TYPE_HTTP' && (body.vs_datascripts ?? []).length > 0)
    say('/vs_datascripts', 'needs an HTTP application profile')
  violations.push(
    ...rateViolations(body.requests_rate_limit, '/requests_rate_limit', 'requests'),
    ...rateViolations(body.connections_rate_limit, '/connections_rate_limit', 'connections'),
    ...corsViolations(body.cors_policy),
    ...contentRewriteViolations(body.content_rewrite, context),
    ...virtualHostViolations(body, context),
    ...placementViolations(body.placement),
    ...flowViolations(body, context),
    ...matchViolations(body.fault?.match, '/fault/match', context)
  )
  if (type !== 'APPLICATION_PROFILE_TYPE_HTTP' && body.type !== 'VS_TYPE_NORMAL') say('/type', 'needs an HTTP application profile')
  for (const name of ['fault', 'mirror', 'cors_policy', 'content_rewrite'] as const)
    if (type !== 'APPLICATION_PROFILE_TYPE_HTTP' && body[name] !== undefined) say(`/${name}`, 'needs an HTTP application profile')
  if (type !== 'APPLICATION_PROFILE_TYPE_HTTP' && body.requests_rate_limit !== undefined)
    say('/requests_rate_limit', 'needs an HTTP application profile')
  violations.push(...kernelRules(body, context, type))
  for (const list of ['http_policies', 'vs_datascripts'] as const) {
    const indexes = new Map<number, number>()
    for (const [i, { index }] of (body[list] ?? []).entries()) {
      const other = indexes.get(index)
      if (other !== undefined) say(`/${list}/${i}/index`, `is the same as that of /${list}/${other}`)
      indexes.set(index, i)
    }
  }
  return violations
}

function conflicts(body: FilledVirtualService, context: CheckContext): readonly Violation[] {
  return conflictViolations([{ uuid: context.uuid, body: body as unknown as JsonObject }], context, '/services')
}
