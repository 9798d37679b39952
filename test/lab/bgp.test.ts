/**
 * Addresses that several engines announce: three engine hosts and a router, each with BIRD; a service on two of the three, and a client behind
 * the router with 2,000 requests a second to it, half of them IPv6.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream, mkdtempSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import type { FailedRequest, Report } from './bgp/client.ts'
import { HERE, makeNetwork, ORIGIN, plugInAgain, rememberWays, startBird, waysTaken, waysTo, type Bird } from './bgp/network.ts'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { engineStates, fieldsOf, invite, startServer } from './fleet.ts'
import { startProgram } from './kernel/network.ts'
import { mustRun, run, until } from './run.ts'
import { scenario, type Figure } from './scenario.ts'

const root = resolve(import.meta.dirname, '../..')
const VIP = '10.92.0.10'
const VIP6 = 'fd92::10'
const TABLE = '9445'
/** Requests a second; fewer on a machine that is asked for more than it has, so that it is not the machine that is measured. */
const RATE = Math.round(2_000 / Math.max(1, (loadavg()[0] ?? 0) / availableParallelism()))
const names = ['e1', 'e2', 'e3'] as const
type Name = (typeof names)[number]
type Tap = Parameters<Parameters<typeof scenario>[2]>[0]

/** What is started again in a scenario lives as long as the file. */
const file = t

