/** Pools that stand in for each other: by health, and for a request or flow that the servers of one have failed. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import type { ReselectSpec } from '#model/snapshot/resilience.ts'
import type { FailAction, GroupMember, MonitorSpec, TargetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import type { AccessRecord } from '#engine/meter/shared.ts'
import { ask, closedPort, openHttpServer, openTcpServer, openTestPlane } from '#test/support/data-plane.ts'
import { aListener, aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

const close: FailAction = { is: 'close' }
const member = (poolId: string, priority = 0, ratio = 1): GroupMember => ({ poolId, ratio, priority })
const aGroup = (...members: readonly GroupMember[]): TargetSpec => ({ is: 'group', id: 'g', name: 'group', members, failAction: close })
const named = (t: Test, name: string, status = 200) =>
  openHttpServer(t, (_request, response) => {
    response.statusCode = status
    response.end(name)
  })
const reselect: ReselectSpec = {
  maxRetries: 4,
  retriesNonIdempotent: false,
  statuses: [{ from: 503, to: 503 }],
  tryTimeoutMs: null,
  retryTimeoutMs: null,
  budget: null,
  backoff: null
}

/** One after another. */
async function bodies(port: number, count: number): Promise<string[]> {
  const seen: string[] = []
  for (let i = 0; i < count; i++) {
    const { status, body } = await ask(port)
    seen.push(status === 200 ? body : String(status))
  }
  return seen
}

t.test('the highest priority with a server up has all traffic, of every protocol, at once and back again', async t => {
  const monitors = [{ id: 'm' } as unknown as MonitorSpec]
  const http = await Promise.all(['high', 'low'].map(name => named(t, name)))
  const tcp = await Promise.all(['high', 'low'].map(name => openTcpServer(t, socket => socket.end(name))))
  const udp = await Promise.all(
    ['high', 'low'].map(async name => {
      const socket = createSocket('udp4').bind(0, '127.0.0.1')
      await once(socket, 'listening')
      t.teardown(() => void socket.close())
      socket.on('message', (_datagram, from) => socket.send(name, from.port, from.address))
      return { port: socket.address().port }
    })
  )
  const { load, port, memory } = openTestPlane(t)
  const kinds = { http, tcp, udp }
  const serviceOf = (kind: keyof typeof kinds): VirtualServicePart =>
    aService({
      id: kind,
      application: kind,
      listeners: [aListener(kind === 'udp' ? { protocol: 'udp' } : {})],
      target: aGroup(member(`${kind}-low`, 1, 1_000), member(`${kind}-high`, 2))
    })
  const poolsOf = (kind: keyof typeof kinds) =>
    ['high', 'low'].map((name, i) => aPool([kinds[kind][i]!.port], { id: `${kind}-${name}`, name: `${kind}-${name}`, monitors }))
  const all = ['http', 'tcp', 'udp'] as const
  t.same(await load(aSnapshot({ services: all.map(serviceOf), pools: all.flatMap(poolsOf) })), [])
  const judge = (name: 'high' | 'low', verdict: 'up' | 'down'): void => {
    for (const kind of all) memory.judge(`${kind}-${name}`, `127.0.0.1:${kinds[kind][name === 'high' ? 0 : 1]!.port}`, verdict)
  }
  const asked = {
    http: async () => (await bodies(port('http'), 1))[0],
    tcp: async () => {
      const socket = connect(port('tcp'), '127.0.0.1')
      let seen = ''
      socket.on('data', chunk => (seen += chunk.toString())).on('error', () => undefined)
      await new Promise(resolve => socket.once('close', resolve))
      return seen || 'nothing'
    },
    udp: async () => {
      // Each asks for the first time.
      const socket = createSocket('udp4')
      socket.send('?', port('udp'), '127.0.0.1')
      const [answer] = (await once(socket, 'message')) as [Buffer]
      socket.close()
      return answer.toString()
    }
  }
  const answers = async (): Promise<string> => (await Promise.all(all.map(kind => asked[kind]()))).map(String).join(' ')
  const allAnswer = (name: string) => until(`all go to ${name}`, async () => (await answers()) === `${name} ${name} ${name}`)
  judge('high', 'up')
  judge('low', 'up')
  t.equal(await answers(), 'high high high')
  judge('high', 'down')
  t.equal(await answers(), 'low low low', 'nobody is refused meanwhile')
  judge('high', 'up')
  await allAnswer('high')
  judge('high', 'down')
  judge('low', 'down')
  await until('nobody answers', async () => `${await asked.http()} ${await asked.tcp()}` === '503 nothing')
})

