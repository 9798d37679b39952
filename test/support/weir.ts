/** The whole product, started as a stranger would start it, with ports and a data folder of its own. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type IncomingHttpHeaders, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { freePorts } from './ports.ts'
import { until } from './wait.ts'

const root = resolve(import.meta.dirname, '../..')
const START_MS = 90_000

export interface Weir {
  /** Of the launcher. */
  readonly pid: number
  readonly url: string
  readonly port: number
  readonly demoPort: number
  readonly dataFolder: string
  readonly password: string
  /** What it printed until now. */
  readonly output: () => string
  /** Process id of a part, by what its command line contains: `controller/main.ts`, `service-engine/main.ts`. */
  readonly pidOf: (part: string) => number
  readonly signIn: () => Promise<Session>
  readonly stop: () => Promise<number | null>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The body as JSON; fails the test when it is none. */
  readonly json: () => unknown
}

export interface Session {
  readonly call: (method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>) => Promise<Answer>
  readonly cookie: string
}

/** One request, over TLS when `url` says so (the certificate is checked against `ca` when given). */
export function send(
  url: string,
  options: {
    readonly method?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
    readonly ca?: string
    readonly timeoutMs?: number
  } = {}
): Promise<Answer> {
  const { method = 'GET', headers = {}, body, ca, timeoutMs = 20_000 } = options
  return new Promise((done, fail) => {
    const started = url.startsWith('https:')
      ? httpsRequest(url, { method, headers, agent: false, ...(ca === undefined ? { rejectUnauthorized: false } : { ca }) })
      : httpRequest(url, { method, headers, agent: false })
    started.setTimeout(timeoutMs, () => started.destroy(new Error(`no answer from ${url} within ${timeoutMs} ms`)))
    started.on('error', fail)
    started.on('response', response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', fail)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        done({ status: response.statusCode ?? 0, headers: response.headers, text, json: () => JSON.parse(text) })
      })
    })
    started.end(body)
  })
}

export async function signIn(url: string, username: string, password: string, ca?: string): Promise<Session> {
  const answer = await send(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password }),
    ...(ca === undefined ? {} : { ca })
  })
  if (answer.status !== 200) throw new Error(`sign-in answered ${answer.status}: ${answer.text}`)
  const cookies = (answer.headers['set-cookie'] ?? []).map(line => line.split(';')[0] ?? '')
  const csrf = cookies.find(cookie => cookie.startsWith('csrftoken='))?.slice('csrftoken='.length) ?? ''
  const cookie = cookies.join('; ')
  return {
    cookie,
    call: (method, path, body, headers = {}) =>
      send(url + path, {
        method,
        headers: {
          cookie,
          referer: `${url}/`,
          'x-csrftoken': csrf,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        ...(ca === undefined ? {} : { ca })
      })
  }
}

/** Pids of the descendants of `pid` whose command line contains `part`. */
function descendants(pid: number, part: string): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  return children.flatMap(child => {
    const commandLine = readFileSync(`/proc/${child}/cmdline`, 'utf8')
    return commandLine.includes(part) ? [child] : descendants(child, part)
  })
}

/**
 * Starts controller, engine and demo by `cli/run/run.ts` and waits until the launcher says that all is up.
 * `folder` takes over the data of an earlier start; it is then not removed by `stop`.
 */
export async function startWeir(
  options: {
    readonly folder?: string
    readonly ports?: readonly number[]
    readonly env?: NodeJS.ProcessEnv
    readonly password?: string
  } = {}
): Promise<Weir> {
  const dataFolder = options.folder ?? mkdtempSync(join(tmpdir(), 'weir-test-'))
  const [port = 0, enginePort = 0, demoPort = 0] = options.ports ?? (await freePorts(3))
  const password = options.password ?? 'correct horse battery staple'
  const child = spawn(process.execPath, [join(root, 'cli/run/run.ts')], {
    cwd: root,
    env: {
      ...process.env,
      WEIR_DATA: dataFolder,
      WEIR_PORT: String(port),
      WEIR_ENGINE_PORT: String(enginePort),
      WEIR_DEMO_PORT: String(demoPort),
      WEIR_ADMIN_PASSWORD: password,
      ...options.env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = new Promise<number | null>(done => child.once('exit', done))
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null) child.kill('SIGTERM')
    const code = await ended
    if (options.folder === undefined) rmSync(dataFolder, { recursive: true, force: true })
    return code
  }
  try {
    await until(
      'the launcher says that all is up',
      () => {
        if (child.exitCode !== null) throw new Error(`the launcher ended with ${child.exitCode}`)
        return output.includes('Ctrl-C') ? true : undefined
      },
      START_MS
    )
  } catch (error) {
    await stop()
    throw new Error(`weir did not start: ${output}`, { cause: error })
  }
  const url = `https://127.0.0.1:${port}`
  return {
    pid: child.pid ?? 0,
    url,
    port,
    demoPort,
    dataFolder,
    password,
    output: () => output,
    pidOf: part => {
      const [pid] = child.pid === undefined ? [] : descendants(child.pid, part)
      if (pid === undefined) throw new Error(`no process of ${part}`)
      return pid
    },
    signIn: () => signIn(url, 'admin', password),
    stop
  }
}
