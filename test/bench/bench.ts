/** The comparison: `node bench.ts [--case name,...] [--seconds n] [--rounds n] [--forwarder wire,stock] [--peers nginx,...] [--profile folder] [--json] [--list]`. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { parseArgs } from 'node:util'
import { aCertificate } from '#test/support/certificates.ts'
import { freePorts } from '#test/support/ports.ts'
import { cases, findCases, SMALL_BODY, type Case } from './case.ts'
import type { EngineReady } from './engine.ts'
import { holdIdle, runLoad, type LoadPlace } from './load.ts'
import { machineLine, readMachine } from './machine.ts'
import { peers, SERVER_NAME, staticServer, type Front, type Peer, type Stand } from './peer.ts'
import { chooseCores, cpuUs, findProgram, openFilesLimit, pinSelf, Programs, rssBytes, untilAccepting, type Program } from './program.ts'
import { compare, tableOf, type Measured, type Round } from './report.ts'
import { snapshotOf } from './weir.ts'

interface Options {
  readonly cases: readonly Case[]
  readonly seconds: number
  readonly rounds: number
  readonly forwarders: readonly string[]
  readonly peers: readonly string[] | undefined
  /** Where profiles of the engine's threads are written; they cost time. */
  readonly profileFolder: string | undefined
  readonly isJson: boolean
}

/** A proxy or the server itself, while a case runs. */
interface Contender {
  readonly name: string
  readonly isOurs: boolean
  readonly program: Program | null
  readonly fronts: readonly Front[]
  readonly readyMs: number | null
  readonly rounds: Round[]
  bytesPerUnit: number | null
}

/** One case on one machine: folders, ports and programs of it. */
interface Stage {
  readonly programs: Programs
  readonly folder: string
  readonly proxyCore: number | null
  readonly loadCore: number | null
  readonly upstreamPort: number
  readonly certificate: Stand['certificate']
  readonly profileFolder: string | undefined
  readonly tell: (line: string) => void
}

const WARM_UP_MAX_S = 3
/** What costs of features are compared with. */
const BARE = 'without it'
/** Descriptors that a proxy needs beside its clients' connections. */
const SPARE_FILES = 1_500
const REFUSED_EXIT = 2

function positive(text: string, name: string, max: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > max) throw new Error(`--${name} must be a number from 1 to ${max}`)
  return value
}

function readOptions(): Options | 'list' {
  const { values } = parseArgs({
    options: {
      case: { type: 'string', multiple: true },
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '3' },
      forwarder: { type: 'string', default: process.env['WEIR_FORWARDER'] || 'wire' },
      peers: { type: 'string' },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false }
    }
  })
  if (values.list) return 'list'
  const names = values.case?.flatMap(text => text.split(','))
  const unknown = names?.find(name => findCases(name).length === 0)
  if (unknown !== undefined) throw new Error(`there is no case "${unknown}": ${cases.map(one => one.name).join(' ')}`)
  return {
    cases: names === undefined ? cases : names.flatMap(findCases),
    seconds: positive(values.seconds, 'seconds', 120),
    rounds: positive(values.rounds, 'rounds', 50),
    forwarders: values.forwarder.split(',').filter(one => one !== 'none'),
    peers: values.peers?.split(','),
    profileFolder: values.profile,
    isJson: values.json
  }
}

/** Addresses of loopback, one for each service, all with the same port. */
function frontsOn(port: number, services: number): Front[] {
  if (services === 1) return [{ address: '127.0.0.1', port }]
  return Array.from({ length: services }, (_, i) => ({ address: `127.1.${Math.floor(i / 250)}.${1 + (i % 250)}`, port }))
}

async function startUpstream(one: Case, stage: Stage): Promise<void> {
  const { programs, folder, upstreamPort, loadCore } = stage
  const own = join(folder, 'upstream')
  mkdirSync(own)
  const stderrPath = join(own, 'stderr.log')
  const common = { core: loadCore, stderrPath, stdoutPath: join(own, 'stdout.log') }
  let program: Program
  if (one.scene.upstream === 'static') {
    const { args, files } = staticServer(own, upstreamPort, SMALL_BODY)
    for (const [name, text] of Object.entries(files)) writeFileSync(join(own, name), text)
    writeFileSync(join(own, '64k'), Buffer.alloc(65_536, 120))
    writeFileSync(join(own, '1m'), Buffer.alloc(1_048_576, 120))
    program = programs.start({ ...common, name: 'the server', command: 'nginx', args })
  } else {
    const args = [join(import.meta.dirname, 'echo-server.ts'), one.scene.upstream, String(upstreamPort)]
    program = programs.start({ ...common, name: 'the server', command: process.execPath, args })
  }
  await untilAccepting(program, '127.0.0.1', upstreamPort, stderrPath)
}

