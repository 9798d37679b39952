import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { cloudRef, each, flag, inTenant, integer, keyValue, list, nested, oneOf, shape } from './common.ts'
import type { Violation } from './violation.ts'

const zeroUnwatched = { default: 0, min: 0, special: { '0': 'not looked at' } } as const

/** When virtual services run on more engines than the least. Not a field of Avi. */
export const groupAutoscale = shape('autoscale', {
  enabled: flag('Virtual services are scaled out and in by load.', { default: true, first: true }),
  max_connections_per_engine: integer('Open connections of one virtual service that one engine should carry.', {
    ...zeroUnwatched,
    max: 10000000,
    first: true
  }),
  max_requests_per_engine: integer('Requests each second of one virtual service that one engine should carry.', {
    ...zeroUnwatched,
    max: 10000000,
    first: true
  }),
  max_mbps_per_engine: integer('Traffic of one virtual service, both ways, that one engine should carry.', {
    ...zeroUnwatched,
    max: 1000000,
    unit: 'Mbit/s'
  }),
  max_latency: integer('95th percentile of whole exchanges; counts only while CPU of the engines is above min_cpu_usage.', {
    ...zeroUnwatched,
    max: 3600000,
    unit: 'ms'
  }),
  scaleout_delay: integer('Load must be too much for so long.', { default: 3, min: 0, max: 3600, unit: 's' }),
  scalein_delay: integer('Load must fit one engine less for so long.', { default: 300, min: 10, max: 86400, unit: 's' }),
  scaleout_cooldown: integer('Time between two steps outwards.', { default: 30, min: 5, max: 86400, unit: 's' }),
  scalein_cooldown: integer('Time between two steps inwards.', { default: 300, min: 5, max: 86400, unit: 's' }),
  max_step: integer('Engines added in one step, at most. One is taken away in a step.', { default: 2, min: 1, max: 64 }),
  scalein_margin: integer('How far below their targets the engines that are left must be.', {
    default: 25,
    min: 5,
    max: 90,
    unit: 'percent'
  }),
  predictive: flag('Scale ahead of what the load of the days before teaches, never below what the load of now asks for.', {
    default: false
  }),
  predictive_ahead: integer('How far ahead.', { default: 15, min: 1, max: 240, unit: 'min' })
})

/** What has no meaning between two engines of which one is active is refused. */
function pairViolations(group: PairFields): Violation[] {
  const violations: Violation[] = []
  const must = (isSound: boolean, name: string, message: string): void => {
    if (!isSound) violations.push({ pointer: `/${name}`, message })
  }
  const { distribute_load_active_standby: distributes, auto_redistribute_active_standby_load: returns } = group
  if (group.ha_mode !== 'HA_MODE_LEGACY_ACTIVE_STANDBY') {
    must(!distributes, 'distribute_load_active_standby', 'needs ha_mode HA_MODE_LEGACY_ACTIVE_STANDBY')
    must(!returns, 'auto_redistribute_active_standby_load', 'needs ha_mode HA_MODE_LEGACY_ACTIVE_STANDBY')
    return violations
  }
  const why = 'with ha_mode HA_MODE_LEGACY_ACTIVE_STANDBY'
  must(group.address_mode === 'L2', 'ha_mode', 'needs address_mode L2: who is active is who has the addresses')
  must(group.min_scaleout_per_vs <= PAIR, 'min_scaleout_per_vs', `must not be above ${PAIR} ${why}`)
  must(group.min_se <= PAIR, 'min_se', `must not be above ${PAIR} ${why}`)
  must(group.autoscale === undefined, 'autoscale', `must not be there ${why}: a service is on both engines`)
  must(!group.auto_rebalance, 'auto_rebalance', `must be false ${why}: auto_redistribute_active_standby_load is what it has instead`)
  must(!returns || distributes, 'auto_redistribute_active_standby_load', 'needs distribute_load_active_standby: nothing is distributed')
  return violations
}

/** Engines of an active/standby group. */
export const PAIR = 2

interface PairFields {
  readonly ha_mode: string
  readonly address_mode: string
  readonly distribute_load_active_standby: boolean
  readonly auto_redistribute_active_standby_load: boolean
  readonly min_scaleout_per_vs: number
  readonly min_se: number
  readonly autoscale?: unknown
  readonly auto_rebalance: boolean
}

