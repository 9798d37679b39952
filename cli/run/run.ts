/**
 * `make run`: a controller, one engine that joined it, and a demo service over two servers, as processes of their own,
 * in the foreground. A part that dies is started again; Ctrl-C stops everything. Imports nothing of the product.
 */
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { makeFolder } from './folder.ts'
import { Part } from './part.ts'
import { readSettings, Refused, type Settings } from './settings.ts'

const root = resolve(import.meta.dirname, '../..')
const DEMO_SERVERS = ['demo-1', 'demo-2'] as const
/** How long the first start may take before it is called a failure in words. */
const PATIENCE_MS = 60_000

function makeDataFolder(path: string): void {
  try {
    makeFolder(path)
    makeFolder(join(path, 'log'))
    accessSync(path, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Refused(
      `the data folder ${path} cannot be written (${error instanceof Error ? error.message : String(error)}): set WEIR_DATA to another`
    )
  }
}

/** Binds without sharing and lets go again: a port that somebody else has is refused before anything starts. */
function probePort(variable: string, port: number): Promise<void> {
  return new Promise((free, refuse) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'in use' : error.code === 'EACCES' ? 'not permitted to this user' : error.message
      refuse(new Refused(`port ${port} is ${why}: set ${variable} to another`))
    })
    server.listen({ port, exclusive: true }, () => server.close(() => free()))
  })
}

interface Ready {
  readonly type: 'ready'
  readonly adminPassword?: string
  readonly version?: string
}

const isReady = (message: unknown): message is Ready =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready'

const isJoinToken = (message: unknown): message is { readonly token: string } =>
  typeof message === 'object' && message !== null && 'type' in message && message.type === 'join-token' && 'token' in message

const isPort = (message: unknown): message is { readonly port: number } => isReady(message) && 'port' in message

async function startDemoServers(
  settings: Settings,
  keep: (part: Part) => void,
  refuse: (line: string) => void
): Promise<readonly number[]> {
  const portsPath = join(settings.dataFolder, 'demo-ports.json')
  const known: unknown = existsSync(portsPath) ? JSON.parse(readFileSync(portsPath, 'utf8')) : []
  const ports = await Promise.all(
    DEMO_SERVERS.map(
      (name, i) =>
        new Promise<number>(ready => {
          const last: unknown = Array.isArray(known) ? known[i] : undefined
          const port = typeof last === 'number' ? last : 0
          const args = (at: number): readonly string[] => [join(root, 'cli/run/demo-server.ts'), name, String(at)]
          const part = new Part({
            name,
            args: args(port),
            env: process.env,
            logPath: join(settings.dataFolder, 'log', 'demo.log'),
            onMessage: message => {
              if (isPort(message)) ready(message.port)
            },
            onRefused: refuse
          })
          keep(part)
          part.start()
        })
    )
  )
  writeFileSync(portsPath, JSON.stringify(ports))
  return ports
}

/** Resolves when the demo service answers through the engine. */
function demoAnswers(port: number): Promise<boolean> {
  const deadlineMs = performance.now() + PATIENCE_MS
  return new Promise(done => {
    const attempt = (): void => {
      const again = (): void => {
        if (performance.now() > deadlineMs) done(false)
        else setTimeout(attempt, 50)
      }
      get({ host: '127.0.0.1', port, path: '/', agent: false, timeout: 2_000 }, response => {
        response.resume()
        if (response.statusCode === 200) done(true)
        else again()
      }).on('error', again)
    }
    attempt()
  })
}

/** A few visitors, so that the dashboard has something to show: 5 to 25 requests a second in waves of two minutes. */
function visit(port: number): () => void {
  const paths = ['/', '/products', '/cart', '/search?q=weir', '/slow', '/missing']
  let timer: NodeJS.Timeout | undefined
  const next = (): void => {
    const wave = 15 + 10 * Math.sin((performance.now() / 120_000) * 2 * Math.PI)
    timer = setTimeout(next, 1000 / wave)
    const path = paths[Math.random() < 0.9 ? Math.floor(Math.random() * 4) : 4 + Math.floor(Math.random() * 2)]
    get({ host: '127.0.0.1', port, path, timeout: 5_000, headers: { 'user-agent': 'weir-demo-visitor' } }, response =>
      response.resume()
    ).on('error', () => undefined)
  }
  next()
  return () => clearTimeout(timer)
}

