/** Requests that a server fails go to another one, within the rules of the pool. */
import type { RequestListener, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import type { ReselectSpec, Resilience } from '#model/snapshot/resilience.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { makeWireForwarder } from '#engine/dataplane/http/wire/wire.ts'
import { ask, openHttpServer, openTestPlane } from '#test/support/data-plane.ts'
import { load } from '#test/support/load.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

const rules: ReselectSpec = {
  maxRetries: 4,
  retriesNonIdempotent: false,
  statuses: [{ from: 500, to: 599 }],
  tryTimeoutMs: null,
  retryTimeoutMs: null,
  budget: null,
  backoff: null
}
const reselecting = (part: PoolPart, given: Partial<ReselectSpec> = {}): PoolPart & Resilience => ({
  ...part,
  reselect: { ...rules, ...given }
})

const good: RequestListener = (_request, response) => response.end('good')
const failing: RequestListener = (_request, response) => {
  response.statusCode = 503
  response.end('busy')
}
const resetting: RequestListener = request => request.socket.resetAndDestroy()

async function openServers(t: Tap, listeners: readonly RequestListener[]) {
  return Promise.all(listeners.map(listener => openHttpServer(t, listener)))
}
type Tap = Parameters<typeof openHttpServer>[0]

t.test('three of ten servers fail every request, each in its own way: clients do not see it', async t => {
  const REQUESTS = 1000
  const slow: RequestListener = () => undefined
  const servers = await openServers(t, [failing, resetting, slow, ...Array.from({ length: 7 }, () => good)])
  const { load: apply, port, bugs } = openTestPlane(t)
  const budget = { percent: 50, minPerS: 1 }
  const part = aPool(servers.map(server => server.port))
  const pool = reselecting(part, { budget, tryTimeoutMs: 250, retryTimeoutMs: 250, backoff: { baseMs: 1, maxMs: 4 } })
  t.same(await apply(aSnapshot({ services: [aService()], pools: [pool] })), [])
  const start = performance.now()
  const { answered } = await load({ port: port(), connections: 32, requests: REQUESTS })
  const tookS = (performance.now() - start) / 1000
  t.ok(answered > REQUESTS * 0.995, `${answered} of ${REQUESTS}`)
  const upstream = servers.reduce((sum, server) => sum + server.requests.length, 0)
  t.ok(upstream <= REQUESTS * 1.5 + (tookS + 1) * budget.minPerS, `${upstream} requests reached servers`)
  t.same(bugs, [])
})

t.test('when all servers fail, the load on them grows by the budget and no more', async t => {
  const servers = await openServers(t, [failing, failing, failing, failing])
  const { load: apply, port } = openTestPlane(t)
  const budget = { percent: 20, minPerS: 2 }
  await apply(aSnapshot({ services: [aService()], pools: [reselecting(aPool(servers.map(server => server.port)), { budget })] }))
  const start = performance.now()
  const { answered, failures } = await load({ port: port(), connections: 8, requests: 500 })
  const tookS = (performance.now() - start) / 1000
  t.equal(answered, 0)
  t.same(failures, { 'status 503': 500 }, 'the last answer is passed on')
  const upstream = servers.reduce((sum, server) => sum + server.requests.length, 0)
  t.ok(upstream <= 500 * 1.2 + (tookS + 1) * budget.minPerS, `${upstream} requests reached servers`)
  t.ok(upstream >= 590, `the budget is used: ${upstream}`)
})

t.test('a request that must not be acted on twice is not sent twice, unless told', async t => {
  const [bad, web] = await openServers(t, [failing, good])
  const { load: apply, port } = openTestPlane(t)
  const part = aPool([bad!.port, web!.port])
  await apply(aSnapshot({ services: [aService()], pools: [reselecting(part)] }))
  const statuses = async (method: string) => {
    const answers: number[] = []
    for (let n = 0; n < 4; n++) answers.push((await ask(port(), { method })).status)
    return answers.toSorted((a, b) => a - b)
  }
  t.same(await statuses('POST'), [200, 200, 503, 503])
  t.same(await statuses('DELETE'), [200, 200, 200, 200])
  await apply(aSnapshot({ revision: 2, services: [aService()], pools: [reselecting(part, { retriesNonIdempotent: true })] }))
  t.same(await statuses('POST'), [200, 200, 200, 200])
})

t.test('no more than the retries allowed, none for other statuses, and the last answer as it came', async t => {
  const servers = await openServers(t, [failing, failing, failing, failing])
  const { load: apply, port } = openTestPlane(t)
  const part = aPool(servers.map(server => server.port))
  const reached = () => servers.reduce((sum, server) => sum + server.requests.length, 0)
  await apply(aSnapshot({ services: [aService()], pools: [reselecting(part, { maxRetries: 2 })] }))
  const answer = await ask(port())
  t.same([answer.status, answer.body], [503, 'busy'])
  t.equal(reached(), 3)
  await apply(aSnapshot({ revision: 2, services: [aService()], pools: [reselecting(part, { statuses: [{ from: 500, to: 502 }] })] }))
  t.equal((await ask(port())).status, 503)
  t.equal(reached(), 4)
  await apply(aSnapshot({ revision: 3, services: [aService()], pools: [reselecting(part)] }))
  t.equal((await ask(port())).status, 503, 'when every server was tried')
  t.equal(reached(), 8)
})

t.test('a small body goes with its request to the next server, whole and once; a large one is not sent again', async t => {
  const bodies: string[] = []
  const take =
    (answer: (response: ServerResponse) => void): RequestListener =>
    (request, response) =>
      void text(request).then(body => {
        bodies.push(body)
        answer(response)
      })
  const bad = take(response => {
    response.statusCode = 503
    response.end('busy')
  })
  const breaking: RequestListener = request => {
    request.once('data', () => request.socket.resetAndDestroy())
  }
  const servers = await openServers(t, [bad, breaking, take(response => response.end('good'))])
  const { load: apply, port, bugs } = openTestPlane(t, { forwarder: makeWireForwarder({ clock: systemClock }) })
  const part = aPool(servers.map(server => server.port))
  await apply(aSnapshot({ services: [aService()], pools: [reselecting(part, { retriesNonIdempotent: true })] }))
  for (const size of [1, 20_000, 60_000])
    for (const framing of ['content-length', 'transfer-encoding'])
      for (const method of ['PUT', 'POST', 'PUT']) {
        bodies.length = 0
        const body = 'abcdefghij'.repeat(size / 10 + 1).slice(0, size)
        const headers = { [framing]: framing === 'content-length' ? size : 'chunked' }
        const answer = await ask(port(), { method, body, headers })
        t.same([answer.status, answer.body], [200, 'good'], `${method} ${size} by ${framing}`)
        t.ok(
          bodies.every(seen => seen === body),
          'each server saw all of it'
        )
      }
  await apply(aSnapshot({ revision: 2, services: [aService()], pools: [reselecting(aPool([servers[0]!.port, servers[2]!.port]))] }))
  const large = 'x'.repeat(300_000)
  const statuses = []
  for (let n = 0; n < 4; n++) statuses.push((await ask(port(), { method: 'PUT', body: large })).status)
  t.same(
    statuses.toSorted((a, b) => a - b),
    [200, 200, 503, 503]
  )
  t.same(bugs, [])
})
