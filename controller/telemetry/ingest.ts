/**
 * The way of a sample: difference against the engine's last one -> windows -> live figures, mood for the score, counters for
 * Prometheus -> each second, points of series. An entity is a virtual service, a pool, a server, an engine, or what one of several
 * virtual services sends to a pool.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { HostSample, LimitSample, PoolSample, Sample, ScriptSample, TrafficSample, UseSample } from '#model/message/message.ts'
import type { HostFigures, MetricsAnswer, ScriptRuntime } from '#model/resource/runtime.ts'
import { useKey } from '#model/snapshot/uses.ts'
import type { SeriesPoint, SeriesStore } from '#controller/store/store.ts'
import { figuresToLive, makeSummer, type Figures } from './figures.ts'
import { makeMeasurements, type Told } from './measure.ts'
import { findMetric, metricsOf, type MetricKind } from './metrics-catalogue.ts'
import { makeMoodKeeper, type MoodKeeper } from './mood.ts'
import type { MetricsQuery, TelemetryPort } from './port.ts'
import { expose, type ExposedCache, type ExposedEngine, type ExposedEntity, type ExposedHedges, type ExposedZones } from './prometheus.ts'
import { calm, scoreOf } from './score.ts'
import { advance, countOf, makeGrown, makeWindow, type Grown, type Window } from './window.ts'

export interface Telemetry extends TelemetryPort {
  readonly stop: () => void
}

/** A window older than this is of an engine whose samples stopped: it counts no longer. */
const FRESH_MS = 3_500
/**
 * How long the base of differences outlives its last sample. Longer than an engine keeps the totals of an id that it no
 * longer runs, so that traffic of before is not counted twice when the id comes back.
 */
const KEPT_MS = 20 * 60_000
const TIDY_INTERVAL_MS = 60_000
/** What one engine may make us remember. */
const MAX_WINDOWS_PER_ENGINE = 50_000
/** Below what the series store holds, so that it never throws away what is still being written. */
const MAX_SERIES = 18_000

interface Entity {
  readonly id: string
  readonly kind: MetricKind
  readonly poolId: string
  readonly name: string
  /** Of a pool: who was the first to be told as its only user, on some engine; '' for nobody. */
  firstUser: string
  /** Of a pool: it had a second user, on whichever engine: each is an entity of its own. */
  isDivided: boolean
  readonly windows: Map<string, Window>
  readonly grown: Grown
  readonly mood: MoodKeeper
  figures: Figures | null
  figuresAtMs: number
  isInSeries: boolean
}

interface Engine {
  readonly uuid: string
  readonly windows: Map<string, Window>
  /** Of the virtual services in its newest sample. */
  virtualServices: Window[]
  bootId: string
  sequence: number
  atEpochMs: number
  seenAtMs: number
  hostSample: HostSample
  host: HostFigures
  droppedSamples: number
  droppedLogLines: number
  limits: readonly LimitSample[]
  scripts: readonly ScriptSample[]
  caches: readonly ExposedCache[]
  hedges: readonly ExposedHedges[]
  zones: readonly ExposedZones[]
}

const secondsBetween = (beforeEpochMs: number, afterEpochMs: number): number =>
  Math.min(3_600, Math.max(0.2, Number.isFinite(afterEpochMs - beforeEpochMs) ? (afterEpochMs - beforeEpochMs) / 1_000 : 1))

const ratioOf = (value: unknown): number => (typeof value === 'number' && value >= 0 ? Math.min(1, value) : 0)

/** Growth of a total of the host; a reset (it rebooted) is no traffic. */
const perSecond = (before: number, after: unknown, seconds: number): number => Math.max(0, countOf(after, before) - before) / seconds