t.test('a request that one pool has failed goes to another of the group, whatever their ratios', async t => {
  const good = await named(t, 'good')
  const { load, port, records } = openTestPlane(t)
  const target = aGroup(member('closed', 0, 9), member('good'))
  const pools = [aPool([await closedPort()], { id: 'closed', name: 'closed' }), aPool([good.port], { id: 'good', name: 'good' })]
  await load(aSnapshot({ services: [aService({ target })], pools }))
  t.same(new Set(await bodies(port(), 20)), new Set(['good']))
  t.same(new Set(records.map(({ attempts }) => attempts)), new Set([1, 2]))
  t.equal(records.at(-1)?.poolName, 'good')
})

t.test('a request that all pools of the highest priority have failed goes on to the next', async t => {
  const [spare, spared] = [await named(t, 'spare'), await named(t, 'never')]
  const { load, port } = openTestPlane(t)
  const pool = (id: string, at: number) => aPool([at], { id, name: id })
  const closed = [await closedPort(), await closedPort()] as const
  const pools = [pool('a', closed[0]), pool('b', closed[1]), pool('spare', spare.port), pool('last', spared.port)]
  const target = aGroup(member('a', 9), member('b', 9), member('spare', 5), member('last', 1), member('none', 5, 0))
  await load(aSnapshot({ services: [aService({ target })], pools }))
  t.same(new Set(await bodies(port(), 8)), new Set(['spare']))
  await load(aSnapshot({ services: [aService({ target: aGroup(member('a', 9), member('b', 1)) })], pools }))
  t.same(await bodies(port(), 2), ['502', '502'], 'nobody is left')
})

t.test('an answer that another server may better is bettered by another pool', async t => {
  const [bad, worse, good] = [await named(t, 'bad', 503), await named(t, 'worse', 503), await named(t, 'good')]
  const { load, port } = openTestPlane(t)
  const pool = (id: string, at: number) => aPool([at], { id, name: id, reselect })
  const pools = [pool('bad', bad.port), pool('worse', worse.port), pool('good', good.port)]
  await load(aSnapshot({ services: [aService({ target: aGroup(member('bad', 2), member('worse', 2), member('good', 1)) })], pools }))
  t.same(new Set(await bodies(port(), 6)), new Set(['good']))
  await load(aSnapshot({ services: [aService({ target: aGroup(member('bad', 2), member('worse', 1)) })], pools }))
  const last = await ask(port())
  t.same([last.status, last.body], [503, 'worse'], 'the last answer as it came')
})

t.test('a backup pool stands in for a request that all servers have failed', async t => {
  const backup = await named(t, 'backup')
  const flow = await openTcpServer(t, socket => socket.end('flow'))
  const { load, port } = openTestPlane(t)
  const pools = [
    aPool([await closedPort()], { failAction: { is: 'pool', poolId: 'backup' } }),
    aPool([backup.port], { id: 'backup', name: 'backup' }),
    aPool([await closedPort()], { id: 'tcp', failAction: { is: 'pool', poolId: 'tcp-backup' } }),
    aPool([flow.port], { id: 'tcp-backup' })
  ]
  const tcp = aService({ id: 'tcp', application: 'tcp', target: { is: 'pool', poolId: 'tcp' } })
  await load(aSnapshot({ services: [aService(), tcp], pools }))
  t.same(await bodies(port(), 3), ['backup', 'backup', 'backup'])
  const socket = connect(port('tcp'), '127.0.0.1')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.equal(answer.toString(), 'flow')
})

t.test('a flow that one pool has failed goes to another of the group', async t => {
  const good = await openTcpServer(t, socket => socket.end('good'))
  const { load, port, records } = openTestPlane(t)
  const target = aGroup(member('closed', 5), member('good', 1))
  const pools = [aPool([await closedPort()], { id: 'closed' }), aPool([good.port], { id: 'good', name: 'good' })]
  await load(aSnapshot({ services: [aService({ application: 'tcp', target })], pools }))
  for (let i = 0; i < 4; i++) {
    const socket = connect(port(), '127.0.0.1')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    t.equal(answer.toString(), 'good')
  }
  await until('records', () => records.length === 4)
  const told: Partial<AccessRecord> = { attempts: 2, poolName: 'good', fault: '' }
  t.match(
    records,
    Array.from({ length: 4 }, () => told)
  )
})
