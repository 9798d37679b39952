/** Builders of snapshots: every field has a value that changes nothing; a test says what it is about. */
import { createHash } from 'node:crypto'
import type {
  CertificatePart,
  HttpSpec,
  ListenerSpec,
  Match,
  Part,
  PoolPart,
  RateLimitSpec,
  RequestRule,
  ResponseRule,
  ServerSpec,
  Snapshot,
  TlsSpec,
  UpstreamTlsSpec,
  VirtualServicePart
} from '#model/snapshot/snapshot.ts'
import { canonicalJson, manifestText } from '#model/snapshot/canonical.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export const plainHttp: HttpSpec = {
  xffHeader: 'X-Forwarded-For',
  xffUpdate: 'REPLACE',
  hasForwardedProto: true,
  requestIdHeader: 'X-Request-Id',
  isWebsocketEnabled: true,
  isHttpToHttps: false,
  hstsMaxAgeS: null,
  hasHstsSubdomains: false,
  serverHeader: 'keep',
  keepAliveTimeoutMs: 30_000,
  headerTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  maxRequestsPerConnection: 1_000_000,
  maxHeaderBytes: 12_288,
  maxHeaderCount: 256,
  maxBodyBytes: null,
  isConnectionMultiplexed: true
}

export const aListener = (given: Partial<ListenerSpec> = {}): ListenerSpec => ({
  address: '127.0.0.1',
  port: 0,
  isTls: false,
  isHttp2: false,
  vip: given.address ?? '127.0.0.1',
  ...given
})

export const aTls = (certificateIds: readonly string[]): TlsSpec => ({
  certificateIds,
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: '',
  hasServerPreference: true,
  isSessionReuseEnabled: true,
  sessionTimeoutS: 300
})

type ServiceGiven = Partial<Omit<VirtualServicePart, 'http'>> & { readonly http?: Partial<HttpSpec> }

export function aService(given: ServiceGiven = {}): VirtualServicePart {
  return {
    kind: 'virtual-service',
    id: 'vs-1',
    name: 'shop',
    tenant: 'admin',
    listeners: [aListener()],
    application: 'http',
    isTrafficEnabled: true,
    tls: null,
    tcp: { idleTimeoutMs: 60_000 },
    networkRules: [],
    requestRules: [],
    responseRules: [],
    target: { is: 'pool', poolId: 'pool-1' },
    accessLog: { isEnabled: true, isSignificantOnly: false },
    ...given,
    http: { ...plainHttp, ...given.http }
  }
}

/** Refused with 429. */
export const aLimit = (given: Partial<RateLimitSpec> = {}): RateLimitSpec => ({
  id: 'limit-1',
  name: 'limit',
  count: 1_000,
  periodS: 1,
  burst: 50,
  key: [],
  action: { is: 'respond', status: 429, contentType: '', bodyBase64: '' },
  isLogOnly: false,
  ...given
})

export const anUpstreamTls = (given: Partial<UpstreamTlsSpec> = {}): UpstreamTlsSpec => ({
  isSniEnabled: true,
  serverName: null,
  trustedPem: null,
  isHostChecked: false,
  clientCertificateId: null,
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: '',
  ...given
})

export function aServer(port: number, given: Partial<ServerSpec> = {}): ServerSpec {
  const host = given.host ?? '127.0.0.1'
  return { id: `${host}:${port}`, host, port, isName: false, isEnabled: true, weight: 1, hostHeader: null, ...given }
}

export function aPool(servers: readonly (number | ServerSpec)[], given: Partial<PoolPart> = {}): PoolPart {
  return {
    kind: 'pool',
    id: 'pool-1',
    name: 'web',
    tenant: 'admin',
    algorithm: { is: 'round-robin' },
    servers: servers.map(server => (typeof server === 'number' ? aServer(server) : server)),
    monitors: [],
    minMonitorsUp: 0,
    tls: null,
    maxConnectionsPerServer: null,
    connectTimeoutMs: 10_000,
    serverTimeoutMs: null,
    idleConnectionTimeoutMs: 60_000,
    maxIdleConnectionsPerServer: 256,
    rewritesHost: 'no',
    queue: null,
    failAction: { is: 'close' },
    gracefulDisableS: 60,
    ...given
  }
}

export const noMatch: Match = {
  clientAddress: null,
  port: null,
  protocol: null,
  method: null,
  version: null,
  host: null,
  path: null,
  query: null,
  headers: [],
  cookie: null
}

export function aRule(given: Partial<Omit<RequestRule, 'match'>> & { readonly match?: Partial<Match> }): RequestRule {
  const match = given.match === undefined ? null : { ...noMatch, ...given.match }
  return { id: 'rule-1', name: 'policy / rule', headerActions: [], rewrite: null, action: null, isLogged: false, ...given, match }
}

export function aResponseRule(given: Partial<ResponseRule>): ResponseRule {
  return { id: 'rule-1', name: 'policy / answer', match: null, status: [], headerActions: [], isLogged: false, ...given }
}

export function aSnapshot(given: {
  readonly services?: readonly VirtualServicePart[]
  readonly pools?: readonly PoolPart[]
  readonly certificates?: readonly CertificatePart[]
  readonly revision?: number
  readonly drainTimeoutS?: number
  readonly ticketKeys?: readonly string[]
  /** Of the engine. */
  readonly zone?: string
}): Snapshot {
  const { services = [], pools = [], certificates = [], revision = 1, drainTimeoutS = 30 } = given
  const { ticketKeys, zone } = given
  const engine = {
    kind: 'engine',
    id: 'serviceengine-1',
    name: 'engine-1',
    drainTimeoutS,
    ...(zone === undefined ? {} : { zone }),
    ...(ticketKeys === undefined ? {} : { ticketKeys })
  } as const
  const parts: readonly Part[] = [engine, ...services, ...pools, ...certificates]
  const entries = parts.map(part => ({ kind: part.kind, id: part.id, hash: sha256(canonicalJson(part)) }))
  const manifest = { version: 1, revision, engineId: engine.id, parts: entries, hash: sha256(manifestText(entries)) }
  return { manifest, engine, virtualServices: services, pools, certificates }
}
