import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { variableNames } from './httppolicyset.ts'
import { each, flag, headerName, inTenant, integer, list, nested, oneOf, ref, shape, text, toolText } from './common.ts'
import { cacheViolations, httpCacheConfig } from './httpcache.ts'

export const compressionProfile = shape(
  'compression profile',
  {
    compression: flag('Answers are packed for clients that can unpack them: zstd, br or gzip.', { required: true, first: true }),
    compressible_content_ref: ref('stringgroup', 'Content types that are packed; text, JSON, JavaScript, XML and SVG when left out.', {}),
    min_length: integer('Smaller answers stay as they are.', { default: 128, min: 0, max: 1048576, unit: 'bytes' }),
    level_normal: integer('How hard it tries.', { default: 1, min: 1, max: 9, special: { '1': 'fast', '9': 'small' } }),
    remove_accept_encoding_header: flag('Servers are not told what clients take, so that they leave it to Weir.', { default: true }),
    type: oneOf(['AUTO_COMPRESSION'], 'By type and size.', { default: 'AUTO_COMPRESSION', unsupported: ['CUSTOM_COMPRESSION'] })
  },
  {
    buf_num: 128,
    buf_size: 4096,
    filter: [],
    hash_size: 16384,
    level_aggressive: 5,
    max_low_rtt: 10,
    min_high_rtt: 200,
    mobile_str_ref: '',
    window_size: 4096
  }
)

export const http2Profile = shape(
  'http2 profile',
  {
    http2_initial_window_size: integer('What a client may send on a stream before it is told to go on.', {
      default: 64,
      min: 64,
      max: 32768,
      unit: 'KB'
    }),
    max_http2_concurrent_streams_per_connection: integer('Requests at a time on one connection.', { default: 128, min: 1, max: 256 }),
    max_http2_requests_per_connection: integer('Requests on one connection; then the client is told to open another.', {
      default: 1000,
      min: 0,
      max: 10000,
      special: { '0': 'unlimited' }
    }),
    max_http2_control_frames_per_connection: integer(
      'PING, SETTINGS and the like of a client; then it is told to open another connection.',
      {
        default: 1000,
        min: 0,
        max: 10000,
        special: { '0': 'unlimited' }
      }
    ),
    max_http2_empty_data_frames_per_connection: integer('Empty DATA frames of a client; then its connection is closed.', {
      default: 1000,
      min: 0,
      max: 10000,
      special: { '0': 'unlimited' }
    })
  },
  {
    enable_http2_server_push: false,
    max_http2_concurrent_pushes_per_connection: 10,
    max_http2_header_field_size: 4096,
    max_http2_queued_frames_to_client_per_connection: 1000
  }
)

const clientCertificateHeader = shape('client certificate header', {
  request_header: text('Header that servers get; what a client sent by that name is removed.', {
    required: true,
    minLength: 1,
    first: true,
    ...headerName
  }),
  request_header_value: oneOf(variableNames, 'What it says. SSL_CLIENT_RAW is the DER in base64, the fingerprint SHA-256.', {
    required: true,
    first: true,
    unsupported: ['HTTP_POLICY_VAR_HTTP_HDR', 'HTTP_POLICY_VAR_USER_NAME']
  })
})

/** Of a profile of any application that can speak TLS. */
const clientCertificate = {
  ssl_client_certificate_mode: oneOf(
    ['SSL_CLIENT_CERTIFICATE_NONE', 'SSL_CLIENT_CERTIFICATE_REQUEST', 'SSL_CLIENT_CERTIFICATE_REQUIRE'],
    'Whether clients are asked for a certificate in the TLS handshake; without a good one, REQUIRE closes the connection.',
    { default: 'SSL_CLIENT_CERTIFICATE_NONE', first: true }
  ),
  pki_profile_ref: ref('pkiprofile', 'Authorities that the certificates of clients must lead to.', {})
} as const

