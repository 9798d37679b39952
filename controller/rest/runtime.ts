/** How things are: `/runtime` of one object, and the inventory lists that show everything of a list page at once. */
import type { FastifyInstance } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import type {
  HealthScore,
  InventoryRow,
  OperStatus,
  PoolRuntime,
  ServiceEngineRuntime,
  VirtualServiceRuntime
} from '#model/resource/runtime.ts'
import type { StoredResource } from '#controller/store/store.ts'
import { baseOf, nextPage, plainView, toAnswer } from './answer.ts'
import { callerOf } from './caller.ts'
import { runtimeDoc, inventoryDoc, persistenceDoc } from './openapi.ts'
import { parseList } from './query.ts'
import type { RawQuery } from './query.ts'
import { findSeen, listSeen } from './reads.ts'
import { selectResources } from './select.ts'
import { noFigures } from '#model/resource/runtime.ts'
import type { RestServices } from './services.ts'

export type RuntimeKind = 'virtualservice' | 'pool' | 'serviceengine'
export const runtimeKinds: readonly RuntimeKind[] = ['virtualservice', 'pool', 'serviceengine']
export type AnyRuntime = VirtualServiceRuntime | PoolRuntime | ServiceEngineRuntime

const unscored: HealthScore = { score: 0, reasons: [{ reason: 'nothing is known of it yet', points: 100 }] }

/** Of what was just written and no engine has heard of. */
function unknownStatus(resource: StoredResource): OperStatus {
  return {
    state: 'OPER_UNKNOWN',
    reason: ['nothing is known of it yet'],
    last_changed_time: Math.floor(Number(resource.lastModified) / 1_000)
  }
}

/**
 * The state of an object, whether or not the fleet knows it already.
 *
 * Returns `undefined` exactly for kinds that have none
 */
export function runtimeOf(services: Pick<RestServices, 'fleet'>, resource: StoredResource): AnyRuntime | undefined {
  const { fleet } = services
  const oper_status = unknownStatus(resource)
  switch (resource.kind) {
    case 'virtualservice':
      return (
        fleet.virtualServiceRuntime(resource.uuid) ?? {
          oper_status,
          placed_on: [],
          engines_wanted: 0,
          live: noFigures,
          health_score: unscored
        }
      )
    case 'pool':
      return (
        fleet.poolRuntime(resource.uuid) ?? {
          oper_status,
          servers: [],
          num_servers: 0,
          num_servers_up: 0,
          num_servers_enabled: 0,
          live: noFigures,
          health_score: unscored,
          virtualservices: []
        }
      )
    case 'serviceengine':
      return (
        fleet.engineRuntime(resource.uuid) ?? {
          oper_status,
          connected: false,
          last_seen: null,
          wanted_revision: 0,
          running_revision: 0,
          violations: [],
          version: '',
          build: '',
          platform: '',
          upgrade_ended: null,
          hostname: '',
          addresses: [],
          workers: 0,
          abilities: [],
          host: null,
          live: noFigures,
          health_score: unscored,
          virtualservices: [],
          certificate_not_after: null
        }
      )
    default:
      return undefined
  }
}

/** One row of an inventory list. */
function toRow(services: RestServices, resource: StoredResource, config: JsonObject): InventoryRow<JsonObject, AnyRuntime> {
  const runtime = runtimeOf(services, resource)!
  return { uuid: resource.uuid, config, runtime, health_score: runtime.health_score, alert: { low: 0, medium: 0, high: 0 } }
}

interface ById {
  readonly Params: { readonly uuid: string }
}

/** So many bindings are listed. */
const BINDINGS_LISTED = 1_000

export function useRuntime(app: FastifyInstance, services: RestServices): void {
  const { store, fleet } = services
  app.get<ById>('/api/pool/:uuid/persistence', { config: { doc: persistenceDoc } }, async request => {
    const { uuid } = findSeen(store, callerOf(request), 'pool', request.params.uuid)
    return fleet.persistence?.(uuid, BINDINGS_LISTED) ?? { count: 0, servers: [], results: [] }
  })

  for (const kind of runtimeKinds) {
    const definition = kinds[kind]
    for (const path of ['runtime', 'runtime/detail'])
      app.get<ById>(`/api/${kind}/:uuid/${path}`, { config: { doc: runtimeDoc(definition) } }, async request =>
        runtimeOf(services, findSeen(store, callerOf(request), kind, request.params.uuid))
      )

    app.get(`/api/${kind}-inventory`, { config: { doc: inventoryDoc(definition, true) } }, async request => {
      const query = parseList(request.query as RawQuery, definition)
      const found = selectResources(store, listSeen(store, callerOf(request), kind), query)
      const end = query.page * query.pageSize
      const results = found
        .slice(end - query.pageSize, end)
        .map(resource => toRow(services, resource, toAnswer(store, resource, query.view, baseOf(request))))
      return { count: found.length, ...(end < found.length ? { next: nextPage(request, query.page + 1) } : {}), results }
    })

    app.get<ById>(`/api/${kind}-inventory/:uuid`, { config: { doc: inventoryDoc(definition, false) } }, async request => {
      const resource = findSeen(store, callerOf(request), kind, request.params.uuid)
      return toRow(services, resource, toAnswer(store, resource, plainView, baseOf(request)))
    })
  }
}
