import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { flag, inTenant, nested, shape } from './common.ts'

export const clientLogConfig = shape(
  'client log configuration',
  {
    enable_significant_log_collection: flag('Failed requests (faults, status 400 and above) and those of rules that log are logged.', {
      default: true
    })
  },
  {
    filtered_log_processing: 'LOGS_PROCESSING_SYNC_AND_INDEX_ON_DEMAND',
    non_significant_log_processing: 'LOGS_PROCESSING_SYNC_AND_INDEX_ON_DEMAND',
    significant_log_processing: 'LOGS_PROCESSING_SYNC_AND_INDEX_ON_DEMAND'
  }
)

export const analyticsprofile = defineKind({
  kind: 'analyticsprofile',
  title: 'Analytics profile',
  titlePlural: 'Analytics profiles',
  description: 'What is logged of a virtual service.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    client_log_config: nested(clientLogConfig, 'What is logged.', { first: true })
  },
  unsupported: {
    apdex_response_threshold: 500,
    apdex_response_tolerated_factor: 4,
    hs_max_resources_penalty: 25,
    exclude_http_error_codes: [],
    apdex_rtt_threshold: 250,
    apdex_rtt_tolerated_factor: 4,
    apdex_rum_threshold: 5000,
    apdex_rum_tolerated_factor: 4,
    apdex_server_response_threshold: 400,
    apdex_server_response_tolerated_factor: 4,
    apdex_server_rtt_threshold: 125,
    apdex_server_rtt_tolerated_factor: 4,
    client_log_streaming_config: {},
    conn_lossy_ooo_threshold: 50,
    conn_lossy_timeo_rexmt_threshold: 20,
    conn_lossy_total_rexmt_threshold: 50,
    conn_lossy_zero_win_size_event_threshold: 2,
    conn_server_lossy_ooo_threshold: 50,
    conn_server_lossy_timeo_rexmt_threshold: 20,
    conn_server_lossy_total_rexmt_threshold: 50,
    conn_server_lossy_zero_win_size_event_threshold: 2,
    enable_adaptive_config: true,
    enable_advanced_analytics: true,
    enable_ondemand_metrics: true,
    enable_se_analytics: true,
    enable_server_analytics: true,
    enable_vs_analytics: true,
    exclude_client_close_before_request_as_error: false,
    exclude_dns_policy_drop_as_significant: false,
    exclude_gs_down_as_error: false,
    exclude_invalid_dns_domain_as_error: false,
    exclude_invalid_dns_query_as_error: false,
    exclude_issuer_revoked_ocsp_responses_as_error: true,
    exclude_no_dns_record_as_error: false,
    exclude_no_valid_gs_member_as_error: false,
    exclude_persistence_change_as_error: false,
    exclude_revoked_ocsp_responses_as_error: true,
    exclude_server_dns_error_as_error: false,
    exclude_server_tcp_reset_as_error: false,
    exclude_sip_error_codes: [],
    exclude_stale_ocsp_responses_as_error: true,
    exclude_syn_retransmit_as_error: false,
    exclude_tcp_reset_as_error: false,
    exclude_unavailable_ocsp_responses_as_error: true,
    exclude_unsupported_dns_query_as_error: false,
    healthscore_max_server_limit: 20,
    hs_event_throttle_window: 1209600,
    hs_max_anomaly_penalty: 10,
    hs_max_security_penalty: 100,
    hs_min_dos_rate: 1000,
    hs_performance_boost: 0,
    hs_pscore_traffic_threshold_l4_client: 10,
    hs_pscore_traffic_threshold_l4_server: 10,
    hs_security_certscore_expired: 0,
    hs_security_certscore_gt30d: 5,
    hs_security_certscore_le07d: 2,
    hs_security_certscore_le30d: 4,
    hs_security_chain_invalidity_penalty: 1,
    hs_security_cipherscore_eq000b: 0,
    hs_security_cipherscore_ge128b: 5,
    hs_security_cipherscore_lt128b: 3.5,
    hs_security_encalgo_score_none: 0,
    hs_security_encalgo_score_rc4: 2.5,
    hs_security_hsts_penalty: 1,
    hs_security_nonpfs_penalty: 1,
    hs_security_ocsp_revoked_score: 0,
    hs_security_selfsignedcert_penalty: 1,
    hs_security_ssl30_score: 3.5,
    hs_security_tls10_score: 5,
    hs_security_tls11_score: 5,
    hs_security_tls12_score: 5,
    hs_security_tls13_score: 5,
    hs_security_weak_signature_algo_penalty: 1,
    latency_audit_props: {},
    ondemand_metrics_idle_timeout: 1800,
    ranges: [],
    resp_code_block: [],
    sensitive_log_profile: {},
    sip_log_depth: 20,
    time_tracker_props: {}
  }
})
export type AnalyticsProfile = Written<typeof analyticsprofile.fields>
export type FilledAnalyticsProfile = Filled<typeof analyticsprofile.fields>
