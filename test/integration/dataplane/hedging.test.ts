/** A request that is not answered in time goes to a second server as well: one answer comes, and what lost is let go. */
import { Agent, request as httpRequest, type RequestListener, type ServerResponse } from 'node:http'
import { connect as http2Connect, constants, type ServerHttp2Stream } from 'node:http2'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { seededRandom } from '#model/base/random.ts'
import type { HedgeSpec, ReselectSpec } from '#model/snapshot/resilience.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { makeForwarder } from '#engine/dataplane/http/forwarders.ts'
import { aCache } from '#test/support/cached-origin.ts'
import { ask, closedPort, openHttpServer, openTestPlane, until, type DataPlaneUnderTest } from '#test/support/data-plane.ts'
import { askOn, openHttp2Server } from '#test/support/http2.ts'
import { load } from '#test/support/load.ts'
import { aListener, aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
const hedge: HedgeSpec = { delayMs: 20, percentile: null, budget: { percent: 100, minPerS: 100 } }
const reselect: ReselectSpec = {
  maxRetries: 4,
  retriesNonIdempotent: false,
  statuses: [{ from: 500, to: 599 }],
  tryTimeoutMs: null,
  retryTimeoutMs: null,
  budget: null,
  backoff: null
}
const hedging = (ports: readonly number[], given: Partial<PoolPart> = {}): PoolPart => aPool(ports, { hedge, ...given })

const served = ({ memory }: DataPlaneUnderTest, port: number): number => memory.inFlight('pool-1', `127.0.0.1:${port}`)
const hedgesOf = ({ memory }: DataPlaneUnderTest) => memory.readTotals().pools[0]?.hedges

type Behave = (response: ServerResponse) => void

/** Servers that behave by the order in which they are asked for one thing, whichever the balancer takes first. */
async function inOrder(t: Parameters<typeof openHttpServer>[0], behaviours: readonly Behave[], servers = 2) {
  const arrivals = new Map<string, number>()
  const asked: { readonly port: number; readonly closed: () => boolean }[] = []
  const ports: number[] = []
  const listener =
    (index: number): RequestListener =>
    (request, response) => {
      const count = arrivals.get(request.url!) ?? 0
      arrivals.set(request.url!, count + 1)
      const { socket } = request
      asked.push({ port: ports[index]!, closed: () => socket.destroyed })
      behaviours[Math.min(count, behaviours.length - 1)]!(response)
    }
  for (let i = 0; i < servers; i++) ports.push((await openHttpServer(t, listener(i))).port)
  return { ports, asked }
}

const never: Behave = () => undefined
const saying =
  (body: string, status = 200): Behave =>
  response => {
    response.statusCode = status
    response.end(body)
  }

t.test('a server that is slow is overtaken by a second one; its connection is closed', async t => {
  const { ports, asked } = await inOrder(t, [never, saying('second')])
  const under = openTestPlane(t)
  t.same(await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports)] })), [])
  const answer = await ask(under.port(), { path: '/one' })
  t.same([answer.status, answer.body], [200, 'second'])
  t.equal(asked.length, 2)
  t.not(asked[0]!.port, asked[1]!.port, 'by another server')
  await until(() => asked[0]!.closed(), 'the connection of the loser is closed')
  await until(() => ports.every(port => served(under, port) === 0), 'both places are free')
  const [record] = under.records
  t.match(record, { status: 200, attempts: 2, hedge: 'WON', server: `127.0.0.1:${asked[1]!.port}`, fault: '' })
  t.ok(record!.sentUs >= hedge.delayMs * 900, `asked after the delay: ${record!.sentUs} us`)
  t.same(hedgesOf(under), { sent: 1, won: 1 })
  t.equal((await ask(under.port(), { path: '/one' })).body, 'second', 'the winner is asked again')
  t.same(under.bugs, [])
})

t.test('the first server may still win; the second is let go', async t => {
  const waiting: ServerResponse[] = []
  const { ports, asked } = await inOrder(t, [response => waiting.push(response), () => waiting[0]!.end('first')])
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports)] }))
  t.equal((await ask(under.port(), { path: '/one' })).body, 'first')
  await until(() => asked[1]!.closed(), 'the connection of the loser is closed')
  await until(() => ports.every(port => served(under, port) === 0), 'both places are free')
  t.notOk(asked[0]!.closed(), 'that of the winner is kept')
  t.match(under.records[0], { attempts: 2, hedge: 'LOST', server: `127.0.0.1:${asked[0]!.port}` })
  t.same(hedgesOf(under), { sent: 1, won: 0 })
  t.same(under.bugs, [])
})

