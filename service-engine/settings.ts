/** What the engine is told by its environment and its command line. Read once, by `main.ts`. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { ScriptUser } from './monitor/probe.ts'
import { forwarderKinds, type ForwarderKind } from './dataplane/exchange/forwarder.ts'

export interface Settings {
  readonly dataFolder: string
  /** Where to join when there is no identity yet; '' when not told. */
  readonly controllerUrl: string
  readonly token: string
  /** Read for the token at the first start, when `token` is ''; '' for none. */
  readonly tokenFile: string
  /** Where systemd starts the process that programs the kernel; null: nowhere. */
  readonly kernelSocket: string | null
  /** Where systemd starts the process that changes the program; null: nowhere. */
  readonly upgradeSocket: string | null
  /** Where the controller's engine port is, when it is no longer where it was at the join. */
  readonly channel: { readonly host: string; readonly port: number } | undefined
  readonly workers: number
  /** A file; `-` is standard output; '' writes none. */
  readonly accessLogPath: string
  /** Which HTTP codec the workers run. */
  readonly forwarder: ForwarderKind
  readonly name: string
  /** Who scripts of health monitors run as; null: none are run. */
  readonly scriptUser: ScriptUser | null
  /** UDP, where engines of a group hear each other; opened only for addresses that move (`address_mode` L2). */
  readonly peerPort: number
  /** Where the BIRD of this host takes questions; asked only where addresses are announced (`address_mode` BGP). */
  readonly birdSocket: string
  /** Which interface has such an address when it is in no network of this host; '' for none. */
  readonly vipInterface: string
}

export type Order =
  | { readonly is: 'run' }
  | { readonly is: 'join'; readonly controllerUrl: string; readonly token: string }
  /** As `run`, in the place of the engine that runs. */
  | { readonly is: 'takeover' }
  /** Starts a process that takes over, and ends when it has. */
  | { readonly is: 'reload' }
  | { readonly is: 'status' }
  | { readonly is: 'version' }
  /** For the engine itself: it starts the process that programs the kernel. */
  | { readonly is: 'kernel'; readonly table: string }
  /** For the part of the host that changes the program: is the order on standard input one that it carries out? */
  | { readonly is: 'check-order'; readonly pin: string; readonly engineId: string }
  /** As `kernel`, started by systemd for a connection to its socket. */
  | { readonly is: 'kernel-peer'; readonly socketPath: string; readonly instance: string }

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

const DEFAULT_PEER_PORT = 9445

function peerPortOf(text: string): number {
  if (text === '') return DEFAULT_PEER_PORT
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535)
    throw new Refused(`WEIR_PEER_PORT must be a port from 1 to 65535, not "${text}"`)
  return Number(text)
}

function interfaceOf(text: string): string {
  if (text === '' || /^[A-Za-z0-9_.@-]{1,15}$/.test(text)) return text
  throw new Refused(`WEIR_VIP_INTERFACE must be the name of an interface, not "${text}"`)
}

function forwarderOf(text: string): ForwarderKind {
  const kind = forwarderKinds.find(one => one === (text || 'wire'))
  if (kind === undefined) throw new Refused(`WEIR_FORWARDER must be one of ${forwarderKinds.join(', ')}, not "${text}"`)
  return kind
}

/**
 * Who scripts of health monitors run as.
 *
 * Shapes  text: a user's name or number; '' for nobody
 *         accounts: as in passwd(5)
 *         ownUid: of this process, which only as root can run anything as somebody else
 * Throws  Refused when there is no such user, or it is root, or it cannot be become
 */
export function scriptUserOf(text: string, accounts: string, ownUid: number): ScriptUser | null {
  if (text === '') return null
  const rows = accounts.split('\n').map(line => line.split(':'))
  const row = rows.find(fields => fields.length >= 4 && (fields[0] === text || fields[2] === text))
  const uid = Number(row?.[2])
  const gid = Number(row?.[3])
  if (row === undefined || !Number.isInteger(uid) || !Number.isInteger(gid))
    throw new Refused(`WEIR_EXTERNAL_MONITORS must be a user of this host, not "${text}"`)
  if (uid === 0) throw new Refused('WEIR_EXTERNAL_MONITORS must not be root')
  if (ownUid !== 0 && ownUid !== uid)
    throw new Refused(`WEIR_EXTERNAL_MONITORS must be the user that the engine runs as, unless that is root, not "${text}"`)
  return { uid, gid }
}

function readAccounts(): string {
  try {
    return readFileSync('/etc/passwd', 'utf8')
  } catch {
    return ''
  }
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
    tokenFile: env['WEIR_TOKEN_FILE'] ?? '',
    kernelSocket: env['WEIR_KERNEL_SOCKET'] || null,
    upgradeSocket: env['WEIR_UPGRADE_SOCKET'] || null,
    channel: channelOf(env['WEIR_CHANNEL'] ?? ''),
    workers: workersOf(env['WEIR_WORKERS'] ?? ''),
    accessLogPath: accessLog === '' || accessLog === '-' ? accessLog : resolve(accessLog),
    forwarder: forwarderOf(env['WEIR_FORWARDER'] ?? ''),
    name,
    scriptUser: scriptUserOf(env['WEIR_EXTERNAL_MONITORS'] ?? '', readAccounts(), process.getuid?.() ?? 0),
    peerPort: peerPortOf(env['WEIR_PEER_PORT'] ?? ''),
    vipInterface: interfaceOf(env['WEIR_VIP_INTERFACE'] ?? ''),
    birdSocket: env['WEIR_BIRD_SOCKET'] || '/run/bird/bird.ctl'
  }
}

export const USAGE = 'usage: weir-engine [run | join --controller https://HOST:PORT [--token TOKEN] | status | reload | version]'

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
  if (verb === 'check-order' && rest.length === 2) return { is: 'check-order', pin: rest[0]!, engineId: rest[1]! }
  if (verb === 'kernel-peer' && rest.length === 2) return { is: 'kernel-peer', socketPath: rest[0]!, instance: rest[1]! }
  if (rest.length > 0 || !isPlain(verb)) throw new Refused(USAGE)
  return { is: verb }
}

const plain = ['run', 'takeover', 'reload', 'status', 'version'] as const
const isPlain = (verb: string): verb is (typeof plain)[number] => (plain as readonly string[]).includes(verb)

function parseJoin(args: readonly string[]): { readonly controller?: string | undefined; readonly token?: string | undefined } {
  try {
    return parseArgs({ args: [...args], options: { controller: { type: 'string' }, token: { type: 'string' } } }).values
  } catch {
    throw new Refused(USAGE)
  }
}
