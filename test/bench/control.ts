/** The control plane's figures: `node control.ts [--case name,...] [--sizes 100,1000,10000] [--engines n] [--commits n] [--seconds n] [--json]`. */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock } from '#model/base/clock.ts'
import { makeLog, silentLog } from '#model/base/log.ts'
import { Scope } from '#model/base/scope.ts'
import { decodeAgentMessage, encode } from '#model/message/codec.ts'
import type { Sample, Totals, TrafficSample } from '#model/message/message.ts'
import type { Listener } from '#model/resource/conflict.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { mintJoinToken } from '#controller/access/join-token.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { makeChange, type Change } from '#controller/change/apply.ts'
import { firstStart } from '#controller/change/first-start.ts'
import type { Write } from '#controller/change/order.ts'
import { openFleet, type Fleet } from '#controller/fleet/fleet.ts'
import { makePlanner } from '#controller/fleet/planner.ts'
import { openAuthority, type Authority } from '#controller/pki/authority.ts'
import { makeSelfSigned } from '#controller/pki/certificate.ts'
import { openSeal } from '#controller/pki/seal.ts'
import { place, type EngineToPlace, type ServiceToPlace } from '#controller/placement/place.ts'
import { openSqliteStore } from '#controller/store/sqlite/sqlite.ts'
import type { Store } from '#controller/store/store.ts'
import { openTelemetry } from '#controller/telemetry/ingest.ts'
import { openTimeline } from '#controller/timeline/timeline.ts'
import { aCsr } from '#test/support/csr.ts'
import { until } from '#test/support/wait.ts'
import type { FleetOrder } from './fleet.ts'
import { machineLine, readMachine } from './machine.ts'
import { freePorts } from '#test/support/ports.ts'
import { chooseCores, cpuUs, lastLines, pinSelf, Programs, rssBytes, untilAccepting, type Cores } from './program.ts'
import { align } from './report.ts'

const caseNames = ['commit', 'placement', 'samples', 'memory'] as const
type CaseName = (typeof caseNames)[number]

interface Options {
  readonly cases: readonly CaseName[]
  readonly sizes: readonly number[]
  readonly engines: number
  readonly commits: number
  readonly seconds: number
  readonly isJson: boolean
}

/** One figure at each size. */
interface Figure {
  readonly name: string
  readonly unit: string
  readonly bySize: ReadonlyMap<number, number>
  /** Of the largest size, from the design. */
  readonly target?: number
}

interface Bench {
  readonly options: Options
  readonly programs: Programs
  readonly cores: Cores
  readonly folder: string
  readonly tell: (line: string) => void
}

const DEADLINE_MS = 120_000
const WRITES_AT_ONCE = 600
/** Growth by more than the size itself, with a little for noise. */
const NOISE = 1.25

const percentile = (values: readonly number[], ratio: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? NaN
}

const timed = async <T>(work: () => T | Promise<T>): Promise<readonly [result: T, tookMs: number]> => {
  const startMs = performance.now()
  const result = await work()
  return [result, performance.now() - startMs]
}

// --- a controller in this process ---------------------------------------------------------------------------------

interface Controller {
  readonly store: Store
  readonly change: Change
  readonly fleet: Fleet
  readonly authority: Authority
  readonly scope: Scope
}

