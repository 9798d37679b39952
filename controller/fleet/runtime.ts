/**
 * What the fleet knows, told as REST tells it: state and reasons of engines, virtual services, pools and servers. States are
 * judged from facts each time they are asked for; a book beside it remembers since when, and announces what changed.
 */
import type { Clock } from '#model/base/clock.ts'
import { Multimap } from '#model/base/multimap.ts'
import type { ServerJudgement } from '#model/message/message.ts'
import { filled } from '#model/resource/catalogue.ts'
import { addressesOf } from '#model/resource/conflict.ts'
import type { KindName } from '#model/resource/kind.ts'
import type {
  AnswersAt,
  CacheRuntime,
  LimitRuntime,
  OperState,
  OperStatus,
  PlacedOn,
  PoolRuntime,
  ProbeReport,
  ServerRuntime,
  ServiceEngineRuntime,
  VirtualServiceRuntime
} from '#model/resource/runtime.ts'
import type { Violation } from '#model/resource/violation.ts'
import { SNAPSHOT_VERSION, type ServerSpec } from '#model/snapshot/snapshot.ts'
import { serverSpecs } from '#controller/compile/pool.ts'
import type { Reference, Store, StoredResource } from '#controller/store/store.ts'
import type { ScoreFacts, TelemetryPort } from '#controller/telemetry/port.ts'
import { bgpRuntime, whyUnannounced } from './announced.ts'
import type { StateFact } from '#controller/timeline/port.ts'
import { answersAt } from './answers.ts'
import type { Planner } from './plan.ts'
import type { StateChange } from './port.ts'
import { snapshotVersionOf, type Engine, type Roster } from './roster.ts'
import { zoneOf, zonesOf } from './zones.ts'

/** Verdicts of many servers that arrive together are one look at the pools. */
const REFRESH_MS = 10
/** So long it looks at states before others get their turn. */
const SLICE_MS = 4

const disabledStates: ReadonlySet<unknown> = new Set(['SE_STATE_DISABLED', 'SE_STATE_DISABLED_FORCE'])

interface Judged {
  readonly state: OperState
  readonly reasons: readonly string[]
}

export interface Runtime {
  readonly engine: (uuid: string) => ServiceEngineRuntime | undefined
  readonly virtualService: (uuid: string) => VirtualServiceRuntime | undefined
  readonly pool: (uuid: string) => PoolRuntime | undefined
  /** 0..100, as the worst served of some virtual services sees it, of all when none is named; null for a pool that is not there. */
  readonly poolHealth: (uuid: string, of: readonly string[]) => number | null
  /** Facts that came in; what follows from them is announced. */
  readonly engineChanged: (engine: Engine) => void
  readonly planned: () => void
  readonly judged: (engine: Engine, servers: readonly { readonly poolId: string }[]) => void
  readonly stop: () => void
}

export interface RuntimeOptions {
  readonly store: Store
  readonly clock: Clock
  readonly telemetry: Pick<
    TelemetryPort,
    'scripts' | 'hedges' | 'zones' | 'live' | 'liveOfUse' | 'liveOfEngine' | 'hostOfEngine' | 'healthScore'
  >
  readonly roster: Roster
  readonly planner: Planner
  readonly limitsOf: (virtualServiceUuid: string) => readonly LimitRuntime[]
  readonly cacheOf: (virtualServiceUuid: string) => CacheRuntime | undefined
  readonly announce: (change: StateChange) => void
  /** Told when a virtual service, a pool or a server is in another state than when it was looked at last. */
  readonly onState: (fact: StateFact) => void
}