t.test('an answer in time is not hedged', async t => {
  const { ports, asked } = await inOrder(t, [saying('at once')])
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports, { hedge: { ...hedge, delayMs: 10_000 } })] }))
  t.equal((await ask(under.port())).body, 'at once')
  t.equal(asked.length, 1)
  t.equal(under.records[0]!.hedge, undefined)
  t.equal(hedgesOf(under), undefined)
})

t.test('streams of HTTP/2 are reset, and their connection goes on', async t => {
  const codes: number[] = []
  const arrived: ServerHttp2Stream[] = []
  const onStream = (stream: ServerHttp2Stream): void => {
    stream.once('close', () => codes.push(stream.rstCode))
    arrived.push(stream)
    if (arrived.length !== 1) {
      stream.respond({ ':status': 200 })
      stream.end(`answer ${arrived.length}`)
    }
  }
  const servers = [await openHttp2Server(t, onStream), await openHttp2Server(t, onStream)]
  const under = openTestPlane(t)
  const http2 = aService({ listeners: [aListener({ isHttp2: true })] })
  await under.load(
    aSnapshot({
      services: [http2],
      pools: [
        hedging(
          servers.map(({ port }) => port),
          { isHttp2: true }
        )
      ]
    })
  )
  const client = http2Connect(`http://127.0.0.1:${under.port()}`)
  t.teardown(() => client.destroy())
  const answer = await askOn(client, { ':path': '/' })
  t.same([answer.status, answer.body], [200, 'answer 2'])
  await until(() => codes.includes(constants.NGHTTP2_CANCEL), 'the loser hears RST_STREAM')
  await until(() => servers.every(({ port }) => served(under, port) === 0), 'both places are free')
  const later = await Promise.all(Array.from({ length: 10 }, () => askOn(client, { ':path': '/' })))
  t.ok(later.every(({ status }) => status === 200))
  t.ok(
    servers.every(({ sessions }) => sessions.length === 1),
    'no other connection was needed'
  )
  t.equal((await ask(under.port())).status, 200, 'nor for clients of HTTP/1.1')
  t.same(under.bugs, [])
})

t.test('what changes something, has a body or is a tunnel is not hedged', async t => {
  const slow: Behave = response => setTimeout(() => response.end('slow'), 80)
  const { ports, asked } = await inOrder(t, [slow])
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports, { hedge: { ...hedge, delayMs: 5 } })] }))
  for (const [method, body] of [['POST'], ['POST', 'x'], ['PUT'], ['DELETE'], ['PATCH'], ['GET', 'x']] as const) {
    const before = asked.length
    const answer = await ask(under.port(), {
      method,
      ...(body === undefined ? {} : { body, headers: { 'content-length': body.length } }),
      path: `/${method}`
    })
    t.equal(answer.status, 200, method)
    t.equal(asked.length, before + 1, `${method} reached one server`)
  }
  t.ok(under.records.every(({ hedge }) => hedge === undefined))
})

t.test('one of the two that fails leaves it to the other; when both fail, the client is told once', async t => {
  const failing: Behave = response => response.socket!.destroy()
  const later =
    (behave: Behave): Behave =>
    response =>
      setTimeout(() => behave(response), 80)
  const { ports } = await inOrder(t, [later(failing), later(later(saying('second')))])
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports)] }))
  t.equal((await ask(under.port(), { path: '/first fails'.replace(' ', '-') })).body, 'second')
  t.match(under.records[0], { attempts: 2, hedge: 'LOST', status: 200, fault: '' })

  const other = await inOrder(t, [later(later(saying('first'))), failing])
  await under.load(aSnapshot({ revision: 2, services: [aService()], pools: [hedging(other.ports)] }))
  t.equal((await ask(under.port(), { path: '/second-fails' })).body, 'first')

  const none = await inOrder(t, [later(failing), later(failing)])
  await under.load(aSnapshot({ revision: 3, services: [aService()], pools: [hedging(none.ports)] }))
  t.equal((await ask(under.port(), { path: '/both-fail' })).status, 502)
  await until(() => none.ports.every(port => served(under, port) === 0), 'both places are free')
  t.same(under.bugs, [])
})

t.test('a second server that refuses connections costs nothing but the try', async t => {
  const dead = await closedPort()
  const { ports } = await inOrder(t, [response => setTimeout(() => response.end('alive'), 100)], 1)
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService()], pools: [hedging([...ports, dead])] }))
  for (let n = 0; n < 6; n++) t.equal((await ask(under.port(), { path: `/${n}` })).body, 'alive')
  t.same(under.bugs, [])
})