export const httpProfile = shape(
  'http profile',
  {
    connection_multiplexing_enabled: flag('Requests of different clients share connections to servers.', { default: true, first: true }),
    xff_enabled: flag('Tell servers the address of the client.', { default: true, first: true }),
    xff_alternate_name: text('Header that carries the address of the client.', { default: 'X-Forwarded-For', ...headerName }),
    xff_update: oneOf(
      ['REPLACE_XFF_HEADERS', 'APPEND_TO_THE_XFF_HEADER', 'ADD_NEW_XFF_HEADER'],
      'What becomes of such a header that the client sent.',
      { default: 'REPLACE_XFF_HEADERS' }
    ),
    x_forwarded_proto_enabled: flag('Tell servers whether the client used TLS.', { default: false, first: true }),
    websockets_enabled: flag('Let WebSocket through.', { default: true, first: true }),
    http_to_https: flag('Redirect requests without TLS to HTTPS.', { default: false, first: true }),
    hsts_enabled: flag('Tell browsers to use HTTPS only.', { default: false }),
    hsts_max_age: integer('How long browsers remember that.', { default: 365, min: 0, max: 10000, unit: 'days' }),
    hsts_subdomains_enabled: flag('For names below as well.', { default: true }),
    client_header_timeout: integer('Time in which the headers of a request must come.', {
      default: 10000,
      min: 10,
      max: 100000000,
      unit: 'ms'
    }),
    post_accept_timeout: integer('Time to the first byte of a connection, its TLS handshake included; 10 seconds at most.', {
      default: 30000,
      min: 10,
      max: 100000000,
      unit: 'ms'
    }),
    client_body_timeout: integer('Time that the body of a request may pause.', {
      default: 30000,
      min: 0,
      max: 100000000,
      unit: 'ms',
      special: { '0': 'no limit' }
    }),
    keepalive_timeout: integer('Time that an idle connection of a client stays open.', {
      default: 30000,
      min: 10,
      max: 100000000,
      unit: 'ms'
    }),
    max_keepalive_requests: integer('Requests on one connection.', { default: 100, min: 0, max: 1000000, special: { '0': 'unlimited' } }),
    client_max_request_size: integer('Size of all headers of a request.', { default: 48, min: 1, max: 256, unit: 'KB' }),
    max_header_count: integer('Headers of a request.', { default: 256, min: 0, max: 4096, special: { '0': 'unlimited' } }),
    cache_config: nested(httpCacheConfig, 'Answers that are kept for others that ask for the same.', {}),
    compression_profile: nested(compressionProfile, 'Answers in fewer bytes.', {}),
    client_max_body_size: integer('Size of the body of a request.', {
      default: 0,
      min: 0,
      max: 1073741824,
      unit: 'KB',
      special: { '0': 'unlimited' }
    }),
    ...clientCertificate,
    ssl_client_certificate_action: nested(
      shape('client certificate action', {
        close_connection: flag('With REQUEST: a certificate that is not good closes the connection; otherwise it counts as none.', {
          default: false
        }),
        headers: list(each(clientCertificateHeader), 'What servers are told of the certificate.', { maxItems: 32 })
      }),
      'What becomes of the certificate of a client.',
      {}
    ),
    http2_profile: nested(http2Profile, 'Bounds on connections that speak HTTP/2; defaults when left out.', {})
  },
  {
    allow_dots_in_header_name: false,
    client_max_header_size: 12,
    close_server_side_connection_on_error: false,
    collect_client_tls_fingerprint: false,
    detect_ntlm_app: true,
    disable_keepalive_posts_msie6: true,
    disable_sni_hostname_check: false,
    enable_chunk_merge: true,
    enable_fire_and_forget: false,
    enable_request_body_buffering: false,
    enable_request_body_metrics: false,
    fwd_close_hdr_for_bound_connections: true,
    http_upstream_buffer_size: 0,
    httponly_enabled: false,
    keepalive_header: false,
    max_bad_rps_cip: 0,
    max_bad_rps_cip_uri: 0,
    max_bad_rps_uri: 0,
    max_response_headers_size: 48,
    max_rps_cip: 0,
    max_rps_cip_uri: 0,
    max_rps_unknown_cip: 0,
    max_rps_unknown_uri: 0,
    max_rps_uri: 0,
    pass_through_x_accel_headers: false,
    reset_conn_http_on_ssl_port: false,
    respond_with_100_continue: true,
    secure_cookie_enabled: false,
    server_side_redirect_to_https: false,
    session_config: {
      session_cookie_httponly: true,
      session_cookie_name: 'albsessid',
      session_cookie_samesite: 'SAMESITE_LAX',
      session_cookie_secure: true
    },
    true_client_ip: { direction: 'LEFT', index_in_header: 1 },
    use_app_keepalive_timeout: false,
    use_true_client_ip: false
  }
)

