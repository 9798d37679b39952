/** Servers that fail are left out; a pool gets no more at once than its breaker says. */
import t from 'tap'
import type { ServerResponse } from 'node:http'
import type { BreakerSpec, OutlierSpec, Resilience } from '#model/snapshot/resilience.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { ask, closedPort, openHttpServer, openTcpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

const outliers: OutlierSpec = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: null,
  consecutiveLocalFailures: 2,
  successRate: null,
  intervalS: 10,
  baseEjectionS: 3600,
  maxEjectionS: 3600,
  maxEjectionPercent: 50
}
const resilient = (part: PoolPart, given: Resilience): PoolPart & Resilience => ({ ...part, ...given })

t.test('a server that answers errors, and one that does not answer, are left out and told', async t => {
  const bad = await openHttpServer(t, (_request, response) => {
    response.statusCode = 500
    response.end()
  })
  const good = await Promise.all([1, 2].map(() => openHttpServer(t, (_request, response) => response.end('good'))))
  const gone = await closedPort()
  const { load, port, memory } = openTestPlane(t)
  const part = aPool([bad.port, gone, ...good.map(({ port }) => port)])
  await load(aSnapshot({ services: [aService()], pools: [resilient(part, { outliers })] }))
  const ejected = () => memory.readTotals().servers.flatMap(({ id, ejection }) => (ejection === undefined ? [] : { id, ...ejection }))
  for (let n = 0; n < 200 && ejected().length < 2; n++) await ask(port())
  t.match(
    ejected().toSorted((a, b) => a.reason.localeCompare(b.reason)),
    [
      { id: `127.0.0.1:${gone}`, reason: /connections in a row/ },
      { id: `127.0.0.1:${bad.port}`, reason: /5xx.* in a row/ }
    ]
  )
  t.ok(ejected().every(({ untilEpochMs }) => untilEpochMs > Date.now() + 3_000_000))
  // What was looked up a moment ago may serve a little longer.
  await new Promise(resolve => setTimeout(resolve, 50))
  const before = bad.requests.length
  for (let n = 0; n < 20; n++) t.equal((await ask(port())).status, 200)
  t.equal(bad.requests.length, before)
})

t.test('the breaker bounds what servers get and what waits', async t => {
  const held: ServerResponse[] = []
  const web = await openHttpServer(t, (_request, response) => void held.push(response))
  const { load, port, bugs } = openTestPlane(t)
  const breaker: BreakerSpec = { maxRequests: 2, maxPending: 1, maxRetries: null }
  await load(aSnapshot({ services: [aService()], pools: [resilient(aPool([web.port]), { breaker })] }))
  const answers = Array.from({ length: 5 }, () => ask(port()).then(({ status }) => status))
  const settled: number[] = []
  for (const answer of answers) void answer.then(status => settled.push(status))
  await until(() => settled.length === 2 && held.length === 2, 'two are refused, two are with the server, one waits')
  t.same(settled, [503, 503])
  const end = (): void => void held.shift()!.end()
  end()
  await until(() => held.length === 2, 'the one that waited is with the server')
  end()
  end()
  t.same(
    (await Promise.all(answers)).toSorted((a, b) => a - b),
    [200, 200, 200, 503, 503]
  )
  const more = ask(port())
  await until(() => held.length === 1, 'all places are free again')
  end()
  t.equal((await more).status, 200)
  t.same(bugs, [])
})

t.test('the breaker bounds retries that are under way', async t => {
  const held: ServerResponse[] = []
  const slow = await openHttpServer(t, (_request, response) => void held.push(response))
  const gone = await Promise.all([closedPort(), closedPort()])
  const { load, port } = openTestPlane(t)
  const breaker: BreakerSpec = { maxRequests: null, maxPending: null, maxRetries: 1 }
  const reselect = {
    maxRetries: 4,
    retriesNonIdempotent: false,
    statuses: [],
    tryTimeoutMs: null,
    retryTimeoutMs: null,
    budget: null,
    backoff: null
  }
  const part = aPool([...gone, slow.port], { algorithm: { is: 'consistent-hash', by: 'uri', header: null } })
  await load(aSnapshot({ services: [aService()], pools: [resilient(part, { breaker, reselect })] }))
  const statuses: number[] = []
  const all = Array.from({ length: 20 }, (_, n) => ask(port(), { path: `/${n}` }).then(({ status }) => statuses.push(status)))
  await until(() => statuses.length + held.length === 20, 'each is refused or with the server')
  t.ok(statuses.length > 5, 'most had to be sent again')
  t.ok(
    statuses.every(status => status === 502 || status === 503),
    `${statuses.join()}`
  )
  for (const response of held) response.end()
  await Promise.all(all)
})

t.test('flows that get no connection count, and those that do end the row', async t => {
  const gone = await closedPort()
  const good = await openTcpServer(t, socket => socket.end('hello'))
  const { load, port, memory } = openTestPlane(t)
  const service = aService({ application: 'tcp' })
  const pool = resilient(aPool([gone, good.port]), { outliers: { ...outliers, consecutiveLocalFailures: 3 } })
  await load(aSnapshot({ services: [service], pools: [pool] }))
  const ejected = () => memory.readTotals().servers.filter(({ ejection }) => ejection !== undefined)
  for (let n = 0; n < 100 && ejected().length === 0; n++) t.equal((await sendRaw(port(), '')).text, 'hello')
  t.match(ejected(), [{ id: `127.0.0.1:${gone}`, ejection: { reason: /connections in a row/ } }])
})
