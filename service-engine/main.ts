/** The service engine's process: reads its environment and command line, runs the agent thread, stops gracefully. */
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { systemClock } from '#model/base/clock.ts'
import { makeLog, type Log } from '#model/base/log.ts'
import { VERSION } from '#model/base/version.ts'
import { openAgent } from './agent/agent.ts'
import { enrol, JoinFailed } from './agent/enrol.ts'
import { IdentityBroken, loadIdentity } from './agent/identity.ts'
import { AlreadyRunning, askEngine, openControl, type Control } from './control.ts'
import { findPredecessor, offerHandover, startSuccessor, tellServiceManager, type Offer } from './handover.ts'
import { probePort } from './dataplane/listen/listener.ts'
import { openEngine, type Engine, type EngineOptions } from './engine.ts'
import { systemLookUp } from './monitor/resolve.ts'
import { readOrder, readSettings, Refused, type Order, type Settings } from './settings.ts'
import { makeKernelStarter, type KernelStarter } from './start-kernel.ts'
import { startWorker } from './start-worker.ts'
import { askBird } from './vip/bgp/bird.ts'
import { buildOf, checkOrder, makeUpgrader } from './upgrade.ts'
import { hasNetAdmin, hasProgram, readHostForwarding } from './vip/kernel/host.ts'
import { runKernelForPeer, runKernelProcess } from './vip/kernel/process.ts'

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

/** `id issued build` of the order on standard input. */
async function checkedOrder({ pin, engineId }: Extract<Order, { is: 'check-order' }>): Promise<string> {
  const checked = checkOrder(await text(process.stdin), { pin, engineId, nowEpochMs: systemClock.nowEpochMs() })
  if (checked.is === 'refused') throw new Refused(checked.reason)
  const { id, issuedEpochMs, build } = checked.order
  return `${id} ${issuedEpochMs} ${build}`
}

function tokenIn(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new Refused(`WEIR_TOKEN_FILE cannot be read: ${(error as Error).message}`)
  }
}

/** Who starts the processes that program the kernel: this one, systemd at its socket, or nobody. */
function kernelStarter({ dataFolder, kernelSocket }: Settings): KernelStarter | null {
  if (hasNetAdmin()) return makeKernelStarter(dataFolder, systemClock, null)
  return kernelSocket !== null && existsSync(kernelSocket) ? makeKernelStarter(dataFolder, systemClock, kernelSocket) : null
}

/** Read as the process starts: the files are another program's when that takes over. */
function programOf({ upgradeSocket }: Settings, log: Log): EngineOptions['program'] {
  const build = buildOf(process.execPath)
  if (build === undefined) return undefined
  const upgrader = makeUpgrader({ socketPath: upgradeSocket, programFile: process.execPath, log })
  return { build, platform: `${process.platform}-${process.arch}`, upgrader }
}

/** Joins at the first start of an engine that was given a token; waits for a controller that is not there yet. */
async function joinFirst(settings: Settings, log: Log): Promise<void> {
  const { dataFolder, controllerUrl, name } = settings
  // After the join the secret may be gone.
  if ((await loadIdentity(dataFolder)) !== undefined) return
  const token = settings.token === '' && settings.tokenFile !== '' ? tokenIn(settings.tokenFile) : settings.token
  if (controllerUrl === '' || token === '') {
    throw new Refused(
      `this host has not joined: run "join", or set WEIR_CONTROLLER and WEIR_TOKEN or WEIR_TOKEN_FILE (data folder ${dataFolder})`
    )
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

async function run(settings: Settings, mode: 'run' | 'takeover'): Promise<void> {
  // Standard output may carry the access log.
  const log = makeLog(line => process.stderr.write(line), { fields: { part: 'engine' } })
  takeDataFolder(settings.dataFolder)
  let engine: Engine | null = null
  let offer: Offer | null = null
  const takeControl = (): Promise<Control> =>
    openControl(settings.dataFolder, () => {
      const { isUp, line } = engine?.status() ?? { isUp: false, line: 'starting' }
      return { pid: process.pid, isUp, line }
    })
  const predecessor = mode === 'takeover' ? await findPredecessor(settings.dataFolder) : undefined
  // Nobody to take over from: a plain start, unless somebody runs who cannot be.
  let control = predecessor === undefined ? await takeControl() : null
  const released = Promise.withResolvers<void>()
  let isStopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(1)
    isStopping = true
    log.info('stops', { signal })
    offer?.close()
    void finish(engine, control).then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  // Started by a launcher that is gone: nobody else would ever end us.
  if (process.send) process.on('disconnect', () => stop('SIGTERM'))

  const program = programOf(settings, log)
  if (predecessor === undefined) await joinFirst(settings, log)
  const kernel = kernelStarter(settings)
  if (predecessor === undefined) await kernel?.clearLeftOver()
  const beforeConnect = async (isWhole: boolean): Promise<void> => {
    if (predecessor === undefined) return
    if (!isWhole) throw new Error('this engine cannot run all that the running one runs: it goes on')
    await tellServiceManager(process.env['NOTIFY_SOCKET'])
    await predecessor.serving()
    control = await takeControl()
    released.resolve()
  }
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
      : {
          layer2: { openHolder: kernel.openHolder, port: settings.peerPort, fallback: settings.vipInterface },
          bgp: { openAnnouncer: kernel.openAnnouncer, askBird: () => askBird(settings.birdSocket) }
        }),
    ...(program === undefined ? {} : { program }),
    ...(predecessor === undefined ? {} : { predecessor: { holding: predecessor.holding, released: released.promise } }),
    openAgent: engineSide =>
      openAgent({
        dataFolder: settings.dataFolder,
        channel: settings.channel,
        engineSide,
        clock: systemClock,
        random: Math.random,
        log,
        beforeConnect
      })
  })
  const running = engine
  offer = await offerHandover(settings.dataFolder, {
    holding: running.holding,
    release: async () => {
      await running.release()
      control?.close()
      offer?.close()
    },
    left: () => {
      log.info('another process took over; what is open may end', { withinMs: running.leaveWithinMs() })
      // From here on a signal ends it at once.
      isStopping = true
      void finish(running, null, running.leaveWithinMs()).then(() => process.exit(0))
    }
  })
  // Who started us learns that all is in our hands.
  process.send?.({ type: 'took-over', pid: process.pid })
  log.info('runs', { version: VERSION, workers: settings.workers, dataFolder: settings.dataFolder })
  // All our timers let the process end: also an engine that serves nothing stays until it is told to go.
  setInterval(() => undefined, 60_000)
}

async function finish(engine: Engine | null, control: Control | null, withinMs = STOP_DRAIN_MS): Promise<void> {
  await engine?.stop(withinMs).catch((error: unknown) => console.error(`weir-engine: did not stop cleanly: ${String(error)}`))
  control?.close()
}

/** Exit codes: 0 done, 1 failed now, 2 wrong in a way that no restart mends. */
async function main(): Promise<void> {
  try {
    const settings = readSettings(process.env, hostname())
    const order = readOrder(process.argv.slice(2), settings)
    if (order.is === 'version') console.log(VERSION)
    else if (order.is === 'kernel') await runKernelProcess(order.table)
    else if (order.is === 'kernel-peer') await runKernelForPeer(order)
    else if (order.is === 'check-order') console.log(await checkedOrder(order))
    else if (order.is === 'status') process.exitCode = await status(settings)
    else if (order.is === 'join') await join(settings, order)
    else if (order.is === 'reload')
      console.log(`process ${await startSuccessor(settings.dataFolder, fileURLToPath(import.meta.url))} has taken over`)
    else await run(settings, order.is)
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
