/** The engine without its process: memory, workers, monitors, names and samples, wired to the agent through its port. */
import { randomBytes, randomUUID } from 'node:crypto'
import { availableParallelism, hostname, totalmem } from 'node:os'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { Random } from '#model/base/random.ts'
import { Scope } from '#model/base/scope.ts'
import { VERSION } from '#model/base/version.ts'
import { BINDINGS_INTERVAL_MS, LIMIT_INTERVAL_MS, type Verdict } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import { usesOf, type KnownUses } from '#model/snapshot/uses.ts'
import type { AgentSide, EngineSide } from './agent/port.ts'
import { openCrew, type Bound, type WorkerThread } from './crew.ts'
import type { ForwarderKind } from './dataplane/exchange/forwarder.ts'
import { Exceptions } from './dataplane/upstream/exceptions.ts'
import type { WorkerSetup } from './generation/orders.ts'
import { openAccessLog } from './meter/access-log.ts'
import { openHost } from './meter/host.ts'
import { viewBindings } from './meter/layout.ts'
import { openLimits } from './meter/limits.ts'
import { watchOpenFiles } from './meter/open-files.ts'
import { startSampler } from './meter/sampler.ts'
import { openScriptTally } from './meter/scripts.ts'
import { makeScriptRuns, runOf, runsEnded } from './meter/script-runs.ts'
import { makeMemory, MemoryFull, serverKey, type Tenants } from './meter/shared.ts'
import { makeRates } from './meter/rates.ts'
import { makeProbe } from './monitor/catalogue.ts'
import type { ScriptUser } from './monitor/probe.ts'
import { watchNames, type LookUp } from './monitor/resolve.ts'
import { monitorViolations, startMonitors } from './monitor/schedule.ts'
import type { Holding } from './handover.ts'
import { LeftPorts, placesOf, portViolations, type ProbePort } from './ports.ts'
import type { Upgrader } from './upgrade.ts'
import { findNetworkId, ownAddresses } from './vip/addresses.ts'
import { openBgp, type BgpOptions } from './vip/bgp/announcing.ts'
import { openForwarding, type ForwardingOptions } from './vip/kernel/forwarding.ts'
import { openLayer2, type Layer2Options } from './vip/layer2/watch.ts'

export interface EngineOptions {
  readonly workers: number
  readonly accessLogPath: string
  /** The default when not told. */
  readonly forwarder?: ForwarderKind
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly startWorker: (setup: WorkerSetup) => WorkerThread
  readonly probePort: ProbePort
  /** Who scripts of health monitors run as; null or left out: none are run. */
  readonly scriptUser?: ScriptUser | null
  readonly lookUp: LookUp
  /** How the kernel is programmed; left out where this process may not. */
  readonly kernel?: Pick<ForwardingOptions, 'readHost' | 'openLink'>
  /** How addresses are owned that move between engines; left out where this process may not. */
  readonly layer2?: Pick<Layer2Options, 'openHolder' | 'port' | 'fallback'>
  /** How addresses are announced; left out where this process may not. */
  readonly bgp?: Pick<BgpOptions, 'openAnnouncer' | 'askBird'>
  /** Another process serves until `released`: its ports are ours as well, the kernel is not yet, and what it knows of servers holds. */
  readonly predecessor?: { readonly holding: Holding; readonly released: Promise<void> }
  /** Which build this is, and how it is changed; left out where no installer wrote that down. */
  readonly program?: { readonly build: string; readonly platform: string; readonly upgrader: Upgrader | undefined }
  /** Starts the link; called once, when everything that it may ask for stands. */
  readonly openAgent: (engine: EngineSide) => Promise<AgentSide>
}

export interface Engine {
  /** One line for a person, and whether it is up: connected to its controller and trusted. */
  readonly status: () => { readonly isUp: boolean; readonly line: string }
  readonly bound: () => Bound
  /** For a successor. */
  readonly holding: () => Holding
  /** A successor serves: from here on only what is open is ours. */
  readonly release: () => Promise<void>
  /** How long what is open may take when a successor serves. */
  readonly leaveWithinMs: () => number
  /** Lets exchanges and flows end until the deadline. Once. */
  readonly stop: (deadlineMs: number) => Promise<void>
}

