/** Addresses that move between engines: three engine hosts on one network, a service on two of them, a client at steady load. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { makeController } from './controller.ts'
import { labTest } from './enter.ts'
import { engineStates, fieldsOf, invite, startServer } from './fleet.ts'
import { startProgram } from './kernel/network.ts'
import { mustRun, run, until } from './run.ts'
import { scenario, type Figure } from './scenario.ts'

const root = resolve(import.meta.dirname, '../..')
const HERE = '10.90.0.254'
const VIP = '10.90.0.100'
const VIP6 = 'fd90::100'
const names = ['e1', 'e2', 'e3'] as const
type Name = (typeof names)[number]

async function plugIn(host: string, last: number): Promise<void> {
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

interface Seen {
  readonly answered: number
  readonly failed: number
  readonly longestMs: number
}

async function scenarios(): Promise<void> {
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
  /** Two engines run it, and the controller knows as the owner, and as primary, who has the address. */
  const untilWhole = async (): Promise<void> => {
    await until('two engines run it, and all agree on the owner', 60_000, async () => {
      const places = await placedOn()
      const [only, ...others] = await owners()
      const primary = places.find(place => place['primary'] === true)
      return (
        places.length === 2 &&
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
  await must('PUT', `/api/serviceenginegroup/${String(settings!['uuid'])}`, { ...settings, address_mode: 'L2', min_scaleout_per_vs: 2 })
  const v4 = (addr: string): object => ({ addr, type: 'V4' })
  await must('POST', '/api/pool', { name: 'p', servers: [{ ip: v4(server.host), port: server.port }] })
  const vip = { vip_id: '1', ip_address: v4(VIP), ip6_address: { addr: VIP6, type: 'V6' } }
  await must('POST', '/api/vsvip', { name: 'v', vip: [vip] })
  const refs = { vsvip_ref: '/api/vsvip?name=v', pool_ref: '/api/pool?name=p' }
  const { uuid } = await must('POST', '/api/virtualservice', { name: 's', ...refs, services: [{ port: 80 }] })

  const client = startProgram(t, 'client', '../layer2/client.ts')
  const report = async (): Promise<Seen[]> => Object.values((await client.ask({ report: true }, 'seen')) as Record<string, Seen>)
  /** How long a client was without an answer while something happened, at the worst of both addresses. */
  const healing = async (t: Tap, happens: (owner: Name) => Promise<void>, below = 1_500): Promise<Figure> => {
    await untilWhole()
    const before = await owner()
    await report()
    await happens(before)
    await until('another engine owns the address', 20_000, async () => (await owners()).some(name => name !== before))
    let answered: Seen[] = []
    await until('the client is answered again', 20_000, async () => {
      const seen = await report()
      answered =
        answered.length === 0
          ? seen
          : seen.map((one, i) => ({
              answered: one.answered + answered[i]!.answered,
              failed: one.failed + answered[i]!.failed,
              longestMs: Math.max(one.longestMs, answered[i]!.longestMs)
            }))
      return seen.every(one => one.answered > 0 && one.failed === 0)
    })
    t.equal(answered.length, 2, 'both addresses are asked')
    t.comment(`without an answer: ${answered.map(one => `${one.longestMs.toFixed(0)} ms, ${one.failed} failed`).join('; ')}`)
    return { value: Math.max(...answered.map(one => one.longestMs)), unit: 'ms', below }
  }

  await scenario(t, 'one of two engines has the address, both families, and the controller knows it', async t => {
    await untilWhole()
    const only = await owner()
    t.ok(await has(only, VIP6))
    client.tell({ start: [VIP, VIP6], port: 80 })
    await until('the client is answered', 20_000, async () => (await report()).every(one => one.answered > 0 && one.failed === 0))
    return undefined
  })

  await scenario(t, 'kill -9 of the owner', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => signal((gone = before), 'SIGKILL'), 500)
    start(gone!)
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    return figure
  })

  await scenario(t, 'the cable of the owner is cut', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => {
      gone = before
      await mustRun(['ip', 'link', 'set', 'dev', before, 'down'])
    })
    await until('the one that is cut off gives it up', 10_000, async () => !(await has(gone!)))
    await mustRun(['ip', 'link', 'set', 'dev', gone!, 'up'])
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    return figure
  })

  await scenario(t, 'SIGSTOP of the owner; it has no address any more when it goes on', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => signal((gone = before), 'SIGSTOP'))
    t.notOk(await has(gone!), 'taken away while it stands still')
    await signal(gone!, 'SIGCONT')
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    return figure
  })

  await scenario(t, 'the host of the owner loses its power', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => {
      gone = before
      await mustRun(['ip', 'link', 'del', before])
      await signal(before, 'SIGKILL')
    })
    await plugIn(gone!, names.indexOf(gone!) + 1)
    start(gone!)
    await untilWhole()
    return figure
  })

  await scenario(t, 'kill -9 of the owner and of the controller at once; when it is back, both agree', async t => {
    let gone: Name | undefined
    const figure = await healing(t, async before => {
      gone = before
      await Promise.all([controller.kill(), signal(before, 'SIGKILL')])
    })
    const now = await owner()
    start(gone!)
    await controller.start()
    await untilWhole()
    t.equal(await owner(), now, 'nothing moves when the controller is back')
    return figure
  })

  await scenario(t, 'the controller goes away for a while: nothing moves, nobody notices', async t => {
    await untilWhole()
    const before = await owner()
    await report()
    await controller.kill()
    const since = performance.now()
    // Longer than any silence that is taken for a death.
    await until('a few seconds have passed', 20_000, async () => performance.now() - since > 4_000)
    t.same(await owners(), [before])
    await controller.start()
    await untilWhole()
    const seen = await report()
    t.equal(await owner(), before)
    return { value: Math.max(...seen.map(one => one.longestMs)), unit: 'ms', below: 500 }
  })

  await scenario(t, 'the operator switches over', async t => {
    await untilWhole()
    const before = await owner()
    await must('POST', `/api/virtualservice/${String(uuid)}/switchover`, {})
    await until('the other has it', 20_000, async () => {
      const now = await owners()
      return now.length === 1 && now[0] !== before
    })
    await untilWhole()
    t.not(await owner(), before)
    return undefined
  })

  await scenario(
    t,
    'an owner that is killed together with the process that holds the address takes away what is left at its start',
    async t => {
      await untilWhole()
      const before = await owner()
      const pid = children.get(before)!.pid!
      const [holder = ''] = (await run(['pgrep', '-P', `${pid}`, '-f', 'kernel-main.ts addresses'])).stdout.trim().split('\n')
      await run(['kill', '-STOP', holder])
      await signal(before, 'SIGKILL')
      await run(['kill', '-9', holder])
      t.ok(await has(before), 'nobody took it away')
      t.match(await tables(before), /table arp weir_.*table ip6 weir_/s)
      start(before)
      await until('it is taken away', 20_000, async () => !(await has(before)))
      await until('so are the tables that told of it', 20_000, async () => !(await tables(before)).includes('weir_'))
      await untilWhole()
      return undefined
    }
  )

  await scenario(t, 'an owner that ends in order hands over', async t => {
    let gone: Name | undefined
    const figure = await healing(t, before => signal((gone = before), 'SIGTERM'))
    start(gone!)
    return figure
  })

  await scenario(t, 'an active/standby group: kill -9 of the active engine; it comes back as the standby', async t => {
    const { results } = await must('GET', '/api/serviceenginegroup?name=Default-Group')
    const [now] = results as Record<string, unknown>[]
    await must('PUT', `/api/serviceenginegroup/${String(now!['uuid'])}`, { ...now, ha_mode: 'HA_MODE_LEGACY_ACTIVE_STANDBY' })
    let gone: Name | undefined
    const figure = await healing(t, async before => signal((gone = before), 'SIGKILL'))
    start(gone!)
    await untilWhole()
    t.notOk((await owners()).includes(gone!), 'it does not take it back')
    t.equal((await placedOn()).find(place => place['standby'] === true)?.['engine_name'], gone)
    return figure
  })
}
type Tap = Parameters<Parameters<typeof scenario>[2]>[0]

await labTest(t, {
  story: 'addresses that move between engines',
  file: import.meta.filename,
  tools: ['ip', 'nft'],
  prepare: () => Promise.resolve(undefined),
  scenarios
})
