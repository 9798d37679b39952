/** What the rest of the controller may ask of telemetry. Entities are uuids; a server is `<pool uuid>/<server id>`. */
import type { SparseHistogram } from '#model/message/histogram.ts'
import type { HedgeTotals, ZoneTotals, Sample } from '#model/message/message.ts'
import type { HealthScore, HostFigures, LiveFigures, MetricsAnswer, ScriptRuntime } from '#model/resource/runtime.ts'

export interface TelemetryPort {
  /** One sample of one engine; differences against its last one with the same bootId. */
  readonly ingest: (engineUuid: string, sample: Sample) => void
  /** Engine gone: its share of the live figures ends. */
  readonly forget: (engineUuid: string) => void
  /** Summed over engines, of the last full second; histograms merged, then percentiles taken. */
  readonly live: (entity: string) => LiveFigures
  /** The same of what one virtual service sends to a pool; undefined where no engine tells the users of the pool apart. */
  readonly liveOfUse: (virtualService: string, pool: string) => LiveFigures | undefined
  /** `live` of one engine only, for its own page: all its virtual services together. */
  readonly liveOfEngine: (engineUuid: string) => LiveFigures
  /** Scripts of a virtual service, with totals since its engines started. */
  readonly scripts: (virtualServiceUuid: string) => readonly ScriptRuntime[]
  /** Of a pool, since its engines started; undefined for one that never hedged. */
  readonly hedges: (poolUuid: string) => HedgeTotals | undefined
  /** What one engine sent to servers of its zone and to others, since it started; undefined where zones make no difference. */
  readonly zones: (poolUuid: string, engineUuid: string) => ZoneTotals | undefined
  readonly hostOfEngine: (engineUuid: string) => HostFigures | null
  readonly metrics: (query: MetricsQuery) => MetricsAnswer
  /** The state of the thing bounds the score: what is down scores 0. `of`: of a pool as one of its virtual services sees it. */
  readonly healthScore: (entity: string, facts: ScoreFacts, of?: string) => HealthScore
  /**
   * Counts what happens to a pool, or to the virtual services on an engine, from now on; what is not stopped costs a little with every sample.
   *
   * Shapes  of: virtual services whose traffic counts; all when left out
   */
  readonly measure: (entity: string, of?: readonly string[]) => Measurement
  /** Prometheus text exposition 0.0.4. */
  readonly prometheus: (names: NameOf) => string
}

/** What happened to one pool on all engines since it was begun. */
export interface Measurement {
  readonly read: () => Measured
  readonly stop: () => void
}

export interface Measured {
  readonly requests: number
  /** Answers with a 5xx, and requests that no server answered. */
  readonly errors: number
  /** Time of whole exchanges, microseconds. */
  readonly latency: SparseHistogram
}

export interface MetricsQuery {
  readonly kind: 'virtualservice' | 'pool' | 'serviceengine'
  readonly uuid: string
  /** Of a pool: only what this virtual service sends to it. */
  readonly virtualService?: string
  /** `l7_client.avg_complete_responses`, ... comma separated. */
  readonly metricIds: readonly string[]
  readonly startEpochS: number
  readonly stopEpochS: number
  /** Seconds: 1, 5, 60, 300, 3600 ... */
  readonly stepS: number
  readonly limit: number
}

export interface ScoreFacts {
  readonly isDown: boolean
  readonly serversUp: number
  readonly serversEnabled: number
  readonly enginesUp: number
  readonly enginesWanted: number
}

export type NameOf = (
  kind: 'virtualservice' | 'pool' | 'serviceengine',
  uuid: string
) => { readonly name: string; readonly tenant: string } | undefined