export function makeRuntime(options: RuntimeOptions): Runtime {
  const { store, clock, telemetry, roster, planner, announce } = options
  const book = new Map<string, { readonly told: string; readonly state: OperState; readonly sinceEpochMs: number }>()
  const dirtyPools = new Set<string>()
  const dirtyServices = new Set<string>()
  const specs = new WeakMap<StoredResource, readonly ServerSpec[]>()
  /** Live engines by what they carry, and the other way round. */
  const carriers = new Multimap<string, Engine>()
  const carriedBy = new Map<Engine, ReadonlySet<string>>()
  let isAllDirty = false
  let followedTo = -1
  let plansSeen = -1
  let cancelRefresh: (() => void) | undefined

  // Servers and pools.

  /** Takes in what an engine carries now: what it runs, and what it still speaks of. */
  function carry(engine: Engine): void {
    const ids = new Set<string>()
    if (engine.isServing) {
      for (const id of engine.runningIds) ids.add(id)
      for (const { poolId } of engine.judgements.values()) ids.add(poolId)
      for (const key of engine.ejections.keys()) ids.add(key.slice(0, key.indexOf('/')))
    }
    for (const id of carriedBy.get(engine) ?? []) if (!ids.has(id)) carriers.delete(id, engine)
    for (const id of ids) carriers.add(id, engine)
    if (ids.size > 0) carriedBy.set(engine, ids)
    else carriedBy.delete(engine)
  }

  const carriersOf = (poolUuid: string): readonly Engine[] => [...carriers.of(poolUuid)]

  function verdictsOf(poolUuid: string, serverId: string): { readonly engine: Engine; readonly judged: ServerJudgement | undefined }[] {
    return carriersOf(poolUuid).map(engine => ({ engine, judged: engine.judgements.get(`${poolUuid}/${serverId}`) }))
  }

  /** As engines know them: compile and the fleet name a server alike. */
  function serversOf(pool: StoredResource): readonly ServerSpec[] {
    const known = specs.get(pool)
    if (known !== undefined) return known
    const body = filled('pool', pool.body)
    const group = body.ipaddrgroup_ref === undefined ? undefined : store.get('ipaddrgroup', body.ipaddrgroup_ref)
    const addresses = group === undefined ? [] : (filled('ipaddrgroup', group.body).addrs ?? []).map(({ addr }) => addr)
    const servers = serverSpecs(body, addresses)
    // A group may change under a pool that does not.
    if (body.ipaddrgroup_ref === undefined) specs.set(pool, servers)
    return servers
  }

  const hasMonitor = (pool: StoredResource): boolean => {
    const monitors = pool.body['health_monitor_refs']
    return Array.isArray(monitors) && monitors.length > 0
  }

  function judgeServer(pool: StoredResource, server: ServerSpec): Judged {
    if (!server.isEnabled) return { state: 'OPER_DISABLED', reasons: [] }
    if (server.isName) {
      const told = verdictsOf(pool.uuid, server.id).flatMap(({ judged }) => judged ?? [])
      if (told.length > 0 && told.every(({ ip }) => ip === ''))
        return { state: 'OPER_DOWN', reasons: [`the name ${server.host} has no address yet: it could not be resolved`] }
    }
    const verdicts = verdictsOf(pool.uuid, server.id)
    const isUp = !hasMonitor(pool) || verdicts.some(({ judged }) => judged?.verdict === 'up')
    if (isUp) return judgeEjected(pool, server)
    const down = verdicts.filter(({ judged }) => judged?.verdict === 'down')
    if (down.length > 0) {
      const details = down.flatMap(({ judged }) =>
        (judged?.probes ?? []).filter(probe => probe.verdict === 'down').map(probe => probe.detail)
      )
      return { state: 'OPER_DOWN', reasons: [...new Set(details)] }
    }
    return { state: 'OPER_UNKNOWN', reasons: [verdicts.length === 0 ? 'no engine probes it' : 'not probed yet'] }
  }

  /** Up, unless every engine that carries it leaves it out. */
  function judgeEjected(pool: StoredResource, server: ServerSpec): Judged {
    const engines = carriersOf(pool.uuid)
    const reasons = engines.flatMap(engine => {
      const ejection = engine.ejections.get(`${pool.uuid}/${server.id}`)
      if (ejection === undefined) return []
      return `ejected by engine ${nameOf(engine)} until ${new Date(ejection.untilEpochMs).toISOString()}: ${ejection.reason}`
    })
    return { state: reasons.length > 0 && reasons.length === engines.length ? 'OPER_DOWN' : 'OPER_UP', reasons }
  }

  function judgePool(
    pool: StoredResource
  ): Judged & { readonly counts: { readonly all: number; readonly up: number; readonly enabled: number } } {
    const states = serversOf(pool).map(server => judgeServer(pool, server).state)
    const counts = {
      all: states.length,
      up: states.filter(state => state === 'OPER_UP').length,
      enabled: states.filter(state => state !== 'OPER_DISABLED').length
    }
    const judged = (state: OperState, ...reasons: string[]) => ({ state, reasons, counts })
    if (pool.body['enabled'] === false) return judged('OPER_DISABLED')
    if (counts.all === 0) return judged('OPER_DOWN', `pool ${pool.name} has no server`)
    if (counts.enabled === 0) return judged('OPER_DOWN', `every server of pool ${pool.name} is disabled`)
    if (counts.up > 0) return judged('OPER_UP')
    if (states.includes('OPER_UNKNOWN')) return judged('OPER_UNKNOWN', `no server of pool ${pool.name} has been probed yet`)
    return judged('OPER_DOWN', `pool ${pool.name} has no server up`)
  }

  const factsOf = ({ state, counts }: ReturnType<typeof judgePool>): ScoreFacts => ({
    isDown: state === 'OPER_DOWN',
    serversUp: counts.up,
    serversEnabled: counts.enabled,
    enginesUp: 1,
    enginesWanted: 1
  })

  // Virtual services.

  function judgeVirtualService(service: StoredResource): Judged {
    if (service.body['enabled'] === false) return { state: 'OPER_DISABLED', reasons: [] }
    const plan = planner.service(service.uuid)
    if (plan === undefined) return { state: 'OPER_CREATING', reasons: [] }
    const engines = plan.engineUuids.flatMap(uuid => roster.get(uuid) ?? [])
    if (engines.length === 0) return { state: 'OPER_DOWN', reasons: plan.reasons }
    const running = engines.filter(engine => engine.isServing && engine.runningIds.has(service.uuid))
    if (running.length === 0) return judgeNotRunning(service, engines)
    const refusals = engines.flatMap(engine => refusalsOf(engine, service.uuid))
    const reasons = [...refusals, ...plan.reasons, ...slowPathReasons(service, running)]
    const pools = poolsOf(service.uuid).flatMap(uuid => store.get('pool', uuid) ?? [])
    const judged = pools.map(judgePool)
    const standIns = pools.flatMap((pool, i) => (judged[i]!.state === 'OPER_UP' ? [] : (standInFor(pool) ?? [])))
    const poolReasons = [...judged.flatMap(pool => pool.reasons), ...standIns.map(({ name }) => `backup pool ${name} stands in`)]
    if (judged.length === 0 && !answersByItself(service))
      return { state: 'OPER_DOWN', reasons: [...reasons, 'it has no pool: there is nowhere for traffic to go'] }
    if (judged.length === 0 || standIns.length > 0 || judged.some(pool => pool.state === 'OPER_UP'))
      return { state: 'OPER_UP', reasons: [...reasons, ...poolReasons] }
    if (judged.some(pool => pool.state === 'OPER_UNKNOWN')) return { state: 'OPER_INITIALIZING', reasons: [...reasons, ...poolReasons] }
    const disabled = judged.flatMap((pool, i) => (pool.state === 'OPER_DISABLED' ? [`pool ${pools[i]!.name} is disabled`] : []))
    return { state: 'OPER_DOWN', reasons: [...reasons, ...poolReasons, ...disabled] }
  }

  /** Without a pool a service still answers by its rules, its scripts, or by a redirect to HTTPS. */
  function answersByItself({ body }: StoredResource): boolean {
    if ([body['http_policies'], body['vs_datascripts']].some(list => Array.isArray(list) && list.length > 0)) return true
    const ref = body['application_profile_ref']
    const profile = typeof ref === 'string' ? store.get('applicationprofile', ref) : undefined
    return profile !== undefined && filled('applicationprofile', profile.body).http_profile?.http_to_https === true
  }

  /** A fast path service on engines that cannot program the kernel works, only not as fast. */
  function slowPathReasons(service: StoredResource, engines: readonly Engine[]): string[] {
    const ref = service.body['network_profile_ref']
    const profile = typeof ref === 'string' ? store.get('networkprofile', ref) : undefined
    const type = profile === undefined ? undefined : filled('networkprofile', profile.body).profile.type
    if (type !== 'PROTOCOL_TYPE_TCP_FAST_PATH' && type !== 'PROTOCOL_TYPE_UDP_FAST_PATH') return []
    return engines
      .filter(engine => engine.row.facts?.abilities.includes('l4-kernel') === false)
      .map(engine => `engine ${nameOf(engine)} forwards it in user space: it has not the ability l4-kernel`)
  }

  function judgeNotRunning(service: StoredResource, engines: readonly Engine[]): Judged {
    const refusals = engines.flatMap(engine => refusalsOf(engine, service.uuid))
    if (refusals.length > 0) return { state: 'OPER_DOWN', reasons: refusals }
    if (engines.some(engine => engine.isLive))
      return {
        state: 'OPER_CREATING',
        reasons: engines
          .filter(engine => engine.isLive)
          .map(engine => [`engine ${nameOf(engine)} does not run it yet`, ...untoldReasons(engine)].join(': '))
      }
    const waiting = engines.filter(engine => engine.state === 'OPER_INITIALIZING')
    if (waiting.length > 0)
      return {
        state: 'OPER_UNKNOWN',
        reasons: waiting.flatMap(engine => engine.reasons.map(reason => `engine ${nameOf(engine)}: ${reason}`))
      }
    return { state: 'OPER_DOWN', reasons: engines.flatMap(engine => engine.reasons.map(reason => `engine ${nameOf(engine)}: ${reason}`)) }
  }

  /** Of what an engine refused, what concerns one thing; all of it when nothing names a thing that it runs. */
  function refusalsOf(engine: Engine, uuid: string): string[] {
    return violationsOf(engine)
      .filter(violation => violation.pointer.split('/')[2] === uuid)
      .map(violation => `engine ${nameOf(engine)} refused it: ${violation.message}`)
  }

  /** Of the snapshot that it refused last, and of what is left out since: each once. */
  function violationsOf({ violations, refusals }: Engine): readonly Violation[] {
    if (refusals.size === 0) return violations
    const known = [...refusals].filter(([uuid]) => store.get('virtualservice', uuid) !== undefined)
    const all = [...violations, ...known.flatMap(([, refusal]) => refusal.violations)]
    return [...new Map(all.map(violation => [`${violation.pointer} ${violation.message}`, violation])).values()]
  }

  const nameOf = (engine: Engine): string => roster.resource(engine.uuid)?.name ?? engine.uuid

  /** Pools that clients may be sent to, through groups, policies and script sets; not those of copies, nor those without a share. */
  function poolsOf(virtualService: string): string[] {
    const next = (uuid: string) =>
      store
        .referencesOf(uuid)
        .filter(leadsClients)
        .map(ref => [ref.toKind, ref.toUuid] as const)
    return reach(virtualService, next, 'pool')
  }

  function leadsClients({ fromKind, fromUuid, pointer }: Reference): boolean {
    if (fromKind === 'virtualservice') return !pointer.startsWith('/mirror/')
    const at = fromKind === 'poolgroup' ? /^\/members\/(\d+)\//.exec(pointer)?.[1] : undefined
    if (at === undefined) return true
    const members = store.get('poolgroup', fromUuid)?.body['members'] as readonly { readonly ratio?: number }[] | undefined
    return members?.[Number(at)]?.ratio !== 0
  }

  /** The pool that stands in for one, and is able to. */
  function standInFor(pool: StoredResource): StoredResource | undefined {
    const uuid = store.referencesOf(pool.uuid).find(ref => ref.toKind === 'pool')?.toUuid
    const backup = uuid === undefined ? undefined : store.get('pool', uuid)
    return backup !== undefined && judgePool(backup).state === 'OPER_UP' ? backup : undefined
  }

  /** Virtual services that lead to a pool, or to one that it stands in for. */
  function servicesOf(pool: string): string[] {
    const pools = [pool, ...store.referrersOf(pool).flatMap(({ fromKind, fromUuid }) => (fromKind === 'pool' ? fromUuid : []))]
    const next = (uuid: string) => store.referrersOf(uuid).map(ref => [ref.fromKind, ref.fromUuid] as const)
    return [...new Set(pools.flatMap(one => reach(one, next, 'virtualservice')))]
  }

  // The book: since when, and what to announce.

  function status(kind: StateChange['kind'], uuid: string, judged: Judged): OperStatus {
    return { state: judged.state, reason: judged.reasons, last_changed_time: note(kind, uuid, judged) }
  }

  function note(kind: StateChange['kind'] | 'server', uuid: string, judged: Judged): number {
    const key = `${kind}:${uuid}`
    const before = book.get(key)
    const told = `${judged.state} ${judged.reasons.join('; ')}`
    if (before?.told === told) return before.sinceEpochMs
    const sinceEpochMs = before?.state === judged.state ? before.sinceEpochMs : clock.nowEpochMs()
    book.set(key, { told, state: judged.state, sinceEpochMs })
    if (before?.state !== judged.state && kind !== 'serviceengine') options.onState(factOf(kind, uuid, judged))
    if (kind !== 'server' && before !== undefined) announce({ kind, uuid })
    return sinceEpochMs
  }

  function factOf(kind: 'virtualservice' | 'pool' | 'server', uuid: string, { state, reasons }: Judged): StateFact {
    if (kind !== 'server') return { kind, uuid, state, reasons }
    const slash = uuid.indexOf('/')
    return { kind: 'pool', uuid: uuid.slice(0, slash), server: uuid.slice(slash + 1), state, reasons }
  }

  function refreshSoon(): void {
    cancelRefresh ??= clock.after(REFRESH_MS, refresh)
  }

  /** Looks at what is dirty, in slices, so that ten thousand services keep nobody waiting. */
  function refresh(): void {
    cancelRefresh = undefined
    if (isAllDirty) {
      isAllDirty = false
      for (const { uuid } of store.list('pool')) dirtyPools.add(uuid)
      for (const { uuid } of store.list('virtualservice')) dirtyServices.add(uuid)
      forgetGone()
      forgetJudgements()
    }
    const endMs = clock.nowMs() + SLICE_MS
    for (const uuid of dirtyPools) {
      if (clock.nowMs() > endMs) return refreshNext()
      dirtyPools.delete(uuid)
      const pool = store.get('pool', uuid)
      if (pool === undefined) continue
      const before = book.get(`pool:${uuid}`)?.told
      note('pool', uuid, judgePool(pool))
      for (const server of serversOf(pool)) note('server', `${uuid}/${server.id}`, judgeServer(pool, server))
      if (book.get(`pool:${uuid}`)?.told !== before) for (const service of servicesOf(uuid)) dirtyServices.add(service)
    }
    for (const uuid of dirtyServices) {
      if (clock.nowMs() > endMs) return refreshNext()
      dirtyServices.delete(uuid)
      const service = store.get('virtualservice', uuid)
      if (service !== undefined) note('virtualservice', uuid, judgeVirtualService(service))
    }
  }

  function refreshNext(): void {
    cancelRefresh ??= clock.after(0, refresh)
  }

  /** Of servers that are not configured any more; what engines say must not pile up. */
  function forgetJudgements(): void {
    const known = new Set(store.list('pool').flatMap(pool => serversOf(pool).map(server => `${pool.uuid}/${server.id}`)))
    for (const engine of roster.engines) for (const key of engine.judgements.keys()) if (!known.has(key)) engine.judgements.delete(key)
  }

  function forgetGone(): void {
    for (const key of book.keys()) {
      const [kind, rest] = [key.slice(0, key.indexOf(':')), key.slice(key.indexOf(':') + 1)]
      const owner = kind === 'server' ? 'pool' : kind
      if (store.get(owner as KindName, rest.split('/')[0]!) === undefined) book.delete(key)
    }
  }

  // The views.

  function placesOf(uuid: string): PlacedOn[] {
    const { engineUuids: on = [], hasStandby = false } = planner.service(uuid) ?? {}
    const vsvip = store.get('virtualservice', uuid)?.body['vsvip_ref']
    const owner = typeof vsvip === 'string' ? planner.owners.ownerOf(vsvip) : undefined
    const group = store.get('serviceenginegroup', planner.placer.service(uuid)?.group ?? '')
    const isAnnounced = typeof vsvip === 'string' && group?.body['address_mode'] === 'BGP'
    return [...on, ...planner.placer.leavingOf(uuid)].flatMap((engineUuid, i) => {
      const engine = roster.get(engineUuid)
      if (engine === undefined) return []
      const isRunning = engine.runningIds.has(uuid)
      const reason = isAnnounced ? whyUnannounced(engine, vsvip) : ''
      return {
        engine_uuid: engineUuid,
        engine_name: nameOf(engine),
        state: engine.state,
        primary: i === 0 && !isAnnounced,
        standby: hasStandby && i > 0 && i < on.length,
        owns_addresses: engineUuid === owner,
        announces_addresses: isAnnounced && reason === '',
        announce_reason: reason,
        phase: i >= on.length ? 'leaving' : isRunning ? 'running' : 'starting',
        wanted_revision: engine.wanted?.manifest.revision ?? store.revision(),
        running_revision: engine.row.runningRevision
      }
    })
  }

  /** Whether an engine has somebody to send clients to: each sees its servers itself. */
  function seesServer(engine: Engine, pools: readonly StoredResource[]): boolean {
    const isUsable = (pool: StoredResource, { id, isEnabled }: ServerSpec): boolean =>
      isEnabled && (!hasMonitor(pool) || engine.judgements.get(`${pool.uuid}/${id}`)?.verdict !== 'down')
    return pools.length === 0 || pools.some(pool => serversOf(pool).some(server => isUsable(pool, server)))
  }

  function answersOf(uuid: string, places: readonly PlacedOn[], pools: readonly StoredResource[]): AnswersAt[] | undefined {
    const vsvip = store.get('virtualservice', uuid)?.body['vsvip_ref']
    if (typeof vsvip !== 'string') return undefined
    const mode = store.get('serviceenginegroup', planner.placer.service(uuid)?.group ?? '')?.body['address_mode']
    const carriers = places.flatMap(({ engine_uuid, engine_name: name, phase, owns_addresses: owns, announce_reason }) => {
      const engine = roster.get(engine_uuid)
      if (engine === undefined || phase === 'leaving') return []
      const unannounced = !engine.isServing
        ? 'nothing is heard of the engine'
        : phase === 'starting'
          ? 'it does not run it yet'
          : announce_reason
      const reason = unannounced === '' && !seesServer(engine, pools) ? 'none of its servers is up, as this engine sees them' : unannounced
      return [{ uuid: engine_uuid, name, addresses: engine.row.facts?.addresses ?? [], owns, reason }]
    })
    return answersAt(typeof mode === 'string' ? mode : 'HOST', addressesOf(store.get('vsvip', vsvip)?.body), carriers)
  }

  function enginesUpAndWanted(uuid: string): { readonly enginesUp: number; readonly enginesWanted: number } {
    const plan = planner.service(uuid)
    const enginesUp = (plan?.engineUuids ?? []).filter(engine => roster.get(engine)?.isServing).length
    return { enginesUp, enginesWanted: plan?.enginesWanted ?? 1 }
  }

  function serverRuntime(pool: StoredResource, server: ServerSpec): ServerRuntime {
    const verdicts = verdictsOf(pool.uuid, server.id)
    const judged = judgeServer(pool, server)
    const key = `${pool.uuid}/${server.id}`
    const isZoned = pool.body['locality'] !== undefined
    return {
      ...(server.zone === undefined ? {} : { zone: server.zone }),
      ...(server.order === undefined ? {} : { preference_order: server.order }),
      server: server.host,
      ip: verdicts.map(item => item.judged?.ip ?? '').find(ip => ip !== '') ?? (server.isName ? '' : server.host),
      port: server.port,
      enabled: server.isEnabled,
      ratio: server.weight,
      oper_status: { state: judged.state, reason: judged.reasons, last_changed_time: note('server', key, judged) },
      engines: verdicts.map(item => ({
        engine_uuid: item.engine.uuid,
        engine_name: nameOf(item.engine),
        verdict: item.judged?.verdict ?? (hasMonitor(pool) ? 'unknown' : 'up'),
        weight_percent: item.judged?.weightPercent ?? 100,
        ...(isZoned ? { own_zone: server.zone !== undefined && server.zone === zoneOf(roster.resource(item.engine.uuid)) } : {}),
        probes: (item.judged?.probes ?? []).map(probeToReport)
      })),
      live: telemetry.live(key)
    }
  }

  function probeToReport(probe: ServerJudgement['probes'][number]): ProbeReport {
    return {
      monitor_name: store.get('healthmonitor', probe.monitorId)?.name ?? probe.monitorId,
      monitor_uuid: probe.monitorId,
      verdict: probe.verdict,
      detail: probe.detail,
      request: probe.request ?? '',
      answer: probe.answer ?? '',
      duration_ms: probe.durationMs,
      at: probe.atEpochMs
    }
  }

  return {
    virtualService: uuid => {
      const service = store.get('virtualservice', uuid)
      if (service === undefined) return undefined
      const judged = judgeVirtualService(service)
      const plan = planner.service(uuid)
      const pools = poolsOf(uuid).flatMap(pool => store.get('pool', pool) ?? [])
      const counts = pools.map(pool => judgePool(pool).counts)
      const places = placesOf(uuid)
      const answers = answersOf(uuid, places, pools)
      const limits = options.limitsOf(uuid)
      const cache = options.cacheOf(uuid)
      const scripts = telemetry.scripts(uuid)
      const sum = (pick: (count: (typeof counts)[number]) => number): number => counts.reduce((total, count) => total + pick(count), 0)
      return {
        oper_status: status('virtualservice', uuid, judged),
        placed_on: places,
        ...(answers === undefined ? {} : { answers_at: answers }),
        engines_wanted: plan?.enginesWanted ?? 1,
        ...(limits.length === 0 ? {} : { limits }),
        ...(cache === undefined ? {} : { cache }),
        ...(scripts.length === 0 ? {} : { scripts }),
        live: telemetry.live(uuid),
        health_score: telemetry.healthScore(uuid, {
          isDown: judged.state === 'OPER_DOWN',
          serversUp: sum(count => count.up),
          serversEnabled: sum(count => count.enabled),
          ...enginesUpAndWanted(uuid)
        })
      }
    },

    poolHealth: (uuid, of) => {
      const pool = store.get('pool', uuid)
      if (pool === undefined) return null
      const facts = factsOf(judgePool(pool))
      const scores = of.map(service => telemetry.healthScore(uuid, facts, service).score)
      return scores.length === 0 ? telemetry.healthScore(uuid, facts).score : Math.min(...scores)
    },

    pool: uuid => {
      const pool = store.get('pool', uuid)
      if (pool === undefined) return undefined
      const judged = judgePool(pool)
      const hedges = telemetry.hedges(uuid)
      const zones = zonesOf({
        pool,
        servers: serversOf(pool),
        engines: carriersOf(uuid).map(engine => ({ engine, name: nameOf(engine), resource: roster.resource(engine.uuid) })),
        wentTo: engine => telemetry.zones(uuid, engine)
      })
      const services = servicesOf(uuid).flatMap(service => store.get('virtualservice', service) ?? [])
      return {
        oper_status: status('pool', uuid, judged),
        servers: serversOf(pool).map(server => serverRuntime(pool, server)),
        num_servers: judged.counts.all,
        num_servers_up: judged.counts.up,
        num_servers_enabled: judged.counts.enabled,
        live: telemetry.live(uuid),
        health_score: telemetry.healthScore(uuid, factsOf(judged)),
        ...(hedges === undefined ? {} : { hedges }),
        ...(zones === undefined ? {} : { locality: zones }),
        virtualservices: services.map(service => {
          const live = services.length > 1 ? telemetry.liveOfUse(service.uuid, uuid) : undefined
          return { uuid: service.uuid, name: service.name, ...(live === undefined ? {} : { live }) }
        })
      }
    },

    engine: uuid => {
      const engine = roster.get(uuid)
      if (engine === undefined) return undefined
      const { facts } = engine.row
      const services = (engine.wanted?.manifest.parts ?? []).flatMap(part =>
        part.kind === 'virtual-service' ? (store.get('virtualservice', part.id) ?? []) : []
      )
      const bgp = bgpRuntime(engine, vsvip => store.get('vsvip', vsvip)?.name)
      const isDisabled = engine.isLive && disabledStates.has(roster.resource(uuid)?.body['enable_state'])
      return {
        oper_status: {
          state: isDisabled ? 'OPER_DISABLED' : engine.state,
          reason: [
            ...untoldReasons(engine),
            ...(isDisabled ? ['it is connected, and disabled: its services go to other engines'] : engine.reasons)
          ],
          last_changed_time: engine.sinceEpochMs
        },
        connected: engine.isLive,
        last_seen: engine.isLive ? clock.nowEpochMs() : engine.row.lastSeenEpochMs,
        wanted_revision: engine.wanted?.manifest.revision ?? store.revision(),
        running_revision: engine.row.runningRevision,
        ...(engine.held === undefined ? {} : { held: { known_revision: engine.held.knownRevision, since: engine.held.sinceEpochMs } }),
        violations: violationsOf(engine),
        version: facts?.version ?? '',
        build: facts?.build ?? '',
        platform: facts?.platform ?? '',
        upgrade_ended: engine.upgradeEnded ?? null,
        hostname: facts?.hostname ?? '',
        addresses: facts?.addresses ?? [],
        workers: facts?.workers ?? 0,
        abilities: facts?.abilities ?? [],
        ...(bgp === undefined ? {} : { bgp }),
        host: telemetry.hostOfEngine(uuid),
        live: telemetry.liveOfEngine(uuid),
        health_score: telemetry.healthScore(uuid, {
          isDown: !engine.isServing,
          serversUp: 0,
          serversEnabled: 0,
          enginesUp: engine.isServing ? 1 : 0,
          enginesWanted: 1
        }),
        virtualservices: services.map(service => ({ uuid: service.uuid, name: service.name })),
        certificate_not_after: engine.row.certificateNotAfterEpochMs
      }
    },

    engineChanged: engine => {
      carry(engine)
      announce({ kind: 'serviceengine', uuid: engine.uuid })
      const parts = engine.wanted?.manifest.parts.map(({ id }) => id) ?? []
      for (const id of [...engine.runningIds, ...parts, ...engine.refusals.keys()]) {
        if (store.get('pool', id) !== undefined) dirtyPools.add(id)
        else dirtyServices.add(id)
      }
      refreshSoon()
    },
    planned: () => {
      for (const engine of carriedBy.keys()) if (roster.get(engine.uuid) !== engine) carry(engine)
      const touched = store.touchedSince(followedTo)
      followedTo = store.revision()
      // What another kind means for a state is not worth knowing: it changes rarely.
      if (
        planner.version() !== plansSeen ||
        touched === undefined ||
        touched.some(({ kind }) => kind !== 'pool' && kind !== 'virtualservice')
      )
        isAllDirty = true
      else for (const { kind, uuid } of touched) (kind === 'pool' ? dirtyPools : dirtyServices).add(uuid)
      plansSeen = planner.version()
      refreshSoon()
    },
    judged: (engine, servers) => {
      if (servers.length === 0) return
      carry(engine)
      for (const server of servers) dirtyPools.add(server.poolId)
      refreshSoon()
    },
    stop: () => cancelRefresh?.()
  }
}

/** Why an engine is not told anything. */
function untoldReasons({ held, isBehind, row }: Engine): string[] {
  const reasons: string[] = []
  if (held !== undefined)
    reasons.push(
      `it runs revision ${held.runningRevision}, and this controller was restored at revision ${held.knownRevision}: nothing is pushed to it until somebody takes it over`
    )
  if (isBehind && row.facts !== null)
    reasons.push(
      `it waits for its upgrade: it reads snapshots up to version ${snapshotVersionOf(row.facts)}, and this controller writes version ${SNAPSHOT_VERSION}; what it runs goes on`
    )
  return reasons
}

/** Depth first over references; each thing once, so that a cycle ends. */
function reach(from: string, next: (uuid: string) => readonly (readonly [kind: KindName, uuid: string])[], wanted: KindName): string[] {
  const seen = new Set([from])
  const found: string[] = []
  const through: readonly KindName[] = ['poolgroup', 'httppolicyset', 'vsdatascriptset']
  const visit = (uuid: string): void => {
    for (const [kind, target] of next(uuid)) {
      if (seen.has(target)) continue
      seen.add(target)
      if (kind === wanted) found.push(target)
      else if (through.includes(kind)) visit(target)
    }
  }
  visit(from)
  return found
}
