/**
 * Layer 4 between network namespaces: `node kernel.ts [--seconds n] [--rounds n] [--json]`. The same load to the same server directly, through the
 * kernel as the engine programs it, through the engine's user space, and through HAProxy (splice, log on). Needs root, nft,
 * conntrack, nginx, haproxy and wrk. It runs itself again in namespaces of its own; nothing outside is touched.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { aListener, aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { lacking, toolPath } from '#test/lab/needs.ts'
import { addresses, inHost, makeNetwork, startProgram } from '#test/lab/kernel/network.ts'
import { until } from '#test/lab/run.ts'
import { median } from './report.ts'

const mark = 'WEIR_BENCH_INSIDE'
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false }
  }
})
const ports = { kernel: 80, userSpace: 81, haproxy: 82 } as const
const contenders = [
  ['direct', `http://${addresses.one}:8000`],
  ['Weir, kernel', `http://${addresses.engine}:${ports.kernel}`],
  ['Weir, user space', `http://${addresses.engine}:${ports.userSpace}`],
  ['HAProxy', `http://${addresses.engine}:${ports.haproxy}`]
] as const
const loads = [
  { name: 'small', title: '65-byte answers, 64 connections', path: '/small', connections: 64 },
  { name: '1m', title: '1 MB answers, 16 connections', path: '/1m', connections: 16 }
] as const

const nginxConf = (folder: string): string => `
daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; sendfile on;
  server {
    listen 8000; root ${folder};
    location /small { return 200 "${'x'.repeat(65)}"; }
  }
}`
const haproxyConf = `
global
  log 127.0.0.1:9514 local0
  maxconn 4096
  nbthread 1
defaults
  mode tcp
  log global
  option tcplog
  option splice-auto
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen l4
  bind ${addresses.engine}:${ports.haproxy}
  server one ${addresses.one}:8000
`

async function perSecond(url: string, connections: number, seconds: number): Promise<number> {
  const { stdout } = await inHost('client', 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, url)
  return Number(/Requests\/sec:\s*([\d.]+)/.exec(stdout)?.[1] ?? NaN)
}

async function measure(): Promise<void> {
  const ends: (() => Promise<void> | void)[] = []
  const scope = { teardown: (end: () => Promise<void> | void) => ends.push(end) } as never
  await makeNetwork()
  await inHost('engine', 'sysctl', '-w', 'net.ipv4.ip_forward=1')
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  writeFileSync(join(folder, '1m'), Buffer.alloc(1 << 20))
  writeFileSync(join(folder, 'nginx.conf'), nginxConf(folder))
  writeFileSync(join(folder, 'haproxy.cfg'), haproxyConf)
  const start = (host: string, ...command: readonly string[]): void => {
    const child = spawn('ip', ['netns', 'exec', host, ...command], { stdio: ['ignore', 'ignore', 'inherit'] })
    ends.push(() => void child.kill('SIGKILL'))
  }
  start('one', 'nginx', '-c', join(folder, 'nginx.conf'))
  start('engine', 'haproxy', '-db', '-f', join(folder, 'haproxy.cfg'))
  const engine = startProgram(scope, 'engine', 'engine.ts', folder)
  await until('the engine runs', 20_000, async () => engine.facts.some(fact => 'abilities' in fact))
  const service = (id: string, port: number) =>
    aService({ id, application: 'tcp', listeners: [aListener({ address: addresses.engine, port })], tcp: { idleTimeoutMs: 300_000 } })
  const snapshot = aSnapshot({
    services: [{ ...service('vs-1', ports.kernel), forwarding: 'kernel' }, service('vs-2', ports.userSpace)],
    pools: [aPool([aServer(8000, { host: addresses.one })])]
  })
  const violations = await engine.ask(snapshot, 'violations')
  if (JSON.stringify(violations) !== '[]') throw new Error(JSON.stringify(violations))
  await until('the kernel forwards', 10_000, async () => (await inHost('engine', 'nft', 'list', 'ruleset')).stdout.includes('dnat'))
  for (const [, url] of contenders) await until(`${url} answers`, 10_000, async () => (await perSecond(`${url}/small`, 1, 1)) > 0)

  for (const { name, title, path, connections } of loads) {
    const seen = new Map<string, number[]>(contenders.map(([contender]) => [contender, []]))
    for (let round = 0; round < Number(values.rounds); round++)
      for (const [contender, url] of contenders) seen.get(contender)!.push(await perSecond(url + path, connections, Number(values.seconds)))
    const result = [...seen].map(([contender, rounds]) => ({
      contender,
      requestsPerS: Math.round(median(rounds)),
      rounds: rounds.map(Math.round)
    }))
    const peer = result.find(row => row.contender === 'HAProxy')!.requestsPerS
    if (values.json) console.log(JSON.stringify({ case: `tcp-kernel-${name}`, result }))
    else {
      console.log(`\n${title}, requests/s (all rounds)`)
      for (const { contender, requestsPerS, rounds } of result)
        console.log(
          `  ${contender.padEnd(18)} ${String(requestsPerS).padStart(8)}  ${(requestsPerS / peer).toFixed(2)} of HAProxy  (${rounds.join(' ')})`
        )
    }
  }
  for (const end of ends.toReversed()) await end()
  rmSync(folder, { recursive: true, force: true })
}

if (process.env[mark] === '1') {
  await measure()
  process.exit(0)
}
const missing = lacking(['nft', 'conntrack', 'nginx', 'haproxy', 'wrk'])
if (missing !== undefined) {
  console.error(`cannot measure here: ${missing}`)
  process.exit(2)
}
const inside = [
  'unshare',
  '--net',
  '--mount',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
  'sh',
  '-c',
  'ip link set lo up && "$@"',
  'sh'
]
const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...inside, process.execPath, ...process.argv.slice(1)], {
  stdio: 'inherit',
  env: { ...process.env, PATH: toolPath, [mark]: '1' }
})
child.on('close', code => process.exit(code ?? 1))