async function scenarios(): Promise<void> {
  await makeNetwork(names)
  const birds = new Map<string, Bird>()
  for (const host of ['router', ...names]) birds.set(host, startBird(t, host, names))
  const controller = makeController(HERE)
  t.teardown(() => controller.stop())
  await controller.start()
  const server = await startServer('origin', ORIGIN)
  t.teardown(() => server.stop())
  const must = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
    const answer = await controller.call(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return fieldsOf(answer.body) as Record<string, unknown>
  }

  const folder = Object.fromEntries(names.map(name => [name, mkdtempSync(join(tmpdir(), `${name}-`))])) as Record<Name, string>
  const children = new Map<Name, ChildProcess>()
  const engineCommand = (name: Name): readonly string[] => ['netns', 'exec', name, process.execPath, join(root, 'service-engine/main.ts')]
  const environment = (name: Name, token = ''): NodeJS.ProcessEnv => ({
    ...process.env,
    WEIR_DATA: folder[name],
    WEIR_CONTROLLER: controller.url,
    WEIR_TOKEN: token,
    WEIR_NAME: name,
    WEIR_WORKERS: '1',
    WEIR_ACCESS_LOG: '',
    WEIR_BIRD_SOCKET: birds.get(name)?.socket ?? ''
  })
  const start = (name: Name, token = ''): void => {
    const child = spawn('ip', engineCommand(name), { env: environment(name, token), stdio: ['ignore', 'pipe', 'pipe'] })
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

  const has = async (name: Name): Promise<boolean> =>
    (await run(['ip', '-n', name, 'address', 'show', 'dev', 'lo'])).stdout.includes(` ${VIP}/`)
  const announces = async (name: Name): Promise<boolean> =>
    (await run(['ip', '-n', name, 'route', 'show', 'table', TABLE])).stdout.includes(VIP)
  const ways = async (): Promise<readonly string[]> => {
    const [v4, v6] = [await waysTo(VIP, names), await waysTo(VIP6, names)]
    return v4.filter(name => v6.includes(name))
  }
  const anyWay = async (name: string): Promise<boolean> => [...(await waysTo(VIP, names)), ...(await waysTo(VIP6, names))].includes(name)
  const placedOn = async (): Promise<Record<string, unknown>[]> => {
    const { results } = fieldsOf((await controller.call('GET', '/api/virtualservice')).body) as { results?: { uuid: string }[] }
    const runtime = fieldsOf((await controller.call('GET', `/api/virtualservice/${results?.[0]?.uuid ?? ''}/runtime`)).body)
    return (runtime['placed_on'] ?? []) as Record<string, unknown>[]
  }
  /** The service runs on two engines and both announce it, the router has a way to each and to no other, and the controller says the same. */
  const untilWhole = async (): Promise<readonly [Name, Name]> => {
    let on: readonly Name[] = []
    let seen = ''
    const isWhole = async (): Promise<boolean> => {
      const places = await placedOn()
      const led = await ways()
      seen = `${JSON.stringify(places)} ${led.join()}`
      on = names.filter(name => places.some(place => place['engine_name'] === name && place['announces_addresses'] === true))
      const isRunning = places.every(place => place['phase'] === 'running' && place['state'] === 'OPER_UP')
      return places.length === 2 && isRunning && on.length === 2 && led.join() === on.join()
    }
    await until('two engines announce it', 60_000, isWhole).catch((error: unknown) => {
      throw new Error(`two engines do not announce it: ${seen}`, { cause: error })
    })
    return on as readonly [Name, Name]
  }
  const untilAllUp = (): Promise<unknown> =>
    until('three engines are up', 60_000, async () => {
      const states = await engineStates(controller)
      return names.every(name => states[name] === 'OPER_UP')
    })

  for (const name of names) start(name, (await invite(controller)).token)
  await untilAllUp()
  const [settings] = (await must('GET', '/api/serviceenginegroup?name=Default-Group'))['results'] as Record<string, unknown>[]
  await must('PUT', `/api/serviceenginegroup/${String(settings!['uuid'])}`, {
    ...settings,
    address_mode: 'BGP',
    min_scaleout_per_vs: 2,
    vs_scalein_timeout: 5
  })
  const tcp = { type: 'HEALTH_MONITOR_TCP', send_interval: 2, receive_timeout: 1, successful_checks: 1, failed_checks: 2 }
  await must('POST', '/api/healthmonitor', { name: 'm', ...tcp })
  const v4 = (addr: string): object => ({ addr, type: 'V4' })
  const servers = [{ ip: v4(server.host), port: server.port }]
  await must('POST', '/api/pool', { name: 'p', servers, health_monitor_refs: ['/api/healthmonitor?name=m'] })
  await must('POST', '/api/vsvip', { name: 'v', vip: [{ vip_id: '1', ip_address: v4(VIP), ip6_address: { addr: VIP6, type: 'V6' } }] })
  const refs = { vsvip_ref: '/api/vsvip?name=v', pool_ref: '/api/pool?name=p' }
  const { uuid } = await must('POST', '/api/virtualservice', { name: 's', ...refs, services: [{ port: 80 }] })
  const service = `/api/virtualservice/${String(uuid)}`

  const client = startProgram(t, 'client', '../bgp/client.ts')
  await rememberWays()
  await untilWhole()
  client.tell({ start: [VIP, VIP6], perSecond: RATE })
  const report = async (): Promise<Report> => (await client.ask({ report: true }, 'seen')) as Report
  interface Watched {
    /** Of requests that began after it happened, how late the last one did that failed. */
    readonly failingMs: number
    readonly onDead: readonly FailedRequest[]
    /** The router sent their packets elsewhere when it had another number of ways. */
    readonly moved: readonly FailedRequest[]
    readonly others: readonly FailedRequest[]
  }
  /** What becomes of the requests from when it happens until all are done that began within half a second after it is over. */
  const watched = async (t: Tap, lost: Name | undefined, happens: () => Promise<unknown>): Promise<Watched> => {
    await report()
    const now = (): number => performance.timeOrigin + performance.now()
    const sinceMs = now()
    await happens()
    const overMs = now() + 500
    const failed: FailedRequest[] = []
    let answered = 0
    await until('all requests are done that began meanwhile', 30_000, async () => {
      const seen = await report()
      failed.push(...seen.failed)
      answered += seen.answered
      return seen.doneUntilMs > overMs
    })
    const taken = await waysTaken(names)
    const waysOf = ({ address, port }: FailedRequest): readonly string[] => taken.get(`${address === VIP ? 'ipv4' : 'ipv6'} ${port}`) ?? []
    const kinds = Object.groupBy(failed, one => {
      if (lost !== undefined && waysOf(one).includes(lost)) return 'onDead'
      return waysOf(one).length > 1 ? 'moved' : 'others'
    })
    const { onDead = [], moved = [], others = [] } = kinds
    const perSecond = (answered + failed.length) / ((now() - sinceMs) / 1_000)
    t.comment(
      `${answered} answered (${perSecond.toFixed(0)}/s); failed: ${onDead.length} on the dead engine, ${moved.length} moved by the router`
    )
    for (const one of others.slice(0, 5)) t.comment(`${one.why} ${(one.atMs - sinceMs).toFixed(0)} ms after, ways ${waysOf(one).join()}`)
    return { failingMs: Math.max(0, ...onDead.map(one => one.atMs - sinceMs)), onDead, moved, others }
  }
  /** How long after an engine was lost a request could still begin and fail. */
  const healing = async (t: Tap, lost: Name, happens: () => Promise<unknown>): Promise<Figure> => {
    const { failingMs, others } = await watched(t, lost, async () => {
      await happens()
      await until(`the router has no way to ${lost}`, 20_000, async () => !(await anyWay(lost)))
    })
    t.equal(others.length, 0, 'no request failed that was not on the dead engine')
    return { value: failingMs, unit: 'ms', below: 1_500 }
  }
  /** Nothing is lost but what the router itself sends elsewhere. */
  const orderly = async (t: Tap, happens: () => Promise<unknown>): Promise<Figure> => {
    const { others } = await watched(t, undefined, happens)
    return { value: others.length, unit: 'failed requests', below: 1 }
  }
  const again = async (name: Name): Promise<void> => {
    start(name)
    await untilAllUp()
  }

  await scenario(t, 'two of three engines announce both addresses, the router has a way to each, and the controller knows it', async t => {
    await untilWhole()
    for (const host of names) t.match(await birds.get(host)!.ask('show', 'protocols'), /router_v4 +BGP.*Established/)
    const { results } = (await must('GET', '/api/serviceengine')) as { results?: { uuid: string }[] }
    const told = await Promise.all((results ?? []).map(({ uuid }) => must('GET', `/api/serviceengine/${uuid}/runtime`)))
    t.match(
      told.flatMap(runtime => runtime['bgp'] ?? []),
      [1, 2].map(() => ({ state: 'up', sessions: [{ up: true }, { up: true }], vips: [{ vsvip_name: 'v', announced: true }] }))
    )
    const { others } = await watched(t, undefined, () => new Promise(done => setTimeout(done, 2_000)))
    t.equal(others.length, 0)
    t.same(new Set([...(await waysTaken(names)).values()].flat()), new Set(await untilWhole()), 'clients are spread over both')
    return undefined
  })

  await scenario(t, 'kill -9 of an engine', async t => {
    const [lost] = await untilWhole()
    const figure = await healing(t, lost, () => signal(lost, 'SIGKILL'))
    t.notOk(await has(lost), 'its addresses are gone with it')
    await untilWhole()
    await again(lost)
    return figure
  })

  await scenario(t, 'SIGSTOP of an engine', async t => {
    const [lost] = await untilWhole()
    const figure = await healing(t, lost, () => signal(lost, 'SIGSTOP'))
    await signal(lost, 'SIGCONT')
    await untilAllUp()
    return figure
  })

  await scenario(t, 'the cable of an engine is cut behind the switch: BFD', async t => {
    const [, lost] = await untilWhole()
    const figure = await healing(t, lost, () => mustRun(['ip', 'link', 'set', 'dev', lost, 'down']))
    await mustRun(['ip', 'link', 'set', 'dev', lost, 'up'])
    await untilAllUp()
    return figure
  })

  await scenario(t, 'the host of an engine loses its power: BFD', async t => {
    const [lost] = await untilWhole()
    const figure = await healing(t, lost, async () => {
      await mustRun(['ip', 'link', 'del', lost])
      await Promise.all([signal(lost, 'SIGKILL'), birds.get(lost)!.kill('SIGKILL')])
    })
    await plugInAgain(lost, names.indexOf(lost) + 1)
    birds.set(lost, startBird(file, lost, names))
    await again(lost)
    return figure
  })

  for (const [what, lose] of [
    ['kill -9 of an engine', (lost: Name) => signal(lost, 'SIGKILL')],
    ['the host of an engine is cut off', (lost: Name) => mustRun(['ip', 'link', 'set', 'dev', lost, 'down'])]
  ] as const)
    await scenario(t, `${what}, and kill -9 of the controller at once`, async t => {
      const [, lost] = await untilWhole()
      const figure = await healing(t, lost, () => Promise.all([controller.kill(), lose(lost)]))
      if (what.startsWith('kill')) start(lost)
      else await mustRun(['ip', 'link', 'set', 'dev', lost, 'up'])
      await until('it announces again, without a controller', 20_000, async () => (await ways()).includes(lost))
      await controller.start()
      await untilAllUp()
      return figure
    })

  await scenario(t, 'the operator disables an engine: its clients go elsewhere, then its addresses go', async t => {
    const [left] = await untilWhole()
    const enable = async (state: string): Promise<void> => {
      const [body] = (await must('GET', `/api/serviceengine?name=${left}`))['results'] as Record<string, unknown>[]
      await must('PUT', `/api/serviceengine/${String(body!['uuid'])}`, { ...body, enable_state: state })
    }
    const figure = await orderly(t, async () => {
      await enable('SE_STATE_DISABLED')
      await until('it is elsewhere', 30_000, async () => !(await untilWhole()).includes(left))
    })
    await until('it has no address any more', 30_000, async () => !(await has(left)))
    await enable('SE_STATE_ENABLED')
    return figure
  })

  await scenario(t, 'an engine ends in order', async t => {
    const [left] = await untilWhole()
    const figure = await orderly(t, () => signal(left, 'SIGTERM'))
    await again(left)
    return figure
  })

  await scenario(t, 'an engine is replaced by a new process: the router keeps its way', async t => {
    const [name] = await untilWhole()
    const monitor = startMonitor(name)
    const figure = await orderly(t, async () => {
      const child = spawn('ip', [...engineCommand(name), 'reload'], { env: environment(name), stdio: ['ignore', 'inherit', 'inherit'] })
      t.equal(await new Promise(done => child.once('exit', done)), 0)
    })
    t.notOk(
      monitor.lines.some(line => line.startsWith('Deleted') && line.includes(VIP)),
      'nothing was withdrawn'
    )
    await monitor.stop()
    t.ok(await announces(name))
    // The new process is no child of ours: its place is taken by one that is.
    const { stdout } = await run(['ip', 'netns', 'pids', name])
    for (const pid of stdout.trim().split('\n')) {
      const { stdout: line } = await run(['ps', '-o', 'args=', '-p', pid])
      if (line.includes('service-engine/main.ts')) await run(['kill', '-9', pid])
    }
    await again(name)
    return figure
  })

  await scenario(t, 'an engine that reaches no server withdraws, unless the service wants it announced all the same', async t => {
    const [cut, other] = await untilWhole()
    const untilOnly = (): Promise<unknown> =>
      until(`only ${other} announces it`, 60_000, async () => {
        const places = await placedOn()
        const place = places.find(one => one['engine_name'] === cut)
        const isTold = place?.['announces_addresses'] === false && String(place['announce_reason']).includes('none of its servers is up')
        return places.length === 2 && isTold && (await ways()).join() === other
      })
    await mustRun(['ip', '-n', cut, 'route', 'add', 'blackhole', `${ORIGIN}/32`])
    await untilOnly()
    t.ok(await has(cut), 'what is open there may end')
    await must('PUT', service, { ...(await must('GET', service)), advertise_down_vs: true })
    await untilWhole()
    await must('PUT', service, { ...(await must('GET', service)), advertise_down_vs: false })
    await untilOnly()
    await mustRun(['ip', '-n', cut, 'route', 'del', 'blackhole', `${ORIGIN}/32`])
    await untilWhole()
    return undefined
  })

  await scenario(t, 'enable_rhi false: nobody announces it', async () => {
    await untilWhole()
    await must('PUT', service, { ...(await must('GET', service)), enable_rhi: false })
    await until('the router has no way', 20_000, async () => !(await Promise.all(names.map(anyWay))).includes(true))
    await must('PUT', service, { ...(await must('GET', service)), enable_rhi: true })
    await untilWhole()
    return undefined
  })

  await scenario(t, 'BIRD of an engine dies: the controller says so, and the router has the other way', async () => {
    const [cut, other] = await untilWhole()
    await birds.get(cut)!.kill('SIGKILL')
    await until('it is told', 20_000, async () => {
      const place = (await placedOn()).find(one => one['engine_name'] === cut)
      return (
        place?.['announces_addresses'] === false &&
        String(place['announce_reason']).startsWith('BIRD does not run') &&
        (await ways()).join() === other
      )
    })
    birds.set(cut, startBird(file, cut, names))
    await untilWhole()
    return undefined
  })

  await scenario(t, 'an engine that is killed together with the process that announces takes away what is left at its start', async t => {
    const [name] = await untilWhole()
    const pid = children.get(name)!.pid!
    const [announcer = ''] = (await run(['pgrep', '-P', `${pid}`, '-f', 'kernel-main.ts routes'])).stdout.trim().split('\n')
    await run(['kill', '-STOP', announcer])
    await signal(name, 'SIGKILL')
    await run(['kill', '-9', announcer])
    t.ok((await has(name)) && (await announces(name)), 'nobody took it away')
    const monitor = startMonitor(name)
    start(name)
    await until('its route and its address are taken away', 20_000, async () =>
      ['blackhole', 'inet'].every(what =>
        monitor.lines.some(line => line.startsWith('Deleted') && line.includes(what) && line.includes(VIP))
      )
    )
    await monitor.stop()
    await untilWhole()
    return undefined
  })
}

/** What the kernel says of addresses and routes of a host while something happens. */
function startMonitor(host: Name): { readonly lines: string[]; readonly stop: () => Promise<void> } {
  const child = spawn('ip', ['-n', host, 'monitor', 'address', 'route'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', line => lines.push(line))
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  return {
    lines,
    stop: async () => {
      child.kill('SIGTERM')
      await ended
    }
  }
}

await labTest(t, {
  story: 'addresses that engines announce by BGP',
  file: import.meta.filename,
  tools: ['ip', 'nft', 'bird', 'birdc'],
  prepare: () => Promise.resolve(undefined),
  scenarios
})
