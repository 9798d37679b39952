/** The service engine's process: reads its environment and command line, runs the agent thread, stops gracefully. */
import { accessSync, constants, mkdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { text } from 'node:stream/consumers'
import { systemClock } from '#model/base/clock.ts'
import { makeLog, type Log } from '#model/base/log.ts'
import { VERSION } from '#model/base/version.ts'
import { openAgent } from './agent/agent.ts'
import { enrol, JoinFailed } from './agent/enrol.ts'
import { IdentityBroken, loadIdentity } from './agent/identity.ts'
import { AlreadyRunning, askEngine, openControl, type Control } from './control.ts'
import { probePort } from './dataplane/listen/listener.ts'
import { openEngine, type Engine } from './engine.ts'
import { systemLookUp } from './monitor/resolve.ts'
import { readOrder, readSettings, Refused, type Order, type Settings } from './settings.ts'
import { makeKernelStarter } from './start-kernel.ts'
import { startWorker } from './start-worker.ts'
import { hasNetAdmin, hasProgram, readHostForwarding } from './vip/kernel/host.ts'
import { runKernelProcess } from './vip/kernel/process.ts'

/** Who stops us (systemd, a container's runtime, the launcher) waits at least ten seconds. */
const STOP_DRAIN_MS = 8_000
/** A controller that starts together with us needs a moment. */
const JOIN_PATIENCE_MS = 60_000
const JOIN_AGAIN_MS = 1_000

function takeDataFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    accessSync(path, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Refused(
      `the data folder ${path} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)}): set WEIR_DATA to another`
    )
  }
}

async function join(settings: Settings, { controllerUrl, token }: Extract<Order, { is: 'join' }>): Promise<void> {
  // On standard input the token shows in no list of processes.
  const given = token === '' && !process.stdin.isTTY ? (await text(process.stdin)).trim() : token
  if (given === '') throw new Refused('join needs a token: on standard input, as --token or as WEIR_TOKEN')
  takeDataFolder(settings.dataFolder)
  const joined = await enrol({ controllerUrl, token: given, dataFolder: settings.dataFolder, hostname: settings.name })
  console.log(
    joined.is === 'joined'
      ? `${joined.identity.engineName} in group ${joined.groupName}`
      : `${joined.identity.engineName}, which joined before`
  )
}

async function status(settings: Settings): Promise<number> {
  const answer = await askEngine(settings.dataFolder)
  if (typeof answer === 'object') {
    console.log(answer.line)
    return answer.isUp ? 0 : 1
  }
  console.log(answer === 'nobody' ? `no engine runs on ${settings.dataFolder}` : 'the engine does not answer')
  return 1
}

/** Joins at the first start of an engine that was given a token; waits for a controller that is not there yet. */
async function joinFirst(settings: Settings, log: Log): Promise<void> {
  const { dataFolder, controllerUrl, token, name } = settings
  if ((await loadIdentity(dataFolder)) !== undefined) return
  if (controllerUrl === '' || token === '') {
    throw new Refused(`this host has not joined: run "join", or set WEIR_CONTROLLER and WEIR_TOKEN (data folder ${dataFolder})`)
  }
  const deadlineMs = systemClock.nowMs() + JOIN_PATIENCE_MS
  for (;;) {
    try {
      const joined = await enrol({ controllerUrl, token, dataFolder, hostname: name })
      return log.info('joined', { engine: joined.identity.engineId, name: joined.identity.engineName })
    } catch (error) {
      // Without a cause it was the controller that refused: asking again helps nobody.
      if (!(error instanceof JoinFailed) || error.cause === undefined || systemClock.nowMs() > deadlineMs) throw error
      log.warn('cannot join yet', { reason: error.message })
      await new Promise(resolve => setTimeout(resolve, JOIN_AGAIN_MS))
    }
  }
}

async function run(settings: Settings): Promise<void> {
  // Standard output may carry the access log.
  const log = makeLog(line => process.stderr.write(line), { fields: { part: 'engine' } })
  takeDataFolder(settings.dataFolder)
  let engine: Engine | null = null
  const control = await openControl(settings.dataFolder, () => {
    const { isUp, line } = engine?.status() ?? { isUp: false, line: 'starting' }
    return { pid: process.pid, isUp, line }
  })
  let isStopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(1)
    isStopping = true
    log.info('stops', { signal })
    void finish(engine, control).then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  // Started by a launcher that is gone: nobody else would ever end us.
  if (process.send) process.on('disconnect', () => stop('SIGTERM'))

  await joinFirst(settings, log)
  const kernel = hasNetAdmin() ? makeKernelStarter(settings.dataFolder, systemClock) : null
  await kernel?.clearLeftOver()
  engine = await openEngine({
    workers: settings.workers,
    accessLogPath: settings.accessLogPath,
    forwarder: settings.forwarder,
    clock: systemClock,
    random: Math.random,
    log,
    startWorker: setup => startWorker(setup, settings.workers),
    probePort,
    scriptUser: settings.scriptUser,
    lookUp: systemLookUp(),
    ...(kernel === null || !hasProgram('nft') ? {} : { kernel: { readHost: readHostForwarding, openLink: kernel.openLink } }),
    ...(kernel === null || !hasProgram('ip')
      ? {}
      : { layer2: { openHolder: kernel.openHolder, port: settings.peerPort, fallback: settings.vipInterface } }),
    openAgent: engineSide =>
      openAgent({ dataFolder: settings.dataFolder, channel: settings.channel, engineSide, clock: systemClock, random: Math.random, log })
  })
  log.info('runs', { version: VERSION, workers: settings.workers, dataFolder: settings.dataFolder })
  // All our timers let the process end: also an engine that serves nothing stays until it is told to go.
  setInterval(() => undefined, 60_000)
}

async function finish(engine: Engine | null, control: Control): Promise<void> {
  await engine?.stop(STOP_DRAIN_MS).catch((error: unknown) => console.error(`weir-engine: did not stop cleanly: ${String(error)}`))
  control.close()
}

/** Exit codes: 0 done, 1 failed now, 2 wrong in a way that no restart mends. */
async function main(): Promise<void> {
  try {
    const settings = readSettings(process.env, hostname())
    const order = readOrder(process.argv.slice(2), settings)
    if (order.is === 'version') console.log(VERSION)
    else if (order.is === 'kernel') await runKernelProcess(order.table)
    else if (order.is === 'status') process.exitCode = await status(settings)
    else if (order.is === 'join') await join(settings, order)
    else await run(settings)
  } catch (error) {
    const isFinal = error instanceof Refused || error instanceof AlreadyRunning || error instanceof IdentityBroken
    const message =
      error instanceof AlreadyRunning
        ? `the data folder is in use: ${error.message}`
        : error instanceof Error
          ? error.message
          : String(error)
    console.error(`weir-engine: ${message}`)
    process.exit(isFinal ? 2 : 1)
  }
}

await main()
