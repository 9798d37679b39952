/** Prometheus text exposition 0.0.4. Names are `weir_<where>_<what>_<unit>`; counters end in `_total`. */
import type { CacheTotals, HedgeTotals, LimitSample, ScriptSample, ZoneTotals } from '#model/message/message.ts'
import type { HostFigures } from '#model/resource/runtime.ts'
import type { NameOf } from './port.ts'
import { AT, latencyBoundsS, type CounterName, type Grown } from './window.ts'

export interface ExposedEntity {
  readonly kind: 'virtualservice' | 'pool' | 'server'
  /** Of a server: its pool's. */
  readonly uuid: string
  /** Of a server: its id; else ''. */
  readonly server: string
  readonly grown: Grown
  readonly openConnections: number
}

export interface ExposedEngine {
  readonly uuid: string
  readonly host: HostFigures
  readonly networkReceivedBytes: number
  readonly networkSentBytes: number
  readonly droppedSamples: number
  readonly droppedLogLines: number
  readonly limits: readonly LimitSample[]
  readonly caches: readonly ExposedCache[]
  readonly hedges: readonly ExposedHedges[]
  readonly zones: readonly ExposedZones[]
  readonly scripts: readonly ScriptSample[]
}

export interface ExposedCache extends CacheTotals {
  readonly virtualServiceId: string
}

export interface ExposedHedges extends HedgeTotals {
  readonly poolId: string
}

export interface ExposedZones extends ZoneTotals {
  readonly poolId: string
}

type Labels = readonly (readonly [name: string, value: string])[]
type Named = NonNullable<ReturnType<NameOf>>

/** A label's value as the format wants it: backslash, quote and line feed escaped. */
export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, found => (found === '\n' ? '\\n' : `\\${found}`))
}

