/** A virtual service, but for where it listens on one engine. */
import type { FilledKind } from '#model/resource/catalogue.ts'
import { http2Profile, httpProfile } from '#model/resource/applicationprofile.ts'
import { variables } from '#model/resource/httppolicyset.ts'
import { fillDefaults } from '#model/resource/walk.ts'
import type { FilledShape } from '#model/resource/field.ts'
import type { AccessLogSpec, Http2Spec, HttpSpec, TcpSpec, TlsSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { cacheOf, contentRewriteOf } from './content.ts'
import { hostingOf, type Hosting } from './hosting.ts'
import { bandwidthOf, limitOf } from './limit.ts'
import { matchOf, statusRanges } from './match.ts'
import { targetOf } from './pool.ts'
import { CannotBuild } from './resources.ts'
import { scriptsOf } from './script.ts'
import type { Read, Reader } from './resources.ts'
import { httpRules, networkRules } from './rules.ts'
import { clientAuthOf, clientTls } from './tls.ts'

type Service = FilledKind['virtualservice']
type HttpProfile = FilledShape<typeof httpProfile>

/** Not a setting of Avi, which always makes one. */
const REQUEST_ID_HEADER = 'X-Request-Id'
const SECONDS_A_DAY = 86_400
/** `unlimited` and `no limit`, in numbers that a counter and a timer can take. */
const ALL_REQUESTS = 1_000_000_000
const ALL_HEADERS = 65_536
const NEVER_MS = 86_400_000
/** What engines do anyway, and what network profiles say unless told otherwise. */
const USUAL_TUNNEL_IDLE_MS = 600_000
const USUAL_ACCEPT_MS = 30_000

export function servicePart(
  reader: Reader,
  { uuid, name, tenant, body }: Read<'virtualservice'>,
  children: readonly string[] = []
): Omit<VirtualServicePart, 'listeners'> {
  const hosting = children.length === 0 ? undefined : hostingOf(reader, body, children)
  const profile = reader.orSystem('applicationprofile', body.application_profile_ref, 'System-HTTP')?.body
  const isHttp = profile === undefined || profile.type === 'APPLICATION_PROFILE_TYPE_HTTP'
  const rules = isHttp ? httpRules(reader, body.http_policies) : { requestRules: [], responseRules: [] }
  const { request_ms: requestMs = 0, idle_ms: idleMs = 0 } = body.timeouts ?? {}
  const tcp = { ...tcpOf(reader, body, profile), ...(idleMs > 0 ? { idleTimeoutMs: idleMs } : {}) }
  return {
    kind: 'virtual-service',
    id: uuid,
    name,
    tenant,
    application: isHttp ? 'http' : protocolOf(networkProfileOf(reader, body)),
    isTrafficEnabled: body.traffic_enabled,
    tls: body.services.some(service => service.enable_ssl) ? withHosted(clientTls(reader, body), hosting) : null,
    http: {
      ...httpOf(
        profile?.http_profile,
        body.services.some(service => service.enable_http2)
      ),
      ...(idleMs > 0 ? { keepAliveTimeoutMs: idleMs } : {}),
      ...(isHttp && tcp.idleTimeoutMs !== USUAL_TUNNEL_IDLE_MS ? { tunnelIdleTimeoutMs: tcp.idleTimeoutMs } : {}),
      ...paceOf(body.timeouts)
    },
    tcp,
    networkRules: networkRules(reader, body.network_security_policy_ref),
    ...rules,
    target: targetOf(reader, { pool: body.pool_ref, group: body.pool_group_ref }),
    accessLog: accessLogOf(reader, body),
    ...forwardingOf(body, profile, networkProfileOf(reader, body)),
    ...(requestMs > 0 ? { requestTimeoutMs: requestMs } : {}),
    ...errorPagesOf(reader, body.error_page_profile_ref),
    ...(hosting === undefined ? {} : { hosting: hosting.spec }),
    ...limitsOf(uuid, body),
    ...bandwidthOf(uuid, body.bandwidth),
    ...stepsOf(reader, body),
    ...scriptsOf(reader, isHttp ? body.vs_datascripts : undefined),
    ...compressionOf(reader, isHttp ? profile?.http_profile : undefined),
    ...(isHttp ? clientCertificateOf(reader, body, profile?.http_profile) : {}),
    ...contentRewriteOf(reader, isHttp ? body.content_rewrite : undefined),
    ...cacheOf(reader, isHttp ? profile?.http_profile : undefined)
  }
}

/** Said only where it is not what engines do anyway. */
function paceOf(timeouts: Service['timeouts']): Pick<HttpSpec, 'pace'> {
  const { min_bytes_per_s: minBytesPerS = 240, grace_ms: graceMs = 10_000 } = timeouts ?? {}
  return minBytesPerS === 240 && graceMs === 10_000 ? {} : { pace: { minBytesPerS, graceMs } }
}

function clientCertificateOf(
  reader: Reader,
  body: Service,
  profile: HttpProfile | undefined
): Pick<VirtualServicePart, 'clientCertificate'> {
  const auth = clientAuthOf(reader, body)
  if (auth === undefined) return {}
  const headers = (profile?.ssl_client_certificate_action?.headers ?? []).map(({ request_header: name, request_header_value: value }) => ({
    name,
    value: variables[value]
  }))
  return { clientCertificate: { authId: auth.id, headers } }
}

/** Packed best, and most of what is sent as text. */
const compressible = [
  'text/*',
  'application/atom+xml',
  'application/javascript',
  'application/json',
  'application/ld+json',
  'application/manifest+json',
  'application/rss+xml',
  'application/wasm',
  'application/x-javascript',
  'application/xhtml+xml',
  'application/xml',
  'image/bmp',
  'image/svg+xml'
]

function compressionOf(reader: Reader, profile: HttpProfile | undefined): Pick<VirtualServicePart, 'compression'> {
  const given = profile?.compression_profile
  if (given?.compression !== true) return {}
  const ref = given.compressible_content_ref
  const types = ref === undefined ? compressible : (reader.need('stringgroup', ref).body.kv ?? []).map(({ key }) => key.toLowerCase())
  return {
    compression: {
      contentTypes: types,
      minBytes: given.min_length,
      level: given.level_normal,
      hidesAcceptEncoding: given.remove_accept_encoding_header
    }
  }
}

function stepsOf(reader: Reader, { fault, mirror, cors_policy: cors }: Service): Pick<VirtualServicePart, 'fault' | 'mirror' | 'cors'> {
  const methods = (cors?.allowed_methods ?? []).map(method => method.slice('HTTP_METHOD_'.length))
  return {
    ...(fault === undefined
      ? {}
      : { fault: { match: matchOf(reader, fault.match), delay: fault.delay ?? null, abort: fault.abort ?? null } }),
    ...(mirror === undefined ? {} : { mirror: { poolId: reader.poolPart(mirror.pool_ref), percent: mirror.percent } }),
    ...(cors === undefined
      ? {}
      : {
          cors: {
            origins: cors.allowed_origins,
            methods: methods.length === 0 ? ['GET', 'HEAD', 'POST'] : methods,
            headers: cors.allowed_headers ?? [],
            exposedHeaders: cors.exposed_headers ?? [],
            hasCredentials: cors.allow_credentials,
            maxAgeS: cors.max_age
          }
        })
  }
}

/** The certificates of children beside its own, and what they ask of clients. */
function withHosted(tls: TlsSpec, hosting: Hosting | undefined): TlsSpec {
  if (hosting === undefined) return tls
  const { certificates, clientAuth } = hosting
  const ids = [...new Set([...tls.certificateIds, ...Object.values(certificates).flat()])]
  const isAsked = tls.clientAuth !== undefined || Object.values(clientAuth).some(auth => auth !== null)
  return {
    ...tls,
    ...(Object.keys(certificates).length === 0 ? {} : { certificateIds: ids, certificateIdsByName: certificates }),
    ...(isAsked ? { clientAuthByName: clientAuth } : {})
  }
}

function limitsOf(uuid: string, body: Service): Pick<VirtualServicePart, 'requestLimit' | 'connectionLimit'> {
  const { requests_rate_limit: requests, connections_rate_limit: connections } = body
  return {
    ...(requests === undefined ? {} : { requestLimit: limitOf(requests, { id: `${uuid}/requests`, name: 'requests_rate_limit' }) }),
    ...(connections === undefined
      ? {}
      : { connectionLimit: limitOf(connections, { id: `${uuid}/connections`, name: 'connections_rate_limit' }) })
  }
}

const contentTypeOf = {
  ERROR_PAGE_FORMAT_HTML: 'text/html; charset=utf-8',
  ERROR_PAGE_FORMAT_JSON: 'application/json'
} as const

function errorPagesOf(reader: Reader, ref: string | undefined): Pick<VirtualServicePart, 'errorPages'> {
  if (ref === undefined) return {}
  const pages = (reader.need('errorpageprofile', ref).body.error_pages ?? []).filter(page => page.enable)
  if (pages.length === 0) return {}
  return {
    errorPages: pages
      .toSorted((a, b) => a.index - b.index)
      .map(({ match, error_redirect: location, error_page_body_ref: bodyRef }) => {
        const page = bodyRef === undefined ? undefined : reader.need('errorpagebody', bodyRef).body
        return {
          status: statusRanges(match),
          location: page === undefined ? (location ?? '/') : null,
          contentType: contentTypeOf[page?.format ?? 'ERROR_PAGE_FORMAT_HTML'],
          bodyBase64: Buffer.from(page?.error_page_body ?? '').toString('base64')
        }
      })
  }
}

const xffUpdateOf = {
  REPLACE_XFF_HEADERS: 'REPLACE',
  APPEND_TO_THE_XFF_HEADER: 'ADD',
  // A header of its own and one more value of the same header mean the same (RFC 9110 §5.2).
  ADD_NEW_XFF_HEADER: 'ADD'
} as const

function httpOf(given: HttpProfile | undefined, isHttp2: boolean): HttpSpec {
  const profile = given ?? (fillDefaults(httpProfile.schema, {}) as unknown as HttpProfile)
  return {
    xffHeader: profile.xff_enabled ? profile.xff_alternate_name : null,
    xffUpdate: xffUpdateOf[profile.xff_update],
    hasForwardedProto: profile.x_forwarded_proto_enabled,
    requestIdHeader: REQUEST_ID_HEADER,
    isWebsocketEnabled: profile.websockets_enabled,
    isHttpToHttps: profile.http_to_https,
    hstsMaxAgeS: profile.hsts_enabled ? profile.hsts_max_age * SECONDS_A_DAY : null,
    hasHstsSubdomains: profile.hsts_subdomains_enabled,
    serverHeader: 'keep',
    keepAliveTimeoutMs: profile.keepalive_timeout,
    headerTimeoutMs: profile.client_header_timeout,
    bodyTimeoutMs: profile.client_body_timeout || NEVER_MS,
    ...(profile.post_accept_timeout === USUAL_ACCEPT_MS ? {} : { acceptTimeoutMs: profile.post_accept_timeout }),
    maxRequestsPerConnection: profile.max_keepalive_requests || ALL_REQUESTS,
    maxHeaderBytes: profile.client_max_request_size * 1024,
    maxHeaderCount: profile.max_header_count || ALL_HEADERS,
    maxBodyBytes: profile.client_max_body_size === 0 ? null : profile.client_max_body_size * 1024,
    isConnectionMultiplexed: profile.connection_multiplexing_enabled,
    ...(isHttp2 ? { http2: http2Of(profile) } : {})
  }
}

function http2Of({ http2_profile: given }: HttpProfile): Http2Spec {
  const profile = given ?? (fillDefaults(http2Profile.schema, {}) as unknown as FilledShape<typeof http2Profile>)
  return {
    initialWindowBytes: profile.http2_initial_window_size * 1024,
    maxStreams: profile.max_http2_concurrent_streams_per_connection,
    maxControlFrames: profile.max_http2_control_frames_per_connection,
    maxEmptyDataFrames: profile.max_http2_empty_data_frames_per_connection,
    maxRequests: profile.max_http2_requests_per_connection
  }
}

/** What the kernel can forward: connections and datagrams as they are, with nothing to decide or to say about them. */
function forwardingOf(
  body: Service,
  application: FilledKind['applicationprofile'] | undefined,
  network: NetworkProfile | undefined
): Pick<VirtualServicePart, 'forwarding'> {
  const isFast = network?.type === 'PROTOCOL_TYPE_TCP_FAST_PATH' || network?.type === 'PROTOCOL_TYPE_UDP_FAST_PATH'
  const isPlain =
    application?.type === 'APPLICATION_PROFILE_TYPE_L4' &&
    application.tcp_app_profile?.proxy_protocol_enabled !== true &&
    body.network_security_policy_ref === undefined &&
    body.bandwidth === undefined &&
    body.services.every(service => !service.enable_ssl && !service.accept_proxy_protocol)
  const preserves = application?.preserve_client_ip === true || network?.udp_fast_path_profile?.snat === false
  if (isFast && isPlain) return { forwarding: preserves ? 'kernel-only' : 'kernel' }
  if (preserves) throw new CannotBuild('the address of clients is preserved by the kernel only: plain layer 4 with a fast path profile')
  return {}
}

type NetworkProfile = FilledKind['networkprofile']['profile']

function networkProfileOf(reader: Reader, body: Service): NetworkProfile | undefined {
  return reader.orSystem('networkprofile', body.network_profile_ref, 'System-TCP-Proxy')?.body.profile
}

const protocolOf = (profile: NetworkProfile | undefined): 'tcp' | 'udp' =>
  profile?.type === 'PROTOCOL_TYPE_UDP_FAST_PATH' || profile?.type === 'PROTOCOL_TYPE_UDP_PROXY' ? 'udp' : 'tcp'

const proxyProtocolOf = { PROXY_PROTOCOL_VERSION_1: 1, PROXY_PROTOCOL_VERSION_2: 2 } as const

function tcpOf(reader: Reader, body: Service, profile: FilledKind['applicationprofile'] | undefined): TcpSpec {
  const application = profile?.tcp_app_profile
  return {
    idleTimeoutMs:
      profile?.type === 'APPLICATION_PROFILE_TYPE_SSL' && profile.l4_ssl_profile !== undefined
        ? profile.l4_ssl_profile.ssl_stream_idle_timeout * 1000
        : idleTimeoutMs(reader, body),
    ...(application?.proxy_protocol_enabled === true ? { sendsProxyProtocol: proxyProtocolOf[application.proxy_protocol_version] } : {})
  }
}

/** 0: without end. */
function idleTimeoutMs(reader: Reader, body: Service): number {
  const profile = networkProfileOf(reader, body)
  switch (profile?.type) {
    case 'PROTOCOL_TYPE_TCP_FAST_PATH':
      return (profile.tcp_fast_path_profile?.session_idle_timeout ?? 300) * 1000
    case 'PROTOCOL_TYPE_UDP_FAST_PATH':
      return (profile.udp_fast_path_profile?.session_idle_timeout ?? 10) * 1000
    case 'PROTOCOL_TYPE_UDP_PROXY':
      return (profile.udp_proxy_profile?.session_idle_timeout ?? 10) * 1000
    case 'PROTOCOL_TYPE_TCP_PROXY':
    case undefined:
      return (profile?.tcp_proxy_profile?.idle_connection_timeout ?? 600) * 1000
  }
}

function accessLogOf(reader: Reader, body: Service): AccessLogSpec {
  const profile = reader.orSystem('analyticsprofile', body.analytics_profile_ref, 'System-Analytics-Profile')?.body
  const isFull = body.analytics_policy?.full_client_logs?.enabled === true
  const isSignificant = profile?.client_log_config?.enable_significant_log_collection ?? true
  return { isEnabled: isFull || isSignificant, isSignificantOnly: !isFull }
}
