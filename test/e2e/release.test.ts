/** Releases of the whole product: real servers, real traffic, steps of seconds. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, get } from 'node:http'
import type { Test } from 'tap'
import type { PoolRuntime } from '#model/resource/runtime.ts'
import t from 'tap'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'
import { startWeir, type Weir } from '#test/support/weir.ts'

t.setTimeout(600_000)

interface Behaviour {
  /** Of a hundred requests. */
  errors: number
  ms: number
  /** These as well. */
  fails?: (request: IncomingMessage) => boolean
}

interface Release {
  readonly state: string
  readonly step: number
  readonly share: number
  readonly reason: string
  readonly decisions: readonly { readonly kind: string; readonly revision: number | null; readonly by: string }[]
}

async function aServer(t: Test, behaviour: Behaviour) {
  let count = 0
  const server = createServer((request, response) => {
    request.resume()
    count += 1
    const isError = (count * behaviour.errors) % 100 < behaviour.errors || behaviour.fails?.(request) === true
    setTimeout(() => response.writeHead(isError ? 500 : 200).end('ok'), behaviour.ms)
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, count: () => count }
}

/** Clients that ask one after another until told to stop. */
function traffic(t: Test, port: number, host = 'shop.test'): void {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 })
  let isStopped = false
  t.teardown(() => {
    isStopped = true
    agent.destroy()
  })
  const ask = (): void => {
    if (isStopped) return
    const again = (): void => void setTimeout(ask, 5)
    get({ host: '127.0.0.1', port, agent, headers: { host } }, response => {
      response.resume()
      response.on('end', again)
      response.on('error', again)
    }).on('error', again)
  }
  for (let i = 0; i < 16; i++) ask()
}

async function aRelease(t: Test, weir: Weir, name: string, fresh: Behaviour, policy: object = {}) {
  const session = await weir.signIn()
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await session.call('POST', `/api/${kind}`, body)
    if (answer.status !== 201) throw new Error(`${kind} ${answer.status}: ${answer.text}`)
    return (answer.json() as { uuid: string }).uuid
  }
  const behaviours = { old: { errors: 0, ms: 20 }, new: fresh }
  const pools: Record<string, string> = {}
  /** By the new server. */
  let served = (): number => 0
  for (const [side, behaviour] of Object.entries(behaviours)) {
    const { port, count } = await aServer(t, behaviour)
    served = count
    pools[side] = await make('pool', { name: `${name}-${side}`, servers: [{ ip: { addr: '127.0.0.1', type: 'V4' }, port }] })
  }
  await make('poolgroupdeploymentpolicy', {
    name,
    scheme: 'CANARY',
    steps: [25, 60, 100],
    evaluation_duration: 4,
    minimum_requests: 50,
    max_extensions: 20,
    ...policy
  })
  const group = await make('poolgroup', {
    name,
    deployment_policy_ref: `/api/poolgroupdeploymentpolicy?name=${name}`,
    members: [{ pool_ref: pools['old'] }, { pool_ref: pools['new'], ratio: 0 }]
  })
  const [port] = (await freePorts(1)) as [number]
  await make('vsvip', { name, vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] })
  await make('virtualservice', { name, vsvip_ref: `/api/vsvip?name=${name}`, services: [{ port }], pool_group_ref: group })
  traffic(t, port)
  const view = async (): Promise<Release> => (await session.call('GET', `/api/poolgroup/${group}/release`)).json() as Release
  const act = async (action: string, body: object = {}): Promise<number> =>
    (await session.call('POST', `/api/poolgroup/${group}/release/${action}`, body)).status
  const ratios = async (): Promise<readonly number[]> => {
    const answer = (await session.call('GET', `/api/poolgroup/${group}`)).json() as { members: { ratio: number }[] }
    return answer.members.map(({ ratio }) => ratio)
  }
  const reach = (what: string, is: (release: Release) => boolean) =>
    until(
      what,
      async () => {
        const release = await view()
        return is(release) ? release : undefined
      },
      120_000
    )
  /** Another virtual service sends to the new pool alone. */
  const other = async (): Promise<void> => {
    const [otherPort] = (await freePorts(1)) as [number]
    const vip = `/api/vsvip?name=${name}`
    await make('virtualservice', { name: `${name}-other`, vsvip_ref: vip, services: [{ port: otherPort }], pool_ref: pools['new'] })
    traffic(t, otherPort, 'other.test')
  }
  if ((await act('start', { pool_ref: pools['new'] })) !== 200) throw new Error('not started')
  /** Of the new pool. */
  const runtime = async () => (await session.call('GET', `/api/pool/${pools['new']}/runtime/detail`)).json() as PoolRuntime
  return { other, runtime, view, act, ratios, reach, session, served: () => served() }
}

