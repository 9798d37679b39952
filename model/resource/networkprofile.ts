import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { flag, inTenant, integer, nested, oneOf, shape } from './common.ts'
import type { Violation } from './violation.ts'

const tcpIdle = { min: 0, max: 14400, gap: [1, 4], unit: 's', special: { '0': 'without end' } } as const

export const tcpProxyProfile = shape(
  'tcp proxy profile',
  {
    idle_connection_timeout: integer('A connection without traffic is closed after this time.', { default: 600, ...tcpIdle, first: true })
  },
  {
    aggressive_congestion_avoidance: false,
    auto_window_growth: true,
    automatic: true,
    cc_algo: 'CC_ALGO_NEW_RENO',
    congestion_recovery_scaling_factor: 2,
    idle_connection_type: 'KEEP_ALIVE',
    ignore_time_wait: false,
    ip_dscp: 0,
    keepalive_in_halfclose_state: true,
    max_retransmissions: 8,
    max_segment_size: 0,
    max_syn_retransmissions: 8,
    min_rexmt_timeout: 0,
    nagles_algorithm: false,
    reassembly_queue_size: 0,
    receive_window: 64,
    reorder_threshold: 0,
    slow_start_scaling_factor: 1,
    time_wait_delay: 2000,
    use_interface_mtu: true
  }
)
export const tcpFastPathProfile = shape(
  'tcp fast path profile',
  { session_idle_timeout: integer('A connection without traffic is closed after this time.', { default: 300, ...tcpIdle, first: true }) },
  {
    dsr_profile: {},
    enable_syn_protection: false
  }
)
export const udpFastPathProfile = shape(
  'udp fast path profile',
  {
    session_idle_timeout: integer('A session without traffic ends after this time.', { default: 10, min: 2, max: 3600, unit: 's' }),
    snat: flag("Servers see the engine's address; when false they see the client's, and must send their answers back through the engine.", {
      default: true
    })
  },
  {
    dsr_profile: {},
    per_pkt_loadbalance: false
  }
)
export const udpProxyProfile = shape('udp proxy profile', {
  session_idle_timeout: integer('A session without traffic ends after this time.', { default: 10, min: 2, max: 3600, unit: 's' })
})

const partOf = {
  PROTOCOL_TYPE_TCP_PROXY: 'tcp_proxy_profile',
  PROTOCOL_TYPE_TCP_FAST_PATH: 'tcp_fast_path_profile',
  PROTOCOL_TYPE_UDP_FAST_PATH: 'udp_fast_path_profile',
  PROTOCOL_TYPE_UDP_PROXY: 'udp_proxy_profile'
} as const

export const networkProfileUnion = shape(
  'profile',
  {
    type: oneOf(
      ['PROTOCOL_TYPE_TCP_PROXY', 'PROTOCOL_TYPE_TCP_FAST_PATH', 'PROTOCOL_TYPE_UDP_FAST_PATH', 'PROTOCOL_TYPE_UDP_PROXY'],
      'How connections are carried; a UDP profile makes it a service of datagrams.',
      { required: true, first: true, unsupported: ['PROTOCOL_TYPE_SCTP_PROXY', 'PROTOCOL_TYPE_SCTP_FAST_PATH'] }
    ),
    tcp_proxy_profile: nested(tcpProxyProfile, 'For PROTOCOL_TYPE_TCP_PROXY.', {}),
    tcp_fast_path_profile: nested(tcpFastPathProfile, 'For PROTOCOL_TYPE_TCP_FAST_PATH.', {}),
    udp_fast_path_profile: nested(udpFastPathProfile, 'For PROTOCOL_TYPE_UDP_FAST_PATH.', {}),
    udp_proxy_profile: nested(udpProxyProfile, 'For PROTOCOL_TYPE_UDP_PROXY.', {})
  },
  {
    sctp_fast_path_profile: {},
    sctp_proxy_profile: {}
  }
)

export const networkprofile = defineKind({
  kind: 'networkprofile',
  title: 'Network profile',
  titlePlural: 'Network profiles',
  description: 'How the connections of a virtual service are carried.',
  scope: 'tenant',
  fields: { ...inTenant, profile: nested(networkProfileUnion, 'The settings.', { required: true, first: true }) },
  unsupported: {
    connection_mirror: false
  },
  check: ({ profile }) => {
    const violations: Violation[] = []
    for (const name of Object.values(partOf))
      if (profile[name] !== undefined && name !== partOf[profile.type])
        violations.push({ pointer: `/profile/${name}`, message: `must not be there, because type is ${profile.type}` })
    return violations
  }
})
export type NetworkProfile = Written<typeof networkprofile.fields>
export type FilledNetworkProfile = Filled<typeof networkprofile.fields>
