/** The controller's environment, read and checked once. */
import { resolve } from 'node:path'
import type { DemoSettings } from './demo.ts'

export interface Settings {
  readonly dataFolder: string
  readonly host: string
  readonly port: number
  readonly enginePort: number
  readonly adminPassword: string | undefined
  /** Names and addresses beside this host's own that the server's certificate is for. */
  readonly hostnames: readonly string[]
  readonly demo: DemoSettings | undefined
  /** Of Docker or Podman, where the driver of containers makes engines; '' for none. */
  readonly containerSocket: string
  /** Webhooks may lie on this host. */
  readonly isLoopbackWebhookAllowed: boolean
}

/** What a person got wrong: told in one line, exit code 2. */
export class SettingsRefused extends Error {
  override readonly name = 'SettingsRefused'
}

export type Order = { readonly is: 'run' } | { readonly is: 'restore'; readonly file: string; readonly isForced: boolean }

/**
 * Reads the command line; nothing at all means `run`.
 *
 * Throws  SettingsRefused, with the usage
 */
export function readOrder(args: readonly string[]): Order {
  if (args.length === 0) return { is: 'run' }
  const [verb, ...rest] = args
  const names = rest.filter(arg => arg !== '--force')
  if (verb !== 'restore' || names.length !== 1 || rest.length - names.length > 1)
    throw new SettingsRefused('usage: controller/main.ts [restore FILE [--force]], the passphrase on standard input')
  return { is: 'restore', file: resolve(names[0]!), isForced: rest.length > names.length }
}

export const PASSWORD_MIN_LENGTH = 8

function portIn(env: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const text = env[name]
  if (text === undefined || text === '') return otherwise
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (!(port >= 0 && port <= 65535)) throw new SettingsRefused(`${name} must be a port from 0 to 65535, not "${text}"`)
  return port
}

function socketIn(text: string): string {
  const path = text.replace(/^unix:\/\//, '')
  if (path !== '' && !path.startsWith('/')) throw new SettingsRefused(`WEIR_CONTAINER_SOCKET must be the path of a socket, not "${text}"`)
  return path
}

const listIn = (env: NodeJS.ProcessEnv, name: string): readonly string[] =>
  (env[name] ?? '')
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')

/** Throws SettingsRefused for a bad variable; port 0 picks a free one. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const adminPassword = env['WEIR_ADMIN_PASSWORD'] || undefined
  if (adminPassword !== undefined && adminPassword.length < PASSWORD_MIN_LENGTH) {
    throw new SettingsRefused(`WEIR_ADMIN_PASSWORD must have at least ${PASSWORD_MIN_LENGTH} characters`)
  }
  const demoServers = env['WEIR_DEMO'] === '0' ? [] : listIn(env, 'WEIR_DEMO_SERVERS')
  for (const server of demoServers) {
    if (!/^\d{1,3}(\.\d{1,3}){3}:\d{1,5}$/.test(server))
      throw new SettingsRefused(`WEIR_DEMO_SERVERS must be a list of address:port, not "${server}"`)
  }
  return {
    dataFolder: resolve(env['WEIR_DATA'] || '.weir'),
    host: env['WEIR_HOST'] || '::',
    port: portIn(env, 'WEIR_PORT', 9443),
    enginePort: portIn(env, 'WEIR_ENGINE_PORT', 9444),
    adminPassword,
    hostnames: listIn(env, 'WEIR_HOSTNAMES'),
    containerSocket: socketIn(env['WEIR_CONTAINER_SOCKET'] ?? ''),
    isLoopbackWebhookAllowed: env['WEIR_WEBHOOK_LOOPBACK'] === '1',
    demo: demoServers.length > 0 ? { port: portIn(env, 'WEIR_DEMO_PORT', 8080), servers: demoServers } : undefined
  }
}