export function openTelemetry(options: { readonly series: SeriesStore; readonly clock: Clock; readonly log: Log }): Telemetry {
  const { series, clock, log } = options
  const entities = new Map<string, Entity>()
  const engines = new Map<string, Engine>()
  const sumWindows = makeSummer()
  const measurements = makeMeasurements()
  let seriesCount = 0
  let lastEpochS = 0

  const entityOf = (kind: MetricKind, id: string, poolId: string, name: string): Entity => {
    let entity = entities.get(id)
    if (entity === undefined) {
      entity = {
        id,
        kind,
        poolId,
        name,
        firstUser: '',
        isDivided: false,
        windows: new Map(),
        grown: makeGrown(),
        mood: makeMoodKeeper(),
        figures: null,
        figuresAtMs: 0,
        isInSeries: false
      }
      entities.set(id, entity)
    }
    return entity
  }

  /** The engine with its last sample; undefined when this sample is older than what is known. */
  const engineFor = (uuid: string, sample: Sample): { readonly engine: Engine; readonly isNew: boolean } | undefined => {
    const known = engines.get(uuid)
    if (known === undefined) {
      const engine: Engine = {
        uuid,
        windows: new Map(),
        virtualServices: [],
        bootId: sample.bootId,
        sequence: 0,
        atEpochMs: sample.atEpochMs - 1_000,
        seenAtMs: 0,
        hostSample: sample.host,
        host: hostOf(sample.host, sample.host, 1),
        droppedSamples: 0,
        droppedLogLines: 0,
        limits: [],
        scripts: [],
        caches: [],
        hedges: [],
        zones: []
      }
      engines.set(uuid, engine)
      return { engine, isNew: true }
    }
    if (known.bootId === sample.bootId) return sample.sequence > known.sequence ? { engine: known, isNew: false } : undefined
    // It was restarted: everything it counts happened since.
    for (const window of known.windows.values()) {
      window.last.fill(0)
      window.lastLatency = []
      window.openConnections = 0
    }
    known.bootId = sample.bootId
    return { engine: known, isNew: false }
  }

  const take = (
    engine: Engine,
    entity: Entity,
    told: TrafficSample,
    sample: Sample,
    isBaseline: boolean,
    measured?: Told
  ): Window | undefined => {
    let window = engine.windows.get(entity.id)
    if (window === undefined) {
      if (engine.windows.size >= MAX_WINDOWS_PER_ENGINE) return undefined
      window = makeWindow()
      window.atEpochMs = engine.atEpochMs
      engine.windows.set(entity.id, window)
    }
    const seconds = secondsBetween(window.atEpochMs, sample.atEpochMs)
    const { grown } = entity
    if (measured === undefined) advance(window, grown, told, seconds, isBaseline)
    else measurements.around(measured, grown, window, () => advance(window, grown, told, seconds, isBaseline))
    window.atEpochMs = sample.atEpochMs
    window.seenAtMs = clock.nowMs()
    entity.windows.set(engine.uuid, window)
    entity.figures = null
    return window
  }

  /** An engine that does not tell its users apart says all of a pool, whoever asks. */
  const takePool = (engine: Engine, told: PoolSample, sample: Sample, isBaseline: boolean): void => {
    const { id, onlyOf } = told
    const pool = entityOf('pool', id, id, '')
    const isTold = (of: ReadonlySet<string>): boolean =>
      onlyOf === undefined ? sample.uses?.some(({ poolId }) => poolId === id) !== true : of.has(onlyOf)
    const measured: Told | undefined = measurements.isMeasured(id)
      ? { entity: id, counts: of => of === undefined || isTold(of) }
      : undefined
    const window = take(engine, pool, told, sample, isBaseline, measured)
    if (window !== undefined) window.onlyOf = onlyOf ?? ''
    if (onlyOf === undefined) return
    if (pool.firstUser === '') pool.firstUser = onlyOf
    if (pool.firstUser !== onlyOf) pool.isDivided = true
    if (pool.isDivided) entityOf('use', useKey(onlyOf, id), id, onlyOf)
  }

  const takeUse = (engine: Engine, told: UseSample, sample: Sample): void => {
    const { id, poolId } = told
    const entity = entityOf('use', useKey(id, poolId), poolId, id)
    entityOf('pool', poolId, poolId, '').isDivided = true
    const measured: Told | undefined = measurements.isMeasured(poolId) ? { entity: poolId, counts: of => of?.has(id) === true } : undefined
    // What it did while it was not told of was told of the pool.
    const isBaseline = engine.windows.get(entity.id)?.atEpochMs !== engine.atEpochMs
    take(engine, entity, told, sample, isBaseline, measured)
  }

  const ingest = (engineUuid: string, sample: Sample): void => {
    const found = engineFor(engineUuid, sample)
    if (found === undefined) return
    const { engine, isNew } = found
    // An engine that has run for longer than we know it: what it did before is not traffic of now.
    const isBaseline = isNew && sample.sequence > 1
    engine.virtualServices = []
    // What an engine did is what its virtual services did.
    const measured: Told | undefined = measurements.isMeasured(engineUuid)
      ? { entity: engineUuid, counts: of => of === undefined }
      : undefined
    for (const told of sample.virtualServices) {
      const window = take(engine, entityOf('virtualservice', told.id, '', ''), told, sample, isBaseline, measured)
      if (window !== undefined) engine.virtualServices.push(window)
    }
    for (const told of sample.pools) takePool(engine, told, sample, isBaseline)
    for (const told of sample.uses ?? []) takeUse(engine, told, sample)
    for (const told of sample.servers) {
      take(engine, entityOf('server', `${told.poolId}/${told.id}`, told.poolId, told.id), told, sample, isBaseline)
    }
    engine.host = hostOf(engine.hostSample, sample.host, secondsBetween(engine.atEpochMs, sample.atEpochMs))
    engine.hostSample = sample.host
    engine.sequence = sample.sequence
    engine.atEpochMs = sample.atEpochMs
    engine.seenAtMs = clock.nowMs()
    engine.droppedSamples = countOf(sample.droppedSamples, engine.droppedSamples)
    engine.droppedLogLines = countOf(sample.droppedLogLines, engine.droppedLogLines)
    engine.limits = sample.limits ?? []
    engine.scripts = sample.scripts ?? []
    engine.caches = sample.virtualServices.flatMap(({ id, cache }) => (cache === undefined ? [] : { virtualServiceId: id, ...cache }))
    engine.zones = sample.pools.flatMap(({ id, zones }) => (zones === undefined ? [] : { poolId: id, ...zones }))
    engine.hedges = sample.pools.flatMap(({ id, hedges }) => (hedges === undefined ? [] : { poolId: id, ...hedges }))
    entityOf('serviceengine', engineUuid, '', '').figures = null
  }

  const isFresh = (seenAtMs: number): boolean => seenAtMs > 0 && clock.nowMs() - seenAtMs <= FRESH_MS

  /** Of an engine where it is the only one that sends to the pool: what is told of the pool. */
  const windowsOfUse = ({ name, poolId, windows }: Entity): Window[] =>
    [...(entities.get(poolId)?.windows ?? [])].flatMap(([engine, window]) => {
      if (window.onlyOf !== '') return window.onlyOf === name ? window : []
      return windows.get(engine) ?? []
    })

  const windowsOf = (entity: Entity): Window[] => {
    const windows =
      entity.kind === 'serviceengine'
        ? (engines.get(entity.id)?.virtualServices ?? [])
        : entity.kind === 'use'
          ? windowsOfUse(entity)
          : [...entity.windows.values()]
    return windows.filter(window => isFresh(window.seenAtMs))
  }

  const figuresOf = (entity: Entity): Figures => {
    const now = clock.nowMs()
    // Also without a new sample: windows go stale.
    if (entity.figures === null || now - entity.figuresAtMs >= 500) {
      entity.figures = sumWindows(windowsOf(entity))
      entity.figuresAtMs = now
    }
    return entity.figures
  }

  const hostOfEngine = (engineUuid: string): HostFigures | null => {
    const engine = engines.get(engineUuid)
    return engine !== undefined && isFresh(engine.seenAtMs) ? engine.host : null
  }

  /** Engines and what has traffic come first; what never had any, and parts of pools, are written only while there is plenty of room. */
  const admit = (entity: Entity, figures: Figures): boolean => {
    if (entity.isInSeries) return true
    const cost = metricsOf[entity.kind].length
    const isQuiet = figures.rates.every(rate => rate === 0) && figures.openConnections === 0
    const isUrgent = entity.kind === 'serviceengine' || (entity.kind !== 'use' && !isQuiet)
    const room = isUrgent ? MAX_SERIES : MAX_SERIES / 2
    if (seriesCount + cost > room) return false
    seriesCount += cost
    entity.isInSeries = true
    return true
  }

  const isSeen = (entity: Entity, figures: Figures): boolean =>
    entity.kind === 'serviceengine' ? hostOfEngine(entity.id) !== null : figures.atEpochMs !== null

  const second = (): void => {
    const atEpochS = Math.floor(clock.nowEpochMs() / 1_000) - 1
    // A timer that drifts by a millisecond must not leave a gap: the second that it jumped over is written as well.
    const seconds = atEpochS === lastEpochS + 2 ? [atEpochS - 1, atEpochS] : atEpochS > lastEpochS ? [atEpochS] : []
    lastEpochS = Math.max(lastEpochS, atEpochS)
    const points: SeriesPoint[] = []
    const hasRoom = seriesCount + metricsOf.server.length <= MAX_SERIES
    for (const entity of entities.values()) {
      // Servers have no score of their own: those that get no series cost nothing here.
      if (entity.kind === 'server' && !entity.isInSeries && !hasRoom) continue
      const figures = figuresOf(entity)
      if (!isSeen(entity, figures)) continue
      const host = entity.kind === 'serviceengine' ? hostOfEngine(entity.id) : null
      entity.mood.second(figures, host)
      if (!admit(entity, figures)) continue
      for (const metric of metricsOf[entity.kind]) {
        const value = metric.read(figures, host)
        if (value === null) continue
        for (const at of seconds) points.push({ entity: entity.id, metric: metric.id, atEpochS: at, value, rollup: metric.rollup })
      }
    }
    if (points.length > 0) series.append(points)
  }

  const tidy = (): void => {
    const now = clock.nowMs()
    const isOld = (seenAtMs: number): boolean => now - seenAtMs > KEPT_MS
    for (const engine of engines.values()) {
      for (const [id, window] of engine.windows) {
        if (!isOld(window.seenAtMs)) continue
        engine.windows.delete(id)
        entities.get(id)?.windows.delete(engine.uuid)
      }
      if (isOld(engine.seenAtMs) && engine.windows.size === 0) engines.delete(engine.uuid)
    }
    for (const entity of entities.values()) {
      if (entity.kind === 'serviceengine' ? engines.has(entity.id) : entity.windows.size > 0) continue
      if (entity.kind === 'use' && windowsOf(entity).length > 0) continue
      if (entity.isInSeries) seriesCount -= metricsOf[entity.kind].length
      entities.delete(entity.id)
    }
    try {
      series.prune(Math.floor(clock.nowEpochMs() / 1_000))
    } catch (error) {
      log.warn('old points of series could not be dropped', { error })
    }
  }

  const forget = (engineUuid: string): void => {
    const engine = engines.get(engineUuid)
    if (engine === undefined) return
    // The totals stay as the base of the difference should it come back; its share of what is live ends now.
    const longAgoMs = clock.nowMs() - FRESH_MS - 1
    engine.seenAtMs = longAgoMs
    engine.virtualServices = []
    const own = entities.get(engineUuid)
    if (own !== undefined) own.figures = null
    for (const [id, window] of engine.windows) {
      window.seenAtMs = Math.min(window.seenAtMs, longAgoMs)
      const entity = entities.get(id)
      if (entity !== undefined) entity.figures = null
    }
  }

  const live: TelemetryPort['live'] = id => {
    const entity = entities.get(id)
    return figuresToLive(entity === undefined ? sumWindows([]) : figuresOf(entity))
  }

  const exposedEntities = function* (): Generator<ExposedEntity> {
    for (const entity of entities.values()) {
      const { kind, grown } = entity
      if (kind === 'serviceengine' || kind === 'use') continue
      const { openConnections } = figuresOf(entity)
      yield { kind, uuid: kind === 'server' ? entity.poolId : entity.id, server: entity.name, grown, openConnections }
    }
  }

  const exposedEngines = function* (): Generator<ExposedEngine> {
    for (const engine of engines.values()) {
      if (!isFresh(engine.seenAtMs)) continue
      const { uuid, host, hostSample, droppedSamples, droppedLogLines, limits, scripts, caches, hedges, zones } = engine
      const { networkReceivedBytes, networkSentBytes } = hostSample
      yield {
        uuid,
        host,
        networkReceivedBytes: countOf(networkReceivedBytes, 0),
        networkSentBytes: countOf(networkSentBytes, 0),
        droppedSamples,
        droppedLogLines,
        limits,
        scripts,
        caches,
        hedges,
        zones
      }
    }
  }

  /**
   * What is told of a virtual service's part of a pool, the best first. Of a pool with one user everywhere it is the pool, but for
   * times when it had several; so it is where no engine tells users apart.
   */
  const entitiesOfUse = (virtualService: string, poolId: string): readonly string[] => {
    const use = useKey(virtualService, poolId)
    const pool = entities.get(poolId)
    const isAlone = pool !== undefined && !pool.isDivided && ['', virtualService].includes(pool.firstUser)
    return isAlone ? [use, poolId] : [use]
  }

  const stops = [clock.every(1_000, second), clock.every(TIDY_INTERVAL_MS, tidy)]

  return {
    ingest,
    forget,
    live,
    liveOfUse: (virtualService, poolId) => {
      const pool = entities.get(poolId)
      if (pool === undefined || (!pool.isDivided && pool.firstUser === '')) return undefined
      return live(entitiesOfUse(virtualService, poolId).at(-1)!)
    },
    liveOfEngine: live,
    hostOfEngine,
    scripts: uuid => {
      const fresh = [...engines.values()].filter(engine => isFresh(engine.seenAtMs))
      return scriptsOf(fresh.flatMap(({ scripts }) => scripts.filter(({ virtualServiceId }) => virtualServiceId === uuid)))
    },
    hedges: uuid => {
      const told = [...engines.values()].flatMap(engine =>
        isFresh(engine.seenAtMs) ? engine.hedges.filter(({ poolId }) => poolId === uuid) : []
      )
      const sum = (of: 'sent' | 'won'): number => told.reduce((total, one) => total + one[of], 0)
      return told.length === 0 ? undefined : { sent: sum('sent'), won: sum('won') }
    },
    zones: (uuid, engineUuid) => {
      const engine = engines.get(engineUuid)
      return engine !== undefined && isFresh(engine.seenAtMs) ? engine.zones.find(({ poolId }) => poolId === uuid) : undefined
    },
    measure: measurements.begin,
    metrics: query =>
      answer(series, query, query.virtualService === undefined ? [query.uuid] : entitiesOfUse(query.virtualService, query.uuid)),
    healthScore: (id, facts, of) =>
      scoreOf(facts, entities.get(of === undefined ? id : entitiesOfUse(of, id).at(-1)!)?.mood.mood() ?? calm),
    prometheus: names => expose(exposedEntities(), exposedEngines(), names),
    stop: () => {
      for (const stop of stops) stop()
    }
  }
}

