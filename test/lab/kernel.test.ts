/** Forwarding in the kernel, on four hosts: who is served, by whom, what is counted, what is left when it ends - however it ends. */
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Sample } from '#model/message/message.ts'
import type { MonitorSpec, PoolPart, ServerSpec, Snapshot, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { aListener, aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { labTest } from './enter.ts'
import { addresses, addresses6, inHost, makeNetwork, startProgram, type Program } from './kernel/network.ts'
import { until } from './run.ts'
import { scenario } from './scenario.ts'

const monitor: MonitorSpec = {
  id: 'hm-1',
  name: 'tcp',
  probe: { is: 'tcp', request: null, response: null, maintenanceResponse: null, isHalfOpen: false },
  sendIntervalMs: 1_000,
  receiveTimeoutMs: 900,
  successfulChecks: 1,
  failedChecks: 1,
  port: 7001,
  isQuickStart: true
}
const one = (given: Partial<ServerSpec> = {}): ServerSpec => aServer(7000, { host: addresses.one, ...given })
const two = (given: Partial<ServerSpec> = {}): ServerSpec => aServer(7000, { host: addresses.two, ...given })

interface Wanted {
  readonly services?: readonly VirtualServicePart[]
  readonly servers?: readonly ServerSpec[]
  readonly pool?: Partial<PoolPart>
}
let revision = 0
const snapshotOf = ({ services = [tcp(), udp()], servers = [one(), two()], pool = {} }: Wanted): Snapshot =>
  aSnapshot({
    revision: ++revision,
    services,
    pools: [aPool(servers, { monitors: [monitor], gracefulDisableS: 2, ...pool })],
    drainTimeoutS: 2
  })
const tcp = (given: Partial<VirtualServicePart> = {}): VirtualServicePart =>
  aService({
    application: 'tcp',
    forwarding: 'kernel',
    listeners: [aListener({ address: addresses.engine, port: 80 })],
    tcp: { idleTimeoutMs: 300_000 },
    ...given
  })
const udp = (given: Partial<VirtualServicePart> = {}): VirtualServicePart =>
  tcp({
    id: 'vs-2',
    application: 'udp',
    listeners: [aListener({ address: addresses.engine, port: 53, protocol: 'udp' })],
    tcp: { idleTimeoutMs: 10_000 },
    ...given
  })

async function ruleset(): Promise<string> {
  return (await inHost('engine', 'nft', 'list', 'ruleset')).stdout
}

async function scenarios(): Promise<void> {
  await makeNetwork()
  const dataFolder = mkdtempSync(join(tmpdir(), 'engine-'))
  const servers = { one: startProgram(t, 'one', 'server.ts', 'one'), two: startProgram(t, 'two', 'server.ts', 'two') }
  const client = startProgram(t, 'client', 'client.ts')
  const here = startProgram(t, 'engine', 'client.ts')
  const startEngine = async (): Promise<Program> => {
    const engine = startProgram(t, 'engine', 'engine.ts', dataFolder)
    await until('the engine runs', 20_000, async () => engine.facts.some(fact => 'abilities' in fact))
    return engine
  }
  let engine = await startEngine()
  const load = async (wanted: Wanted): Promise<void> => void t.same(await engine.ask(snapshotOf(wanted), 'violations'), [])
  const ask = async (order: object, of: Program = client): Promise<string[]> => (await of.ask(order, 'answer')) as string[]
  const overTcp = (times: number, of = client): Promise<string[]> => ask({ tcp: addresses.engine, port: 80, times }, of)
  const overUdp = (times: number): Promise<string[]> => ask({ udp: addresses.engine, port: 53, times })
  const inKernel = (): Promise<number> => until('the kernel forwards', 20_000, async () => (await ruleset()).includes('dnat'))
  /** Names of the servers that answered, each once. */
  const names = (answers: readonly string[]): string[] => [...new Set(answers.map(answer => answer.split(' ')[0]!))].toSorted()
  const untilOnly = (wanted: readonly string[]): Promise<number> =>
    until(`${wanted.join()} answer`, 20_000, async () => {
      const seen = names([...(await overTcp(4)), ...(await overUdp(4))])
      return seen.join() === wanted.join()
    })
  const sample = (): Sample | undefined => engine.facts.findLast(fact => 'sample' in fact)?.['sample'] as Sample | undefined

  await scenario(t, 'a host that does not pass packets on is served by user space', async t => {
    await load({})
    await untilOnly(['one', 'two'])
    t.notMatch(await ruleset(), /table/)
    return undefined
  })

  await scenario(t, 'connections and sessions are forwarded by the kernel, shared by turns', async t => {
    for (const name of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) await inHost('engine', 'sysctl', '-w', `${name}=1`)
    await load({})
    await inKernel()
    const answers = await overTcp(10)
    t.same(answers.toSorted(), [...Array<string>(5).fill('one 10.80.2.1 hi'), ...Array<string>(5).fill('two 10.80.3.1 hi')])
    t.same(names(await overUdp(4)), ['one', 'two'])
    t.match((await inHost('engine', 'ss', '-Htn', 'state', 'established', 'sport', '=', ':80')).stdout.trim(), /^$/)
    return undefined
  })

  await scenario(t, 'what the kernel forwards is counted', async t => {
    const totals = () => sample()?.virtualServices.find(one => one.id === 'vs-1')?.totals
    await until('a sample', 10_000, async () => totals() !== undefined)
    const before = totals()!
    t.equal(await ask({ send: addresses.engine, port: 80, bytes: 1_000_000 }), '1000000')
    await until('the bytes are counted', 10_000, async () => (totals()?.bytesOut ?? 0) >= before.bytesOut + 1_000_000)
    await until('the connections are counted', 10_000, async () => (totals()?.connections ?? 0) >= 11)
    const { bytesIn, bytesOut } = totals()!
    t.ok(bytesIn - before.bytesIn >= 1_000_000 && bytesIn - before.bytesIn < 1_300_000, `${bytesIn - before.bytesIn} bytes in`)
    t.ok(bytesOut - before.bytesOut < 1_300_000, `${bytesOut - before.bytesOut} bytes out`)
    const all = sample()!
    const sum = all.servers.reduce((total, server) => total + server.totals.bytesOut, 0)
    t.equal(sum, all.pools[0]!.totals.bytesOut)
    t.ok(sum >= bytesOut)
    return undefined
  })

  await scenario(t, 'clients on the host itself are forwarded as well', async t => {
    t.same(names(await overTcp(4, here)), ['one', 'two'])
    return undefined
  })

  await scenario(t, 'weights', async t => {
    await load({ servers: [one({ weight: 3 }), two()] })
    await until('three to one', 10_000, async () => {
      const answers = await overTcp(8)
      return answers.filter(answer => answer.startsWith('one')).length === 6
    })
    t.pass('three to one')
    return undefined
  })

  await scenario(t, 'a hash of the source keeps a client with one server', async t => {
    await load({ pool: { algorithm: { is: 'consistent-hash', by: 'source-address', header: null } } })
    await until('the hash stands', 10_000, async () => (await ruleset()).includes('jhash'))
    t.equal(names(await overTcp(8)).length, 1)
    await load({})
    await untilOnly(['one', 'two'])
    return undefined
  })

  await scenario(t, 'a sick server gets nothing new, for both protocols, and is back when it is well', async t => {
    servers.one.tell('sick')
    const tookMs = await untilOnly(['two'])
    servers.one.tell('well')
    await untilOnly(['one', 'two'])
    t.pass('and back')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'a disabled server keeps what it has for its grace, then it is cut', async t => {
    await load({ servers: [one()] })
    await untilOnly(['one'])
    t.match(await ask({ open: 'a', host: addresses.engine, port: 80, text: 'x' }), 'one')
    await load({ servers: [one({ isEnabled: false }), two()], pool: { gracefulDisableS: 3 } })
    await untilOnly(['two'])
    t.match(await ask({ say: 'a', text: 'still' }), 'one', 'goes on')
    await until('cut', 15_000, async () => String(await ask({ say: 'a', text: 'now' })) === 'ECONNRESET')
    return undefined
  })

  await scenario(t, 'servers see the client where it is preserved, and nothing else serves it', async t => {
    await load({ services: [tcp({ forwarding: 'kernel-only' }), udp({ forwarding: 'kernel-only' })] })
    await until('they see the client', 15_000, async () => (await overTcp(2)).every(answer => answer.includes(addresses.client)))
    t.ok((await overUdp(2)).every(answer => answer.includes(addresses.client)))
    await load({ services: [tcp({ forwarding: 'kernel-only' })], pool: { algorithm: { is: 'least-connections' } } })
    await until('user space refuses', 15_000, async () => (await overTcp(1)).every(answer => answer === 'ECONNRESET'))
    await until('without a service there is no table', 15_000, async () => !(await ruleset()).includes('table'))
    return undefined
  })

  await scenario(t, 'IPv6, and all addresses of the host', async t => {
    const listeners = [aListener({ address: '::', port: 80 })]
    await load({ services: [tcp({ listeners })], servers: [one({ host: addresses6.one })] })
    await inKernel()
    t.match(await ask({ tcp: addresses6.engine, port: 80, times: 2 }), ['one fd80:2::1 hi', 'one fd80:2::1 hi'])
    return undefined
  })

  await scenario(t, 'a service on loopback reaches servers on loopback', async t => {
    const services = [tcp({ listeners: [aListener({ address: '127.0.0.1', port: 8000 })] })]
    const local = startProgram(t, 'engine', 'server.ts', 'local')
    await load({ services, servers: [aServer(7000)] })
    await until('it is forwarded', 15_000, async () => (await ruleset()).includes('dnat ip to 127.0.0.1:7000'))
    const answers = () => ask({ tcp: '127.0.0.1', port: 8000, times: 2 }, here)
    await until('it answers', 15_000, async () => (await answers()).join() === 'local 127.0.0.1 hi,local 127.0.0.1 hi')
    t.match((await inHost('engine', 'ss', '-Htna', 'sport', '=', ':8000')).stdout.trim(), /^LISTEN[^\n]*$/, 'past user space')
    await local.kill('SIGKILL')
    return undefined
  })

  await scenario(t, 'connections of a service that is removed go on for the drain time', async t => {
    await load({ services: [tcp()] })
    await until('the kernel forwards', 15_000, async () => (await ruleset()).includes(`${addresses.engine} . 80`))
    t.match(await ask({ open: 'b', host: addresses.engine, port: 80, text: 'x' }), /^(one|two) /)
    await load({ services: [] })
    await until('nothing new', 10_000, async () => !(await ruleset()).includes('dnat'))
    t.match(await ask({ say: 'b', text: 'still' }), /still$/)
    await until('the table is gone', 15_000, async () => !(await ruleset()).includes('table'))
    return undefined
  })

  await scenario(t, 'the process that programs the kernel is replaced when it dies', async t => {
    await load({})
    await untilOnly(['one', 'two'])
    await inKernel()
    const pids = (await inHost('engine', 'pgrep', '-f', 'kernel-main.ts')).stdout.trim().split('\n')
    t.equal(pids.length, 1)
    await inHost('engine', 'kill', '-9', pids[0]!)
    await until('another one runs', 15_000, async () => {
      const now = (await inHost('engine', 'pgrep', '-f', 'kernel-main.ts')).stdout.trim()
      return now !== '' && now !== pids[0]
    })
    await inKernel()
    await untilOnly(['one', 'two'])
    return undefined
  })

  await scenario(t, 'an engine that is killed leaves no table', async t => {
    await engine.kill('SIGKILL')
    const tookMs = await until('the table is gone', 15_000, async () => !(await ruleset()).includes('table'))
    t.pass('gone')
    return { value: tookMs / 1000, unit: 's' }
  })

  await scenario(t, 'killed together with its process, it removes the table at its next start', async t => {
    engine = await startEngine()
    await load({})
    await inKernel()
    const [pid = ''] = (await inHost('engine', 'pgrep', '-f', 'kernel-main.ts')).stdout.trim().split('\n')
    await inHost('engine', 'kill', '-STOP', pid)
    await engine.kill('SIGKILL')
    await inHost('engine', 'kill', '-9', pid)
    t.match(await ruleset(), /table inet weir_serviceengine_1/)
    t.equal(readFileSync(join(dataFolder, 'kernel-table'), 'utf8'), 'weir_serviceengine_1')
    engine = await startEngine()
    t.notMatch(await ruleset(), /table/)
    return undefined
  })

  await scenario(t, 'stopped, nothing is left', async t => {
    await load({})
    await inKernel()
    await engine.kill('SIGTERM')
    t.notMatch(await ruleset(), /table/)
    return undefined
  })
}

await labTest(t, {
  story: 'forwarding in the kernel',
  file: import.meta.filename,
  tools: ['nft', 'conntrack', 'ss'],
  prepare: () => Promise.resolve(undefined),
  scenarios
})
