/** Documents to test with, as an operator would write them. References are uuids of the form `<kind>-<name>`. */
import { patternViolation } from '#controller/change/pattern.ts'
import { checkResource } from '#model/resource/catalogue.ts'
import type { WrittenKind } from '#model/resource/catalogue.ts'
import type { CheckContext, JsonObject, KindName } from '#model/resource/kind.ts'
import { defaultObjects } from '#model/resource/defaults.ts'

export interface StoredDocument {
  readonly kind: KindName
  readonly uuid: string
  readonly tenant: string
  readonly name: string
  readonly body: JsonObject
  readonly revision: number
}

/** A small valid document of every kind. */
export const minimal: { readonly [K in KindName]: WrittenKind[K] } = {
  tenant: { name: 'blue' },
  cloud: { name: 'lab' },
  serviceenginegroup: { name: 'edge' },
  serviceengine: { name: 'edge-1' },
  jointoken: {},
  vsvip: { name: 'shop-vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] },
  virtualservice: { name: 'shop', vsvip_ref: 'vsvip-shop-vip', services: [{ port: 80 }] },
  pool: { name: 'web', servers: [{ ip: { addr: '10.0.1.1', type: 'V4' } }] },
  poolgroup: { name: 'webs', members: [{ pool_ref: 'pool-web' }] },
  healthmonitor: { name: 'alive', type: 'HEALTH_MONITOR_TCP' },
  applicationprofile: { name: 'http', type: 'APPLICATION_PROFILE_TYPE_HTTP' },
  networkprofile: { name: 'tcp', profile: { type: 'PROTOCOL_TYPE_TCP_PROXY' } },
  applicationpersistenceprofile: { name: 'by-ip', persistence_type: 'PERSISTENCE_TYPE_CLIENT_IP_ADDRESS' },
  sslprofile: { name: 'tls' },
  sslkeyandcertificate: {
    name: 'cert',
    certificate: { certificate: '-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n' },
    key: '-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n'
  },
  pkiprofile: { name: 'roots', ca_certs: [{ certificate: '-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n' }] },
  httppolicyset: { name: 'rules' },
  networksecuritypolicy: { name: 'who' },
  errorpageprofile: { name: 'pages' },
  errorpagebody: { name: 'page', error_page_body: '<h1>Sorry</h1>' },
  poolgroupdeploymentpolicy: { name: 'slowly' },
  serverautoscalepolicy: { name: 'by-load', min_size: 2, max_size: 8 },
  webhook: { name: 'ops', callback_url: 'https://ops.test/weir' },
  ipaddrgroup: { name: 'office' },
  stringgroup: { name: 'words', type: 'SG_TYPE_STRING' },
  vsdatascriptset: { name: 'scripts', datascript: [{ evt: 'VS_DATASCRIPT_EVT_HTTP_REQ', script: 'weir.log(weir.request.path)' }] },
  analyticsprofile: { name: 'analytics' },
  systemconfiguration: {},
  user: { name: 'alice' },
  role: { name: 'reader' }
}

export const emptyContext: CheckContext = {
  resource: () => undefined,
  all: () => [],
  referrers: () => [],
  listening: () => [],
  pattern: patternViolation
}

/** A context that sees these documents. */
export function contextOf(documents: readonly StoredDocument[], uuid?: string): CheckContext {
  return {
    uuid,
    resource: (kind, of) => documents.find(document => document.kind === kind && document.uuid === of)?.body,
    all: kind => documents.filter(document => document.kind === kind),
    referrers: (kind, of) => documents.filter(({ kind: from, body }) => from === kind && JSON.stringify(body).includes(`"${of}"`)),
    listening: () => documents.filter(({ kind }) => kind === 'virtualservice'),
    pattern: patternViolation
  }
}

export function document(kind: KindName, body: JsonObject, more: Partial<StoredDocument> = {}): StoredDocument {
  const name = typeof body['name'] === 'string' ? body['name'] : 'default'
  return { kind, uuid: `${kind}-${name}`, tenant: 'admin', name, body, revision: 1, ...more }
}

/** The default objects, with references by name turned into uuids. */
export const defaultDocuments: readonly StoredDocument[] = defaultObjects.map(({ kind, body }) =>
  document(kind, JSON.parse(JSON.stringify(body).replaceAll(/\/api\/(\w+)\/\?name=([\w-]+)/g, '$1-$2')) as JsonObject)
)

/** Pointers of all violations, sorted; unsupported ones end in `?`. */
export function pointersOf(kind: KindName, body: unknown, context: CheckContext = emptyContext): string[] {
  const { violations, unsupported } = checkResource(kind, body, context)
  return [...violations.map(({ pointer }) => pointer), ...unsupported.map(({ pointer }) => `${pointer}?`)].toSorted()
}