/** The scripts of a virtual service, its engines together. */
function scriptsOf(samples: readonly ScriptSample[]): ScriptRuntime[] {
  const byName = new Map<string, ScriptRuntime>()
  for (const { name, runs, failures, lastError, lastErrorAtEpochMs, counters } of samples) {
    const known = byName.get(name)
    const counts = new Map(known?.counters.map(counter => [counter.name, counter.count]))
    for (const counter of counters) counts.set(counter.name, (counts.get(counter.name) ?? 0) + counter.count)
    const isLater = known === undefined || lastErrorAtEpochMs > (known.last_error_at ?? 0)
    byName.set(name, {
      name,
      runs: runs + (known?.runs ?? 0),
      failures: failures + (known?.failures ?? 0),
      last_error: isLater ? lastError : known.last_error,
      last_error_at: isLater ? (lastError === '' ? null : lastErrorAtEpochMs) : known.last_error_at,
      counters: [...counts].map(([counter, count]) => ({ name: counter, count }))
    })
  }
  return [...byName.values()]
}

function hostOf(before: HostSample, after: HostSample, seconds: number): HostFigures {
  return {
    cpu_ratio: ratioOf(after.cpuRatio),
    memory_used_bytes: countOf(after.memoryUsedBytes, 0),
    memory_total_bytes: countOf(after.memoryTotalBytes, 0),
    network_received_bytes_per_s: perSecond(countOf(before.networkReceivedBytes, 0), after.networkReceivedBytes, seconds),
    network_sent_bytes_per_s: perSecond(countOf(before.networkSentBytes, 0), after.networkSentBytes, seconds)
  }
}

