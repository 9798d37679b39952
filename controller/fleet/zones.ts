/** Where the requests of each engine go in a pool that prefers servers of its engine's zone. */
import type { ZoneTotals } from '#model/message/message.ts'
import { filled } from '#model/resource/catalogue.ts'
import type { ZoneRuntime } from '#model/resource/runtime.ts'
import { ownZoneShare, type Capacity } from '#model/snapshot/locality.ts'
import type { ServerSpec } from '#model/snapshot/snapshot.ts'
import type { StoredResource } from '#controller/store/store.ts'
import type { Engine } from './roster.ts'

export interface ZonesInput {
  readonly pool: StoredResource
  readonly servers: readonly ServerSpec[]
  /** Those that carry the pool, each with its name and its document. */
  readonly engines: readonly { readonly engine: Engine; readonly name: string; readonly resource: StoredResource | undefined }[]
  readonly wentTo: (engineUuid: string) => ZoneTotals | undefined
}

/** The zone of an engine: its label; '' for none. */
export function zoneOf(resource: StoredResource | undefined): string {
  return (resource === undefined ? undefined : filled('serviceengine', resource.body).labels?.['zone']) ?? ''
}

/** By what engines say of servers; undefined for a pool to which zones make no difference. */
export function zonesOf({ pool, servers, engines, wentTo }: ZonesInput): ZoneRuntime[] | undefined {
  const { locality, health_monitor_refs: monitors = [] } = filled('pool', pool.body)
  if (locality === undefined) return undefined
  const spec = { overprovisioning: locality.overprovisioning / 100 }
  return engines.map(({ engine, name, resource }) => {
    const zone = zoneOf(resource)
    const able = (server: ServerSpec): number => {
      const key = `${pool.uuid}/${server.id}`
      const judged = engine.judgements.get(key)
      if (!server.isEnabled || engine.ejections.has(key) || (monitors.length > 0 && judged?.verdict !== 'up')) return 0
      return server.weight * (judged?.weightPercent ?? 100)
    }
    const orders = servers.flatMap(server => (able(server) > 0 ? [server.order ?? 1] : []))
    const lowest = orders.length === 0 ? undefined : Math.min(...orders)
    const capacityOf = (isOwn: boolean): Capacity => {
      const side = servers.filter(
        server => (zone !== '' && server.zone === zone) === isOwn && (lowest === undefined || (server.order ?? 1) === lowest)
      )
      const sum = (of: (server: ServerSpec) => number): number => side.reduce((total, server) => total + of(server), 0)
      return { able: sum(able), all: sum(({ weight }) => weight * 100) }
    }
    const [own, others] = [capacityOf(true), capacityOf(false)]
    const went = wentTo(engine.uuid)
    return {
      engine_uuid: engine.uuid,
      engine_name: name,
      zone,
      own_percent: own.all === 0 || others.all === 0 ? null : Math.round(ownZoneShare(own, others, spec) * 100),
      own_requests: went?.own ?? 0,
      other_requests: went?.others ?? 0
    }
  })
}
