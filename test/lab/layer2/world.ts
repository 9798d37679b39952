/** Three engine hosts on one network with a controller, an origin and a client: what the lab tests of addresses that move start from. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'
import { makeController } from '../controller.ts'
import { engineStates, fieldsOf, invite, startServer } from '../fleet.ts'
import { startProgram } from '../kernel/network.ts'
import { mustRun, run, until } from '../run.ts'

const root = resolve(import.meta.dirname, '../../..')
const HERE = '10.90.0.254'
export const VIP = '10.90.0.100'
export const VIP6 = 'fd90::100'
export const names = ['e1', 'e2', 'e3'] as const
export type Name = (typeof names)[number]

export async function plugIn(host: string, last: number): Promise<void> {
  await mustRun(['ip', 'link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host])
  await mustRun(['ip', 'link', 'set', 'dev', host, 'master', 'br0', 'up'])
  await mustRun(['ip', '-n', host, 'address', 'add', `10.90.0.${last}/24`, 'dev', 'eth0'])
  await mustRun(['ip', '-n', host, 'address', 'add', `fd90::${last}/64`, 'dev', 'eth0', 'nodad'])
  await mustRun(['ip', '-n', host, 'link', 'set', 'eth0', 'up'])
}

async function makeNetwork(): Promise<void> {
  await mustRun(['mount', '-t', 'tmpfs', 'tmpfs', '/run'])
  await mustRun(['ip', 'link', 'add', 'br0', 'type', 'bridge'])
  await mustRun(['ip', 'address', 'add', `${HERE}/24`, 'dev', 'br0'])
  await mustRun(['ip', 'link', 'set', 'br0', 'up'])
  for (const [index, host] of [...names, 'client'].entries()) {
    await mustRun(['ip', 'netns', 'add', host])
    await mustRun(['ip', '-n', host, 'link', 'set', 'lo', 'up'])
    await plugIn(host, index + 1)
  }
}

/** Of one address, since it was reported last. */
export interface Seen {
  readonly answered: number
  readonly failed: number
  readonly longestMs: number
  /** New connections of clients that keep theirs. */
  readonly connected: number
}

export interface Wanted {
  /** Engines that the service runs on from the start. */
  readonly engines: number
  /** Of the virtual service, beside what it needs. */
  readonly service?: object
}

export async function makeWorld(t: Test, { engines, service = {} }: Wanted) {
  await makeNetwork()
  const controller = makeController(HERE)
  t.teardown(() => controller.stop())
  await controller.start()
  const server = await startServer('origin', HERE)
  t.teardown(() => server.stop())
  const must = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
    const answer = await controller.call(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return fieldsOf(answer.body) as Record<string, unknown>
  }

  const folder = Object.fromEntries(names.map(name => [name, mkdtempSync(join(tmpdir(), `${name}-`))])) as Record<Name, string>
  const children = new Map<Name, ChildProcess>()
  const start = (name: Name, token = ''): void => {
    const env = {
      ...process.env,
      WEIR_DATA: folder[name],
      WEIR_CONTROLLER: controller.url,
      WEIR_TOKEN: token,
      WEIR_NAME: name,
      WEIR_WORKERS: '1',
      WEIR_ACCESS_LOG: ''
    }
    const child = spawn('ip', ['netns', 'exec', name, process.execPath, join(root, 'service-engine/main.ts')], {
      env,
      stdio: ['ignore', 'pipe', 'pipe']
    })
    child.stderr.pipe(createWriteStream(join(folder[name], 'log'), { flags: 'a' }))
    children.set(name, child)
  }
  const signal = async (name: Name, what: NodeJS.Signals): Promise<void> => {
    const child = children.get(name)!
    const ended = new Promise<void>(done => child.once('exit', () => done()))
    child.kill(what)
    if (what === 'SIGKILL' || what === 'SIGTERM') await ended
  }
  t.teardown(() => {
    for (const child of children.values()) child.kill('SIGKILL')
  })
  const has = async (name: Name, address = VIP): Promise<boolean> =>
    (await run(['ip', '-n', name, 'address', 'show', 'dev', 'eth0'])).stdout.includes(` ${address}/`)
  const tables = (name: Name): Promise<string> => mustRun(['ip', 'netns', 'exec', name, 'nft', 'list', 'tables'])
  const owners = async (): Promise<Name[]> => {
    const found: Name[] = []
    for (const name of names) if (await has(name)) found.push(name)
    return found
  }
  const owner = async (): Promise<Name> => {
    await until('one engine owns the address', 20_000, async () => (await owners()).length === 1)
    return (await owners())[0]!
  }
  const placedOn = async (): Promise<Record<string, unknown>[]> => {
    const { results } = fieldsOf((await controller.call('GET', '/api/virtualservice')).body) as { results?: { uuid: string }[] }
    const runtime = fieldsOf((await controller.call('GET', `/api/virtualservice/${results?.[0]?.uuid ?? ''}/runtime`)).body)
    return (runtime['placed_on'] ?? []) as Record<string, unknown>[]
  }
  /** So many engines run it, and the controller knows as the owner, and as primary, who has the address. */
  const untilWhole = async (wanted = engines): Promise<void> => {
    await until('its engines run it, and all agree on the owner', 60_000, async () => {
      const places = await placedOn()
      const [only, ...others] = await owners()
      const primary = places.find(place => place['primary'] === true)
      return (
        places.length === wanted &&
        places.every(place => place['phase'] === 'running' && place['state'] === 'OPER_UP') &&
        others.length === 0 &&
        primary?.['engine_name'] === only &&
        primary?.['owns_addresses'] === true
      )
    })
  }

  for (const name of names) start(name, (await invite(controller)).token)
  await until('three engines are up', 60_000, async () => {
    const states = await engineStates(controller)
    return names.every(name => states[name] === 'OPER_UP')
  })
  const group = await must('GET', '/api/serviceenginegroup?name=Default-Group')
  const [settings] = group['results'] as Record<string, unknown>[]
  await must('PUT', `/api/serviceenginegroup/${String(settings!['uuid'])}`, {
    ...settings,
    address_mode: 'L2',
    min_scaleout_per_vs: engines
  })
  const v4 = (addr: string): object => ({ addr, type: 'V4' })
  await must('POST', '/api/pool', { name: 'p', servers: [{ ip: v4(server.host), port: server.port }] })
  const vip = { vip_id: '1', ip_address: v4(VIP), ip6_address: { addr: VIP6, type: 'V6' } }
  await must('POST', '/api/vsvip', { name: 'v', vip: [vip] })
  const refs = { vsvip_ref: '/api/vsvip?name=v', pool_ref: '/api/pool?name=p' }
  const made = await must('POST', '/api/virtualservice', { name: 's', ...refs, services: [{ port: 80 }], ...service })

  const client = startProgram(t, 'client', '../layer2/client.ts')
  const report = async (): Promise<Seen[]> => Object.values((await client.ask({ report: true }, 'seen')) as Record<string, Seen>)
  const uuid = String(made['uuid'])
  return { controller, client, report, must, start, signal, children, has, tables, owners, owner, placedOn, untilWhole, uuid }
}
