/** The rules of each kind that need more than one field. */
import t from 'tap'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { contextOf, document, minimal, pointersOf } from '#test/support/resources.ts'

const v4 = (addr: string): object => ({ addr, type: 'V4' })
const rule = (more: object): object => ({ name: 'r', index: 1, enable: true, ...more })
const request = (more: object): object => ({ name: 'x', http_request_policy: { rules: [rule(more)] } })
const matching = (match: object): object => request({ match })
const at = '/http_request_policy/rules/0'

const uri = (...tokens: readonly object[]): object => ({ type: 'URI_PARAM_TYPE_TOKENIZED', tokens })
const found = ['REGEX', 'REGEX_QUERY', 'STRING_GROUP'].map(name => ({ type: `URI_TOKEN_TYPE_${name}` }))
const piece = `${at}/redirect_action/path/tokens`
const redirect = (...tokens: readonly object[]): object => request({ redirect_action: { protocol: 'HTTPS', path: uri(...tokens) } })
const redirectOf = (match: object, ...tokens: readonly object[]): object =>
  request({ match, redirect_action: { protocol: 'HTTPS', path: uri(...tokens) } })

const cases: readonly (readonly [kind: KindName, why: string, body: object, pointers: readonly string[]])[] = [
  ['serviceenginegroup', 'minimum above maximum', { min_scaleout_per_vs: 5 }, ['/min_scaleout_per_vs']],
  ['serviceenginegroup', 'an address mode that is not there yet', { address_mode: 'DNS' }, ['/address_mode?']],
  ['serviceenginegroup', 'active/standby on addresses that do not move', { ha_mode: 'HA_MODE_LEGACY_ACTIVE_STANDBY' }, ['/ha_mode']],
  [
    'serviceenginegroup',
    'active/standby with what has no meaning between two',
    {
      ha_mode: 'HA_MODE_LEGACY_ACTIVE_STANDBY',
      address_mode: 'L2',
      min_scaleout_per_vs: 3,
      min_se: 3,
      autoscale: {},
      auto_rebalance: true,
      auto_redistribute_active_standby_load: true
    },
    ['/auto_rebalance', '/auto_redistribute_active_standby_load', '/autoscale', '/min_scaleout_per_vs', '/min_se']
  ],
  [
    'serviceenginegroup',
    'load of a pair without a pair',
    { distribute_load_active_standby: true, auto_redistribute_active_standby_load: true },
    ['/auto_redistribute_active_standby_load', '/distribute_load_active_standby']
  ],
  ['virtualservice', 'flows of addresses that do not move', { flow_dist: 'CONSISTENT_HASH_SOURCE_IP_ADDRESS' }, ['/flow_dist']],
  ['vsvip', 'no address', { vip: [{ vip_id: '1' }] }, ['/vip/0']],
  ['vsvip', 'no vip', { vip: [] }, ['/vip']],
  ['vsvip', 'wrong family', { vip: [{ vip_id: '1', ip_address: { addr: '::1', type: 'V6' } }] }, ['/vip/0/ip_address/type']],
  ['vsvip', 'IPv4 as IPv6', { vip: [{ vip_id: '1', ip6_address: v4('1.2.3.4') }] }, ['/vip/0/ip6_address/type']],
  [
    'vsvip',
    'one address twice',
    {
      vip: [
        { vip_id: '1', ip6_address: { addr: '::1', type: 'V6' } },
        { vip_id: '1', ip6_address: { addr: '0:0::1', type: 'V6' } }
      ]
    },
    ['/vip/1/ip6_address', '/vip/1/vip_id']
  ],
  [
    'vsvip',
    'allocation that is not there yet',
    { vip: [{ vip_id: '1', auto_allocate_ip: true, ip_address: v4('1.2.3.4') }] },
    ['/vip/0/auto_allocate_ip?']
  ],
  ['virtualservice', 'two targets', { pool_ref: 'p', pool_group_ref: 'g' }, ['/pool_group_ref']],
  ['virtualservice', 'one port twice', { services: [{ port: 80 }, { port: 80 }] }, ['/services/1/port']],
  ['virtualservice', 'port 0', { services: [{ port: 0 }] }, ['/services/0/port']],
  [
    'virtualservice',
    'HTTP/2 for connections as they are',
    { services: [{ port: 80, enable_http2: true }], application_profile_ref: 'applicationprofile-l4' },
    ['/services/0/enable_http2']
  ],
  ['virtualservice', 'TLS without a certificate', { services: [{ port: 443, enable_ssl: true }] }, ['/ssl_key_and_certificate_refs']],

  [
    'virtualservice',
    'trust in a header that is not taken',
    { services: [{ port: 80, proxy_protocol_trusted_ref: 'ipaddrgroup-g' }] },
    ['/services/0/proxy_protocol_trusted_ref']
  ],
  [
    'virtualservice',
    'the address of clients preserved by user space',
    { application_profile_ref: 'applicationprofile-seen', network_security_policy_ref: 'n', pool_group_ref: 'g' },
    ['/network_profile_ref', '/network_security_policy_ref', '/pool_group_ref']
  ],
  [
    'virtualservice',
    'the address of clients preserved by UDP, for HTTP',
    { network_profile_ref: 'networkprofile-no-snat' },
    ['/application_profile_ref', '/network_profile_ref']
  ],
  ['virtualservice', 'a bandwidth that is none', { bandwidth: { down_bytes_per_s: 10 } }, ['/bandwidth/down_bytes_per_s']],
  [
    'virtualservice',
    'a bandwidth of datagrams',
    {
      network_profile_ref: 'networkprofile-udp',
      application_profile_ref: 'applicationprofile-l4',
      bandwidth: { down_bytes_per_s: 100_000 }
    },
    ['/bandwidth']
  ],
  ['virtualservice', 'UDP with HTTP', { network_profile_ref: 'networkprofile-udp' }, ['/network_profile_ref']],
  [
    'virtualservice',
    'UDP with what it cannot carry',
    {
      network_profile_ref: 'networkprofile-udp',
      application_profile_ref: 'applicationprofile-telling',
      services: [{ port: 53, accept_proxy_protocol: true, enable_ssl: true }],
      ssl_key_and_certificate_refs: ['c']
    },
    ['/application_profile_ref', '/services/0/accept_proxy_protocol', '/services/0/enable_ssl']
  ],
  [
    'virtualservice',
    'a range that ends before it begins',
    { services: [{ port: 80, port_range_end: 79 }] },
    ['/services/0/port_range_end']
  ],
  [
    'virtualservice',
    'ranges that meet',
    {
      services: [
        { port: 80, port_range_end: 90 },
        { port: 85, port_range_end: 95 }
      ]
    },
    ['/services/1/port']
  ],
  ['virtualservice', 'more ports than an engine opens', { services: [{ port: 1, port_range_end: 1025 }] }, ['/services/0/port_range_end']],
  ['virtualservice', 'the ports of clients for HTTP', { pool_ref: 'pool-service-port' }, ['/pool_ref']],
  [
    'virtualservice',
    'HTTP settings on L4',
    {
      application_profile_ref: 'applicationprofile-l4',
      services: [{ port: 443, enable_ssl: true }],
      ssl_key_and_certificate_refs: ['c'],
      http_policies: [{ index: 1, http_policy_set_ref: 'p' }]
    },
    ['/http_policies', '/services/0/enable_ssl']
  ],
  [
    'virtualservice',
    'policies without an order',
    {
      http_policies: [
        { index: 1, http_policy_set_ref: 'p' },
        { index: 1, http_policy_set_ref: 'q' }
      ]
    },
    ['/http_policies/1/index']
  ],
  ['virtualservice', 'virtual hosting', { type: 'VS_TYPE_VH_CHILD' }, ['/services', '/vh_domain_name', '/vh_parent_vs_ref', '/vsvip_ref']],
  ['pool', 'one server twice', { servers: [{ ip: v4('1.1.1.1') }, { ip: v4('1.1.1.1'), port: 80 }] }, ['/servers/1']],
  ['pool', 'a name that is none', { servers: [{ ip: { addr: 'a b', type: 'DNS' } }] }, ['/servers/0/ip/addr']],
  ['pool', 'resolution without a name', { servers: [{ ip: v4('1.1.1.1'), resolve_server_by_dns: true }] }, ['/servers/0/hostname']],
  [
    'pool',
    'a hash of no header',
    { lb_algorithm: 'LB_ALGORITHM_CONSISTENT_HASH', lb_algorithm_hash: 'LB_ALGORITHM_CONSISTENT_HASH_CUSTOM_HEADER' },
    ['/lb_algorithm_consistent_hash_hdr']
  ],
  ['pool', 'more monitors than there are', { min_health_monitors_up: 2, health_monitor_refs: ['a'] }, ['/min_health_monitors_up']],
  [
    'pool',
    'TLS settings without TLS',
    { pki_profile_ref: 'p', ssl_key_and_certificate_ref: 'c' },
    ['/pki_profile_ref', '/ssl_key_and_certificate_ref']
  ],
  ['pool', 'a name checked against no roots', { ssl_profile_ref: 's', host_check_enabled: true }, ['/host_check_enabled']],
  [
    'pool',
    'a hash by no cookie',
    { lb_algorithm: 'LB_ALGORITHM_CONSISTENT_HASH', lb_algorithm_hash: 'LB_ALGORITHM_CONSISTENT_HASH_COOKIE' },
    ['/lb_algorithm_consistent_hash_cookie']
  ],
  ['pool', 'an order of none', { servers: [{ ip: v4('1.1.1.1'), preference_order: 0 }] }, ['/servers/0/preference_order']],
  ['pool', 'zones that no server is in', { locality: {}, servers: [{ ip: v4('1.1.1.1'), availability_zone: '' }] }, ['/locality']],
  [
    'pool',
    'less than it has',
    { locality: { overprovisioning: 99 }, servers: [{ ip: v4('1.1.1.1'), availability_zone: 'a' }] },
    ['/locality/overprovisioning']
  ],
  ['pool', 'hedging after no time', { hedge: {} }, ['/hedge']],
  ['pool', 'hedging of most requests', { hedge: { percentile: 49 } }, ['/hedge/percentile']],
  ['pool', 'hedging of clients that stay', { hedge: { delay: 5 }, application_persistence_profile_ref: 'p' }, ['/hedge']],
  ['pool', 'a redirect to nowhere', { fail_action: { type: 'FAIL_ACTION_HTTP_REDIRECT' } }, ['/fail_action/redirect']],
  [
    'pool',
    'two rewrites of one header',
    { rewrite_host_header_to_sni: true, rewrite_host_header_to_server_name: true },
    ['/rewrite_host_header_to_sni']
  ],
  [
    'pool',
    'a monitor without a port to ask',
    { use_service_port: true, health_monitor_refs: ['healthmonitor-tcp'] },
    ['/health_monitor_refs/0']
  ],
  ['pool', 'HTTP/1.1 instead of HTTP/2 without TLS', { enable_http2: true, http1_fallback: true }, ['/http1_fallback']],
  ['poolgroup', 'one pool twice', { members: [{ pool_ref: 'p' }, { pool_ref: 'p' }] }, ['/members/1/pool_ref']],
  ['poolgroup', 'a side by a header without its name', { sticky: { by: 'HEADER' } }, ['/sticky/name']],
  ['poolgroup', 'a side by what is no name of a cookie', { sticky: { by: 'COOKIE', name: 'a b' } }, ['/sticky/name']],
  [
    'poolgroup',
    'an evaluation without a policy',
    { members: [{ pool_ref: 'p', deployment_state: 'EVALUATION_IN_PROGRESS' }] },
    ['/members/0/deployment_state']
  ],
  [
    'poolgroup',
    'two evaluations at once',
    {
      deployment_policy_ref: 'x',
      members: [
        { pool_ref: 'p', deployment_state: 'EVALUATION_IN_PROGRESS' },
        { pool_ref: 'q', deployment_state: 'EVALUATION_IN_PROGRESS' }
      ]
    },
    ['/members/1/deployment_state']
  ],
  ['poolgroupdeploymentpolicy', 'steps that do not grow', { steps: [10, 10] }, ['/steps/1']],
  ['poolgroupdeploymentpolicy', 'a rule of a metric that is none', { rules: [{ metric_id: 'x', threshold: 1 }] }, ['/rules/0/metric_id']],
  ['serverautoscalepolicy', 'least above most', { min_size: 9, max_size: 3 }, ['/min_size']],
  [
    'serverautoscalepolicy',
    'margins the wrong way round',
    { intelligent_autoscale: true, intelligent_scalein_margin: 20 },
    ['/intelligent_scalein_margin']
  ],
  [
    'serverautoscalepolicy',
    'times that are none',
    { scheduled_scalings: [{ cron_expression: '61 * * * *', desired_capacity: 3, end_date: 'soon' }] },
    ['/scheduled_scalings/0/cron_expression', '/scheduled_scalings/0/end_date']
  ],
  ['serviceenginegroup', 'CPU the wrong way round', { min_cpu_usage: 60, max_cpu_usage: 50 }, ['/min_cpu_usage']],
  ['serviceenginegroup', 'engines the wrong way round', { min_se: 5, max_se: 2 }, ['/min_se']],
  ['webhook', 'another protocol', { callback_url: 'file:///etc/passwd' }, ['/callback_url']],
  ['webhook', 'no URL', { callback_url: 'ops.test' }, ['/callback_url']],
  ['webhook', 'a password in the URL', { callback_url: 'https://a:b@ops.test/' }, ['/callback_url']],
  ['poolgroup', 'a priority that is no number', { members: [{ pool_ref: 'p', priority_label: 'high' }] }, ['/members/0/priority_label']],
  ['healthmonitor', 'an answer slower than the question', { send_interval: 4 }, ['/receive_timeout']],
  ['healthmonitor', 'settings of another type', { http_monitor: {} }, ['/http_monitor']],
  [
    'healthmonitor',
    'signing in without credentials',
    { type: 'HEALTH_MONITOR_HTTP', http_monitor: { auth_type: 'AUTH_BASIC' } },
    ['/authentication']
  ],
  [
    'healthmonitor',
    'half open with a question',
    { tcp_monitor: { tcp_half_open: true, tcp_request: 'x' } },
    ['/tcp_monitor/tcp_half_open']
  ],
  [
    'healthmonitor',
    'a request that is none',
    { type: 'HEALTH_MONITOR_HTTP', http_monitor: { http_request: '/health' } },
    ['/http_monitor/http_request']
  ],
  ['healthmonitor', 'DNS without a question', { type: 'HEALTH_MONITOR_DNS' }, ['/dns_monitor']],
  [
    'healthmonitor',
    'a name that is none',
    { type: 'HEALTH_MONITOR_DNS', dns_monitor: { query_name: 'a..b' } },
    ['/dns_monitor/query_name']
  ],
  ['healthmonitor', 'no script', { type: 'HEALTH_MONITOR_EXTERNAL' }, ['/external_monitor']],
  [
    'healthmonitor',
    'variables that are none',
    { type: 'HEALTH_MONITOR_EXTERNAL', external_monitor: { command_code: 'true', command_variables: 'A=1 B' } },
    ['/external_monitor/command_variables']
  ],
  [
    'healthmonitor',
    'an agent that is half open',
    { tcp_monitor: { agent_check: true, tcp_half_open: true } },
    ['/tcp_monitor/agent_check']
  ],
  [
    'healthmonitor',
    'two bodies',
    {
      type: 'HEALTH_MONITOR_HTTP',
      http_monitor: { exact_http_request: true, http_request: 'POST / HTTP/1.0', http_request_body: 'x' }
    },
    ['/http_monitor/http_request_body']
  ],
  ['applicationprofile', 'L4 settings on HTTP', { tcp_app_profile: {}, l4_ssl_profile: {} }, ['/l4_ssl_profile', '/tcp_app_profile']],
  ['applicationprofile', 'TLS settings on L4', { type: 'APPLICATION_PROFILE_TYPE_L4', l4_ssl_profile: {} }, ['/l4_ssl_profile']],
  ['applicationprofile', 'HTTP settings on L4', { type: 'APPLICATION_PROFILE_TYPE_L4', http_profile: {} }, ['/http_profile']],
  [
    'networkprofile',
    'settings of another type',
    { profile: { type: 'PROTOCOL_TYPE_TCP_PROXY', udp_proxy_profile: {} } },
    ['/profile/udp_proxy_profile']
  ],
  [
    'networkprofile',
    'a timeout in the gap',
    { profile: { type: 'PROTOCOL_TYPE_TCP_PROXY', tcp_proxy_profile: { idle_connection_timeout: 3 } } },
    ['/profile/tcp_proxy_profile/idle_connection_timeout']
  ],
  [
    'sslprofile',
    'versions with a hole',
    { accepted_versions: [{ type: 'SSL_VERSION_TLS1_1' }, { type: 'SSL_VERSION_TLS1_3' }] },
    ['/accepted_versions']
  ],
  ['sslkeyandcertificate', 'no PEM', { certificate: { certificate: 'MII' } }, ['/certificate/certificate']],
  ['sslkeyandcertificate', 'no key', { key: '' }, ['/key']],
  ['sslkeyandcertificate', 'a chain of nothing', { ca_certs: [{ name: 'x' }] }, ['/ca_certs/0/ca_ref']],
  ['pkiprofile', 'no PEM', { ca_certs: [{}] }, ['/ca_certs/0/certificate']],
  [
    'httppolicyset',
    'rules without an order',
    { http_request_policy: { rules: [rule({}), rule({})] } },
    ['/http_request_policy/rules/1/index', '/http_request_policy/rules/1/name']
  ],
  ['httppolicyset', 'a path compared with nothing', matching({ path: { match_criteria: 'BEGINS_WITH' } }), [`${at}/match/path/match_str`]],
  [
    'httppolicyset',
    'a header compared with nothing',
    matching({ hdrs: [{ hdr: 'A', match_criteria: 'HDR_EQUALS' }] }),
    [`${at}/match/hdrs/0/value`]
  ],
  ['httppolicyset', 'a header that exists', matching({ hdrs: [{ hdr: 'A', match_criteria: 'HDR_EXISTS' }] }), []],
  [
    'httppolicyset',
    'a cookie compared with nothing',
    matching({ cookie: { name: 'a', match_criteria: 'HDR_EQUALS' } }),
    [`${at}/match/cookie/value`]
  ],
  [
    'httppolicyset',
    'a pattern that looks back',
    matching({ path: { match_criteria: 'REGEX_MATCH', match_str: ['(a+)+$', '(a)\\1'] } }),
    [`${at}/match/path/match_str/1`]
  ],
  [
    'httppolicyset',
    'programs of no kind',
    matching({ tls_fingerprint_match: { match_operation: 'IS_IN' } }),
    [`${at}/match/tls_fingerprint_match`]
  ],
  [
    'httppolicyset',
    'a fingerprint that is none',
    matching({ tls_fingerprint_match: { match_operation: 'IS_IN', fingerprints: ['a'.repeat(32), 'a'.repeat(31)] } }),
    [`${at}/match/tls_fingerprint_match/fingerprints/1`]
  ],
  ['httppolicyset', 'clients of nowhere', matching({ client_ip: { match_criteria: 'IS_IN' } }), [`${at}/match/client_ip`]],
  [
    'httppolicyset',
    'a range backwards',
    matching({ client_ip: { match_criteria: 'IS_IN', ranges: [{ begin: v4('1.1.1.2'), end: v4('1.1.1.1') }] } }),
    [`${at}/match/client_ip/ranges/0/end`]
  ],
  [
    'httppolicyset',
    'a network that is too long',
    matching({ client_ip: { match_criteria: 'IS_IN', prefixes: [{ ip_addr: v4('1.1.1.2'), mask: 33 }] } }),
    [`${at}/match/client_ip/prefixes/0/mask`]
  ],
  [
    'httppolicyset',
    'switching to no pool',
    request({ switching_action: { action: 'HTTP_SWITCHING_SELECT_POOL' } }),
    [`${at}/switching_action/pool_ref`]
  ],
  [
    'httppolicyset',
    'a server that the pool does not have',
    request({
      switching_action: { action: 'HTTP_SWITCHING_SELECT_POOL', pool_ref: 'pool-two', server: { ip: v4('10.0.0.1'), port: 81 } }
    }),
    [`${at}/switching_action/server`]
  ],
  [
    'httppolicyset',
    'a server without a pool',
    request({
      switching_action: { action: 'HTTP_SWITCHING_SELECT_POOLGROUP', pool_group_ref: 'g', server: { ip: v4('10.0.0.1') } }
    }),
    [`${at}/switching_action/server`]
  ],
  [
    'httppolicyset',
    'an answer without status',
    request({ switching_action: { action: 'HTTP_SWITCHING_SELECT_LOCAL' } }),
    [`${at}/switching_action/status_code`]
  ],
  [
    'httppolicyset',
    'two ends',
    request({ redirect_action: { protocol: 'HTTPS' }, switching_action: { action: 'HTTP_SWITCHING_SELECT_POOL', pool_ref: 'p' } }),
    [`${at}/switching_action`]
  ],
  [
    'httppolicyset',
    'a header without value',
    request({ hdr_action: [{ action: 'HTTP_ADD_HDR', hdr: { name: 'A' } }] }),
    [`${at}/hdr_action/0/hdr/value`]
  ],
  ['httppolicyset', 'a change of nothing', request({ hdr_action: [{ action: 'HTTP_REMOVE_HDR' }] }), [`${at}/hdr_action/0/hdr`]],
  [
    'httppolicyset',
    'a change of a header and a cookie',
    request({ hdr_action: [{ action: 'HTTP_REMOVE_HDR', hdr: { name: 'A' }, cookie: { name: 'a' } }] }),
    [`${at}/hdr_action/0/cookie`]
  ],
  [
    'httppolicyset',
    'cookies without value, and with two',
    request({
      hdr_action: [
        { action: 'HTTP_REMOVE_HDR', cookie: { name: 'a' } },
        { action: 'HTTP_ADD_HDR', cookie: { name: 'a' } },
        { action: 'HTTP_REPLACE_HDR', cookie: { name: 'a', value: 'b; c=d' } }
      ]
    }),
    [`${at}/hdr_action/1/cookie/value`, `${at}/hdr_action/2/cookie/value`]
  ],
  [
    'httppolicyset',
    'a cookie whose name ends it',
    request({ hdr_action: [{ action: 'HTTP_REMOVE_HDR', cookie: { name: 'a;b' } }] }),
    [`${at}/hdr_action/0/cookie/name`]
  ],
  [
    'httppolicyset',
    'a cookie that an answer sets, with its attributes',
    {
      http_response_policy: {
        rules: [rule({ hdr_action: [{ action: 'HTTP_REPLACE_HDR', cookie: { name: 'a', value: 'b; Path=/; HttpOnly' } }] })]
      }
    },
    []
  ],
  [
    'httppolicyset',
    'a header that would split',
    request({ hdr_action: [{ action: 'HTTP_ADD_HDR', hdr: { name: 'A', value: { val: 'a\r\nB: c' } } }] }),
    [`${at}/hdr_action/0/hdr/value/val`]
  ],
  [
    'httppolicyset',
    'a piece without text',
    request({
      redirect_action: { protocol: 'HTTPS', path: { type: 'URI_PARAM_TYPE_TOKENIZED', tokens: [{ type: 'URI_TOKEN_TYPE_STRING' }] } }
    }),
    [`${at}/redirect_action/path/tokens/0/str_value`]
  ],
  ['httppolicyset', 'pieces that a rule without a match has found', redirect(...found), found.map((_, i) => `${piece}/${i}/type`)],
  [
    'httppolicyset',
    'pieces of a match that finds others',
    redirectOf({ path: { match_criteria: 'BEGINS_WITH', match_str: ['/a'] } }, ...found),
    found.map((_, i) => `${piece}/${i}/type`)
  ],
  [
    'httppolicyset',
    'pieces of a match that has them',
    redirectOf(
      {
        path: { match_criteria: 'REGEX_MATCH', string_group_refs: ['stringgroup-pairs'] },
        query: { match_criteria: 'QUERY_MATCH_REGEX_MATCH', match_str: ['a=(.*)'] }
      },
      ...found
    ),
    []
  ],
  [
    'httppolicyset',
    'groups of a pattern the wrong way round',
    redirectOf(
      { path: { match_criteria: 'REGEX_MATCH', match_str: ['^/(a)(b)'] } },
      { type: 'URI_TOKEN_TYPE_REGEX', start_index: 2, end_index: 1 }
    ),
    [`${piece}/0/end_index`]
  ],
  [
    'httppolicyset',
    'values of texts that have none',
    redirectOf({ path: { match_criteria: 'EQUALS', string_group_refs: ['stringgroup-words'] } }, { type: 'URI_TOKEN_TYPE_STRING_GROUP' }),
    [`${piece}/0/type`]
  ],
  [
    'httppolicyset',
    'values of what is not there',
    redirectOf(
      { path: { match_criteria: 'DOES_NOT_EQUAL', string_group_refs: ['stringgroup-pairs'] } },
      { type: 'URI_TOKEN_TYPE_STRING_GROUP' }
    ),
    [`${piece}/0/type`]
  ],
  [
    'httppolicyset',
    'values beside texts that have none',
    redirectOf(
      { path: { match_criteria: 'EQUALS', match_str: ['/a'], string_group_refs: ['stringgroup-pairs'] } },
      { type: 'URI_TOKEN_TYPE_STRING_GROUP' }
    ),
    [`${piece}/0/type`]
  ],
  [
    'virtualservice',
    'a limit of all requests whose redirect takes pieces of a rule',
    {
      requests_rate_limit: {
        rate_limiter: { count: 1, period: 1 },
        action: { type: 'RL_ACTION_REDIRECT', redirect: { protocol: 'HTTPS', path: uri(...found) } }
      }
    },
    found.map((_, i) => `/requests_rate_limit/action/redirect/path/tokens/${i}/type`)
  ],
  [
    'httppolicyset',
    'an answer of a security rule without status',
    { http_security_policy: { rules: [rule({ action: { action: 'HTTP_SECURITY_ACTION_SEND_RESPONSE' } })] } },
    ['/http_security_policy/rules/0/action/status_code']
  ],
  [
    'networksecuritypolicy',
    'a limit without its rate',
    { rules: [rule({ action: 'NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT', match: {} })] },
    ['/rules/0/rl_param']
  ],
  [
    'networksecuritypolicy',
    'a limit that lets nobody in',
    {
      rules: [rule({ action: 'NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT', match: {}, rl_param: { max_rate: 0, burst_size: 0 } })]
    },
    ['/rules/0/rl_param/burst_size', '/rules/0/rl_param/max_rate']
  ],
  [
    'networksecuritypolicy',
    'a limit for all other ports',
    {
      rules: [
        rule({
          action: 'NETWORK_SECURITY_POLICY_ACTION_TYPE_RATE_LIMIT',
          match: { vs_port: { match_criteria: 'IS_NOT_IN', ports: [1] } },
          rl_param: { max_rate: 5, burst_size: 5 }
        })
      ]
    },
    []
  ],
  ['user', 'a role nowhere', { access: [{ role_ref: 'r' }] }, ['/access/0/tenant_ref']],
  [
    'user',
    'a role everywhere and somewhere',
    { access: [{ role_ref: 'r', tenant_ref: 't', all_tenants: true }] },
    ['/access/0/tenant_ref']
  ],
  [
    'role',
    'one permission twice',
    {
      privileges: [
        { resource: 'PERMISSION_POOL', type: 'READ_ACCESS' },
        { resource: 'PERMISSION_POOL', type: 'NO_ACCESS' }
      ]
    },
    ['/privileges/1/resource']
  ],
  [
    'pool',
    'the path of a Unix socket is absolute',
    { servers: [{ ip: { addr: '10.0.1.1', type: 'V4' }, unix_path: 'app.sock' }] },
    ['/servers/0/unix_path']
  ],
  [
    'pool',
    'a Unix socket is a path that the kernel takes, once',
    {
      servers: ['/run/../app.sock', `/${'é'.repeat(54)}`, '/run/app.sock', '/run/app.sock'].map(unix_path => ({
        ip: { addr: '10.0.1.1', type: 'V4' },
        unix_path
      }))
    },
    ['/servers/0/unix_path', '/servers/1/unix_path', '/servers/3']
  ]
]