async function run(settings: Settings): Promise<void> {
  makeDataFolder(settings.dataFolder)
  await probePort('WEIR_PORT', settings.port)
  await probePort('WEIR_ENGINE_PORT', settings.enginePort)
  if (settings.hasDemo) await probePort('WEIR_DEMO_PORT', settings.demoPort)

  const parts: Part[] = []
  let stopVisits = (): void => undefined
  let isStopping = false
  const stop = async (code: number): Promise<void> => {
    if (isStopping) return
    isStopping = true
    stopVisits()
    await Promise.all(parts.map(part => part.stop()))
    process.exit(code)
  }
  const refuse = (line: string): void => {
    console.error(line.startsWith('weir: ') ? line : `weir: ${line}`)
    void stop(2)
  }
  const keep = (part: Part): void => void parts.push(part)
  process.on('SIGINT', () => void stop(0))
  process.on('SIGTERM', () => void stop(0))
  // As a service manager's reload: the engine is replaced, and no request notices.
  process.on('SIGHUP', () => engine.replace())

  const demoPorts = settings.hasDemo ? await startDemoServers(settings, keep, refuse) : []
  const ready = Promise.withResolvers<Ready>()
  const engineFolder = join(settings.dataFolder, 'engine')
  const engine = new Part({
    name: 'engine',
    args: [join(root, 'service-engine/main.ts')],
    env: {
      ...process.env,
      WEIR_DATA: engineFolder,
      WEIR_CONTROLLER: `https://127.0.0.1:${settings.port}`,
      WEIR_CHANNEL: `127.0.0.1:${settings.enginePort}`,
      WEIR_NAME: process.env['WEIR_NAME'] ?? 'local-engine',
      WEIR_ACCESS_LOG: process.env['WEIR_ACCESS_LOG'] ?? join(settings.dataFolder, 'log', 'access.log')
    },
    logPath: join(settings.dataFolder, 'log', 'engine.log'),
    onMessage: () => undefined,
    onRefused: refuse
  })
  let hasEngineStarted = false
  const startEngine = (token: string | undefined): void => {
    if (hasEngineStarted) return
    hasEngineStarted = true
    if (token !== undefined) engine.setEnv({ WEIR_TOKEN: token })
    engine.start()
  }
  const controller = new Part({
    name: 'controller',
    args: [join(root, 'controller/main.ts')],
    env: {
      ...process.env,
      WEIR_DATA: settings.dataFolder,
      WEIR_PORT: String(settings.port),
      WEIR_ENGINE_PORT: String(settings.enginePort),
      WEIR_DEMO_PORT: String(settings.demoPort),
      WEIR_DEMO_SERVERS: demoPorts.map(port => `127.0.0.1:${port}`).join(',')
    },
    logPath: join(settings.dataFolder, 'log', 'controller.log'),
    onMessage: (message, part) => {
      if (isReady(message)) {
        ready.resolve(message)
        if (!hasEngineStarted) part.send({ type: 'join-token-wanted' })
      } else if (isJoinToken(message)) startEngine(message.token)
    },
    onRefused: refuse
  })
  keep(controller)
  keep(engine)
  // An engine that joined before serves its last snapshot without waiting for the controller.
  if (existsSync(join(engineFolder, 'identity.json'))) startEngine(undefined)
  controller.start()

  const { adminPassword, version } = await ready.promise
  const signIn =
    adminPassword ??
    (process.env['WEIR_ADMIN_PASSWORD'] ? 'the password that the first start was given' : 'the password that the first start printed')
  console.log(`weir ${version ?? ''}`)
  console.log(`  dashboard  https://127.0.0.1:${settings.port}/`)
  console.log(`  sign in    admin / ${signIn}`)
  console.log(`  CA         ${join(settings.dataFolder, 'ca.pem')}`)
  if (settings.hasDemo) {
    if (await demoAnswers(settings.demoPort)) {
      console.log(`  demo       http://127.0.0.1:${settings.demoPort}/`)
      stopVisits = visit(settings.demoPort)
    } else console.log(`  demo       does not answer on http://127.0.0.1:${settings.demoPort}/: the dashboard says why`)
  }
  console.log('Ctrl-C stops everything.')
}

try {
  await run(readSettings(process.env))
} catch (error) {
  if (!(error instanceof Refused)) throw error
  console.error(`weir: ${error.message}`)
  process.exit(2)
}