t.test('errors and slowness roll back by themselves, what is good is promoted', async t => {
  const weir = await startWeir()
  t.teardown(() => weir.stop())
  await t.test('2 % errors', async t => {
    const { reach, ratios } = await aRelease(t, weir, 'errors', { errors: 2, ms: 20 })
    const { state, step, reason } = await reach('ended', ({ state }) => state !== 'RUNNING')
    t.equal(state, 'ROLLED_BACK', reason)
    t.ok(step <= 1, `within two steps: ${step}`)
    t.match(reason, /^errors: /)
    await until('as before', async () => (await ratios()).join() === '1,0')
  })
  await t.test('30 % slower', async t => {
    const { reach } = await aRelease(t, weir, 'slow', { errors: 0, ms: 28 })
    const { state, step, reason } = await reach('ended', ({ state }) => state !== 'RUNNING')
    t.equal(state, 'ROLLED_BACK', reason)
    t.ok(step <= 1, `within two steps: ${step}`)
    t.match(reason, /latency: /)
  })
  await t.test('a good one, through the death of the controller', async t => {
    const { reach, ratios, session } = await aRelease(t, weir, 'good', { errors: 0, ms: 20 }, { max_latency_increase: 60 })
    await reach('the second step', ({ step }) => step === 1)
    process.kill(weir.pidOf('controller/main.ts'), 'SIGKILL')
    const last = await reach('ended', ({ state }) => state !== 'RUNNING')
    t.equal(last.state, 'PROMOTED', last.reason)
    t.equal(last.share, 100)
    const kinds = last.decisions.map(({ kind }) => kind).filter(kind => kind !== 'EXTENDED')
    t.same(kinds, ['STARTED', 'PASSED', 'PASSED', 'PROMOTED'], 'every step was judged, once')
    await until('all of it', async () => (await ratios()).join() === '0,1000')
    const { results } = (await session.call('GET', '/api/revision?page_size=20')).json() as {
      results: { author: string; reason: string }[]
    }
    t.ok(results.some(({ author, reason }) => author === 'controller' && reason.includes('PROMOTED')))
  })
})

t.test('a pool that another virtual service uses as well is judged by the traffic of its own', async t => {
  const weir = await startWeir()
  t.teardown(() => weir.stop())
  const isBad = (request: IncomingMessage): boolean => request.headers.host === 'other.test'
  const policy = { max_latency_increase: 10_000, minimum_requests: 100 }
  await t.test('what goes wrong for the other one alone rolls nothing back', async t => {
    const { reach, other, runtime } = await aRelease(t, weir, 'quiet', { errors: 0, ms: 5, fails: isBad }, policy)
    await other()
    const { state, reason } = await reach('ended', ({ state }) => state !== 'RUNNING')
    t.equal(state, 'PROMOTED', reason)
    const { virtualservices } = await runtime()
    const seen = new Map(virtualservices.map(({ name, live }) => [name, live!]))
    t.ok(seen.get('quiet')!.requests_per_s > 0, 'its own')
    t.equal(seen.get('quiet')!.errors_5xx_per_s, 0)
    t.ok(seen.get('quiet-other')!.errors_5xx_per_s > 0, 'what only the other one sees')
  })
  await t.test('what goes well for the other one hides nothing', async t => {
    const { reach, other } = await aRelease(t, weir, 'loud', { errors: 0, ms: 5, fails: request => !isBad(request) }, policy)
    await other()
    const { state, step, reason } = await reach('ended', ({ state }) => state !== 'RUNNING')
    t.equal(state, 'ROLLED_BACK', reason)
    t.equal(step, 0)
  })
})

t.test('paused stays, resumed goes on, aborted returns', async t => {
  const weir = await startWeir()
  t.teardown(() => weir.stop())
  const { act, reach, ratios, view, served } = await aRelease(
    t,
    weir,
    'held',
    { errors: 50, ms: 20 },
    { minimum_requests: 1_000_000, max_extensions: 100 }
  )
  await reach('the first share', ({ share }) => share === 25)
  t.equal(await act('pause'), 200)
  t.equal(await act('pause'), 409)
  const before = (await view()).decisions.length
  const servedBefore = served()
  await until('more traffic than any step needs', () => served() > servedBefore + 2_000, 120_000)
  t.same(await ratios(), [750, 250])
  t.match(await view(), { state: 'PAUSED', step: 0 })
  t.equal((await view()).decisions.length, before)
  t.equal(await act('resume'), 200)
  await reach('too few requests', ({ decisions }) => decisions.some(({ kind }) => kind === 'EXTENDED'))
  t.equal(await act('abort'), 200)
  t.same(await ratios(), [1, 0])
  t.match(await view(), { state: 'ABORTED', share: 0 })
  t.equal(await act('promote'), 409)
  t.equal(await act('start', { pool_ref: 'pool-nobody' }), 422)
})