export const tcpApplicationProfile = shape(
  'tcp application profile',
  {
    proxy_protocol_enabled: flag('Tell servers who the client is, by a PROXY protocol header before its first byte.', {
      default: false,
      first: true
    }),
    proxy_protocol_version: oneOf(['PROXY_PROTOCOL_VERSION_1', 'PROXY_PROTOCOL_VERSION_2'], 'Version of that header.', {
      default: 'PROXY_PROTOCOL_VERSION_1'
    }),
    ...clientCertificate
  },
  {
    ftp_profile: {}
  }
)
export const l4SslProfile = shape('l4 ssl profile', {
  ssl_stream_idle_timeout: integer('A connection without traffic is closed after this time.', {
    default: 3600,
    min: 60,
    max: 86400,
    unit: 's'
  })
})

/** Whether a handshake asks for a certificate. */
const asksClients = (profile: { readonly ssl_client_certificate_mode: string } | undefined): boolean =>
  profile !== undefined && profile.ssl_client_certificate_mode !== 'SSL_CLIENT_CERTIFICATE_NONE'

const partsOf = {
  APPLICATION_PROFILE_TYPE_HTTP: ['http_profile'],
  APPLICATION_PROFILE_TYPE_L4: ['tcp_app_profile'],
  APPLICATION_PROFILE_TYPE_SSL: ['tcp_app_profile', 'l4_ssl_profile']
} as const

export const applicationprofile = defineKind({
  kind: 'applicationprofile',
  title: 'Application profile',
  titlePlural: 'Application profiles',
  description: 'How the application protocol of a virtual service is handled.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    cloud_config_cksum: toolText.cloud_config_cksum,
    type: oneOf(
      ['APPLICATION_PROFILE_TYPE_HTTP', 'APPLICATION_PROFILE_TYPE_L4', 'APPLICATION_PROFILE_TYPE_SSL'],
      'HTTP: requests; L4: connections as they are; SSL: connections as they are, out of TLS.',
      {
        required: true,
        first: true,
        unsupported: ['APPLICATION_PROFILE_TYPE_SYSLOG', 'APPLICATION_PROFILE_TYPE_DNS', 'APPLICATION_PROFILE_TYPE_SIP']
      }
    ),
    http_profile: nested(httpProfile, 'For APPLICATION_PROFILE_TYPE_HTTP; defaults when left out.', { first: true }),
    preserve_client_ip: flag(
      "Servers see the client's address and must send their answers back through the engine; for a fast path network profile.",
      { default: false }
    ),
    tcp_app_profile: nested(tcpApplicationProfile, 'For APPLICATION_PROFILE_TYPE_L4 and APPLICATION_PROFILE_TYPE_SSL.', {}),
    l4_ssl_profile: nested(l4SslProfile, 'For APPLICATION_PROFILE_TYPE_SSL; defaults when left out.', {})
  },
  unsupported: {
    app_service_type: '',
    dns_service_profile: {},
    dos_rl_profile: {},
    preserve_client_port: false,
    preserve_dest_ip_port: false,
    sip_service_profile: {}
  },
  check: (body, context) => {
    const own: readonly string[] = partsOf[body.type]
    const strange = (['http_profile', 'tcp_app_profile', 'l4_ssl_profile'] as const)
      .filter(name => body[name] !== undefined && !own.includes(name))
      .map(name => ({ pointer: `/${name}`, message: `must not be there, because type is ${body.type}` }))
    const rootless = (['http_profile', 'tcp_app_profile'] as const)
      .filter(name => asksClients(body[name]) && body[name]?.pki_profile_ref === undefined)
      .map(name => ({ pointer: `/${name}/pki_profile_ref`, message: 'is required, because clients are asked for certificates' }))
    const given = body.http_profile?.ssl_client_certificate_action
    const isUnused = given !== undefined && (given.close_connection || (given.headers ?? []).length > 0) && !asksClients(body.http_profile)
    return [
      ...strange,
      ...rootless,
      ...(isUnused
        ? [
            {
              pointer: '/http_profile/ssl_client_certificate_action',
              message: 'must be empty, because clients are not asked for certificates'
            }
          ]
        : []),
      ...cacheViolations(body.http_profile?.cache_config, context)
    ]
  }
})
export type ApplicationProfile = Written<typeof applicationprofile.fields>
export type FilledApplicationProfile = Filled<typeof applicationprofile.fields>