/** What `controller/main.ts` builds, without REST. */
async function openController(folder: string): Promise<Controller> {
  mkdirSync(folder, { recursive: true })
  const scope = new Scope()
  const clock = systemClock
  const log = makeLog(line => void process.stderr.write(line), { level: 'error' })
  const store = openSqliteStore({ path: join(folder, 'weir.db') })
  scope.add(() => store.close())
  const seal = openSeal(join(folder, 'seal.key'))
  const committed: ((revision: number) => void)[] = []
  const change = makeChange({ store, seal, clock, randomBytes, committed: revision => committed.forEach(tell => tell(revision)) })
  const authority = await openAuthority({ store, seal, clock, log: silentLog })
  scope.add(authority.stop)
  const make = async () => {
    const { certificatePem, keyPem } = await makeSelfSigned('System-Default-Cert', ['localhost'], clock)
    return {
      name: 'System-Default-Cert',
      type: 'SSL_CERTIFICATE_TYPE_VIRTUALSERVICE',
      certificate: { certificate: certificatePem },
      key: keyPem
    }
  }
  const made = [{ kind: 'sslkeyandcertificate' as const, name: 'System-Default-Cert', make }]
  await firstStart({ store, change, randomBytes, made })
  const telemetry = openTelemetry({ series: store.series, clock, log })
  scope.add(telemetry.stop)
  const timeline = openTimeline({ store, clock, log })
  scope.add(timeline.stop)
  const planner = makePlanner({ store, seal, log, onPlaced: timeline.placed })
  const fleet = await openFleet({
    store,
    change,
    authority,
    seal,
    telemetry,
    planner,
    timeline,
    clock,
    log,
    host: '127.0.0.1',
    port: 0,
    version: '0.0.0-bench'
  })
  scope.add(fleet.stop)
  committed.push(fleet.committed)
  return { store, change, fleet, authority, scope }
}

const asController = { actor: controllerActor, tenant: ADMIN_TENANT } as const

/** A virtual service with its own address and its own pool of two servers; the port is its own too, so that all fit on any engine. */
function serviceWrites(i: number): Write[] {
  const address = `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`
  const server = (n: number) => ({ ip: { addr: `192.168.${(i >> 7) & 255}.${1 + ((i << 1) & 255)}`, type: 'V4' }, port: 8_080 + n })
  const name = `service-${String(i).padStart(5, '0')}`
  return [
    { op: 'create', kind: 'vsvip', body: { name, vip: [{ vip_id: '1', ip_address: { addr: address, type: 'V4' } }] } },
    { op: 'create', kind: 'pool', body: { name, servers: [server(0), server(1)] } },
    {
      op: 'create',
      kind: 'virtualservice',
      body: { name, services: [{ port: 2_000 + i }], vsvip_ref: `/api/vsvip?name=${name}`, pool_ref: `/api/pool?name=${name}` }
    }
  ]
}

/** Writes virtual services in orders of some hundred documents; answers how long that took. */
async function fill({ change, store }: Controller, size: number): Promise<number> {
  const group = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')
  if (group !== undefined)
    await change.apply({
      ...asController,
      writes: [
        { op: 'patch', kind: 'serviceenginegroup', uuid: group.uuid, patch: { replace: { max_vs_per_se: 1_000, min_scaleout_per_vs: 1 } } }
      ]
    })
  const [, tookMs] = await timed(async () => {
    let writes: Write[] = []
    for (let i = 0; i < size; i++) {
      writes.push(...serviceWrites(i))
      if (writes.length < WRITES_AT_ONCE && i < size - 1) continue
      await change.apply({ ...asController, writes })
      writes = []
    }
  })
  return tookMs
}

/** Enrols engines and connects them from a process of their own, through the real channel. */
async function connectEngines(controller: Controller, count: number, { programs, cores, folder }: Bench): Promise<readonly string[]> {
  const { change, fleet, authority } = controller
  const { csrPem, keyPem } = await aCsr()
  const minted = mintJoinToken({ caFingerprint: authority.caFingerprint, expiresAtEpochMs: Date.now() + 3_600_000, uses: 1, randomBytes })
  await change.apply({
    ...asController,
    writes: [{ op: 'create', kind: 'jointoken', body: { name: 'bench', uses: count }, serverFields: minted.serverFields }]
  })
  const uuids: string[] = []
  const engines: { certificatePem: string; hostname: string }[] = []
  for (let i = 0; i < count; i++) {
    const hostname = `engine-${i}`
    const joined = await fleet.enrol({ token: minted.token, csrPem, hostname, remoteAddress: '127.0.0.1' })
    uuids.push(joined.engineUuid)
    engines.push({ certificatePem: joined.certificatePem, hostname })
  }
  const stderrPath = join(folder, 'fleet.log')
  const program = programs.start({
    name: 'the engines',
    command: process.execPath,
    args: [join(import.meta.dirname, 'fleet.ts')],
    core: cores.load,
    stderrPath
  })
  const order: FleetOrder = { port: fleet.port, caPem: authority.caPem, keyPem, engines }
  program.child.stdin?.end(JSON.stringify(order))
  let output = ''
  program.child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await until(
    'all engines run the first snapshot',
    () => {
      if (program.ending() !== null) throw new Error(`the engines ended: ${program.ending()}; ${lastLines(stderrPath)}`)
      return output.includes('ready')
    },
    DEADLINE_MS
  )
  return uuids
}