const context = contextOf([
  document('pool', {
    name: 'two',
    servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }, { ip: { addr: '10.0.0.2', type: 'V4' }, port: 8080 }]
  }),
  document('stringgroup', { name: 'pairs', type: 'SG_TYPE_KEYVAL', kv: [{ key: '/a', value: '/b' }] }),
  document('stringgroup', { name: 'words', type: 'SG_TYPE_STRING', kv: [{ key: '/a' }] }),
  document('networkprofile', { name: 'udp', profile: { type: 'PROTOCOL_TYPE_UDP_FAST_PATH' } }),
  document('applicationprofile', {
    name: 'telling',
    type: 'APPLICATION_PROFILE_TYPE_L4',
    tcp_app_profile: { proxy_protocol_enabled: true }
  }),
  document('applicationprofile', { name: 'seen', type: 'APPLICATION_PROFILE_TYPE_L4', preserve_client_ip: true }),
  document('networkprofile', {
    name: 'no-snat',
    profile: { type: 'PROTOCOL_TYPE_UDP_FAST_PATH', udp_fast_path_profile: { snat: false } }
  }),
  document('pool', { name: 'service-port', use_service_port: true }),
  document('healthmonitor', { name: 'tcp', type: 'HEALTH_MONITOR_TCP' }),
  document('applicationprofile', { name: 'l4', type: 'APPLICATION_PROFILE_TYPE_L4' })
])

for (const [kind, why, body, pointers] of cases)
  t.test(`${kind}: ${why}`, async t => {
    t.same(pointersOf(kind, { ...minimal[kind], ...body }, context), pointers)
  })

t.test('stringgroup: texts instead of pairs whose values a rule takes', async t => {
  const match = { path: { match_criteria: 'EQUALS', string_group_refs: ['stringgroup-pairs'] } }
  const without = document('httppolicyset', { name: 'x', http_request_policy: { rules: [rule({ match })] } } as JsonObject)
  const taking = document('httppolicyset', redirectOf(match, { type: 'URI_TOKEN_TYPE_STRING_GROUP' }) as JsonObject)
  const body = { name: 'pairs', type: 'SG_TYPE_STRING', kv: [{ key: '/a' }] }
  t.same(pointersOf('stringgroup', body, contextOf([without], 'stringgroup-pairs')), [])
  t.same(pointersOf('stringgroup', body, contextOf([taking], 'stringgroup-pairs')), ['/type'])
  t.same(pointersOf('stringgroup', body, contextOf([taking], 'stringgroup-others')), [])
})
