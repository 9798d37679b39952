/** The fleet: engines join, connect, are told what to run, and are watched. */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { AgentMessage, Announcing, Hello, OwnedVip, ServerSample, QuotaLeft, QuotaUse } from '#model/message/message.ts'
import { PROTOCOL } from '#model/message/message.ts'
import type { ChangeOrder, ChangeResult } from '#controller/change/order.ts'
import type { AuthorityPort, Seal } from '#controller/pki/port.ts'
import type { Store } from '#controller/store/store.ts'
import type { TelemetryPort } from '#controller/telemetry/port.ts'
import type { TimelineListener } from '#controller/timeline/port.ts'
import { SharedBindings } from './bindings.ts'
import { Caches } from './caches.ts'
import { makeActions } from './action.ts'
import { openChannel } from './channel.ts'
import type { Admission, Caller } from './channel.ts'
import { makeEnrol } from './enrol.ts'
import { mayBeTold, SharedLimits } from './limits.ts'
import type { Planner } from './plan.ts'
import type { FleetPort, StateChange } from './port.ts'
import { Pusher } from './push.ts'
import { Questions } from './questions.ts'
import { Quotas } from './quotas.ts'
import { Traces } from './traces.ts'
import { Roster, START_GRACE_MS } from './roster.ts'
import type { Engine } from './roster.ts'
import { makeRuntime } from './runtime.ts'
import { Session } from './session.ts'
import type { Ending, EngineSays } from './session.ts'
import { watchStalls } from './stall.ts'

export interface FleetOptions {
  readonly store: Store
  readonly change: { readonly apply: (order: ChangeOrder) => Promise<ChangeResult> }
  readonly authority: AuthorityPort
  readonly seal: Seal
  readonly telemetry: Pick<
    TelemetryPort,
    'scripts' | 'hedges' | 'zones' | 'ingest' | 'forget' | 'live' | 'liveOfUse' | 'liveOfEngine' | 'hostOfEngine' | 'healthScore'
  >
  readonly planner: Planner
  /** Told of every state that is judged anew. */
  readonly timeline: Pick<TimelineListener, 'state'>
  readonly clock: Clock
  readonly log: Log
  /** Where the engine port listens; port 0 picks one. */
  readonly host: string
  readonly port: number
  readonly version: string
}

export interface Fleet extends FleetPort {
  readonly port: number
  readonly poolHealth: ReturnType<typeof makeRuntime>['poolHealth']
  readonly stop: () => Promise<void>
}