type Points = ReturnType<SeriesStore['query']>

/** The points of one series, and of another one where the first has none. */
function completed(first: Points, other: Points): Points {
  if (first.length === 0) return other
  const has = new Set(first.map(({ atEpochS }) => atEpochS))
  return [...first, ...other.filter(({ atEpochS }) => !has.has(atEpochS))].toSorted((a, b) => a.atEpochS - b.atEpochS)
}

const isoSecond = (epochS: number): string => new Date(epochS * 1_000).toISOString()

/** An unknown metric has no series in the answer; a known one without points has an empty one. Of each moment, the first entity that has a point. */
function answer(series: SeriesStore, query: MetricsQuery, entities: readonly string[]): MetricsAnswer {
  const { uuid, metricIds, startEpochS, stopEpochS, stepS, limit } = query
  const isServer = query.kind === 'pool' && uuid.includes('/')
  const kind: MetricKind = query.virtualService !== undefined ? 'use' : isServer ? 'server' : query.kind
  const found = metricIds.flatMap(id => findMetric(kind, id) ?? [])
  return {
    series: found.map(metric => {
      const told = entities.map(entity => series.query({ entity, metric: metric.id, startEpochS, stopEpochS, stepS }))
      const points = told.reduce(completed).slice(-limit)
      const values = points.map(point => point.value)
      const mean = values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
      return {
        header: {
          name: metric.id,
          entity_uuid: uuid,
          units: metric.units,
          statistics: {
            min: values.reduce((least, value) => Math.min(least, value), values[0] ?? 0),
            max: values.reduce((most, value) => Math.max(most, value), values[0] ?? 0),
            mean,
            num_samples: values.length
          }
        },
        data: points.map(({ atEpochS, value }) => ({ timestamp: isoSecond(atEpochS), value }))
      }
    }),
    metric_id: metricIds.join(','),
    start: isoSecond(startEpochS),
    stop: isoSecond(stopEpochS),
    step: stepS,
    limit
  }
}