async function startPeer(peer: Peer, path: string, one: Case, stage: Stage): Promise<Contender> {
  const { programs, folder, proxyCore, upstreamPort, certificate } = stage
  const own = join(folder, peer.name)
  mkdirSync(own)
  const [port = 0, sparePort = 0] = await freePorts(2)
  const fronts = frontsOn(port, one.scene.services)
  const {
    args,
    env,
    files,
    isLogOnStdout = false
  } = peer.launch({ scene: one.scene, fronts, upstreamPort, certificate, folder: own, sparePort })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(own, name), text)
  const stderrPath = join(own, 'stderr.log')
  const stdoutPath = join(own, isLogOnStdout ? 'access.log' : 'stdout.log')
  const startMs = performance.now()
  const program = programs.start({ name: peer.name, command: path, args, core: proxyCore, stderrPath, stdoutPath, ...(env ? { env } : {}) })
  const last = fronts.at(-1)!
  await untilAccepting(program, last.address, last.port, stderrPath)
  return { name: peer.name, isOurs: false, program, fronts, readyMs: performance.now() - startMs, rounds: [], bytesPerUnit: null }
}

interface EngineOrder {
  readonly name: string
  readonly forwarder: string
  /** The service that has the feature of the case. */
  readonly featureAt?: number | null
}

