/** Servers that come, are full, or have had enough for now. */
import t from 'tap'
import type { ServerResponse } from 'node:http'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { ask, openHttpServer, openTestPlane, until } from '#test/support/data-plane.ts'
import { aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'

type Tap = Parameters<typeof openHttpServer>[0]
const openServers = (t: Tap, count: number) =>
  Promise.all(Array.from({ length: count }, () => openHttpServer(t, (_request, response) => response.end('ok'))))

t.test('a server that comes to others gets little at first', async t => {
  const RAMP_S = 3
  const servers = await openServers(t, 3)
  const { load, port } = openTestPlane(t)
  const run = (revision: number, count: number) => {
    const part = aPool(
      servers.slice(0, count).map(server => server.port),
      { algorithm: { is: 'least-connections' }, rampS: RAMP_S }
    )
    return load(aSnapshot({ revision, services: [aService()], pools: [part] }))
  }
  await run(1, 2)
  for (let n = 0; n < 20; n++) await ask(port())
  t.ok(servers[0]!.requests.length >= 8 && servers[1]!.requests.length >= 8, 'who came together shares')
  const sinceMs = performance.now()
  await until(() => performance.now() - sinceMs > RAMP_S * 1000, 'the two have their whole share')
  await run(2, 3)
  const startMs = performance.now()
  for (let n = 0; n < 60; n++) await ask(port())
  // Times are kept in whole seconds.
  const share = Math.min(1, ((performance.now() - startMs) / 1000 + 1) / RAMP_S)
  const count = servers[2]!.requests.length
  t.ok(count <= 20 * share + 5, `${count} of 60, with at most ${share.toFixed(2)} of its share`)
})

t.test('a server gets no more than its rate; what is too much is refused, or waits', async t => {
  const servers = await openServers(t, 2)
  const { load, port } = openTestPlane(t)
  const serverRate = { count: 5, periodMs: 1000, burst: 5 }
  const run = (revision: number, given: Partial<PoolPart>) =>
    load(
      aSnapshot({
        revision,
        services: [aService()],
        pools: [
          aPool(
            servers.map(server => server.port),
            given
          )
        ]
      })
    )
  await run(1, { serverRate })
  const startMs = performance.now()
  const statuses = await Promise.all(Array.from({ length: 40 }, () => ask(port()).then(({ status }) => status)))
  const most = 10 + Math.ceil(((performance.now() - startMs) / 1000) * 10)
  const answered = statuses.filter(status => status === 200).length
  t.ok(answered >= 10 && answered <= most, `${answered} of 40`)
  t.ok(statuses.every(status => status === 200 || status === 503))
  await run(2, { serverRate, queue: { depth: 10 } })
  const waited = await Promise.all(Array.from({ length: 8 }, () => ask(port()).then(({ status }) => status)))
  t.same(new Set(waited), new Set([200]))
})

t.test('as few servers are used as the load needs', async t => {
  const held: ServerResponse[] = []
  const servers = await Promise.all([1, 2, 3].map(() => openHttpServer(t, (_request, response) => void held.push(response))))
  const { load, port } = openTestPlane(t)
  const part = aPool(
    servers.map(server => server.port),
    { algorithm: { is: 'fewest-servers', capacity: 2 }, maxConnectionsPerServer: 2 }
  )
  await load(aSnapshot({ services: [aService()], pools: [part] }))
  const counts = () => servers.map(server => server.requests.length)
  const answers = [ask(port()), ask(port())]
  await until(() => held.length === 2, 'two are with servers')
  t.same(counts(), [2, 0, 0])
  answers.push(ask(port()))
  await until(() => held.length === 3, 'one more')
  t.same(counts(), [2, 1, 0])
  for (const response of held) response.end()
  t.same(new Set((await Promise.all(answers)).map(({ status }) => status)), new Set([200]))
})

t.test('what the first server cannot take goes to the next that is in use, not to one that rests', async t => {
  const held: ServerResponse[] = []
  const busy = await openHttpServer(t, (_request, response) => {
    response.statusCode = 503
    response.end()
  })
  const [next, resting] = await Promise.all([1, 2].map(() => openHttpServer(t, (_request, response) => void held.push(response))))
  const { load, port } = openTestPlane(t)
  const ports = [busy.port, next!.port, resting!.port]
  const algorithm = { is: 'fewest-servers', capacity: 3 } as const
  const statuses = [{ from: 503, to: 503 }]
  const reselect = {
    maxRetries: 4,
    retriesNonIdempotent: false,
    statuses,
    tryTimeoutMs: null,
    retryTimeoutMs: null,
    budget: null,
    backoff: null
  }
  const counts = () => [next!.requests.length, resting!.requests.length]
  await load(aSnapshot({ services: [aService()], pools: [aPool(ports, { algorithm, maxConnectionsPerServer: 3, reselect })] }))
  const answers = [1, 2, 3].map(() => ask(port()))
  await until(() => held.length === 3, 'three are with servers')
  t.same(counts(), [3, 0], 'tried again')
  answers.push(ask(port()))
  await until(() => held.length === 4, 'one more')
  t.same(counts(), [3, 1], 'full')
  for (const response of held.splice(0)) response.end()
  await Promise.all(answers)
})

t.test('a server of a later order stands by until those before it can take no more', async t => {
  const held: ServerResponse[] = []
  const first = await openHttpServer(t, (request, response) => (request.url === '/hold' ? void held.push(response) : response.end('first')))
  const second = await openHttpServer(t, (_request, response) => response.end('second'))
  const { load, port } = openTestPlane(t)
  const pool = aPool([], { servers: [aServer(second.port, { order: 2 }), aServer(first.port)], maxConnectionsPerServer: 1 })
  await load(aSnapshot({ revision: 1, services: [aService()], pools: [pool] }))
  for (let n = 0; n < 10; n++) t.equal((await ask(port())).body, 'first')
  const hold = ask(port(), { path: '/hold' })
  await until(() => held.length === 1, 'the first is full')
  t.equal((await ask(port())).body, 'second')
  held[0]!.end('held')
  t.equal((await hold).body, 'held')
  t.equal((await ask(port())).body, 'first', 'and back')
})
