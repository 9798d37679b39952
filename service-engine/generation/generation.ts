/**
 * A snapshot becomes running objects: all of it is built beside what runs, then one reference is swapped. A listener
 * that did not change is never closed, a server that did not change keeps its connections; what was removed drains.
 */
import { randomBytes } from 'node:crypto'
import { compileRevocation } from '#model/base/crl.ts'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { Random } from '#model/base/random.ts'
import type { CachePurge, Explanation, RequestQuestion, RequestTrace, TraceOrder } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { CertificatePart, ListenerSpec, Part, PoolPart, Snapshot, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import type { RunMark } from '#engine/meter/script-runs.ts'
import type { AccessRecord, WorkerMemory } from '#engine/meter/shared.ts'
import type { DestinationTls, Forwarder } from '../dataplane/exchange/forwarder.ts'
import { inTurns } from '../dataplane/exchange/build-steps.ts'
import type { Budgets, Rates } from '../dataplane/exchange/rates.ts'
import { CacheStore } from '../dataplane/filter/cache/store.ts'
import { explainRequest, notHere } from '../dataplane/http/explain.ts'
import { Tracer, type Tracing } from '../dataplane/http/trace.ts'
import type { SpineServices } from '../dataplane/http/exchange.ts'
import { DatagramListener } from '../dataplane/listen/datagrams.ts'
import { Sandbox } from '../dataplane/filter/script/sandbox.ts'
import { ScriptSets, type ScriptStats } from '../dataplane/filter/script/sets.ts'
import { Listener } from '../dataplane/listen/listener.ts'
import type { Site } from '../dataplane/http/site.ts'
import type { TicketKeys } from '../dataplane/listen/tickets.ts'
import type { Terminator } from '../dataplane/listen/tls.ts'
import { Automata } from '../dataplane/route/automata.ts'
import { Pool, type PoolServices } from '../dataplane/upstream/pool.ts'
import type { UpstreamServer } from '../dataplane/upstream/server.ts'
import { Targets } from '../dataplane/upstream/targets.ts'
import { doorKey, planInSteps, RunningService, type ServicePlan } from './service.ts'

export interface DataPlaneServices {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly makeId: () => string
  readonly forwarder: Forwarder
  /** Must not wait and not throw. */
  readonly record: (record: AccessRecord) => void
  /** A request that a trace order is for was over; nobody hears of it when left out. */
  readonly traced?: (id: string, trace: RequestTrace) => void
  /** Told which script runs. */
  readonly mark?: RunMark
  /** True where several workers share the ports. */
  readonly reusePort: boolean
  /** Where rate limits count. */
  readonly rates: Rates & Budgets
  /** Answers of an address are out of date, which other workers may keep too. */
  readonly invalidated?: (virtualServiceId: string, url: string) => void
  /** 48 secret bytes, the same in all workers, for as long as a snapshot brings none; null: each its own. */
  readonly ticketKeys: Buffer | null
  /** The bytes of what scripts run in, read when the first one is to run. */
  readonly readWasm: () => Uint8Array
}

/** What runs, whole. */
export interface Generation {
  readonly revision: number
  readonly drainTimeoutS: number
  /** What session tickets are encrypted with, newest first; empty: what was before. */
  readonly ticketKeys: readonly string[]
  readonly plans: ReadonlyMap<string, ServicePlan>
  readonly pools: ReadonlyMap<string, { readonly key: string; readonly pool: Pool }>
  readonly doors: ReadonlyMap<string, Door>
}

/** A listener, and whose connections it takes. */
interface Door {
  readonly listener: Listener | DatagramListener
  readonly spec: ListenerSpec
  readonly plan: ServicePlan
  readonly terminator: Terminator | null
}

/** A build under way. */
interface Build {
  readonly certificates: ReadonlyMap<string, CertificatePart>
  readonly memory: WorkerMemory
  readonly violations: Violation[]
  readonly letOthersRun: () => Promise<void> | undefined
}

/** How late a UDP socket may close that its last session has left. */
const LINGER_LOOK_MS = 100

const nothing: Generation = { revision: 0, drainTimeoutS: 0, ticketKeys: [], plans: new Map(), pools: new Map(), doors: new Map() }

export interface DataPlane {
  /**
   * Builds the snapshot and swaps to it. Calls are taken one after another.
   *
   * Shapes  memory: has a slot for everything that the snapshot names
   * Returns every violation; then what ran goes on unchanged
   */
  readonly load: (snapshot: Snapshot, memory: WorkerMemory) => Promise<readonly Violation[]>
  /** Addresses of servers that are given by name: `<pool id>/<server id>` -> addresses. Replaces what was known of those. */
  readonly resolve: (addresses: Readonly<Record<string, readonly string[]>>) => void
  /** What would become of a request; nothing is sent. */
  readonly explain: (question: RequestQuestion) => Explanation
  /** Takes answers out that a virtual service keeps. Returns how many. */
  readonly purge: (virtualServiceId: string, purge: CachePurge) => number
  /** What became of the runs of scripts, since the start. */
  readonly scripts: () => readonly ScriptStats[]
  /** Starts to trace requests as they come, or ends it. */
  readonly trace: (order: TraceOrder) => void
  /** Scripts that are not run: those that held up a worker. */
  readonly bar: (scripts: readonly string[]) => void
  /** Closes the listeners and says so, lets exchanges and flows end until the deadline, then cuts. */
  readonly stop: (deadlineMs: number, closed?: () => void) => Promise<void>
  /** What is bound, with the real port where 0 was asked for. */
  readonly bound: () => readonly { readonly virtualServiceId: string; readonly address: string; readonly port: number }[]
}

export function openDataPlane(services: DataPlaneServices): DataPlane {
  return new RunningDataPlane(services)
}

class RunningDataPlane implements DataPlane {
  readonly #services: DataPlaneServices
  readonly #targets = new Targets()
  readonly #running = new Map<string, RunningService>()
  readonly #draining = new Set<RunningService>()
  /** Made by a build that is not swapped in yet. */
  readonly #fresh = new Map<string, RunningService>()
  readonly #addresses = new Map<string, { readonly list: readonly string[]; turn: number }>()
  /** Servers whose grace runs: what cuts them at its end is called off when they are back before. */
  readonly #graces = new WeakMap<UpstreamServer, () => void>()
  /** UDP sockets of doors that are gone: sessions that came in by them still get their answers. */
  readonly #lingering = new Map<string, { readonly listener: DatagramListener; readonly stop: () => void }>()
  /** By virtual service. */
  readonly #stores = new Map<string, CacheStore>()
  readonly #spine: SpineServices
  readonly #tracing: Tracing = { tracer: null }
  readonly #tracer: Tracer
  readonly #ticketKeys: TicketKeys
  readonly #scriptSets: ScriptSets
  readonly #automata = new Automata()
  #current: Generation = nothing
  /** Of what runs; null as long as nothing does. */
  #memory: WorkerMemory | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(services: DataPlaneServices) {
    this.#services = services
    this.#tracer = new Tracer(this.#tracing, services.clock, services.traced ?? (() => undefined))
    this.#ticketKeys = { current: [services.ticketKeys ?? randomBytes(48)] }
    const { clock, log, readWasm, mark } = services
    const sandbox = new Sandbox({ readWasm, cpuMs, nowMs: clock.nowMs, ...(mark === undefined ? {} : { mark }), log: log.warn })
    this.#scriptSets = new ScriptSets({ sandbox, nowMs: clock.nowMs, nowEpochMs: clock.nowEpochMs, log: log.warn })
    this.#spine = {
      clock: services.clock,
      random: services.random,
      makeId: services.makeId,
      targets: this.#targets,
      record: services.record,
      tracing: this.#tracing,
      poolOf: id => this.#current.pools.get(id)?.pool,
      ...(services.forwarder.fetch === undefined ? {} : { fetch: services.forwarder.fetch }),
      bug: error => services.log.error('an exchange broke', { error })
    }
  }

  load(snapshot: Snapshot, memory: WorkerMemory): Promise<readonly Violation[]> {
    const loaded = this.#queue.then(async () => {
      const built = await this.#build(snapshot, memory)
      if (Array.isArray(built)) return built as readonly Violation[]
      this.#memory = memory
      this.#swap(built as Generation)
      return []
    })
    this.#queue = loaded.catch(() => undefined)
    return loaded
  }

  resolve(addresses: Readonly<Record<string, readonly string[]>>): void {
    for (const [key, list] of Object.entries(addresses)) {
      if (list.length > 0) this.#addresses.set(key, { list, turn: this.#addresses.get(key)?.turn ?? 0 })
    }
  }

  explain(question: RequestQuestion): Explanation {
    const plan = this.#current.plans.get(question.virtualServiceId)
    if (plan === undefined) return notHere
    const siteOf = (id: string): Site | undefined => this.#current.plans.get(id)?.site
    return explainRequest(question, plan.site, {
      poolOf: this.#spine.poolOf,
      siteOf,
      scriptsOf: id => this.#current.plans.get(id)?.scripts
    })
  }

  bar(scripts: readonly string[]): void {
    this.#scriptSets.sandbox.bar(scripts)
  }

  scripts(): readonly ScriptStats[] {
    return this.#scriptSets.allStats()
  }

  purge(virtualServiceId: string, purge: CachePurge): number {
    const objects = this.#stores.get(virtualServiceId)?.purge(purge) ?? 0
    this.#current.plans.get(virtualServiceId)?.site.cache?.counted()
    return objects
  }

  #storeOf(id: string, maxBytes: number): CacheStore {
    const known = this.#stores.get(id)
    if (known !== undefined) return known
    const store = new CacheStore(maxBytes)
    this.#stores.set(id, store)
    return store
  }

  trace(order: TraceOrder): void {
    this.#tracer.order(order)
  }

  async stop(deadlineMs: number, closed: () => void = () => undefined): Promise<void> {
    await this.#queue
    for (const door of this.#current.doors.values()) this.#closeDoor(door, deadlineMs)
    closed()
    const services = [...this.#running.values(), ...this.#draining]
    const ended = Promise.all(services.map(service => new Promise<void>(resolve => service.retire(resolve))))
    if (deadlineMs > 0) {
      let cancel = (): void => undefined
      await Promise.race([ended, new Promise<void>(resolve => (cancel = this.#services.clock.after(deadlineMs, resolve)))])
      cancel()
    }
    for (const service of services) service.destroy()
    for (const { listener, stop } of this.#lingering.values()) {
      stop()
      void listener.close()
    }
    for (const { pool } of this.#current.pools.values()) pool.retire()
    this.#services.forwarder.close()
  }

  bound(): { virtualServiceId: string; address: string; port: number }[] {
    return [...this.#current.doors.values()].map(({ listener, spec, plan }) => ({
      virtualServiceId: plan.part.id,
      address: spec.address,
      port: listener.port
    }))
  }

  /** Touches nothing that runs. */
  async #build(snapshot: Snapshot, memory: WorkerMemory): Promise<Generation | Violation[]> {
    const violations: Violation[] = []
    this.#fresh.clear()
    const hashOf = new Map(snapshot.manifest.parts.map(part => [`${part.kind}/${part.id}`, part.hash]))
    const certificates = new Map(snapshot.certificates.map(part => [part.id, part]))
    const keyOf = (part: Part, uses: readonly string[]): string =>
      [hashOf.get(`${part.kind}/${part.id}`) ?? JSON.stringify(part), ...uses.map(id => hashOf.get(`certificate/${id}`) ?? '')].join()

    const letOthersRun = makeBreather(this.#services.clock)
    const pools = new Map<string, { key: string; pool: Pool }>()
    for (const part of snapshot.pools) {
      const turn = letOthersRun()
      if (turn !== undefined) await turn
      const { zone } = snapshot.engine
      const key = keyOf(part, [part.tls?.clientCertificateId ?? ''])
      const pool = this.#planPool(part, part.locality === undefined ? { key } : { key: `${key} ${zone ?? ''}`, zone }, {
        certificates,
        memory,
        violations
      })
      if (pool !== undefined) pools.set(part.id, pool)
    }
    const plans = new Map<string, ServicePlan>()
    const scripted = snapshot.virtualServices.find(({ scripts = [] }) => scripts.length > 0)
    if (scripted !== undefined) {
      try {
        await this.#scriptSets.sandbox.ready()
      } catch (error) {
        violations.push({
          pointer: `/virtual-service/${scripted.id}/scripts`,
          message: `must have what scripts run in: ${messageOf(error)}`
        })
      }
    }
    for (const part of snapshot.virtualServices) {
      const turn = letOthersRun()
      if (turn !== undefined) await turn
      const plan = await this.#plan(part, keyOf(part, part.tls?.certificateIds ?? []), { certificates, memory, violations, letOthersRun })
      if (plan !== undefined) plans.set(part.id, plan)
    }
    const doors = await this.#openDoors(plans, violations, letOthersRun)
    if (violations.length === 0) {
      const { drainTimeoutS, ticketKeys = [] } = snapshot.engine
      return { revision: snapshot.manifest.revision, drainTimeoutS, ticketKeys, plans, pools, doors }
    }
    for (const [key, door] of doors) if (this.#current.doors.get(key)?.listener !== door.listener) await door.listener.close()
    return violations
  }

  #planPool(
    part: PoolPart,
    { key, zone }: { readonly key: string; readonly zone?: string | undefined },
    { certificates, memory, violations }: Pick<Build, 'certificates' | 'memory' | 'violations'>
  ): { key: string; pool: Pool } | undefined {
    const before = this.#current.pools.get(part.id)
    if (before?.key === key) return before
    const certificateId = part.tls?.clientCertificateId ?? null
    const certificate = certificateId === null ? undefined : certificates.get(certificateId)
    if (certificateId !== null && certificate === undefined) {
      violations.push({
        pointer: `/pool/${part.id}/tls/clientCertificateId`,
        message: `must be a certificate of the snapshot: ${certificateId}`
      })
      return undefined
    }
    const refusal = part.tls?.leafCrls === undefined ? undefined : compileRevocation(part.tls.leafCrls)
    const tlsOf = (host: string): DestinationTls | null =>
      part.tls === null
        ? null
        : {
            spec: part.tls,
            serverName: part.tls.isSniEnabled ? (part.tls.serverName ?? (isName(host) ? host : null)) : null,
            certificatePem: certificate?.certificatePem ?? null,
            keyPem: certificate?.keyPem ?? null,
            ...(refusal === undefined ? {} : { refusal })
          }
    const services: PoolServices = {
      ...this.#services,
      memory,
      addresses: { next: serverKey => this.#nextAddress(serverKey) },
      ...(zone === undefined ? {} : { zone })
    }
    return { key, pool: new Pool(part, services, tlsOf, before?.pool) }
  }

  #nextAddress(serverKey: string): string | undefined {
    const known = this.#addresses.get(serverKey)
    return known?.list[known.turn++ % known.list.length]
  }

  async #plan(
    part: VirtualServicePart,
    key: string,
    { certificates, memory, violations, letOthersRun }: Build
  ): Promise<ServicePlan | undefined> {
    const before = this.#current.plans.get(part.id)
    if (before?.key === key) return before
    const pointer = `/virtual-service/${part.id}`
    const chosen: CertificatePart[] = []
    for (const [index, id] of (part.tls?.certificateIds ?? []).entries()) {
      const certificate = certificates.get(id)
      if (certificate === undefined)
        violations.push({ pointer: `${pointer}/tls/certificateIds/${index}`, message: `must be a certificate of the snapshot: ${id}` })
      else chosen.push(certificate)
    }
    if (part.listeners.some(listener => listener.isTls) && chosen.length === 0) {
      violations.push({ pointer: `${pointer}/tls`, message: 'must name a certificate for its TLS listeners' })
      return undefined
    }
    const { rates, random, clock } = this.#services
    try {
      const steps = planInSteps(part, key, chosen, memory, {
        rates,
        random,
        clock,
        after: clock.after,
        poolOf: this.#spine.poolOf,
        fetch: this.#spine.fetch,
        memoryNow: () => this.#memory ?? memory,
        storeOf: (id, maxBytes) => this.#storeOf(id, maxBytes),
        invalidated: this.#services.invalidated ?? (() => undefined),
        scriptSets: this.#scriptSets,
        automata: this.#automata
      })
      return await inTurns(steps, letOthersRun)
    } catch (error) {
      violations.push({ pointer, message: messageOf(error) })
      return undefined
    }
  }

  /** Binds what is new; takes over what stays. */
  async #openDoors(
    plans: ReadonlyMap<string, ServicePlan>,
    violations: Violation[],
    letOthersRun: () => Promise<void> | undefined
  ): Promise<Map<string, Door>> {
    const doors = new Map<string, Door>()
    for (const plan of plans.values()) {
      const turn = letOthersRun()
      if (turn !== undefined) await turn
      for (const [index, spec] of plan.part.listeners.entries()) {
        const key = spec.port === 0 ? `${doorKey(spec)}|${plan.part.id}|${index}` : doorKey(spec)
        const pointer = `/virtual-service/${plan.part.id}/listeners/${index}`
        const owner = doors.get(key)
        if (owner !== undefined) {
          violations.push({
            pointer,
            message: `must not share ${spec.address} port ${spec.port} with virtual service ${owner.plan.part.name}`
          })
          continue
        }
        const before = this.#current.doors.get(key)
        if (before?.plan === plan) {
          doors.set(key, before)
          continue
        }
        try {
          const terminator = this.#terminatorFor(plan, spec, before)
          const listener = before?.listener ?? this.#lingering.get(key)?.listener ?? (await this.#bind(spec))
          doors.set(key, { listener, spec, plan, terminator })
        } catch (error) {
          const code = (error as NodeJS.ErrnoException).code
          const isBind = code?.startsWith('E') === true && !code.startsWith('ERR_')
          violations.push({
            pointer: isBind ? pointer : `/virtual-service/${plan.part.id}/tls`,
            message: isBind ? bindMessage(spec, code) : messageOf(error)
          })
        }
      }
    }
    return doors
  }

  /** Until the swap, who comes to a new listener waits. */
  #bind(spec: ListenerSpec): Promise<Listener | DatagramListener> {
    const { reusePort } = this.#services
    return spec.protocol === 'udp' ? DatagramListener.open(spec, { reusePort }) : Listener.open(spec, { reusePort })
  }

  #terminatorFor(plan: ServicePlan, spec: ListenerSpec, before: Door | undefined): Terminator | null {
    const isSame =
      before?.plan.part.id === plan.part.id && before.plan.tlsKey === plan.tlsKey && JSON.stringify(before.spec) === JSON.stringify(spec)
    if (isSame) return before.terminator
    return this.#serviceFor(plan).makeTerminator(plan, spec)
  }

  /** The service as it runs, or one that will when this generation is swapped in. */
  #serviceFor(plan: ServicePlan): RunningService {
    const known = this.#running.get(plan.part.id) ?? this.#fresh.get(plan.part.id)
    if (known !== undefined) return known
    const { forwarder } = this.#services
    const siteOf = (id: string): Site | undefined => this.#current.plans.get(id)?.site
    const service = new RunningService(plan, { spine: this.#spine, forwarder, ticketKeys: this.#ticketKeys, siteOf })
    this.#fresh.set(plan.part.id, service)
    return service
  }

  /** Cannot fail. */
  #swap(next: Generation): void {
    const before = this.#current
    this.#current = next
    if (next.ticketKeys.length > 0 && next.ticketKeys.join() !== before.ticketKeys.join())
      this.#ticketKeys.current = next.ticketKeys.map(key => Buffer.from(key, 'base64'))
    for (const [id, plan] of next.plans) {
      const service = this.#serviceFor(plan)
      const cutGone = service.use(plan)
      if (cutGone !== undefined) this.#services.clock.after(before.drainTimeoutS * 1000, cutGone)
      this.#running.set(id, service)
    }
    this.#fresh.clear()
    this.#scriptSets.keepOnly(new Set([...next.plans.values()].flatMap(({ scripts }) => scripts?.stats ?? [])))
    for (const [key, { listener, spec, plan, terminator }] of next.doors) {
      const service = this.#running.get(plan.part.id)!
      if (listener instanceof Listener) listener.acceptor = socket => service.accept(socket, spec, terminator)
      else {
        this.#lingering.get(key)?.stop()
        listener.receiver = (datagram, from) => service.receive(datagram, from, { spec, listener, takesNew: true })
      }
    }
    this.#sizeStores(next)
    this.#retire(before, next)
  }

  /** What a virtual service keeps lives as long as it keeps answers at all. */
  #sizeStores(next: Generation): void {
    for (const [id, store] of this.#stores) {
      const cache = next.plans.get(id)?.site.cache
      if (cache === undefined) this.#stores.delete(id)
      else store.resize(cache.maxBytes)
      if (cache === undefined) store.purge({ by: 'all' })
      else cache.counted()
    }
  }

  #retire(before: Generation, next: Generation): void {
    const { clock } = this.#services
    const kept = new Set([...next.doors.values()].map(door => door.listener))
    for (const door of before.doors.values()) if (!kept.has(door.listener)) this.#closeDoor(door, before.drainTimeoutS * 1000)
    for (const [id, service] of this.#running) {
      if (next.plans.has(id)) continue
      this.#running.delete(id)
      this.#draining.add(service)
      const cancel = clock.after(before.drainTimeoutS * 1000, () => service.destroy())
      service.retire(() => {
        cancel()
        this.#draining.delete(service)
      })
    }
    for (const [id, { pool }] of before.pools) {
      const successor = next.pools.get(id)?.pool
      if (successor === pool) continue
      pool.retire()
      const stays = new Set(successor?.servers())
      const ids = new Set(successor?.part.servers.map(server => server.id))
      const graceS = successor === undefined ? before.drainTimeoutS : successor.part.gracefulDisableS
      for (const server of pool.servers()) {
        if (stays.has(server)) continue
        this.#services.forwarder.forget(server.destination)
        // The same server with other settings: what runs on it goes on.
        if (!ids.has(server.destination.serverId)) this.#cutLater(server, graceS * 1000, () => true)
      }
    }
    for (const { pool } of next.pools.values()) {
      const predecessor = before.pools.get(pool.part.id)?.pool
      if (predecessor === pool) continue
      const was = new Set(predecessor?.resting())
      const resting = new Set(pool.resting())
      for (const server of was) if (!resting.has(server)) this.#graces.get(server)?.()
      for (const server of resting)
        if (!was.has(server)) this.#cutLater(server, pool.part.gracefulDisableS * 1000, () => this.#isResting(pool.part.id, server))
    }
  }

  /** A UDP socket stays for the sessions that came in by it, which take nothing new; until the deadline. */
  #closeDoor({ listener, spec, plan }: Door, deadlineMs: number): void {
    const service = this.#running.get(plan.part.id)
    const key = doorKey(spec)
    if (listener instanceof Listener || service === undefined || service.sessionsAt(key) === 0) return void listener.close()
    const { clock } = this.#services
    const untilMs = clock.nowMs() + deadlineMs
    listener.receiver = (datagram, from) => service.receive(datagram, from, { spec, listener, takesNew: false })
    const stopLooking = clock.every(LINGER_LOOK_MS, () => {
      if (service.sessionsAt(key) > 0 && clock.nowMs() < untilMs) return
      stop()
      void listener.close()
    })
    const stop = (): void => {
      stopLooking()
      this.#lingering.delete(key)
    }
    this.#lingering.set(key, { listener, stop })
  }

  #cutLater(server: UpstreamServer, graceMs: number, isStillOut: () => boolean): void {
    // Longer than a timer can be means for ever.
    if (!Number.isFinite(graceMs) || graceMs < 0 || graceMs > 0x7fffffff) return
    const cancel = this.#services.clock.after(graceMs, () => {
      if (isStillOut()) server.cutAll()
    })
    this.#graces.set(server, cancel)
  }

  #isResting(poolId: string, server: UpstreamServer): boolean {
    return this.#current.pools.get(poolId)?.pool.resting().includes(server) === true
  }
}

/** Of this thread: a run is not blamed for what others on the machine do. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** How long building may hold up traffic at a stretch. */
const BREATH_MS = 2

/** Called often in a long work: lets what waits run when it was its turn for too long. */
function makeBreather(clock: Clock): () => Promise<void> | undefined {
  let sinceMs = clock.nowMs()
  return () => {
    if (clock.nowMs() - sinceMs < BREATH_MS) return undefined
    return new Promise(resolve =>
      setImmediate(() => {
        sinceMs = clock.nowMs()
        resolve()
      })
    )
  }
}

const isName = (host: string): boolean => !/^[\d.]+$/.test(host) && !host.includes(':')

function bindMessage(spec: ListenerSpec, code: string): string {
  const where = `${spec.address} port ${spec.port}`
  if (code === 'EADDRINUSE') return `must be free on this host: ${where} is in use`
  if (code === 'EADDRNOTAVAIL') return `must be an address of this host: ${spec.address}`
  if (code === 'EACCES') return `must be a port that this process may bind: ${where}`
  return `must be bound: ${where} (${code})`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
