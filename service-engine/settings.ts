/** What the engine is told by its environment and its command line. Read once, by `main.ts`. */
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { forwarderKinds, type ForwarderKind } from './dataplane/exchange/forwarder.ts'

export interface Settings {
  readonly dataFolder: string
  /** Where to join when there is no identity yet; '' when not told. */
  readonly controllerUrl: string
  readonly token: string
  /** Where the controller's engine port is, when it is no longer where it was at the join. */
  readonly channel: { readonly host: string; readonly port: number } | undefined
  readonly workers: number
  /** A file; `-` is standard output; '' writes none. */
  readonly accessLogPath: string
  /** Which HTTP codec the workers run. */
  readonly forwarder: ForwarderKind
  readonly name: string
}

export type Order =
  | { readonly is: 'run' }
  | { readonly is: 'join'; readonly controllerUrl: string; readonly token: string }
  | { readonly is: 'status' }
  | { readonly is: 'version' }
  /** For the engine itself: it starts the process that programs the kernel. */
  | { readonly is: 'kernel'; readonly table: string }

/** Something that no restart can mend; the message is one line for a person. Exit code 2. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

const MAX_WORKERS = 64
/** More than this rarely helps one host's traffic, and each costs memory; who has the cores says so. */
const DEFAULT_WORKERS = 4

function workersOf(text: string): number {
  if (text === '') return Math.min(DEFAULT_WORKERS, availableParallelism())
  if (!/^\d{1,3}$/.test(text) || Number(text) < 1 || Number(text) > MAX_WORKERS) {
    throw new Refused(`WEIR_WORKERS must be a number from 1 to ${MAX_WORKERS}, not "${text}"`)
  }
  return Number(text)
}

function forwarderOf(text: string): ForwarderKind {
  const kind = forwarderKinds.find(one => one === (text || 'wire'))
  if (kind === undefined) throw new Refused(`WEIR_FORWARDER must be one of ${forwarderKinds.join(', ')}, not "${text}"`)
  return kind
}

function channelOf(text: string): Settings['channel'] {
  if (text === '') return undefined
  const url = URL.parse(`wss://${text}`)
  const port = Number(url?.port || 443)
  if (url === null || url.pathname !== '/' || url.search !== '')
    throw new Refused(`WEIR_CHANNEL must look like controller:9444, not "${text}"`)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port }
}

/**
 * Reads the environment.
 *
 * Throws  Refused when a variable makes no sense
 */
export function readSettings(env: NodeJS.ProcessEnv, hostname: string): Settings {
  const controllerUrl = env['WEIR_CONTROLLER'] ?? ''
  if (controllerUrl !== '' && !URL.canParse(controllerUrl)) {
    throw new Refused(`WEIR_CONTROLLER must look like https://controller:9443, not "${controllerUrl}"`)
  }
  const name = env['WEIR_NAME'] || hostname
  if (name.length > 253) throw new Refused('WEIR_NAME must have at most 253 characters')
  const dataFolder = resolve(env['WEIR_DATA'] || join('.weir', 'engine'))
  const accessLog = env['WEIR_ACCESS_LOG'] ?? join(dataFolder, 'access.log')
  return {
    dataFolder,
    controllerUrl,
    token: env['WEIR_TOKEN'] ?? '',
    channel: channelOf(env['WEIR_CHANNEL'] ?? ''),
    workers: workersOf(env['WEIR_WORKERS'] ?? ''),
    accessLogPath: accessLog === '' || accessLog === '-' ? accessLog : resolve(accessLog),
    forwarder: forwarderOf(env['WEIR_FORWARDER'] ?? ''),
    name
  }
}

export const USAGE = 'usage: weir-engine [run | join --controller https://HOST:PORT [--token TOKEN] | status | version]'

/**
 * Reads the command line; nothing at all means `run`.
 *
 * Throws  Refused, with the usage
 */
export function readOrder(args: readonly string[], settings: Settings): Order {
  const [verb = 'run', ...rest] = args
  if (verb === 'join') {
    const { controller, token } = parseJoin(rest)
    const controllerUrl = controller ?? settings.controllerUrl
    if (controllerUrl === '') throw new Refused(`join needs --controller; ${USAGE}`)
    return { is: 'join', controllerUrl, token: token ?? settings.token }
  }
  if (verb === 'kernel' && rest.length === 1) return { is: 'kernel', table: rest[0]! }
  if (rest.length > 0 || (verb !== 'run' && verb !== 'status' && verb !== 'version')) throw new Refused(USAGE)
  return { is: verb }
}

function parseJoin(args: readonly string[]): { readonly controller?: string | undefined; readonly token?: string | undefined } {
  try {
    return parseArgs({ args: [...args], options: { controller: { type: 'string' }, token: { type: 'string' } } }).values
  } catch {
    throw new Refused(USAGE)
  }
}