t.test('an answer that is to be reselected does not win', async t => {
  const { ports } = await inOrder(t, [response => setTimeout(() => saying('good')(response), 120), saying('bad', 503)])
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports, { reselect })] }))
  const answer = await ask(under.port(), { path: '/one' })
  t.same([answer.status, answer.body], [200, 'good'])
  t.match(under.records[0], { hedge: 'LOST', attempts: 2 })
  t.same(under.bugs, [])
})

t.test('a client that goes takes both tries with it', async t => {
  const { ports, asked } = await inOrder(t, [never])
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports)] }))
  const request = httpRequest({ port: under.port(), host: '127.0.0.1', agent: false, path: '/one' })
  request.on('error', () => undefined)
  request.end()
  await until(() => asked.length === 2, 'both were asked')
  request.destroy()
  await until(() => asked.every(({ closed }) => closed()), 'both connections are closed')
  await until(() => under.records.length === 1, 'it is on record')
  t.match(under.records[0], { fault: 'DOWNSTREAM_RESET', attempts: 2 })
  await until(() => ports.every(port => served(under, port) === 0), 'both places are free')
  t.same(under.bugs, [])
})

t.test('a request that runs out of time takes both tries with it', async t => {
  const { ports, asked } = await inOrder(t, [never])
  const under = openTestPlane(t)
  await under.load(aSnapshot({ services: [aService({ requestTimeoutMs: 150 })], pools: [hedging(ports)] }))
  t.equal((await ask(under.port(), { path: '/one' })).status, 504)
  t.equal(asked.length, 2)
  await until(() => asked.every(({ closed }) => closed()), 'both connections are closed')
  t.same(under.bugs, [])
})

t.test('with 30 % of the servers slow nobody waits for them, and the load grows by the budget and no more', async t => {
  const REQUESTS = 600
  const slow: RequestListener = (_request, response) => void setTimeout(() => response.end('slow'), 400)
  const good: RequestListener = (_request, response) => response.end('good')
  const servers = await Promise.all(Array.from({ length: 10 }, (_, i) => openHttpServer(t, i < 3 ? slow : good)))
  const reached = (): number => servers.reduce((sum, server) => sum + server.requests.length, 0)
  const ports = servers.map(({ port }) => port)
  const under = openTestPlane(t)
  const ample = { percent: 100, minPerS: 1_000 }
  const pool = (budget: HedgeSpec['budget']) => hedging(ports, { algorithm: { is: 'round-robin' }, hedge: { ...hedge, budget } })
  await under.load(aSnapshot({ services: [aService()], pools: [pool(ample)] }))
  t.equal((await load({ port: under.port(), connections: 16, requests: REQUESTS })).answered, REQUESTS)
  const { sent = 0, won = 0 } = hedgesOf(under) ?? {}
  // One that has lost before its server has looked is not seen there.
  t.ok(reached() <= REQUESTS + sent && reached() > REQUESTS, `${reached()} requests reached servers, ${sent} hedges`)
  t.ok(won >= REQUESTS * 0.1, `${won} of ${sent} hedges won`)

  const before = reached()
  const budget = { percent: 5, minPerS: 1 }
  const tight = openTestPlane(t)
  await tight.load(aSnapshot({ services: [aService()], pools: [pool(budget)] }))
  const start = performance.now()
  t.equal((await load({ port: tight.port(), connections: 16, requests: REQUESTS })).answered, REQUESTS)
  const tookS = (performance.now() - start) / 1000
  const grown = reached() - before - REQUESTS
  t.ok(grown <= REQUESTS * 0.05 + (tookS + 1) * budget.minPerS, `${grown} hedges`)
  t.ok(grown >= REQUESTS * 0.04, `the budget is used: ${grown}`)
  t.same([...under.bugs, ...tight.bugs], [])
})

t.test('by percentile: from when the pool is known on, what takes longer than usual is hedged', async t => {
  const { ports, asked } = await inOrder(t, [saying('quick')])
  const under = openTestPlane(t)
  const byPercentile: HedgeSpec = { ...hedge, delayMs: 5, percentile: 90 }
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports, { hedge: byPercentile })] }))
  for (let n = 0; n < 80; n++) await ask(under.port(), { path: `/quick/${n}` })
  const before = asked.length
  const slow = await inOrder(t, [never, saying('second')])
  await under.load(aSnapshot({ revision: 2, services: [aService()], pools: [hedging([...slow.ports], { hedge: byPercentile })] }))
  t.equal((await ask(under.port(), { path: '/slow' })).body, 'second', 'what was learned goes on to the next generation')
  t.equal(slow.asked.length, 2)
  t.equal(asked.length, before)
})

