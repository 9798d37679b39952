/** Two virtual services send to one pool: whatever the way, each request is counted once, for the one that sent it. */
import { connect } from 'node:net'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t from 'tap'
import type { VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { aCache } from '#test/support/cached-origin.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, until, type DataPlaneUnderTest } from '#test/support/data-plane.ts'
import { aListener, aPool, aRule, aService, aSnapshot } from '#test/support/snapshot.ts'

const named = (id: string, given: Partial<Omit<VirtualServicePart, 'http'>> = {}): VirtualServicePart =>
  aService({ id, name: id, ...given })

/** `<user> <requests>/<5xx>/<faults of servers>` of each, and the pool's. */
function told({ memory }: DataPlaneUnderTest, poolId = 'pool-1') {
  const { pools, uses } = memory.readTotals()
  const pool = pools.find(({ id }) => id === poolId)!
  const text = (id: string, { requests, responses5xx, faultsUpstream }: (typeof pool)['totals']) =>
    `${id} ${requests}/${responses5xx}/${faultsUpstream}`
  return {
    pool: text('all', pool.totals),
    onlyOf: pool.onlyOf,
    uses: uses.filter(use => use.poolId === poolId).map(({ id, totals }) => text(id, totals))
  }
}

const requestsOf = ({ memory }: DataPlaneUnderTest): number =>
  memory.readTotals().pools.reduce((sum, { totals }) => sum + totals.requests, 0)

t.test('requests are counted for the service that sent them, whichever rule led there', async t => {
  const web = await openHttpServer(t, (request, response) => {
    if (request.url === '/break') return void request.socket.destroy()
    response.statusCode = request.url === '/bad' ? 500 : 200
    response.end('web')
  })
  const under = openTestPlane(t)
  const rule = aRule({
    match: { path: { operator: 'begins-with', values: ['/bad'], isCaseSensitive: true } },
    action: { is: 'switch', target: { is: 'pool', poolId: 'pool-1' } }
  })
  const services = [named('good'), named('bad', { target: null, requestRules: [{ ...rule, match: null }] })]
  t.same(await under.load(aSnapshot({ services, pools: [aPool([web.port])] })), [])
  for (let i = 0; i < 5; i++) await ask(under.port('good'))
  for (let i = 0; i < 3; i++) await ask(under.port('bad'), { path: '/bad' })
  await ask(under.port('bad'), { method: 'POST', path: '/break' })
  await until(() => requestsOf(under) === 9, 'all are counted')
  t.same(told(under), { pool: 'all 9/3/1', onlyOf: undefined, uses: ['good 5/0/0', 'bad 4/3/1'] })
  const { uses } = under.memory.readTotals()
  t.equal(
    uses[0]!.latency.filter((_, i) => i % 2 === 1).reduce((sum, count) => sum + count, 0),
    5,
    'and their times'
  )
  t.ok(uses[0]!.totals.bytesOut > 0)
  t.same(under.bugs, [])
})

t.test('one that comes and goes takes nothing from who was there before', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const under = openTestPlane(t)
  const load = async (...services: readonly VirtualServicePart[]) =>
    t.same(await under.load(aSnapshot({ services, pools: [aPool([web.port])] })), [])
  const [first, second] = [named('first'), named('second')]
  await load(first)
  await ask(under.port('first'))
  await until(() => requestsOf(under) === 1, 'counted')
  t.same(told(under), { pool: 'all 1/0/0', onlyOf: 'first', uses: [] })
  // The part of the first one is the same object: its site is not built again, and follows all the same.
  await load(first, second)
  await ask(under.port('first'))
  await ask(under.port('second'))
  await until(() => requestsOf(under) === 3, 'counted')
  t.same(told(under), { pool: 'all 3/0/0', onlyOf: undefined, uses: ['first 1/0/0', 'second 1/0/0'] })
  await load(first)
  await ask(under.port('first'))
  await until(() => requestsOf(under) === 4, 'counted')
  t.same(told(under), { pool: 'all 4/0/0', onlyOf: undefined, uses: ['first 2/0/0'] })
})

t.test('copies, and what a cache asks for behind, are of the service that they are made for', async t => {
  const web = await openHttpServer(t, (_request, response) =>
    response.writeHead(200, { 'cache-control': 'max-age=0, stale-while-revalidate=600', etag: '"1"' }).end('web')
  )
  const shadow = await openHttpServer(t, (_request, response) => response.writeHead(503).end())
  const under = openTestPlane(t)
  const services = [named('cached', { cache: aCache(), mirror: { poolId: 'shadow', percent: 100 } }), named('plain'), named('direct')]
  services[2] = { ...services[2]!, target: { is: 'pool', poolId: 'shadow' } }
  const pools = [aPool([web.port]), aPool([shadow.port], { id: 'shadow' })]
  t.same(await under.load(aSnapshot({ services, pools })), [])
  await ask(under.port('cached'))
  t.match(
    await ask(under.port('cached')),
    { headers: { 'x-cache': 'STALE' } },
    'one of two comes from what is kept, and is asked for behind'
  )
  await ask(under.port('plain'))
  await ask(under.port('direct'))
  await until(() => told(under).pool === 'all 3/0/0', 'first, behind, plain')
  t.same(told(under).uses, ['cached 2/0/0', 'plain 1/0/0'])
  await until(() => told(under, 'shadow').pool === 'all 2/2/0', 'one was asked by a copy, one by itself')
  t.same(told(under, 'shadow').uses, ['cached 1/1/0', 'direct 1/1/0'])
})

t.test('flows and sessions are counted for their service', async t => {
  const tcp = await openTcpServer(t, socket => socket.pipe(socket))
  const udp = createSocket('udp4').bind(0, '127.0.0.1')
  await once(udp, 'listening')
  t.teardown(() => void udp.close())
  udp.on('message', (datagram, from) => udp.send(datagram, from.port, from.address))
  const under = openTestPlane(t)
  const flows = ['tcp-a', 'tcp-b'].map(id => named(id, { application: 'tcp' }))
  const sessions = ['udp-a', 'udp-b'].map(id =>
    named(id, {
      application: 'udp',
      listeners: [aListener({ protocol: 'udp' })],
      tcp: { idleTimeoutMs: 60_000 },
      target: { is: 'pool', poolId: 'udp' }
    })
  )
  const pools = [aPool([tcp.port]), aPool([udp.address().port], { id: 'udp' })]
  t.same(await under.load(aSnapshot({ services: [...flows, ...sessions], pools })), [])
  for (const [id, size] of [
    ['tcp-a', 1_000],
    ['tcp-b', 10]
  ] as const) {
    const client = connect(under.port(id), '127.0.0.1').end(Buffer.alloc(size))
    client.resume()
    await once(client, 'close')
  }
  await until(() => told(under).pool === 'all 2/0/0', 'both flows are over')
  t.same(told(under).uses, ['tcp-a 1/0/0', 'tcp-b 1/0/0'])
  const client = createSocket('udp4')
  t.teardown(() => void client.close())
  client.send(Buffer.alloc(100), under.port('udp-b'), '127.0.0.1')
  await once(client, 'message')
  const bytes = () =>
    Object.fromEntries(under.memory.readTotals().uses.map(({ id, totals }) => [id, [totals.bytesIn, totals.bytesOut] as const]))
  await until(() => bytes()['udp-b']?.[1] === 100, 'the answer is counted')
  t.same(bytes(), { 'tcp-a': [1_000, 1_000], 'tcp-b': [10, 10], 'udp-a': [0, 0], 'udp-b': [100, 100] })
  t.same(under.bugs, [])
})