export const serviceenginegroup = defineKind({
  kind: 'serviceenginegroup',
  title: 'Engine group',
  titlePlural: 'Engine groups',
  description: 'Service engines that carry the same virtual services, and how these are spread over them.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    cloud_ref: cloudRef,
    min_scaleout_per_vs: integer('Engines that each virtual service runs on at least.', { default: 1, min: 1, max: 64, first: true }),
    max_scaleout_per_vs: integer('Engines that one virtual service runs on at most.', { default: 4, min: 1, max: 64, first: true }),
    max_vs_per_se: integer('Virtual services that one engine carries at most.', { default: 10, min: 1, max: 1000, first: true }),
    address_mode: oneOf(
      ['HOST', 'L2', 'BGP'],
      'How an address reaches its engines. HOST: an address that an engine has is bound there; any other is listened for on all addresses of the engines that carry it. L2: the address is on the interface of one of these engines, and moves to the next when that one fails. BGP: each of these engines has it, and the BIRD of its host announces it.',
      { default: 'HOST', first: true, unsupported: ['DNS'] }
    ),
    algo: oneOf(
      ['PLACEMENT_ALGO_DISTRIBUTED', 'PLACEMENT_ALGO_PACKED'],
      'DISTRIBUTED takes the least loaded engine first, PACKED fills one engine before the next. Unlike Avi DISTRIBUTED is the default.',
      { default: 'PLACEMENT_ALGO_DISTRIBUTED' }
    ),
    ha_mode: oneOf(
      ['HA_MODE_SHARED', 'HA_MODE_SHARED_PAIR', 'HA_MODE_LEGACY_ACTIVE_STANDBY'],
      'SHARED (N+M): every service on as many engines as min_scaleout_per_vs says. SHARED_PAIR (active/active): on two at least. LEGACY_ACTIVE_STANDBY: every service on the same two engines, of which one has its addresses; needs address_mode L2.',
      { default: 'HA_MODE_SHARED' }
    ),
    distribute_load_active_standby: flag(
      'With LEGACY_ACTIVE_STANDBY: each engine is active for the services of its active_standby_se_tag. Else one is active for all.',
      { default: false }
    ),
    auto_redistribute_active_standby_load: flag(
      'An engine that comes back is active again for the services of its tag; else it is their standby until somebody says redistribute.',
      { default: false }
    ),
    vs_host_redundancy: flag('The engines of a virtual service are on different hosts where that is possible.', { default: true }),
    vs_scalein_timeout: integer('Time that connections may go on when a virtual service or a server is taken away.', {
      default: 30,
      min: 0,
      max: 86400,
      unit: 's'
    }),
    max_cpu_usage: integer('CPU of an engine above which virtual services are scaled out, and another engine is advised.', {
      default: 80,
      min: 40,
      max: 90,
      unit: 'percent'
    }),
    min_cpu_usage: integer('CPU of engines below which virtual services may be scaled in, and fewer engines advised.', {
      default: 30,
      min: 20,
      max: 60,
      unit: 'percent'
    }),
    autoscale: nested(
      groupAutoscale,
      'When virtual services run on more engines than the least; never when left out. Not a field of Avi.',
      {
        first: true
      }
    ),
    auto_rebalance: flag('Virtual services are spread anew when the engines differ too much by the criteria.', { default: false }),
    auto_rebalance_criteria: list(
      oneOf(
        ['SE_AUTO_REBALANCE_CPU', 'SE_AUTO_REBALANCE_MBPS', 'SE_AUTO_REBALANCE_OPEN_CONNS', 'SE_AUTO_REBALANCE_CPS'],
        'What is compared.',
        { unsupported: ['SE_AUTO_REBALANCE_PPS'] }
      ),
      'What engines are compared by; CPU when left out.',
      { maxItems: 4 }
    ),
    auto_rebalance_interval: integer('Time between two looks.', { default: 300, min: 10, max: 86400, unit: 's' }),
    min_se: integer('Engines at least: made by the driver of its cloud, advised where that has none.', { default: 1, min: 0, max: 1000 }),
    max_se: integer('Engines at most.', { default: 10, min: 0, max: 1000 }),
    buffer_se: integer('Engines beyond what the services need: so many may fail.', { default: 1, min: 0, max: 1000 }),
    se_deprovision_delay: integer('Engines are taken away only when fewer would do for so long.', {
      default: 120,
      min: 0,
      max: 525600,
      unit: 'min'
    }),
    labels: list(each(keyValue), 'Labels of the group.', { maxItems: 100 })
  },
  unsupported: {
    accelerated_networking: false,
    active_standby: false,
    aggressive_failure_detection: false,
    allow_burst: false,
    app_cache_percent: 10,
    app_cache_threshold: 5,
    app_learning_memory_percent: 0,
    archive_shm_limit: 8,
    async_ssl: false,
    async_ssl_threads: 1,
    auto_rebalance_capacity_per_se: [],
    availability_zone_refs: [],
    baremetal_dispatcher_handles_flows: false,
    bgp_peer_monitor_failover_enabled: false,
    bgp_state_update_interval: 60,
    compress_ip_rules_for_each_ns_subnet: true,
    config_debugs_on_all_cores: false,
    connection_memory_percentage: 50,
    core_shm_app_cache: false,
    core_shm_app_learning: false,
    cpu_reserve: false,
    cpu_socket_affinity: false,
    custom_securitygroups_data: [],
    custom_securitygroups_mgmt: [],
    custom_tag: [],
    data_network_id: '',
    datascript_timeout: 1000000,
    deactivate_ipv6_discovery: false,
    deactivate_kni_filtering_at_dispatcher: false,
    dedicated_dispatcher_core: false,
    disable_avi_securitygroups: false,
    disable_csum_offloads: false,
    disable_flow_probes: false,
    disable_gro: false,
    disable_se_memory_check: false,
    disable_tso: false,
    disk_per_se: 15,
    distribute_queues: false,
    distribute_vnics: false,
    downstream_send_timeout: 3600000,
    dp_aggressive_deq_interval_msec: 1,
    dp_aggressive_enq_interval_msec: 1,
    dp_aggressive_hb_frequency: 100,
    dp_aggressive_hb_timeout_count: 10,
    dp_deq_interval_msec: 20,
    dp_enq_interval_msec: 20,
    dp_hb_frequency: 100,
    dp_hb_timeout_count: 10,
    dpdk_gro_timeout_interval: 50,
    enable_gratarp_permanent: false,
    enable_hsm_log: false,
    enable_hsm_priming: false,
    enable_multi_lb: false,
    enable_pcap_tx_ring: false,
    ephemeral_portrange_end: 0,
    ephemeral_portrange_start: 0,
    extra_config_multiplier: 0,
    extra_shared_config_memory: 0,
    flow_table_new_syn_max_entries: 0,
    free_list_size: 1024,
    gcp_config: {},
    gratarp_permanent_periodicity: 10,
    grpc_channel_connect_timeout: 15,
    handle_per_pkt_attack: true,
    hardwaresecuritymodulegroup_ref: '',
    heap_minimum_config_memory: 8,
    hm_on_standby: true,
    host_attribute_key: '',
    host_attribute_value: '',
    host_gateway_monitor: false,
    http_rum_console_log: false,
    http_rum_min_content_length: 64,
    hybrid_rss_mode: false,
    hypervisor: '',
    ignore_docker_mac_change: true,
    ignore_rtt_threshold: 5000,
    ingress_access_data: 'SG_INGRESS_ACCESS_ALL',
    ingress_access_mgmt: 'SG_INGRESS_ACCESS_ALL',
    instance_flavor: '',
    instance_flavor_info: {},
    iptables: [],
    kni_allowed_server_ports: [],
    l7_conns_per_core: 16384,
    l7_resvd_listen_conns_per_core: 256,
    lbaction_num_requests_to_dispatch: 4,
    lbaction_rq_per_request_max_retries: 22,
    least_load_core_selection: true,
    license_tier: '',
    license_type: '',
    log_agent_compress_logs: true,
    log_agent_debug_enabled: false,
    log_agent_file_sz_appl: 4,
    log_agent_file_sz_conn: 4,
    log_agent_file_sz_debug: 4,
    log_agent_file_sz_event: 4,
    log_agent_log_storage_min_sz: 1024,
    log_agent_max_concurrent_rsync: 1024,
    log_agent_max_storage_excess_percent: 110,
    log_agent_max_storage_ignore_percent: 20,
    log_agent_min_storage_per_vs: 10,
    log_agent_sleep_interval: 10,
    log_agent_trace_enabled: true,
    log_agent_unknown_vs_timer: 1800,
    log_disksz: 10000,
    log_malloc_failure: true,
    log_message_max_file_list_size: 64,
    max_concurrent_external_hm: 0,
    max_memory_per_mempool: 64,
    max_num_se_dps: 0,
    max_public_ips_per_lb: 30,
    max_queues_per_vnic: 1,
    max_rules_per_lb: 150,
    max_skb_frags: 17,
    mem_reserve: true,
    memory_for_config_update: 15,
    memory_per_se: 2048,
    metrics_collection_mode: 1,
    mgmt_network_ref: '',
    mgmt_subnet: {},
    minimum_connection_memory: 20,
    n_log_streaming_threads: 1,
    netlink_poller_threads: 2,
    netlink_sock_buf_size: 4,
    ngx_free_connection_stack: false,
    non_significant_log_throttle: 100,
    ns_helper_deq_interval_msec: 20,
    ntp_sync_fail_event: false,
    ntp_sync_status_interval: 0,
    num_dispatcher_cores: 0,
    num_dispatcher_queues: 1,
    num_flow_cores_sum_changes_to_ignore: 8,
    objsync_config: { objsync_cpu_limit: 30, objsync_hub_elect_interval: 60, objsync_reconcile_interval: 10 },
    objsync_port: 4001,
    openstack_availability_zones: [],
    openstack_mgmt_network_name: '',
    openstack_mgmt_network_uuid: '',
    os_reserved_memory: 0,
    path_mtu_discovery_v4: true,
    path_mtu_discovery_v6: true,
    pcap_tx_mode: 'PCAP_TX_AUTO',
    pcap_tx_ring_rd_balancing_factor: 10,
    per_app: false,
    per_vs_admission_control: false,
    placement_mode: 'PLACEMENT_MODE_AUTO',
    realtime_se_metrics: { duration: 30 },
    reboot_on_panic: true,
    replay_vrf_routes_interval: 1000,
    resync_time_interval: 65536,
    sdb_flush_interval: 100,
    sdb_pipeline_size: 100,
    sdb_scan_count: 1000,
    se_bandwidth_type: '',
    se_delayed_flow_delete: true,
    se_dos_profile: {},
    se_dp_hm_drops: 0,
    se_dp_if_state_poll_interval: 10,
    se_dp_isolation: false,
    se_dp_isolation_num_non_dp_cpus: 0,
    se_dp_log_nf_enqueue_percent: 70,
    se_dp_log_udf_enqueue_percent: 90,
    se_dp_max_hb_version: 3,
    se_dp_vnic_queue_stall_event_sleep: 0,
    se_dp_vnic_queue_stall_threshold: 2000,
    se_dp_vnic_queue_stall_timeout: 10000,
    se_dp_vnic_restart_on_queue_stall_count: 3,
    se_dp_vnic_stall_se_restart_window: 3600,
    se_dpdk_pmd: 0,
    se_dump_core_on_assert: false,
    se_emulated_cores: 0,
    se_flow_probe_retries: 2,
    se_flow_probe_retry_timer: 40,
    se_group_analytics_policy: {},
    se_hyperthreaded_mode: 'SE_CPU_HT_AUTO',
    se_ip_encap_ipc: 0,
    se_kni_burst_factor: 0,
    se_l3_encap_ipc: 0,
    se_log_buffer_app_blocking_dequeue: false,
    se_log_buffer_conn_blocking_dequeue: false,
    se_log_buffer_events_blocking_dequeue: true,
    se_lro: false,
    se_mp_ring_retry_count: 500,
    se_mtu: 0,
    se_name_prefix: 'Avi',
    se_packet_buffer_max: 0,
    se_pcap_lookahead: false,
    se_pcap_pkt_count: 0,
    se_pcap_pkt_sz: 69632,
    se_pcap_qdisc_bypass: true,
    se_pcap_reinit_frequency: 0,
    se_pcap_reinit_threshold: 0,
    se_probe_port: 7,
    se_rl_prop: { msf_num_stages: 1, msf_stage_size: 16384 },
    se_rum_sampling_nav_interval: 1,
    se_rum_sampling_nav_percent: 1,
    se_rum_sampling_res_interval: 2,
    se_rum_sampling_res_percent: 100,
    se_sb_dedicated_core: false,
    se_sb_threads: 1,
    se_thread_multiplier: 1,
    se_time_tracker_props: {
      egress_audit_mode: 'SE_TT_AUDIT_OFF',
      egress_threshold: 20,
      event_gen_window: 300,
      ingress_audit_mode: 'SE_TT_AUDIT_OFF',
      ingress_threshold: 20
    },
    se_tracert_port_range: {},
    se_tunnel_mode: 0,
    se_tunnel_udp_port: 1550,
    se_tx_batch_size: 64,
    se_txq_threshold: 2048,
    se_udp_encap_ipc: 0,
    se_use_dpdk: 0,
    se_vnic_tx_sw_queue_flush_frequency: 0,
    se_vnic_tx_sw_queue_size: 256,
    se_vs_hb_max_pkts_in_batch: 64,
    se_vs_hb_max_vs_in_pkt: 256,
    self_se_election: false,
    send_se_ready_timeout: 300,
    service_ip6_subnets: [],
    service_ip_subnets: [],
    shm_minimum_config_memory: 4,
    significant_log_throttle: 100,
    ssl_preprocess_sni_hostname: true,
    ssl_sess_cache_per_vs: 4096,
    transient_shared_memory_max: 30,
    udf_log_throttle: 100,
    upstream_connect_timeout: 3600000,
    upstream_connpool_enable: true,
    upstream_read_timeout: 3600000,
    upstream_send_timeout: 3600000,
    use_dp_util_for_scaleout: false,
    use_hyperthreaded_cores: true,
    use_legacy_netlink: false,
    use_objsync: true,
    use_standard_alb: false,
    user_agent_cache_config: {
      batch_size: 100,
      controller_cache_size: 300000,
      max_age: 86400,
      max_last_hit_time: 86400,
      max_upstream_queries: 5,
      max_wait_time: 60,
      num_entries_upstream_update: 100,
      percent_reserved_for_bad_bots: 20,
      percent_reserved_for_browsers: 50,
      percent_reserved_for_good_bots: 20,
      percent_reserved_for_outstanding: 10,
      se_cache_size: 20000,
      upstream_update_interval: 3600
    },
    user_defined_metric_age: 60,
    vcenter_clusters: {},
    vcenter_datastore_mode: 'VCENTER_DATASTORE_ANY',
    vcenter_datastores: [],
    vcenter_datastores_include: false,
    vcenter_folder: 'AviSeFolder',
    vcenter_hosts: {},
    vcenter_parking_vnic_pg: '',
    vcenters: [],
    vcpus_per_se: 1,
    vip_asg: {},
    vnic_dhcp_ip_check_interval: 6,
    vnic_dhcp_ip_max_retries: 10,
    vnic_ip_delete_interval: 5,
    vnic_probe_interval: 5,
    vnic_rpc_retry_interval: 5,
    vnicdb_cmd_history_size: 256,
    vs_scalein_timeout_for_upgrade: 30,
    vs_scaleout_timeout: 600,
    vs_se_primary_switchover_additional_wait_time: 0,
    vs_se_scalein_additional_wait_time: 0,
    vs_se_scaleout_additional_wait_time: 0,
    vs_se_scaleout_ready_timeout: 60,
    vs_switchover_timeout: 300,
    vss_placement: { core_nonaffinity: 2, num_subcores: 4 },
    vss_placement_enabled: false,
    waf_mempool: true,
    waf_mempool_size: 64
  },
  check: body => {
    const violations: Violation[] = []
    const notAbove = (
      low: 'min_scaleout_per_vs' | 'min_cpu_usage' | 'min_se',
      high: 'max_scaleout_per_vs' | 'max_cpu_usage' | 'max_se'
    ): void => {
      if (body[low] > body[high]) violations.push({ pointer: `/${low}`, message: `must not be above ${high} (${body[high]})` })
    }
    notAbove('min_scaleout_per_vs', 'max_scaleout_per_vs')
    notAbove('min_cpu_usage', 'max_cpu_usage')
    notAbove('min_se', 'max_se')
    return [...violations, ...pairViolations(body)]
  }
})
export type ServiceEngineGroup = Written<typeof serviceenginegroup.fields>
export type FilledServiceEngineGroup = Filled<typeof serviceenginegroup.fields>