/** What this build can do, for the controller's placement. */
const ABILITIES = ['tcp', 'udp', 'proxy-protocol', 'tls', 'ipv4', 'ipv6', 'shared-limits', 'shared-bindings'] as const

/** Whoever holds a long connection has this long at least to end it when a new process takes over. */
const LEAVE_MIN_MS = 60_000

const noSnapshot: Tenants = { virtualServices: [], pools: [] }

function tenantsOf(snapshot: Snapshot | null, known: KnownUses): Tenants {
  if (snapshot === null) return noSnapshot
  return {
    virtualServices: snapshot.virtualServices.map(part => part.id),
    pools: snapshot.pools.map(part => ({ id: part.id, servers: part.servers.map(server => server.id) })),
    uses: usesOf(snapshot, known)
  }
}

/** What only the kernel can do cannot be done here. */
function kernelViolations(snapshot: Snapshot): Violation[] {
  return snapshot.virtualServices
    .filter(part => part.forwarding === 'kernel-only')
    .map(part => ({
      pointer: `/virtual-service/${part.id}/forwarding`,
      message: 'must not preserve the address of clients here: that needs the kernel, CAP_NET_ADMIN and the program nft'
    }))
}

/** What only an engine that may have addresses can do cannot be done here. */
function addressViolations(snapshot: Snapshot, mode: 'L2' | 'BGP', reason: string): Violation[] {
  const { layer2, bgp } = snapshot.engine
  const moving = new Set((mode === 'L2' ? layer2 : bgp)?.vips.flatMap(vip => vip.addresses))
  return snapshot.virtualServices
    .filter(part => part.listeners.some(({ vip }) => moving.has(vip ?? '')))
    .map(part => ({
      pointer: `/virtual-service/${part.id}/listeners`,
      message: `must be where an engine may ${mode === 'L2' ? 'own' : 'announce'} addresses (address_mode ${mode}): ${reason}`
    }))
}

