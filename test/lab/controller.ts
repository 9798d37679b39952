/** The real controller as a process on the test's network, and its REST API as a signed-in administrator. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { until } from './run.ts'

const root = resolve(import.meta.dirname, '../..')
const password = 'lab-Passw0rd-of-one-run'

export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** The REST API as its administrator. */
export interface Rest {
  readonly call: (method: string, path: string, body?: object) => Promise<Answer>
}

export interface LabController extends Rest {
  readonly url: string
  readonly start: () => Promise<void>
  /** As if the machine lost its power: SIGKILL. */
  readonly kill: () => Promise<void>
  readonly signal: (signal: NodeJS.Signals) => void
  /** What it wrote to its standard output and error so far. */
  readonly log: () => string
  readonly stop: () => Promise<void>
}

interface Session {
  readonly cookie: string
  readonly csrf: string
}

/** Nobody else can be on this network; which key is shown is the installer's to check, and tested there. */
function send(
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: object | undefined
): Promise<Answer & { readonly cookies: readonly string[] }> {
  return new Promise((done, fail) => {
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const type = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': `${Buffer.byteLength(payload)}` }
    const sent = request(
      url,
      { method, headers: { ...headers, ...type }, rejectUnauthorized: false, timeout: 10_000, agent: false },
      response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', fail)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const isJson = /json/.test(response.headers['content-type'] ?? '')
          const parsed: unknown = isJson && text !== '' ? JSON.parse(text) : text
          done({ status: response.statusCode ?? 0, body: parsed, cookies: response.headers['set-cookie'] ?? [] })
        })
      }
    )
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${url}`)))
    sent.on('error', fail)
    sent.end(payload)
  })
}

/** Signs in when it is first asked for something. */
export function signedIn(url: string, password: string): Rest {
  let session: Session | undefined
  const signIn = async (): Promise<Session> => {
    const answer = await send(`${url}/login`, 'POST', {}, { username: 'admin', password })
    if (answer.status !== 200) throw new Error(`sign-in answers ${answer.status}: ${JSON.stringify(answer.body)}`)
    const pairs = answer.cookies.map(cookie => cookie.split(';')[0]!)
    const csrf = pairs.find(pair => pair.startsWith('csrftoken='))?.slice('csrftoken='.length) ?? ''
    return { cookie: pairs.join('; '), csrf }
  }
  return {
    call: async (method, path, body) => {
      session ??= await signIn()
      const headers = { cookie: session.cookie, 'x-csrftoken': session.csrf, referer: `${url}/`, accept: 'application/json' }
      const { status, body: answered } = await send(`${url}${path}`, method, headers, body)
      return { status, body: answered }
    }
  }
}

export async function isReady(url: string): Promise<boolean> {
  return (await send(`${url}/readyz`, 'GET', {}, undefined)).status === 200
}

export function makeController(address: string, more: NodeJS.ProcessEnv = {}): LabController {
  const url = `https://${address}:9443`
  const dataFolder = mkdtempSync(join(tmpdir(), 'weir-lab-data-'))
  const said: Buffer[] = []
  let child: ChildProcess | undefined
  let rest = signedIn(url, password)

  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = child
    child = undefined
    rest = signedIn(url, password)
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return
    const ended = new Promise<void>(done => ending.once('close', () => done()))
    const late = setTimeout(() => ending.kill('SIGKILL'), 10_000)
    ending.kill(signal)
    await ended
    clearTimeout(late)
  }

  return {
    url,
    start: async () => {
      const env = {
        ...process.env,
        WEIR_DATA: dataFolder,
        WEIR_PORT: '9443',
        WEIR_ENGINE_PORT: '9444',
        WEIR_ADMIN_PASSWORD: password,
        WEIR_DEMO: '0',
        ...more
      }
      const started = spawn(process.execPath, ['controller/main.ts'], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
      child = started
      for (const stream of [started.stdout, started.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk))
      await until('the controller is ready', 30_000, async () => {
        if (started.exitCode !== null) throw new Error(`it ended with ${started.exitCode}: ${Buffer.concat(said).toString()}`)
        return isReady(url)
      })
    },
    kill: () => end('SIGKILL'),
    call: (method, path, body) => rest.call(method, path, body),
    signal: signal => void child?.kill(signal),
    log: () => Buffer.concat(said).toString(),
    stop: async () => {
      await end('SIGTERM')
      rmSync(dataFolder, { recursive: true, force: true })
    }
  }
}