async function startEngine({ name, forwarder, featureAt = null }: EngineOrder, one: Case, stage: Stage): Promise<Contender> {
  const { programs, folder, proxyCore, upstreamPort, certificate } = stage
  const own = join(folder, name)
  mkdirSync(own)
  const [port = 0] = await freePorts(1)
  const fronts = frontsOn(port, one.scene.services)
  const certificatePem = readFileSync(certificate.certificatePath, 'utf8')
  const keyPem = readFileSync(certificate.keyPath, 'utf8')
  const snapshotPath = join(own, 'snapshot.json')
  const feature = one.feature === undefined ? {} : { feature: { is: one.feature, at: featureAt } }
  writeFileSync(snapshotPath, JSON.stringify(snapshotOf({ scene: one.scene, fronts, upstreamPort, certificatePem, keyPem, ...feature })))
  const stderrPath = join(own, 'stderr.log')
  const stdoutPath = join(own, 'stdout.log')
  const env = {
    WEIR_DATA: own,
    WEIR_WORKERS: '1',
    WEIR_ACCESS_LOG: join(own, 'access.log'),
    WEIR_FORWARDER: forwarder,
    NODE_ENV: 'production'
  }
  const profiling = stage.profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${stage.profileFolder}`]
  const args = [...profiling, join(import.meta.dirname, 'engine.ts'), snapshotPath]
  const startMs = performance.now()
  const program = programs.start({ name, command: process.execPath, args, core: proxyCore, stderrPath, stdoutPath, env })
  const last = fronts.at(-1)!
  await untilAccepting(program, last.address, last.port, stderrPath)
  const readyMs = performance.now() - startMs
  const line = readFileSync(stdoutPath, 'utf8')
  if (one.feature === undefined && one.scene.services > 1 && line !== '')
    stage.tell(
      `  ${name}: the snapshot of ${one.scene.services} services was running ${Math.round((JSON.parse(line) as EngineReady).loadMs)} ms after it came`
    )
  return { name, isOurs: true, program, fronts, readyMs, rounds: [], bytesPerUnit: null }
}

/** Which of the protocols that we offer a proxy takes, by ALPN. */
function negotiated({ address, port }: Front): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({ host: address, port, servername: SERVER_NAME, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] })
    const end = (protocol: string): void => {
      socket.destroy()
      resolve(protocol)
    }
    socket.setTimeout(5_000, () => end('nothing'))
    socket.on('secureConnect', () => end(typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : 'nothing'))
    socket.on('error', () => end('nothing'))
  })
}

/** Why the engine cannot have a part in this case yet, found by asking it. */
async function engineCannot(
  one: Case,
  contender: Contender,
  place: (contender: Contender, seconds: number) => LoadPlace
): Promise<string | undefined> {
  if (!one.scene.isHttp2) return undefined
  const protocol = await negotiated(contender.fronts[0]!)
  if (protocol !== 'h2') return `the engine does not speak HTTP/2 to clients yet (ALPN answered ${protocol})`
  if (one.scene.upstream !== 'grpc' || one.load.by === 'idle') return undefined
  const { units, errors } = await runLoad(one.load, place(contender, 1))
  return units === 0 || Object.keys(errors).length > 0 ? 'the engine does not speak HTTP/2 to servers yet' : undefined
}

async function measureRound(one: Case, contender: Contender, place: LoadPlace): Promise<Round> {
  const pid = contender.program?.pid
  const before = pid === undefined ? 0 : cpuUs(pid)
  if (one.load.by === 'idle') {
    if (contender.program === null) throw new Error('nothing to measure')
    const held = await holdIdle(one.load, place, contender.program)
    contender.bytesPerUnit = (held.rssHeld - held.rssBefore) / Math.max(1, held.units)
    return { ...held, cpuUs: cpuUs(contender.program.pid) - before }
  }
  const result = await runLoad(one.load, place)
  return { ...result, cpuUs: pid === undefined ? null : cpuUs(pid) - before }
}

/** A case with no more connections than this machine lets a process hold. */
function fitted(one: Case, tell: (line: string) => void): Case {
  if (one.load.by !== 'idle') return one
  const connections = Math.min(one.load.connections, openFilesLimit() - SPARE_FILES)
  if (connections < one.load.connections) tell(`  only ${connections} connections: a process may have ${openFilesLimit()} files open`)
  return { ...one, load: { ...one.load, connections } }
}

async function startAll(one: Case, stage: Stage, options: Options): Promise<Contender[]> {
  const contenders: Contender[] = []
  const attempt = async (name: string, start: () => Promise<Contender>): Promise<void> => {
    try {
      contenders.push(await start())
    } catch (error) {
      stage.tell(`  ${name} has no part: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const [firstForwarder = 'wire'] = options.forwarders
  if (one.feature !== undefined) {
    const places = [[BARE, null], ...(one.feature.isPoolShared === true ? [] : ([['another has it', 1]] as const)), ['has it', 0]] as const
    for (const [name, featureAt] of places)
      await attempt(name, async () => ({
        ...(await startEngine({ name, forwarder: firstForwarder, featureAt }, one, stage)),
        isOurs: name !== BARE
      }))
    return contenders
  }
  for (const forwarder of options.forwarders) {
    const name = options.forwarders.length === 1 ? 'weir' : `weir-${forwarder}`
    await attempt(name, () => startEngine({ name, forwarder }, one, stage))
  }
  for (const peer of peers) {
    const path = findProgram(peer.name)
    if (path === undefined || options.peers?.includes(peer.name) === false) continue
    const reason = peer.cannot(one.scene, path)
    if (reason === undefined) await attempt(peer.name, () => startPeer(peer, path, one, stage))
    else stage.tell(`  ${peer.name} has no part: ${reason}`)
  }
  if (one.load.by !== 'idle' && one.scene.tls === null) {
    const fronts = [{ address: '127.0.0.1', port: stage.upstreamPort }]
    contenders.push({ name: '(no proxy)', isOurs: false, program: null, fronts, readyMs: null, rounds: [], bytesPerUnit: null })
  }
  return contenders
}

/** Answers the measured contenders, or why the case was skipped. */
async function runCase(one: Case, stage: Stage, options: Options): Promise<Measured[] | string> {
  const place = (contender: Contender, seconds: number): LoadPlace => ({
    fronts: contender.fronts,
    isTls: one.scene.tls !== null,
    seconds,
    programs: stage.programs,
    core: stage.loadCore,
    folder: stage.folder
  })
  await startUpstream(one, stage)
  const contenders = await startAll(one, stage, options)
  if (one.feature === undefined ? contenders.filter(({ isOurs }) => isOurs).length < options.forwarders.length : contenders.length < 2)
    process.exitCode = 1
  for (const contender of contenders.filter(({ isOurs }) => isOurs)) {
    const reason = await engineCannot(one, contender, place)
    if (reason !== undefined) return reason
  }
  const isIdle = one.load.by === 'idle'
  const warmUp: Case = isIdle ? { ...one, load: { by: 'idle', connections: 300 } } : one
  for (const contender of contenders) await measureRound(warmUp, contender, place(contender, Math.min(WARM_UP_MAX_S, options.seconds)))
  // Memory grows once: a second round would find it grown.
  for (let round = 0; round < (isIdle ? 1 : options.rounds); round++) {
    for (const contender of contenders) contender.rounds.push(await measureRound(one, contender, place(contender, options.seconds)))
  }
  return contenders.map(contender => ({
    ...contender,
    isReference: contender.program === null,
    rssBytes: contender.program === null ? null : rssBytes(contender.program.pid)
  }))
}

