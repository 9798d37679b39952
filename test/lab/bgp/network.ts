/** A router with BIRD, a client behind it, and hosts of engines with BIRD beside it on one switch: the root network's bridge. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { mustRun, run } from '../run.ts'

export const HERE = '10.90.0.254'
/** The servers' own, so that an engine can lose them and keep the controller. */
export const ORIGIN = '10.90.0.253'
const ROUTER = 250
const sample = join(import.meta.dirname, '../../../docs/bird.conf')

async function plugIn(host: string, last: number): Promise<void> {
  await mustRun(['ip', 'link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host])
  await mustRun(['ip', 'link', 'set', 'dev', host, 'master', 'br0', 'up'])
  await mustRun(['ip', '-n', host, 'address', 'add', `10.90.0.${last}/24`, 'dev', 'eth0'])
  await mustRun(['ip', '-n', host, 'address', 'add', `fd90::${last}/64`, 'dev', 'eth0', 'nodad'])
  await mustRun(['ip', '-n', host, 'link', 'set', 'eth0', 'up'])
  if (last === ROUTER) return
  await mustRun(['ip', '-n', host, 'route', 'add', 'default', 'via', `10.90.0.${ROUTER}`])
  await mustRun(['ip', '-n', host, 'route', 'add', 'default', 'via', `fd90::${ROUTER}`])
}

/** Engines' hosts are numbered from 1 on, in the order of their names. */
export async function makeNetwork(engines: readonly string[]): Promise<void> {
  await mustRun(['mount', '-t', 'tmpfs', 'tmpfs', '/run'])
  await mustRun(['ip', 'link', 'add', 'br0', 'type', 'bridge'])
  for (const address of [`${HERE}/24`, `${ORIGIN}/24`]) await mustRun(['ip', 'address', 'add', address, 'dev', 'br0'])
  await mustRun(['ip', 'link', 'set', 'br0', 'up'])
  for (const host of ['router', 'client', ...engines]) {
    await mustRun(['ip', 'netns', 'add', host])
    await mustRun(['ip', '-n', host, 'link', 'set', 'lo', 'up'])
  }
  await plugIn('router', ROUTER)
  for (const [index, host] of engines.entries()) await plugIn(host, index + 1)
  await mustRun(['ip', '-n', 'router', 'link', 'add', 'client', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'client'])
  for (const [at, link, end] of [
    ['router', 'client', 1],
    ['client', 'eth0', 2]
  ] as const) {
    await mustRun(['ip', '-n', at, 'address', 'add', `10.91.0.${end}/24`, 'dev', link])
    await mustRun(['ip', '-n', at, 'address', 'add', `fd91::${end}/64`, 'dev', link, 'nodad'])
    await mustRun(['ip', '-n', at, 'link', 'set', link, 'up'])
  }
  await mustRun(['ip', '-n', 'client', 'route', 'add', 'default', 'via', '10.91.0.1'])
  await mustRun(['ip', '-n', 'client', 'route', 'add', 'default', 'via', 'fd91::1'])
  // A way is chosen by addresses and ports: each connection has its own.
  const set = (host: string, name: string): Promise<unknown> =>
    mustRun(['ip', 'netns', 'exec', host, 'sh', '-c', `echo 1 >/proc/sys/${name.replaceAll('.', '/')}`])
  const settings = ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding', 'net.ipv4.fib_multipath_hash_policy']
  for (const name of [...settings, 'net.ipv6.fib_multipath_hash_policy']) await set('router', name)
  // As installers do: what waits at a port that closes goes to the next process.
  for (const host of engines) await set(host, 'net.ipv4.tcp_migrate_req')
}

/** The host has power again: a new cable, as the first. */
export const plugInAgain = (host: string, number: number): Promise<void> => plugIn(host, number)

/** As a host of an engine has it: the sample of the documentation, with this host's address. */
const ofEngine = (number: number): string =>
  readFileSync(sample, 'utf8')
    .replaceAll('10.90.0.1 ', `10.90.0.${number} `)
    .replaceAll('10.90.0.1;', `10.90.0.${number};`)
    .replaceAll('fd90::1 ', `fd90::${number} `)

const bfd = `protocol bfd { interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }`

function ofRouter(engines: readonly string[]): string {
  const neighbours = engines.flatMap((name, index) =>
    (
      [
        ['v4', '10.90.0.', 'ipv4'],
        ['v6', 'fd90::', 'ipv6']
      ] as const
    ).map(
      ([short, network, family]) =>
        `protocol bgp ${name}_${short} { local ${network}${ROUTER} as 65000; neighbor ${network}${index + 1} as 65001; bfd on; connect delay time 1; connect retry time 5; error wait time 1, 10; ${family} { import all; export none; }; }`
    )
  )
  return [
    `router id 10.90.0.${ROUTER};`,
    'protocol device { }',
    bfd,
    'protocol kernel { merge paths on; ipv4 { import none; export all; }; }',
    'protocol kernel { merge paths on; ipv6 { import none; export all; }; }',
    ...neighbours
  ].join('\n')
}

export interface Bird {
  /** Of its commands. */
  readonly socket: string
  readonly ask: (...words: readonly string[]) => Promise<string>
  readonly kill: (signal: NodeJS.Signals) => Promise<void>
}

export function startBird(t: Pick<Test, 'teardown'>, host: string, engines: readonly string[]): Bird {
  // The same each time: an engine that goes on asks at the same place.
  const folder = join(tmpdir(), `bird-${host}`)
  mkdirSync(folder, { recursive: true })
  const number = engines.indexOf(host) + 1
  writeFileSync(join(folder, 'bird.conf'), number === 0 ? ofRouter(engines) : ofEngine(number))
  const socket = join(folder, 'ctl')
  const files = ['-c', join(folder, 'bird.conf'), '-s', socket]
  const child: ChildProcess = spawn('ip', ['netns', 'exec', host, 'bird', '-f', ...files], { stdio: ['ignore', 'inherit', 'inherit'] })
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    await ended
  }
  t.teardown(() => kill('SIGKILL'))
  return { kill, socket, ask: async (...words) => (await run(['birdc', '-r', '-s', socket, ...words])).stdout }
}

/** From here on the router remembers which ways it sent the packets of each connection: by the client's port. */
export async function rememberWays(): Promise<void> {
  const families = [
    ['ipv4', 'ip'],
    ['ipv6', 'ip6']
  ] as const
  const sets = families.map(([name]) => `set ${name} { type inet_service . ${name}_addr; flags dynamic,timeout; timeout 20s; size 65535; }`)
  const rules = families.map(([name, ip]) => `tcp dport 80 meta nfproto ${name} add @${name} { tcp sport . rt ${ip} nexthop }`)
  const chain = ['chain forward {', 'type filter hook forward priority 0;', ...rules, '}']
  const table = ['table inet ways {', ...sets, ...chain, '}', ''].join('\n')
  await mustRun(['ip', 'netns', 'exec', 'router', 'nft', '-f', '-'], { input: table })
}

/** Engines that the packets of a connection went to, by family and the client's port: more than one when the router sent it elsewhere. */
export async function waysTaken(engines: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const taken = new Map<string, string[]>()
  for (const family of ['ipv4', 'ipv6']) {
    const { stdout } = await run(['ip', 'netns', 'exec', 'router', 'nft', '-j', 'list', 'set', 'inet', 'ways', family])
    const { nftables } = JSON.parse(stdout) as { nftables: { set?: { elem?: { elem: { val: { concat: [number, string] } } }[] } }[] }
    for (const { elem } of nftables.flatMap(({ set }) => set?.elem ?? [])) {
      const [port, gateway] = elem.val.concat
      const key = `${family} ${port}`
      taken.set(key, [...(taken.get(key) ?? []), engines[Number(gateway.split(/[.:]/).at(-1)) - 1] ?? gateway])
    }
  }
  return taken
}

/** Engines that the router sends packets for an address to, by name. */
export async function waysTo(address: string, engines: readonly string[]): Promise<readonly string[]> {
  const family = address.includes(':') ? '-6' : '-4'
  const { stdout } = await run(['ip', '-n', 'router', family, '-j', 'route', 'show', 'exact', `${address}`])
  const routes = JSON.parse(stdout.trim() || '[]') as readonly { gateway?: string; nexthops?: readonly { gateway: string }[] }[]
  const gateways = new Set(
    routes.flatMap(({ gateway, nexthops = [] }) => [...(gateway === undefined ? [] : [gateway]), ...nexthops.map(one => one.gateway)])
  )
  return engines.filter((_, index) => gateways.has(`10.90.0.${index + 1}`) || gateways.has(`fd90::${index + 1}`))
}
