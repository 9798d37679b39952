/** Engines made by the process driver: a real controller, real engines, real traffic; and a controller that is killed half-way. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { enginesBelow } from '#test/support/engines-below.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { send, type Session, signIn } from '#test/support/weir.ts'

t.setTimeout(600_000)

const root = resolve(import.meta.dirname, '../..')
const password = 'correct horse battery staple'
const PATIENCE_MS = 90_000

interface Making {
  readonly name: string
  readonly state: string
  readonly failures: number
}
interface GroupView {
  readonly engines: number
  readonly engines_wanted: number
  readonly driver: string | null
  readonly making: readonly Making[]
  readonly decisions: readonly { readonly kind: string; readonly reasons: readonly string[] }[]
}

t.test('a group makes its engines, more when more is asked of it, and gives them back', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-engines-'))
  const [port = 0, enginePort = 0, ...servicePorts] = await freePorts(5)
  const url = `https://127.0.0.1:${port}`
  let controller: ChildProcess | undefined
  const start = async (): Promise<void> => {
    const child = fork(join(root, 'controller/main.ts'), [], {
      cwd: root,
      env: {
        ...process.env,
        WEIR_DATA: folder,
        WEIR_HOST: '127.0.0.1',
        WEIR_PORT: String(port),
        WEIR_ENGINE_PORT: String(enginePort),
        WEIR_ADMIN_PASSWORD: password,
        WEIR_DEMO: '0'
      },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc']
    })
    controller = child
    await new Promise<void>((ready, fail) => {
      child.on('message', () => ready())
      child.once('exit', code => fail(new Error(`the controller ended with ${code}`)))
    })
  }
  const kill = async (): Promise<void> => {
    if (controller === undefined || controller.exitCode !== null || controller.signalCode !== null) return
    const ended = once(controller, 'exit')
    controller.kill('SIGKILL')
    await ended
  }
  t.teardown(async () => {
    await kill()
    for (const pid of [...enginesBelow(folder).values()].flat()) process.kill(pid, 'SIGKILL')
    await until('all engines ended', () => enginesBelow(folder).size === 0)
    rmSync(folder, { recursive: true, force: true })
  })
  const server = createServer((_request, response) => response.end('ok'))
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })

  await start()
  let session: Session = await signIn(url, 'admin', password)
  const must = async (method: string, path: string, body: object, status: number): Promise<string> => {
    const answer = await session.call(method, path, body)
    if (answer.status !== status) throw new Error(`${method} ${path} ${answer.status}: ${answer.text}`)
    return (answer.json() as { uuid: string }).uuid
  }
  const cloud = ((await session.call('GET', '/api/cloud?name=Default-Cloud')).json() as { results: { uuid: string }[] }).results[0]!.uuid
  await must('PATCH', `/api/cloud/${cloud}`, { replace: { engine_driver: { type: 'PROCESS', max_engines: 8 } } }, 200)
  // The group of the first start asks for nothing here.
  const others = ((await session.call('GET', '/api/serviceenginegroup')).json() as { results: { uuid: string }[] }).results
  for (const { uuid } of others) await must('PATCH', `/api/serviceenginegroup/${uuid}`, { replace: { min_se: 0, max_se: 0 } }, 200)
  const small = { min_se: 2, max_se: 4, buffer_se: 0, max_vs_per_se: 1, se_deprovision_delay: 0, vs_scalein_timeout: 5 }
  const group = await must('POST', '/api/serviceenginegroup', { name: 'Edge', ...small }, 201)

  const view = async (): Promise<GroupView> => (await session.call('GET', `/api/serviceenginegroup/${group}/autoscale`)).json() as GroupView
  const becomes = (what: string, states: string): Promise<GroupView> =>
    until(
      what,
      async () => {
        const now = await view()
        const found = now.making.map(({ state }) => state).toSorted()
        return found.join() === states && (states !== 'JOINED,JOINED' || now.engines === 2) ? now : undefined
      },
      PATIENCE_MS
    )

  const two = await becomes('two engines joined', 'JOINED,JOINED')
  t.match(two, { driver: 'PROCESS', engines: 2, engines_wanted: 2 })
  t.same(new Set(enginesBelow(folder).keys()), new Set(two.making.map(({ name }) => name)), 'each is a process')

  const services: string[] = []
  const aService = async (at: number): Promise<void> => {
    const pool = { name: `p${at}`, servers: [{ ip: { addr: '127.0.0.1', type: 'V4' }, port: (server.address() as AddressInfo).port }] }
    await must('POST', '/api/pool', pool, 201)
    await must('POST', '/api/vsvip', { name: `v${at}`, vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] }, 201)
    const body = {
      name: `s${at}`,
      se_group_ref: '/api/serviceenginegroup?name=Edge',
      services: [{ port: servicePorts[at] }],
      vsvip_ref: `/api/vsvip?name=v${at}`,
      pool_ref: `/api/pool?name=p${at}`
    }
    services.push(await must('POST', '/api/virtualservice', body, 201))
  }
  const answers = (at: number): Promise<boolean> =>
    until(`service ${at} answers`, async () => (await send(`http://127.0.0.1:${servicePorts[at]}/`)).status === 200, PATIENCE_MS)
  await aService(0)
  await aService(1)
  await Promise.all([answers(0), answers(1)])

  // A third service has no engine: one is made. The controller dies while it is under way.
  await aService(2)
  await until('a third is on its way', async () => ((await view()).making.length === 3 ? true : undefined), PATIENCE_MS)
  await kill()
  t.ok(await answers(0), 'traffic goes on without a controller')
  await start()
  session = await signIn(url, 'admin', password)
  const three = await becomes('the third joined', 'JOINED,JOINED,JOINED')
  await answers(2)
  t.equal(enginesBelow(folder).size, 3, 'nothing was made twice')
  t.ok([...enginesBelow(folder).values()].every(pids => pids.length >= 1))
  t.same(new Set(readdirSync(join(folder, 'engines'))), new Set(three.making.map(({ name }) => name)), 'and nothing is forgotten')
  const tokens = (await session.call('GET', '/api/jointoken')).json() as { count: number }
  t.equal(tokens.count, 0)

  // Less is asked of it: one drains and goes. The controller dies again on the way.
  await session.call('DELETE', `/api/virtualservice/${services[2]}`)
  await until(
    'one is on its way out',
    async () =>
      (await view()).making.some(({ state }) => state === 'DRAINING' || state === 'DESTROYING') || (await view()).making.length === 2,
    PATIENCE_MS
  )
  await kill()
  await start()
  session = await signIn(url, 'admin', password)
  const left = await becomes('two are left', 'JOINED,JOINED')
  t.same(new Set(enginesBelow(folder).keys()), new Set(left.making.map(({ name }) => name)))
  await Promise.all([answers(0), answers(1)])

  // One that is killed comes back as itself.
  const [name, pids] = [...enginesBelow(folder)][0]!
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  await until(
    'it runs again',
    () =>
      enginesBelow(folder)
        .get(name)
        ?.some(pid => !pids.includes(pid)) === true
        ? true
        : undefined,
    PATIENCE_MS
  )
  await Promise.all([answers(0), answers(1)])
  t.same(new Set(enginesBelow(folder).keys()), new Set(left.making.map(making => making.name)))

  for (const uuid of services.slice(0, 2)) await session.call('DELETE', `/api/virtualservice/${uuid}`)
  await must('PATCH', `/api/serviceenginegroup/${group}`, { replace: { min_se: 0, max_se: 0 } }, 200)
  await becomes('none is left', '')
  t.equal(enginesBelow(folder).size, 0)
  t.notOk(existsSync(join(folder, 'engines', name)))
  t.equal(((await session.call('GET', '/api/serviceengine')).json() as { count: number }).count, 0)
})