export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { workers, clock, random, log, forwarder = 'wire', program } = options
  const bootId = randomUUID()
  const ticketKeys = new Uint8Array(randomBytes(48))
  const [seedA, seedB] = new Int32Array(new Uint8Array(randomBytes(8)).buffer)
  const rates = makeRates([seedA!, seedB!])
  const limits = openLimits(rates, () => process.hrtime.bigint())
  const scope = new Scope()
  const scripts = openScriptTally(workers)
  const runs = makeScriptRuns(workers)
  const memory = makeMemory({ workers, nowMs: clock.nowMs })
  const accessLog = openAccessLog({ path: options.accessLogPath, clock })
  scope.add(accessLog.stop)
  const leftPorts = new LeftPorts()
  let running: Snapshot | null = null
  const knownUses: KnownUses = new WeakMap()
  let droppedRecords = 0
  let agent: AgentSide | null = null
  let stoodDown: string | null = null

  const crew = openCrew({
    workers,
    clock,
    log,
    start: worker => options.startWorker({ buffer: memory.buffer, worker, workers, reusePort: true, ticketKeys, rates, runs, forwarder }),
    gone: worker => {
      memory.workerGone(worker)
      scripts.gone(worker)
      runsEnded(runs, worker)
    },
    runOf: worker => runOf(runs, worker),
    scripts: scripts.told,
    traced: (id, trace) => agent?.requestTraced?.(id, trace),
    record: (batch, dropped) => {
      accessLog.add(batch)
      droppedRecords += dropped
    }
  })

  const sendAddresses = (): void => {
    const named = (running?.pools ?? []).flatMap(pool => pool.servers.filter(server => server.isName).map(server => ({ pool, server })))
    crew.resolve(
      Object.fromEntries(named.map(({ pool, server }) => [serverKey(pool.id, server.id), monitors.usableAddresses(pool.id, server.id)]))
    )
  }
  let isSendingSoon = false
  const sendAddressesSoon = (): void => {
    if (isSendingSoon) return
    isSendingSoon = true
    queueMicrotask(() => {
      isSendingSoon = false
      sendAddresses()
    })
  }

  const verdicts = new Map<string, Verdict>()
  const shares = new Map<string, number>()
  const forwarding = options.kernel === undefined ? null : openForwarding({ clock, log, ...options.kernel })
  let isAlone = options.predecessor === undefined
  const updateForwarding = (): void => {
    if (running === null || !isAlone) return
    forwarding?.update(running, {
      verdictOf: (poolId, serverId) => verdicts.get(serverKey(poolId, serverId)) ?? 'unknown',
      shareOf: (poolId, serverId) => shares.get(serverKey(poolId, serverId)) ?? 100,
      addressesOf: (poolId, serverId) => monitors.usableAddresses(poolId, serverId)
    })
  }

  const layer2 =
    options.layer2 === undefined
      ? null
      : openLayer2({
          clock,
          log,
          ...options.layer2,
          isConnected: () => agent?.status().isConnected === true,
          askPeers: ids => agent?.askPeers?.(ids),
          told: owned => agent?.vipsOwned?.(owned)
        })
  const layer2Trouble = ({ id, layer2: spec }: Snapshot['engine']): Promise<string | undefined> | string | undefined => {
    if (spec === undefined || spec.vips.length === 0) return undefined
    // The process before still owns them.
    if (layer2 !== null && !isAlone) return undefined
    return layer2 === null ? 'that needs CAP_NET_ADMIN and the program ip' : layer2.prepare(id, spec)
  }
  const bgp =
    options.bgp === undefined
      ? null
      : openBgp({
          clock,
          log,
          ...options.bgp,
          verdictOf: (poolId, serverId) => verdicts.get(serverKey(poolId, serverId)) ?? 'unknown',
          told: announcing => agent?.vipsAnnounced?.(announcing)
        })
  const bgpTrouble = (spec: Snapshot['engine']['bgp']): Promise<string | undefined> | string | undefined => {
    if (bgp === null) return spec === undefined || spec.vips.length === 0 ? undefined : 'that needs CAP_NET_ADMIN and the program ip'
    return isAlone ? bgp.prepare(spec) : undefined
  }
  /** From the process before, as at a start. */
  const holdAddresses = async (): Promise<void> => {
    const engine = running?.engine
    if (engine?.bgp !== undefined && bgp !== null) {
      // Nothing is made ready first, as for a new snapshot: that would announce nothing for a moment.
      await bgp.adopt()
      bgp.update(running)
    }
    if (engine?.layer2 === undefined || layer2 === null) return
    const trouble = await layer2Trouble(engine)
    if (trouble !== undefined) log.error('addresses that move cannot be owned', { trouble })
    else layer2.update(engine.id, engine.layer2, engine.drainTimeoutS * 1_000)
  }
  void options.predecessor?.released.then(() => {
    isAlone = true
    updateForwarding()
    void holdAddresses()
  })
  const seeds = new Map(
    options.predecessor?.holding.verdicts.map(({ poolId, serverId, verdict }) => [serverKey(poolId, serverId), verdict] as const)
  )

  const exceptions = new Exceptions({ table: viewBindings(memory.buffer), nowEpochMs: clock.nowEpochMs })

  const names = watchNames({ lookUp: options.lookUp, clock, random, changed: () => monitors.addressesChanged() })
  scope.add(names.stop)
  const monitors = startMonitors({
    clock,
    random,
    makeProbe,
    known: (poolId, serverId) => seeds.get(serverKey(poolId, serverId)),
    addressesOf: names.addressesOf,
    judge: (poolId, serverId, verdict) => {
      memory.judge(poolId, serverId, verdict)
      verdicts.set(serverKey(poolId, serverId), verdict)
      updateForwarding()
    },
    weigh: (poolId, serverId, percent) => {
      memory.weigh(poolId, serverId, percent)
      if (shares.get(serverKey(poolId, serverId)) === (percent ?? undefined)) return
      if (percent === null) shares.delete(serverKey(poolId, serverId))
      else shares.set(serverKey(poolId, serverId), percent)
      updateForwarding()
    },
    told: judgements => agent?.serversJudged(judgements),
    usableChanged: () => {
      sendAddressesSoon()
      updateForwarding()
    }
  })
  scope.add(monitors.stop)

  const heldPlaces = () => [...leftPorts.places(clock.nowMs()), ...(running === null ? (options.predecessor?.holding.places ?? []) : [])]

  const swap = async (snapshot: Snapshot): Promise<readonly Violation[]> => {
    if (stoodDown !== null) return [{ pointer: '', message: 'must be for an engine that is trusted' }]
    const certificates = new Map(snapshot.certificates.map(part => [part.id, part]))
    const probeServices = { certificate: (id: string) => certificates.get(id), scriptUser: options.scriptUser ?? null }
    const trouble = await layer2Trouble(snapshot.engine)
    const unannounced = await bgpTrouble(snapshot.engine.bgp)
    const violations = [
      ...(trouble === undefined ? [] : addressViolations(snapshot, 'L2', trouble)),
      ...(unannounced === undefined ? [] : addressViolations(snapshot, 'BGP', unannounced)),
      ...monitorViolations(snapshot.pools, probeServices, makeProbe),
      ...(forwarding === null ? kernelViolations(snapshot) : []),
      ...(await portViolations(snapshot, running, options.probePort, heldPlaces()))
    ]
    if (violations.length > 0) return violations
    try {
      const slots = memory.assign(tenantsOf(snapshot, knownUses))
      // Before the first connection: a server that is known to be down gets none.
      if (running === null)
        for (const pool of snapshot.pools)
          for (const server of pool.servers) {
            const verdict = seeds.get(serverKey(pool.id, server.id))
            if (verdict !== undefined) memory.judge(pool.id, server.id, verdict)
          }
      // Clients go elsewhere before the ports close.
      await bgp?.withdraw(snapshot.engine.bgp)
      if (isAlone) await layer2?.letGo(snapshot.engine.layer2)
      const refused = await crew.load({ snapshot, slots })
      if (refused.length > 0) {
        memory.assign(tenantsOf(running, knownUses))
        if (isAlone && running !== null) layer2?.update(running.engine.id, running.engine.layer2, running.engine.drainTimeoutS * 1_000)
        return refused
      }
    } catch (error) {
      if (error instanceof MemoryFull) return [{ pointer: '', message: `must fit into this engine: ${error.message}` }]
      throw error
    }
    leftPorts.swapped(running, snapshot, clock.nowMs())
    const servers = new Set(snapshot.pools.flatMap(pool => pool.servers.map(server => serverKey(pool.id, server.id))))
    for (const key of verdicts.keys()) if (!servers.has(key)) verdicts.delete(key)
    for (const key of shares.keys()) if (!servers.has(key)) shares.delete(key)
    running = snapshot
    limits.run(snapshot.virtualServices)
    exceptions.run(snapshot.pools)
    names.watch(
      new Set(snapshot.pools.flatMap(pool => pool.servers.filter(server => server.isName && server.isEnabled).map(server => server.host)))
    )
    monitors.update(snapshot.pools, probeServices)
    sendAddresses()
    updateForwarding()
    if (isAlone) layer2?.update(snapshot.engine.id, snapshot.engine.layer2, snapshot.engine.drainTimeoutS * 1_000)
    return []
  }

  const applySnapshot = async (snapshot: Snapshot): Promise<readonly Violation[]> => {
    const violations = await swap(snapshot)
    // Also when it was refused: what was made ready for it is of no use.
    if (isAlone) bgp?.update(running)
    return violations
  }

  const networkId = findNetworkId()
  const engineSide: EngineSide = {
    applySnapshot,
    judgements: monitors.judgements,
    facts: () => ({
      version: VERSION,
      ...(program === undefined ? {} : { build: program.build, platform: program.platform }),
      bootId,
      hostname: hostname(),
      // What is held moves: it is no address of this host.
      addresses: ownAddresses().filter(address => layer2?.isHeld(address) !== true && bgp?.isHeld(address) !== true),
      ...(options.layer2 === undefined ? {} : { peerPort: options.layer2.port }),
      ...(networkId === undefined ? {} : { networkId }),
      cpuCount: availableParallelism(),
      memoryBytes: totalmem(),
      workers,
      abilities: [
        `http-${forwarder}`,
        ...ABILITIES,
        ...(forwarding === null ? [] : ['l4-kernel']),
        ...(layer2 === null ? [] : ['layer2']),
        ...(bgp === null ? [] : ['bgp']),
        ...(program?.upgrader === undefined ? [] : ['upgrade'])
      ]
    }),
    explain: crew.explain,
    trace: crew.trace,
    shareLimits: limits.share,
    purge: crew.purge,
    quotasLeft: limits.quotasLeft,
    ...(layer2 === null ? {} : { peersSeen: layer2.peersSeen.bind(layer2), ownedVips: layer2.owned.bind(layer2) }),
    ...(bgp === null ? {} : { announcing: bgp.announcing.bind(bgp) }),
    ...(program?.upgrader === undefined ? {} : { upgrade: program.upgrader.ask, upgradeEnded: program.upgrader.outcome }),
    bindClients: exceptions.take,
    connected: () => exceptions.connected(),
    standDown: async reason => {
      stoodDown = reason
      await layer2?.stop()
      await bgp?.withdraw(undefined)
      monitors.stop()
      names.stop()
      sampler.stop()
      await crew.stop((running?.engine.drainTimeoutS ?? 0) * 1_000)
      await bgp?.stop()
      await forwarding?.stop()
    }
  }

  const sampler = startSampler({
    memory: {
      readTotals: () => ({
        ...(forwarding?.tally.addTo(memory.readTotals()) ?? memory.readTotals()),
        limits: limits.sample(),
        scripts: scripts.sample()
      })
    },
    readHost: openHost(clock.nowMs),
    bootId,
    clock,
    dropped: () => ({ samples: 0, logLines: accessLog.dropped() + droppedRecords }),
    take: sample => agent?.sampleTaken(sample)
  })
  scope.add(sampler.stop)
  scope.add(watchOpenFiles(clock, log))
  scope.add(
    clock.every(LIMIT_INTERVAL_MS, () => {
      const used = limits.used()
      if (used.length > 0) agent?.limitsUsed(used)
      agent?.tellQuotas(limits.quotasUsed)
    })
  )

  scope.add(clock.every(BINDINGS_INTERVAL_MS, () => agent?.tellBindings?.(exceptions.made)))

  try {
    agent = await options.openAgent(engineSide)
  } catch (error) {
    await crew.stop(0)
    await scope.close()
    throw error
  }
  const link = agent
  let isReleased = false
  const release = async (): Promise<void> => {
    if (isReleased) return
    isReleased = true
    sampler.stop()
    monitors.stop()
    await layer2?.stop()
    await bgp?.leave()
    await link.handOver()
    await forwarding?.stop()
  }

  return {
    status: () => {
      if (stoodDown !== null) return { isUp: false, line: `stood down, serves nothing: ${stoodDown}` }
      const { isConnected, runningRevision, reason } = link.status()
      const what = runningRevision === 0 ? 'nothing to run yet' : `revision ${runningRevision} runs`
      if (!isConnected) return { isUp: false, line: `${what}; ${reason}` }
      return { isUp: true, line: `up: connected to the controller, ${what} on ${crew.serving()} of ${workers} workers` }
    },
    bound: crew.bound,
    holding: () => ({
      places: placesOf(running).map(({ address, port, protocol }) => ({ address, port, ...(protocol === undefined ? {} : { protocol }) })),
      verdicts: (running?.pools ?? []).flatMap(({ id: poolId, servers }) =>
        servers.flatMap(({ id: serverId }) => {
          const verdict = verdicts.get(serverKey(poolId, serverId))
          return verdict === undefined ? [] : [{ poolId, serverId, verdict }]
        })
      )
    }),
    release,
    leaveWithinMs: () => Math.max(LEAVE_MIN_MS, (running?.engine.drainTimeoutS ?? 0) * 1_000),
    stop: async deadlineMs => {
      sampler.stop()
      monitors.stop()
      const isOurs = stoodDown === null && !isReleased
      if (isOurs) await layer2?.letGo(undefined)
      // First the addresses that it owns: others take over while the last exchanges end. Those that it serves for others bring these until then.
      const ownsAny = (layer2?.owned().length ?? 0) > 0
      if (isOurs && ownsAny) await layer2?.stop()
      if (isOurs) await bgp?.withdraw(undefined)
      await link.stop()
      if (stoodDown === null) await crew.stop(deadlineMs)
      if (isOurs && !ownsAny) await layer2?.stop()
      if (isOurs) await bgp?.stop()
      if (!isReleased) await forwarding?.stop()
      await scope.close()
    }
  }
}