async function writeCertificate(folder: string, keyType: 'ec' | 'rsa'): Promise<Stand['certificate']> {
  const { certificatePem, keyPem } = await aCertificate('bench', [SERVER_NAME, '127.0.0.1'], keyType)
  const at = { certificatePath: join(folder, 'certificate.pem'), keyPath: join(folder, 'key.pem'), bothPath: join(folder, 'both.pem') }
  writeFileSync(at.certificatePath, certificatePem)
  writeFileSync(at.keyPath, keyPem, { mode: 0o600 })
  writeFileSync(at.bothPath, `${certificatePem}\n${keyPem}`, { mode: 0o600 })
  return at
}

async function main(options: Options): Promise<void> {
  const tell = (line: string): void => void (options.isJson ? process.stderr : process.stdout).write(`${line}\n`)
  const cores = chooseCores()
  const machine = readMachine()
  const versions = Object.fromEntries(
    peers.flatMap(peer => {
      const path = findProgram(peer.name)
      return path === undefined ? [] : [[peer.name, peer.version(path)]]
    })
  ) as Record<string, string>
  const missing = peers.filter(peer => !(peer.name in versions)).map(peer => peer.name)
  tell(machineLine(machine))
  tell(
    `peers: ${
      Object.entries(versions)
        .map(entry => entry.join(' '))
        .join(', ') || 'none'
    }${missing.length === 0 ? '' : `; not on this machine: ${missing.join(', ')}`}`
  )
  const pinned =
    cores.proxy === null || cores.load === null
      ? 'nothing is pinned'
      : `proxy on core ${cores.proxy}, load and server on core ${cores.load}`
  tell(
    `${pinned}; one worker each; ${options.rounds} rounds of ${options.seconds} s in turn; logs and metrics on; ratio: cost against the best peer`
  )
  for (const name of ['nginx', 'wrk', 'h2load'] as const)
    if (findProgram(name) === undefined) throw new Error(`${name} is not on this machine, and the load needs it`)
  pinSelf(cores.load)

  const programs = new Programs()
  for (const given of options.cases) {
    tell(`\n${given.name}: ${given.title}`)
    const say = (result: object): void => {
      if (options.isJson)
        console.log(JSON.stringify({ case: given.name, title: given.title, unit: given.unit, ...result, machine, versions }))
    }
    if (given.skipped !== undefined) {
      tell(`  skipped: ${given.skipped}`)
      say({ skipped: given.skipped })
      continue
    }
    const folder = programs.makeFolder()
    try {
      const one = fitted(given, tell)
      const [upstreamPort = 0] = await freePorts(1)
      const certificate = await writeCertificate(folder, one.scene.tls ?? 'ec')
      const stage: Stage = {
        programs,
        folder,
        proxyCore: cores.proxy,
        loadCore: cores.load,
        upstreamPort,
        certificate,
        profileFolder: options.profileFolder,
        tell
      }
      const measured = await runCase(one, stage, options)
      if (typeof measured === 'string') {
        tell(`  skipped: ${measured}`)
        say({ skipped: measured })
        continue
      }
      const { rows, best } = compare(measured)
      tell(tableOf(one, rows))
      for (const row of rows) if (row.isOurs && row.ratio !== null) tell(`  ${row.name}: ${row.ratio.toFixed(2)} x ${best}`)
      say({ seconds: options.seconds, rounds: options.rounds, forwarders: options.forwarders, best: best ?? null, rows })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      tell(`  FAILED: ${message}`)
      say({ failed: message })
      process.exitCode = 1
    } finally {
      await programs.clear()
    }
  }
}

try {
  const options = readOptions()
  if (options === 'list') for (const { name, title } of cases) console.log(`${name.padEnd(16)} ${title}`)
  else await main(options)
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(REFUSED_EXIT)
}