t.test('the codec that is the reference asks one server', async t => {
  const { ports, asked } = await inOrder(t, [response => setTimeout(() => response.end('slow'), 80)])
  const under = openTestPlane(t, { forwarder: makeForwarder('stock', { clock: systemClock }) })
  await under.load(aSnapshot({ services: [aService()], pools: [hedging(ports, { hedge: { ...hedge, delayMs: 5 } })] }))
  t.equal((await ask(under.port())).body, 'slow')
  t.equal(asked.length, 1)
})

for (const { isHttp2, isKept } of [
  { isHttp2: false, isKept: false },
  { isHttp2: true, isKept: false },
  { isHttp2: false, isKept: true }
]) {
  t.test(
    `timings at random, servers of HTTP/${isHttp2 ? 2 : 1.1}${isKept ? ', answers are kept' : ''}: one answer each, and its own (WEIR_SEED=${seed})`,
    async t => {
      const random = seededRandom(seed)
      const upTo = (n: number): number => Math.floor(random() * n)
      const bodyOf = (path: string): string => `${path} `.repeat(1 + (Number(path.slice(1)) % 7) * 900)
      const waits = (): number => (random() < 0.5 ? 0 : upTo(12))
      const ports: number[] = []
      for (let i = 0; i < 3; i++) {
        if (isHttp2) {
          const server = await openHttp2Server(t, (stream, headers) => {
            const kind = upTo(10)
            setTimeout(() => {
              if (stream.destroyed) return
              if (kind === 0) return stream.close(constants.NGHTTP2_INTERNAL_ERROR)
              stream.respond({ ':status': 200 })
              const body = bodyOf(headers[':path']!)
              if (kind < 5) return void stream.end(body)
              stream.write(body.slice(0, 9))
              setTimeout(() => stream.end(body.slice(9)), waits())
            }, waits())
          })
          ports.push(server.port)
        } else {
          const server = await openHttpServer(t, (request, response) => {
            const kind = upTo(10)
            setTimeout(() => {
              if (kind === 0) return request.socket.destroy()
              const body = bodyOf(request.url!)
              if (kind < 5) return void response.end(body)
              response.write(body.slice(0, 9))
              setTimeout(() => response.end(body.slice(9)), waits())
            }, waits())
          })
          ports.push(server.port)
        }
      }
      const under = openTestPlane(t)
      const wide: HedgeSpec = { delayMs: 4, percentile: null, budget: { percent: 100, minPerS: 10_000 } }
      const pool = hedging(ports, { isHttp2, hedge: wide, reselect: { ...reselect, maxRetries: 3 } })
      const service = aService(isKept ? { cache: aCache() } : {})
      t.same(await under.load(aSnapshot({ services: [service], pools: [pool] })), [])
      const agent = new Agent({ keepAlive: true, maxSockets: 16 })
      t.teardown(() => agent.destroy())
      let next = 0
      let wrong = 0
      const answered: string[] = []
      const statuses = new Map<number, number>()
      const lane = async (): Promise<void> => {
        while (next < 1_200) {
          const path = `/${next++}`
          const leaves = random() < 0.05
          const request = httpRequest({ agent, host: '127.0.0.1', port: under.port(), path })
          request.end()
          const left = leaves ? setTimeout(() => request.destroy(), upTo(10)) : undefined
          try {
            const [response] = await once(request, 'response')
            answered.push(path)
            const body = await text(response)
            statuses.set(response.statusCode, (statuses.get(response.statusCode) ?? 0) + 1)
            if (response.statusCode === 200 && body !== bodyOf(path)) wrong++
          } catch (error) {
            if (!leaves) throw error
          }
          clearTimeout(left)
          request.on('error', () => undefined)
        }
      }
      await Promise.all(Array.from({ length: 16 }, lane))
      t.equal(wrong, 0, 'every answer is whole, and of its own request')
      t.ok((statuses.get(200) ?? 0) > 1_000, JSON.stringify([...statuses]))
      await until(() => ports.every(port => served(under, port) === 0), 'every place is free again')
      // A client that goes at once may never have asked.
      const recorded = (): Set<string> => new Set(under.records.map(({ path }) => path))
      await until(() => answered.every(path => recorded().has(path)), 'all that were answered are on record')
      t.equal(recorded().size, under.records.length, 'once')
      const { sent = 0, won = 0 } = hedgesOf(under) ?? {}
      t.ok(sent > 100 && won > 20 && won < sent, `${won} of ${sent} hedges won`)
      t.same(under.bugs, [])
    }
  )
}