class Exposition {
  readonly #families = new Map<string, string[]>()

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): (labels: Labels, value: number, suffix?: string) => void {
    let lines = this.#families.get(name)
    if (lines === undefined) {
      lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
      this.#families.set(name, lines)
    }
    const into = lines
    return (labels, value, suffix = '') => {
      into.push(`${name}${suffix}{${labels.map(([label, text]) => `${label}="${escapeLabel(text)}"`).join(',')}} ${value}`)
    }
  }

  toString(): string {
    const lines = [...this.#families.values()].filter(family => family.length > 2).flat()
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`
  }
}

const classes = ['responses1xx', 'responses2xx', 'responses3xx', 'responses4xx', 'responses5xx'] as const satisfies readonly CounterName[]
const origins = [
  ['downstream', 'faultsDownstream'],
  ['engine', 'faultsEngine'],
  ['upstream', 'faultsUpstream']
] as const satisfies readonly (readonly [string, CounterName])[]

function exposeEntity(out: Exposition, entity: ExposedEntity, labels: Labels): void {
  const { kind, grown } = entity
  const where = `weir_${kind}`
  const count = (name: CounterName): number => grown.counts[AT[name]]!
  out.family(`${where}_requests_total`, 'counter', 'Exchanges and flows that ended.')(labels, count('requests'))
  const responses = out.family(`${where}_responses_total`, 'counter', 'Responses by class of status.')
  for (const name of classes) responses([...labels, ['class', name.slice(-3)]], count(name))
  const faults = out.family(`${where}_faults_total`, 'counter', 'Exchanges and flows that ended by a fault, by where it arose.')
  for (const [origin, name] of origins) faults([...labels, ['origin', origin]], count(name))
  out.family(`${where}_received_bytes_total`, 'counter', 'Bytes from clients.')(labels, count('bytesIn'))
  out.family(`${where}_sent_bytes_total`, 'counter', 'Bytes to clients.')(labels, count('bytesOut'))
  out.family(`${where}_connections_total`, 'counter', 'Connections that were opened.')(labels, count('connections'))
  out.family(`${where}_open_connections`, 'gauge', 'Connections that are open now.')(labels, entity.openConnections)
  if (kind === 'server') return
  const latency = out.family(`${where}_latency_seconds`, 'histogram', 'Time of a whole exchange or flow.')
  let below = 0
  for (const [i, bound] of [...latencyBoundsS, '+Inf'].entries()) {
    below += grown.latencyCounts[i]!
    latency([...labels, ['le', String(bound)]], below, '_bucket')
  }
  latency(labels, grown.latencySumS, '_sum')
  latency(labels, below, '_count')
}

/** Labels of what an engine tells of a virtual service. */
const ofService = ({ tenant, name }: Named, uuid: string, engine: string, own: Labels = []): Labels => [
  ['tenant', tenant],
  ['virtualservice', name],
  ['uuid', uuid],
  ...own,
  ['serviceengine', engine]
]

function exposeLimit(out: Exposition, limit: LimitSample, service: Named, engine: string): void {
  const { virtualServiceId: uuid, id, admitted, refused, share } = limit
  const labels = ofService(service, uuid, engine, [['limit', id.startsWith(`${uuid}/`) ? id.slice(uuid.length + 1) : id]])
  out.family(
    'weir_limit_admitted_total',
    'counter',
    'Requests, connections or bytes within a limit, since the engine started.'
  )(labels, admitted)
  out.family(
    'weir_limit_refused_total',
    'counter',
    'Requests or connections over a limit, or bytes after which more had to wait, since the engine started.'
  )(labels, refused)
  out.family('weir_limit_share_ratio', 'gauge', 'Part of the budget of a rate limit that an engine has.')(labels, share)
}

function exposeCache(out: Exposition, cache: ExposedCache, service: Named, engine: string): void {
  const labels = ofService(service, cache.virtualServiceId, engine)
  const requests = out.family('weir_cache_requests_total', 'counter', 'Requests by where their answer came from, since the engine started.')
  for (const result of ['hits', 'misses', 'stale', 'revalidated', 'bypassed'] as const)
    requests([...labels, ['result', result]], cache[result])
  out.family('weir_cache_saved_bytes_total', 'counter', 'Bytes of bodies that no server had to send.')(labels, cache.savedBytes)
  out.family('weir_cache_objects', 'gauge', 'Answers that are kept.')(labels, cache.objects)
  out.family('weir_cache_used_bytes', 'gauge', 'Memory that they take.')(labels, cache.bytes)
}

/** Labels of what an engine tells of a pool. */
const ofPool = ({ tenant, name }: Named, uuid: string, engine: string): Labels => [
  ['tenant', tenant],
  ['name', name],
  ['uuid', uuid],
  ['serviceengine', engine]
]

function exposeZones(out: Exposition, { poolId, own, others }: ExposedZones, pool: Named, engine: string): void {
  const labels = ofPool(pool, poolId, engine)
  const requests = out.family(
    'weir_pool_zone_requests_total',
    'counter',
    'Requests and flows that went to servers of the zone of their engine, and to others, since the engine started.'
  )
  requests([...labels, ['zone', 'own']], own)
  requests([...labels, ['zone', 'other']], others)
}

function exposeHedges(out: Exposition, { poolId, sent, won }: ExposedHedges, pool: Named, engine: string): void {
  const labels = ofPool(pool, poolId, engine)
  out.family('weir_pool_hedges_total', 'counter', 'Requests that went to a second server as well, since the engine started.')(labels, sent)
  out.family('weir_pool_hedges_won_total', 'counter', 'Those of them that the second server answered first.')(labels, won)
}

function exposeScript(out: Exposition, script: ScriptSample, service: Named, engine: string): void {
  const labels = ofService(service, script.virtualServiceId, engine, [['script', script.name]])
  out.family('weir_script_runs_total', 'counter', 'Runs of a script, since the engine started.')(labels, script.runs)
  out.family('weir_script_failures_total', 'counter', 'Runs of a script that failed, since the engine started.')(labels, script.failures)
  const counted = out.family('weir_script_counter_total', 'counter', 'What a script counts itself, since the engine started.')
  for (const { name, count } of script.counters) counted([...labels, ['counter', name]], count)
}

/** What has no name any more was deleted and is not exposed. */
export function expose(entities: Iterable<ExposedEntity>, engines: Iterable<ExposedEngine>, names: NameOf): string {
  const out = new Exposition()
  for (const entity of entities) {
    const named = names(entity.kind === 'server' ? 'pool' : entity.kind, entity.uuid)
    if (named === undefined) continue
    const owner: Labels = [
      ['tenant', named.tenant],
      [entity.kind === 'server' ? 'pool' : 'name', named.name],
      ['uuid', entity.uuid]
    ]
    exposeEntity(out, entity, entity.kind === 'server' ? [...owner, ['server', entity.server]] : owner)
  }
  for (const engine of engines) {
    const named = names('serviceengine', engine.uuid)
    if (named === undefined) continue
    const labels: Labels = [
      ['tenant', named.tenant],
      ['name', named.name],
      ['uuid', engine.uuid]
    ]
    const where = 'weir_serviceengine'
    out.family(`${where}_cpu_ratio`, 'gauge', 'Busy share of all cores of the host.')(labels, engine.host.cpu_ratio)
    out.family(`${where}_memory_used_bytes`, 'gauge', 'Memory of the host in use.')(labels, engine.host.memory_used_bytes)
    out.family(`${where}_memory_size_bytes`, 'gauge', 'Memory of the host.')(labels, engine.host.memory_total_bytes)
    out.family(
      `${where}_network_received_bytes_total`,
      'counter',
      'Bytes that the host received since it started.'
    )(labels, engine.networkReceivedBytes)
    out.family(
      `${where}_network_sent_bytes_total`,
      'counter',
      'Bytes that the host sent since it started.'
    )(labels, engine.networkSentBytes)
    out.family(
      `${where}_dropped_samples_total`,
      'counter',
      'Samples that a slow link cost, since the engine started.'
    )(labels, engine.droppedSamples)
    out.family(
      `${where}_dropped_log_lines_total`,
      'counter',
      'Access log lines that a slow disk cost, since the engine started.'
    )(labels, engine.droppedLogLines)
    for (const limit of engine.limits) {
      const service = names('virtualservice', limit.virtualServiceId)
      if (service !== undefined) exposeLimit(out, limit, service, named.name)
    }
    for (const script of engine.scripts) {
      const service = names('virtualservice', script.virtualServiceId)
      if (service !== undefined) exposeScript(out, script, service, named.name)
    }
    for (const cache of engine.caches) {
      const service = names('virtualservice', cache.virtualServiceId)
      if (service !== undefined) exposeCache(out, cache, service, named.name)
    }
    for (const hedges of engine.hedges) {
      const pool = names('pool', hedges.poolId)
      if (pool !== undefined) exposeHedges(out, hedges, pool, named.name)
    }
    for (const zones of engine.zones) {
      const pool = names('pool', zones.poolId)
      if (pool !== undefined) exposeZones(out, zones, pool, named.name)
    }
  }
  return out.toString()
}