/** Opens the engine port and starts to plan; rejects when the port cannot be bound. */
export async function openFleet(options: FleetOptions): Promise<Fleet> {
  const { store, clock, log, authority, telemetry, timeline } = options
  const listeners = new Set<(change: StateChange) => void>()
  const announce = (change: StateChange): void => {
    for (const listener of listeners) listener(change)
  }

  const stalls = watchStalls(clock)
  const roster = new Roster({
    store,
    clock,
    onChange: engine => {
      log.info('an engine changed its state', { engine: engine.uuid, state: engine.state, reason: engine.reasons })
      timeline.state({ kind: 'serviceengine', uuid: engine.uuid, state: engine.state, reasons: engine.reasons })
      pusher.schedule()
      runtime.engineChanged(engine)
    }
  })
  const planner = options.planner
  const pusher: Pusher = new Pusher({
    roster,
    clock,
    log,
    plan: () => planner.plan([...roster.engines]),
    isMoving: () => planner.placer.isMoving,
    onPlanned: () => runtime.planned(),
    onOrder: (engine, manifest) => bindings.ordered(engine, manifest),
    onAnswer: (engine, isNews) => {
      // Whoever waits for this engine to take over may be able to leave now.
      if (isNews && planner.placer.isMoving) pusher.schedule()
      if (isNews) runtime.engineChanged(engine)
      else announce({ kind: 'serviceengine', uuid: engine.uuid })
    }
  })
  const bindings = new SharedBindings({ clock, engines: () => roster.engines })
  const quotas = new Quotas({ store, clock, log })
  const limits = new SharedLimits({
    clock,
    placedOn: uuid => planner.service(uuid)?.engineUuids ?? [],
    engine: uuid => roster.get(uuid),
    nameOf: ({ uuid }) => roster.resource(uuid)?.name ?? uuid
  })
  const caches = new Caches({
    store,
    clock,
    // One that is about to lose it still keeps its answers.
    placedOn: uuid => [
      ...new Set([
        ...(planner.service(uuid)?.engineUuids ?? []),
        ...[...roster.engines].filter(engine => engine.runningIds.has(uuid)).map(engine => engine.uuid)
      ])
    ],
    engine: uuid => roster.get(uuid),
    nameOf: uuid => roster.resource(uuid)?.name ?? uuid
  })
  const runtime = makeRuntime({
    store,
    clock,
    telemetry,
    roster,
    planner,
    limitsOf: uuid => limits.runtime(uuid, quotas.runtime(uuid)),
    cacheOf: uuid => caches.runtime(uuid),
    onState: timeline.state,
    announce
  })

  const questions = new Questions(clock)
  const traces = new Traces(clock)
  /** Sessions that have not said hello. */
  const waiting = new Set<Session>()

  /** Follows the store: what was deleted is no longer trusted. */
  function follow(): void {
    for (const engine of roster.sync()) {
      standDown(engine, 'the engine was deleted')
      engine.session = undefined
      pusher.disconnected(engine)
      telemetry.forget(engine.uuid)
      announce({ kind: 'serviceengine', uuid: engine.uuid })
    }
  }

  const admit = (caller: Caller): Admission => {
    const revoked = roster.revokedReason(caller.engineUuid)
    const refused = (status: 401 | 403, reason: string): Admission => {
      log.warn('an engine was refused', { engine: caller.engineUuid, from: caller.remoteAddress, reason })
      return { is: 'refused', status, reason }
    }
    if (revoked !== undefined) return refused(403, `the engine's identity was revoked: ${revoked}`)
    follow()
    return roster.get(caller.engineUuid) === undefined ? refused(401, 'the engine is not known here') : { is: 'admitted' }
  }

  const channel = await openChannel({
    host: options.host,
    port: options.port,
    authority,
    clock,
    log,
    admit,
    accept: (caller, socket, transport) => {
      // Its own listeners keep it: it is reachable from the roster once it said hello.
      const session: Session = new Session({
        engineUuid: caller.engineUuid,
        socket,
        transport,
        clock,
        log,
        onHello: (_, hello) => connected(session, caller, hello),
        onMessage: (_, message) => heard(session, message),
        onEnd: (_, ending) => ended(session, ending)
      })
      waiting.add(session)
    }
  })

  function connected(session: Session, caller: Caller, hello: Hello): void {
    waiting.delete(session)
    const engine = roster.get(session.engineUuid)
    if (engine === undefined) return session.end('refused', 1008, 'the engine is not known here')
    const before = engine.session
    engine.session = session
    if (before !== undefined) {
      log.warn('an engine connected again while it was connected', { engine: engine.uuid, from: caller.remoteAddress })
      before.end('replaced', 4_000, 'another connection of this engine took over')
    }
    const { type: _, protocol: _protocol, heldParts, runningRevision, runningHash, purgedSequence, ...facts } = hello
    engine.runningHash = runningHash
    if (engine.runningIdsOf !== runningHash) {
      engine.runningIds = new Set()
      engine.runningIdsOf = ''
    }
    roster.judgeHold(engine, runningRevision)
    if (engine.held !== undefined)
      log.warn('an engine runs what was committed after the copy that this controller was restored from: it is left as it is', {
        engine: engine.uuid,
        runningRevision,
        knownRevision: engine.held.knownRevision
      })
    engine.violations = []
    engine.upgradeEnded = undefined
    engine.refusals.clear()
    engine.judgements.clear()
    engine.ejections = new Map()
    engine.announcing = undefined
    limits.connected(engine.uuid)
    roster.setRow(engine, {
      facts,
      runningRevision,
      lastSeenEpochMs: clock.nowEpochMs(),
      serialNumber: caller.serialNumber,
      certificateNotAfterEpochMs: caller.certificateNotAfterEpochMs
    })
    session.send({
      type: 'Welcome',
      protocol: PROTOCOL,
      controllerVersion: options.version,
      engineId: engine.uuid,
      engineName: roster.resource(engine.uuid)?.name ?? '',
      atEpochMs: clock.nowEpochMs()
    })
    caches.connected(engine, purgedSequence)
    // It runs already, and lets through what it does not know to be used up.
    if (runningHash !== '') tellQuotas(engine, session)
    pusher.connected(engine, heldParts)
    roster.setState(engine, 'OPER_UP', [])
  }

  function heard(session: Session, message: EngineSays): void {
    const engine = roster.get(session.engineUuid)
    if (engine === undefined || engine.session !== session) return
    switch (message.type) {
      case 'SnapshotApplied':
        pusher.applied(engine, message)
        tellQuotas(engine, session)
        return void knowing.add(session)
      case 'SnapshotRefused':
        return pusher.refused(engine, message)
      case 'PartsWanted':
        return pusher.partsWanted(engine, message.hashes)
      case 'SampleTaken':
        runtime.judged(engine, ejectedAnew(engine, message.sample.servers))
        limits.sampled(engine.uuid, message.sample)
        caches.sampled(engine.uuid, message.sample)
        return telemetry.ingest(engine.uuid, message.sample)
      case 'LimitsUsed':
        return limits.used(engine.uuid, message.limits)
      case 'QuotasUsed':
        return quotasUsed(engine, message.quotas)
      case 'ClientsBound':
        return bindings.told(engine, message.bindings)
      case 'ServersJudged':
        for (const judged of message.servers) engine.judgements.set(`${judged.poolId}/${judged.serverId}`, judged)
        return runtime.judged(engine, message.servers)
      case 'AddressesOwned':
        return owned(engine, message.vips)
      case 'AddressesAnnounced':
        return announces(engine, message)
      case 'AskPeers': {
        const groupOf = (uuid: string): unknown => roster.resource(uuid)?.body['se_group_ref']
        return session.send({ type: 'PeersSeen', peers: planner.owners.seen(engine, message.engineIds, groupOf, clock.nowMs()) })
      }
      case 'UpgradeEnded': {
        const { type: _, ...ended } = message
        engine.upgradeEnded = ended
        return announce({ kind: 'serviceengine', uuid: engine.uuid })
      }
      case 'RequestExplained':
        return questions.answered(engine.uuid, message)
      case 'RequestTraced':
        return traces.heard(engine, message)
      case 'CachePurged':
        return caches.purged(engine.uuid, message)
      case 'RenewCertificate':
        void renew(engine, session, message).catch((error: unknown) => log.warn('a renewal was refused', { engine: engine.uuid, error }))
    }
  }

  /** Engines decide who owns an address that moves; the placement follows. */
  function owned(engine: Engine, vips: readonly OwnedVip[]): void {
    for (const vsvip of planner.owners.told(engine.uuid, vips)) {
      log.info('an engine owns the addresses of a vsvip', { engine: engine.uuid, vsvip })
      for (const { fromUuid } of store.referrersOf(vsvip)) {
        if (planner.placer.promote(fromUuid, engine.uuid)) pusher.schedule()
        announce({ kind: 'virtualservice', uuid: fromUuid })
      }
    }
  }

  function announces(engine: Engine, { vips, bird }: Announcing): void {
    const before = engine.announcing
    engine.announcing = { vips, bird }
    announce({ kind: 'serviceengine', uuid: engine.uuid })
    const reasons = new Map(before?.bird.is === bird.is ? before.vips.map(({ id, reason }) => [id, reason]) : [])
    for (const { id, reason } of vips)
      if (reasons.get(id) !== reason) for (const { fromUuid } of store.referrersOf(id)) announce({ kind: 'virtualservice', uuid: fromUuid })
  }

  /** Sessions whose engine was told what is left of the quotas that it runs. */
  const knowing = new WeakSet<Session>()
  function tellQuotas(engine: Engine, session: Session): void {
    if (knowing.has(session) || !mayBeTold(engine)) return
    const left = quotas.leftOf(new Set(engine.wanted?.manifest.parts.map(part => part.id)))
    if (left.length > 0) session.send({ type: 'QuotasLeft', quotas: left })
  }

  /** All that the virtual service is placed on are told, and who asks in any case. */
  function quotasUsed(from: Engine, uses: readonly QuotaUse[]): void {
    const serviceOf = new Map(uses.map(({ limitId, virtualServiceId }) => [limitId, virtualServiceId]))
    const told = new Map<Engine, QuotaLeft[]>()
    for (const left of quotas.used(uses)) {
      const placed = planner.service(serviceOf.get(left.limitId)!)?.engineUuids ?? []
      const engines = new Set([from, ...placed.flatMap(uuid => roster.get(uuid) ?? [])])
      for (const engine of engines) {
        const list = told.get(engine)
        if (list === undefined) told.set(engine, [left])
        else list.push(left)
      }
    }
    for (const [engine, left] of told) if (mayBeTold(engine)) engine.session?.send({ type: 'QuotasLeft', quotas: left })
  }

  async function renew(
    engine: Engine,
    session: Session,
    message: Extract<AgentMessage, { readonly type: 'RenewCertificate' }>
  ): Promise<void> {
    const certificate = await authority.signEngine(message.csrPem, engine.uuid)
    if (engine.session !== session || !session.isLive) return
    roster.setRow(engine, { serialNumber: certificate.serialNumber, certificateNotAfterEpochMs: certificate.notAfterEpochMs })
    session.send({ type: 'CertificateRenewed', certificatePem: certificate.certificatePem, caPem: authority.caPem })
    log.info('renewed the certificate of an engine', { engine: engine.uuid, notAfter: new Date(certificate.notAfterEpochMs).toISOString() })
  }

  function ended(session: Session, ending: Ending): void {
    waiting.delete(session)
    const engine = roster.get(session.engineUuid)
    if (engine === undefined || engine.session !== session) return
    engine.session = undefined
    // Who took over runs the same, on the same servers.
    if (ending !== 'handed-over') {
      engine.judgements.clear()
      engine.ejections = new Map()
      engine.announcing = undefined
      engine.runningIds = new Set()
      engine.runningIdsOf = ''
    }
    pusher.disconnected(engine)
    telemetry.forget(engine.uuid)
    limits.gone(engine.uuid)
    planner.owners.gone(engine.uuid)
    caches.gone(engine.uuid)
    if (ending === 'stopped') return
    roster.setRow(engine, { lastSeenEpochMs: clock.nowEpochMs() })
    if (ending === 'silent')
      roster.setState(engine, 'OPER_PARTITIONED', ['no word on an open connection: the engine stands still or the network between is cut'])
    else if (ending === 'handed-over')
      roster.setState(engine, 'OPER_INITIALIZING', ['another process of it took over, which connects next'])
    else if (ending === 'closed' && stalls.lately())
      // It left a controller that said nothing, and is looking for it.
      roster.setState(engine, 'OPER_INITIALIZING', ['the controller stood still; its connection was closed meanwhile'], {
        afterMs: START_GRACE_MS,
        reason: 'it did not connect again after the controller stood still'
      })
    else if (ending === 'closed') roster.setState(engine, 'OPER_DOWN', ['its connection was closed'])
    else if (ending === 'refused') roster.setState(engine, 'OPER_DOWN', ['its connection was ended: it said what is not in the protocol'])
  }

  function standDown(engine: Engine, reason: string): void {
    const session = engine.session
    session?.send({ type: 'StandDown', reason })
    session?.end('stood-down', 4_003, 'no longer trusted')
  }

  // What is placed is known before the first engine is back.
  pusher.planNow()

  return {
    port: channel.port,
    committed: () => {
      follow()
      pusher.schedule()
    },
    enrol: makeEnrol({
      store,
      change: options.change,
      authority,
      seal: options.seal,
      clock,
      log,
      enginePort: () => channel.port,
      onEnrolled: (uuid, certificate) => {
        follow()
        const engine = roster.get(uuid)
        if (engine !== undefined)
          roster.setRow(engine, { serialNumber: certificate.serialNumber, certificateNotAfterEpochMs: certificate.notAfterEpochMs })
      }
    }),
    revoke: async (uuid, reason) => {
      const engine = roster.get(uuid)
      if (engine === undefined) return
      // First in the store: from here on no connection of this identity is admitted.
      roster.revoke(engine, reason)
      standDown(engine, reason)
    },
    takeOver: (uuid, by) => {
      const engine = roster.get(uuid)
      if (engine === undefined || engine.held === undefined) return false
      log.warn('an engine is taken over: what it runs is replaced', { engine: uuid, by, ...engine.held })
      roster.endHold(engine)
      pusher.planNow()
      runtime.engineChanged(engine)
      return true
    },
    orderUpgrade: (uuid, order) => {
      const engine = roster.get(uuid)
      if (engine?.isLive !== true || engine.row.facts?.abilities.includes('upgrade') !== true) return false
      engine.session?.send({ type: 'UpgradeEngine', ...order })
      return true
    },
    explain: question => questions.ask(roster.engines, question),
    traces: {
      start: wanted => traces.start(roster.engines, wanted),
      end: id => traces.end(id),
      get: id => traces.get(id),
      find: requestId => traces.find(requestId)
    },
    purgeCache: (uuid, purge, by) => caches.purge(uuid, purge, by),
    actions: makeActions({
      store,
      planner,
      nameOf: uuid => roster.resource(uuid)?.name ?? uuid,
      planNow: () => pusher.planNow()
    }),
    engineRuntime: runtime.engine,
    virtualServiceRuntime: runtime.virtualService,
    poolRuntime: runtime.pool,
    poolHealth: runtime.poolHealth,
    persistence: (uuid, limit) => bindings.runtime(uuid, limit),
    onStateChange: listener => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    stop: async () => {
      pusher.stop()
      for (const session of waiting) session.end('stopped', 1001, 'the controller stops')
      for (const engine of roster.engines) engine.session?.end('stopped', 1001, 'the controller stops')
      traces.stop()
      roster.stop()
      stalls.stop()
      runtime.stop()
      limits.stop()
      quotas.stop()
      bindings.stop()
      await channel.close()
    }
  }
}

/** Takes over which servers an engine leaves out; returns the pools of those of which that has changed. */
function ejectedAnew(engine: Engine, servers: readonly ServerSample[]): { readonly poolId: string }[] {
  const before = engine.ejections
  const now = new Map(servers.flatMap(({ poolId, id, ejection }) => (ejection === undefined ? [] : [[`${poolId}/${id}`, ejection]])))
  if (before.size === 0 && now.size === 0) return []
  engine.ejections = now
  return [...new Set([...before.keys(), ...now.keys()])]
    .filter(key => before.get(key)?.untilEpochMs !== now.get(key)?.untilEpochMs)
    .map(key => ({ poolId: key.slice(0, key.indexOf('/')) }))
}