/** Each engine is asked only until it runs the revision: states of thousands of things are not free to read. */
function whenRunning(
  { fleet }: Controller,
  uuids: readonly string[],
  revision: number
): { readonly all: Promise<void>; readonly one: (uuid: string) => Promise<void> } {
  const missing = new Set(uuids)
  const waiting = new Map<string, () => void>()
  let done = (): void => undefined
  const all = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${missing.size} engines do not run revision ${revision}`)), DEADLINE_MS)
    done = () => {
      clearTimeout(timer)
      resolve()
    }
  })
  const look = (uuid: string): void => {
    if (!missing.has(uuid) || (fleet.engineRuntime(uuid)?.running_revision ?? 0) < revision) return
    missing.delete(uuid)
    waiting.get(uuid)?.()
    if (missing.size > 0) return
    stop()
    done()
  }
  const stop = fleet.onStateChange(({ kind, uuid }) => {
    if (kind === 'serviceengine') look(uuid)
  })
  for (const uuid of uuids) look(uuid)
  return { all, one: uuid => (missing.has(uuid) ? new Promise(resolve => void waiting.set(uuid, resolve)) : Promise.resolve()) }
}

// --- cases --------------------------------------------------------------------------------------------------------

class Figures {
  readonly #rows = new Map<string, { unit: string; bySize: Map<number, number>; target?: number }>()

  add(name: string, unit: string, size: number, value: number, target?: number): void {
    const row = this.#rows.get(name) ?? { unit, bySize: new Map<number, number>(), ...(target === undefined ? {} : { target }) }
    row.bySize.set(size, value)
    this.#rows.set(name, row)
  }

  all(): Figure[] {
    return [...this.#rows].map(([name, row]) => ({ name, ...row }))
  }
}

/** From a change to engines that run it: the store, the rules, placement, compile, channel and answer are the real ones. */
async function benchCommit(bench: Bench): Promise<Figures> {
  const figures = new Figures()
  const { options, folder, programs } = bench
  for (const size of options.sizes) {
    const controller = await openController(join(folder, `commit-${size}`))
    try {
      figures.add('writing all of it', 'ms', size, await fill(controller, size))
      const uuids = await connectEngines(controller, options.engines, bench)
      await whenRunning(controller, uuids, controller.store.revision()).all
      const { store, change, fleet } = controller
      const services = store.list('virtualservice')
      const committed: readonly number[][] = [[], []]
      const running: number[] = []
      const everywhere: number[] = []
      const cpuBefore = cpuUs(process.pid)
      for (let i = 0; i < options.commits; i++) {
        const service = services[Math.floor((i * services.length) / options.commits)]!
        const carrier = fleet.virtualServiceRuntime(service.uuid)?.placed_on[0]?.engine_uuid
        if (carrier === undefined)
          throw new Error(`${service.name} is placed nowhere: ${fleet.virtualServiceRuntime(service.uuid)?.oper_status.reason.join('; ')}`)
        const pool = store.findByName('pool', ADMIN_TENANT, service.name)!
        // In turn, because the two take different ways through the rules and the compiler.
        const write: Write =
          i % 2 === 0
            ? { op: 'patch', kind: 'pool', uuid: pool.uuid, patch: { replace: { graceful_disable_timeout: 2 + i } } }
            : {
                op: 'patch',
                kind: 'virtualservice',
                uuid: service.uuid,
                patch: { replace: { analytics_policy: { full_client_logs: { enabled: true } } } }
              }
        const startMs = performance.now()
        const { revision } = await change.apply({ ...asController, writes: [write] })
        const committedMs = performance.now()
        committed[i % 2]!.push(committedMs - startMs)
        const { all, one } = whenRunning(controller, uuids, revision)
        await one(carrier)
        running.push(performance.now() - committedMs)
        await all
        everywhere.push(performance.now() - committedMs)
      }
      figures.add('a pool changed, checked and committed, p50', 'ms', size, percentile(committed[0]!, 0.5))
      figures.add('a virtual service changed, checked and committed, p50', 'ms', size, percentile(committed[1]!, 0.5))
      figures.add('committed -> running on its engine, p50', 'ms', size, percentile(running, 0.5))
      figures.add('committed -> running on its engine, p99', 'ms', size, percentile(running, 0.99), 50)
      figures.add(`committed -> known by all ${options.engines} engines, p50`, 'ms', size, percentile(everywhere, 0.5))
      figures.add('processor time of the controller for one change', 'ms', size, (cpuUs(process.pid) - cpuBefore) / 1_000 / options.commits)
    } finally {
      // The engines first: they would tell of a lost controller.
      await programs.stopAll()
      await controller.scope.close()
    }
  }
  return figures
}

const PLACEMENT_ENGINES = 500

/** Placement alone: a function. */
async function benchPlacement({ options }: Bench): Promise<Figures> {
  const figures = new Figures()
  for (const size of options.sizes) {
    const group = { uuid: 'group', name: 'group', maxServicesPerEngine: 1_000 }
    const engines = Array.from({ length: PLACEMENT_ENGINES }, (_, i): EngineToPlace => {
      const name = `engine-${i}`
      return { uuid: name, name, group: 'group', addresses: [`10.0.${i >> 8}.${i & 255}`], isUp: true, takes: 'all' }
    })
    const services = Array.from({ length: size }, (_, i): ServiceToPlace => {
      const listeners: Listener[] = [{ address: `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`, protocol: 'TCP', port: 2_000 + i }]
      return { uuid: `service-${i}`, name: `service-${i}`, group: 'group', listeners, enginesWanted: 1, rank: i }
    })
    // The second look is the one of a controller that has run for a while.
    place({ groups: [group], engines, services, current: new Map() })
    const [{ assignments }, fullMs] = await timed(() => place({ groups: [group], engines, services, current: new Map() }))
    const losses: number[] = []
    for (let lost = 0; lost < 10; lost++) {
      const left = engines.map((engine, i) => (i === lost * 7 ? { ...engine, isUp: false } : engine))
      losses.push((await timed(() => place({ groups: [group], engines: left, services, current: assignments })))[1])
    }
    figures.add(`all services on ${PLACEMENT_ENGINES} engines`, 'ms', size, fullMs, 1_000)
    figures.add('after the loss of one engine, p50', 'ms', size, percentile(losses, 0.5), 20)
  }
  return figures
}

const SERVICES_PER_ENGINE = 10
const LATENCY_BUCKETS = 24

function sampleOf(engine: number, sequence: number): Sample {
  const requests = sequence * 1_000
  const totals: Totals = {
    requests,
    responses1xx: 0,
    responses2xx: requests,
    responses3xx: 0,
    responses4xx: 0,
    responses5xx: 0,
    faultsDownstream: 0,
    faultsEngine: 0,
    faultsUpstream: 0,
    bytesIn: requests * 300,
    bytesOut: requests * 5_000,
    connections: sequence * 10,
    openConnections: 64
  }
  const latency = Array.from({ length: LATENCY_BUCKETS * 2 }, (_, i) => (i % 2 === 0 ? 60 + (i >> 1) : sequence * 40))
  const traffic = (id: string): TrafficSample => ({ id, totals, latency })
  const ids = Array.from({ length: SERVICES_PER_ENGINE }, (_, i) => `${engine}-${i}`)
  return {
    bootId: `boot-${engine}`,
    sequence,
    atEpochMs: Date.now(),
    droppedSamples: 0,
    droppedLogLines: 0,
    host: {
      cpuRatio: 0.25,
      processCpuRatio: 0.1,
      memoryUsedBytes: 1e9,
      memoryTotalBytes: 4e9,
      processRssBytes: 1e8,
      networkReceivedBytes: 5e9,
      networkSentBytes: 6e9
    },
    virtualServices: ids.map(id => traffic(`virtualservice-${id}`)),
    pools: ids.map(id => traffic(`pool-${id}`)),
    servers: ids.flatMap(id => [0, 1].map(n => ({ ...traffic(`10.0.0.${n}:80`), poolId: `pool-${id}` })))
  }
}

/** Engines that each send a sample a second: decoding the frame, ingest, and the points written each second. */
async function benchSamples({ options, folder, tell }: Bench): Promise<Figures> {
  const figures = new Figures()
  for (const size of options.sizes.map(one => Math.max(1, Math.round(one / 10)))) {
    const store = openSqliteStore({ path: join(folder, `samples-${size}.db`) })
    const telemetry = openTelemetry({ series: store.series, clock: systemClock, log: silentLog })
    let usedUs = 0
    let slowestMs = 0
    for (let second = 1; second <= options.seconds + 1; second++) {
      const frames = Array.from({ length: size }, (_, engine) => encode({ type: 'SampleTaken', sample: sampleOf(engine, second) }))
      if (second === 1)
        tell(
          `  ${size} engines: a sample of ${SERVICES_PER_ENGINE} services with two servers each is ${Math.round(frames[0]!.length / 1_000)} kB`
        )
      const before = process.cpuUsage()
      const startMs = performance.now()
      for (const [engine, frame] of frames.entries()) {
        const decoded = decodeAgentMessage(frame)
        if (decoded.is !== 'message' || decoded.message.type !== 'SampleTaken') throw new Error('a sample was not understood')
        telemetry.ingest(`serviceengine-${engine}`, decoded.message.sample)
      }
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      // What telemetry does each second by itself belongs to it.
      await new Promise(resolve => setTimeout(resolve, Math.max(0, 1_000 - (performance.now() - startMs))))
      const used = process.cpuUsage(before)
      // The first second makes everything; it is not what each second costs.
      if (second > 1) usedUs += used.user + used.system
    }
    telemetry.stop()
    await store.close()
    const label = size * 10
    figures.add('cores for a sample a second of a tenth as many engines', 'cores', label, usedUs / 1e6 / options.seconds, 1)
    figures.add('longest that one second’s samples held the thread', 'ms', label, slowestMs)
  }
  return figures
}

const SETTLE_MS = 4_000

/** The real controller's process on a data folder that was filled before. */
async function benchMemory({ options, folder, programs, cores, tell }: Bench): Promise<Figures> {
  const figures = new Figures()
  for (const size of [0, ...options.sizes]) {
    const own = join(folder, `memory-${size}`)
    const controller = await openController(own)
    await fill(controller, size)
    await controller.scope.close()
    const [port = 0, enginePort = 0] = await freePorts(2)
    const stderrPath = join(folder, `controller-${size}.log`)
    const env = { WEIR_DATA: own, WEIR_HOST: '127.0.0.1', WEIR_PORT: String(port), WEIR_ENGINE_PORT: String(enginePort), WEIR_DEMO: '0' }
    const startMs = performance.now()
    const program = programs.start({
      name: 'the controller',
      command: process.execPath,
      args: [join(import.meta.dirname, '../../controller/main.ts')],
      core: cores.proxy,
      env,
      stderrPath
    })
    program.child.stdout?.resume()
    await untilAccepting(program, '127.0.0.1', port, stderrPath, DEADLINE_MS)
    const readyMs = performance.now() - startMs
    await new Promise(resolve => setTimeout(resolve, SETTLE_MS))
    const megabytes = rssBytes(program.pid) / 1e6
    const before = cpuUs(program.pid)
    await new Promise(resolve => setTimeout(resolve, 2_000))
    const idleRatio = (cpuUs(program.pid) - before) / 2e6
    await program.stop()
    if (size === 0)
      tell(`  idle, nothing configured: ${Math.round(megabytes)} MB (target below 150), ready after ${Math.round(readyMs)} ms`)
    else {
      figures.add('memory of the controller', 'MB', size, megabytes)
      figures.add('start of the controller', 'ms', size, readyMs)
      figures.add('processor time while nothing happens', 'cores', size, idleRatio)
    }
  }
  return figures
}

const benches: { readonly [C in CaseName]: (bench: Bench) => Promise<Figures> } = {
  commit: benchCommit,
  placement: benchPlacement,
  samples: benchSamples,
  memory: benchMemory
}

// --- what is printed ----------------------------------------------------------------------------------------------

/** Steps from one size to the next in which a figure grew by more than the size did, in words. */
function worseThanLinear({ name, bySize }: Figure): string[] {
  const points = [...bySize]
  return points.slice(1).flatMap(([size, value], i) => {
    const [smaller, before] = points[i]!
    const growth = value / before
    return before > 0 && growth > (size / smaller) * NOISE ? [`${name}: x ${growth.toFixed(1)} from ${smaller} to ${size}`] : []
  })
}

const shown = (value: number | undefined): string =>
  value === undefined || !Number.isFinite(value) ? '-' : value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(3)

function tableOf(figures: readonly Figure[], sizes: readonly number[]): string {
  const steps = sizes.slice(1).map((size, i) => `x ${sizes[i]}->${size}`)
  const head = ['', 'unit', ...sizes.map(size => size.toLocaleString('en')), ...steps, 'target', '']
  const lines = figures.map(({ name, unit, bySize, target }) => {
    const values = sizes.map(size => bySize.get(size))
    const growth = values.slice(1).map((value, i) => shown((value ?? NaN) / (values[i] ?? NaN)))
    const last = values.at(-1)
    const verdict = target === undefined || last === undefined ? '' : last < target ? 'met' : 'MISSED'
    return [name, unit, ...values.map(shown), ...growth, target === undefined ? '' : `< ${target}`, verdict]
  })
  return align([head, ...lines])
}

// --- the command line ---------------------------------------------------------------------------------------------

function numberIn(text: string, name: string, max: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > max) throw new Error(`--${name} must be a number from 1 to ${max}`)
  return value
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      case: { type: 'string', multiple: true },
      sizes: { type: 'string', default: '100,1000,10000' },
      engines: { type: 'string', default: '100' },
      commits: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false }
    }
  })
  const names = values.case?.flatMap(text => text.split(',')) ?? caseNames
  const unknown = names.find(name => !caseNames.some(one => one === name))
  if (unknown !== undefined) throw new Error(`there is no case "${unknown}": ${caseNames.join(' ')}`)
  return {
    cases: caseNames.filter(name => names.includes(name)),
    sizes: values.sizes
      .split(',')
      .map(text => numberIn(text, 'sizes', 50_000))
      .toSorted((a, b) => a - b),
    engines: numberIn(values.engines, 'engines', 1_000),
    commits: numberIn(values.commits, 'commits', 10_000),
    seconds: numberIn(values.seconds, 'seconds', 120),
    isJson: values.json
  }
}

async function main(options: Options): Promise<void> {
  const tell = (line: string): void => void (options.isJson ? process.stderr : process.stdout).write(`${line}\n`)
  const machine = readMachine()
  const cores = chooseCores()
  tell(machineLine(machine))
  tell(`the controller on core ${cores.proxy ?? 'any'}, the engines on core ${cores.load ?? 'any'}; by number of virtual services`)
  pinSelf(cores.proxy)
  const programs = new Programs()
  const worse: string[] = []
  for (const name of options.cases) {
    tell(`\n${name}`)
    const folder = programs.makeFolder()
    try {
      const figures = (await benches[name]({ options, programs, cores, folder, tell })).all()
      tell(tableOf(figures, options.sizes))
      worse.push(...figures.flatMap(worseThanLinear))
      if (options.isJson)
        console.log(
          JSON.stringify({
            case: name,
            figures: figures.map(figure => ({ ...figure, bySize: Object.fromEntries(figure.bySize) })),
            machine
          })
        )
    } catch (error) {
      tell(`  FAILED: ${error instanceof Error ? error.message : String(error)}`)
      process.exitCode = 1
    } finally {
      await programs.clear()
    }
  }
  tell(worse.length === 0 ? '\nnothing grows worse than linear' : `\nworse than linear:\n${worse.map(line => `  ${line}`).join('\n')}`)
}

try {
  await main(readOptions())
} catch (error) {
  console.error(`bench-control: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(2)
}
