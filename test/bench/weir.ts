/** A scene as an operator would write it, compiled to what the engine runs. */
import type { JsonObject } from '#model/resource/kind.ts'
import type { CertificatePart, EnginePart, Part, PoolPart, Snapshot, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { compile } from '#controller/compile/compile.ts'
import { compileInput } from '#test/support/compile.ts'
import { defaultDocuments, document } from '#test/support/resources.ts'
import { KEEP_ALIVE_S, MAX_REQUESTS, UPSTREAM_IDLE_CONNECTIONS, UPSTREAM_IDLE_S, type Front } from './peer.ts'
import type { Scene } from './case.ts'
import type { Feature, Featured, WrittenDocument } from './feature.ts'

export interface WeirScene {
  readonly scene: Scene
  readonly fronts: readonly Front[]
  readonly upstreamPort: number
  readonly certificatePem: string
  readonly keyPem: string
  /** Services have a pool and a profile each, and the one `at` a front has the feature; null: none. */
  readonly feature?: { readonly is: Feature; readonly at: number | null }
}

const httpProfile: JsonObject = {
  max_keepalive_requests: MAX_REQUESTS,
  keepalive_timeout: KEEP_ALIVE_S * 1_000,
  x_forwarded_proto_enabled: true,
  http2_profile: { max_http2_requests_per_connection: 0 }
}

const profileOf = (name: string, more: JsonObject = {}): WrittenDocument => ({
  kind: 'applicationprofile',
  body: { name, type: 'APPLICATION_PROFILE_TYPE_HTTP', http_profile: { ...httpProfile, ...more } }
})

const serversOf = ({ scene, upstreamPort }: WeirScene): JsonObject => ({
  servers: [{ ip: { addr: '127.0.0.1', type: 'V4' }, port: upstreamPort }],
  conn_pool_properties: {
    upstream_connpool_server_max_cache: UPSTREAM_IDLE_CONNECTIONS,
    upstream_connpool_conn_idle_tmo: UPSTREAM_IDLE_S * 1_000
  },
  ...(scene.upstream === 'grpc' ? { enable_http2: true } : {})
})

/** What services of the same kind share: where each is by itself for a feature, of the one at a front. */
function settingsOf(given: WeirScene, i: number): { readonly name: string; readonly featured: Featured; readonly pool: string } {
  const { feature } = given
  if (feature === undefined) return { name: '', featured: {}, pool: 'servers' }
  const { is, at } = feature
  const name = `-${i}`
  const isShared = is.isPoolShared === true && at !== null
  return { name, featured: i === at ? is.of(serversOf(given)) : {}, pool: `servers-${isShared ? at : i}` }
}

export function documentsOf(given: WeirScene): WrittenDocument[] {
  const { scene, fronts, certificatePem, keyPem } = given
  const isTls = scene.tls !== null
  const written = fronts.flatMap(({ address, port }, i): WrittenDocument[] => {
    const { name, featured, pool } = settingsOf(given, i)
    const target = featured.service?.['pool_group_ref'] === undefined ? { pool_ref: `pool-${pool}` } : {}
    return [
      profileOf(`bench${name}`, featured.httpProfile),
      { kind: 'pool', body: { ...serversOf(given), name: `servers${name}`, ...featured.pool } },
      ...(featured.documents ?? []),
      { kind: 'vsvip', body: { name: `vip-${i}`, vip: [{ vip_id: '1', ip_address: { addr: address, type: 'V4' } }] } },
      {
        kind: 'virtualservice',
        body: {
          name: `service-${i}`,
          vsvip_ref: `vsvip-vip-${i}`,
          services: [{ port, ...(isTls ? { enable_ssl: true } : {}), ...(scene.isHttp2 ? { enable_http2: true } : {}) }],
          ...target,
          application_profile_ref: `applicationprofile-${scene.mode === 'tcp' ? 'System-L4-Application' : `bench${name}`}`,
          // Every request is logged, as the peers do.
          analytics_policy: { full_client_logs: { enabled: true } },
          ...(isTls ? { ssl_key_and_certificate_refs: ['sslkeyandcertificate-bench'] } : {}),
          ...featured.service
        }
      }
    ]
  })
  const certificate: WrittenDocument = {
    kind: 'sslkeyandcertificate',
    body: { name: 'bench', certificate: { certificate: certificatePem }, key: keyPem }
  }
  // Those that services share are written once.
  return [
    ...new Map([...(isTls ? [certificate] : []), ...written].map(one => [JSON.stringify([one.kind, one.body['name']]), one])).values()
  ]
}

const partsOf = <T extends Part>(parts: readonly Part[], kind: T['kind']): T[] => parts.filter((part): part is T => part.kind === kind)

/**
 * The snapshot of an engine on which all services of a scene are placed.
 *
 * Throws  when a service cannot be built
 */
export function snapshotOf(given: WeirScene): Snapshot {
  const documents = [...defaultDocuments, ...documentsOf(given).map(({ kind, body }) => document(kind, body))]
  const { manifest, parts, problems } = compile(
    compileInput(documents, {
      engine: { addresses: given.fronts.map(front => front.address) },
      virtualServices: given.fronts.map((_, i) => `virtualservice-service-${i}`),
      openSecret: key => key
    })
  )
  if (problems.length > 0) throw new Error(problems[0]?.message)
  const list = manifest.parts.flatMap(entry => parts.get(entry.hash) ?? [])
  const [engine] = partsOf<EnginePart>(list, 'engine')
  if (engine === undefined) throw new Error('no engine part')
  return {
    manifest,
    engine,
    virtualServices: partsOf<VirtualServicePart>(list, 'virtual-service'),
    pools: partsOf<PoolPart>(list, 'pool'),
    certificates: partsOf<CertificatePart>(list, 'certificate')
  }
}
