/** What is done about failures is done alike over HTTP/1.1, HTTP/2 and for calls of gRPC: on real sockets, on both sides of the engine. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { HedgeSpec, ReselectSpec } from '#model/snapshot/resilience.ts'
import type { PoolPart, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, openTestPlane, until } from '#test/support/data-plane.ts'
import { collect, openHttp2Client, openHttp2Server } from '#test/support/http2.ts'
import { aListener, aPool, aServer, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'

t.setTimeout(240_000)
const certificate = await aCertificate('shop', ['shop.test'])
type Tap = Parameters<typeof openHttp2Server>[0]

/** As a client sees it: 0 for a connection or stream that broke. */
interface Seen {
  readonly status: number
  /** Of gRPC; '' for others. */
  readonly grpcStatus: string
  readonly body: string
}

/** What a server does with a request whose body has come; undefined: it never answers. */
type Behave = () => { readonly status: number; readonly afterMs?: number } | undefined

interface TestServer {
  readonly port: number
  /** Bodies of requests, in the order in which they came. */
  readonly seen: string[]
  readonly open: () => number
}

interface Protocol {
  readonly name: string
  readonly isHttp2: boolean
  /** Requests that may be sent twice, and hedged. */
  readonly isSafe: boolean
  readonly serve: (t: Tap, name: string, behave: Behave) => Promise<TestServer>
  /** Opens a client; each call is one request. */
  readonly open: (t: Tap, ports: { readonly plain: number; readonly tls: number }) => Promise<(body: string) => Promise<Seen>>
}

const lettered = (text: string): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(Buffer.byteLength(text), 1)
  return Buffer.concat([head, Buffer.from(text)])
}

function overHttp2(isGrpc: boolean): Pick<Protocol, 'serve' | 'open'> {
  const type = isGrpc ? { 'content-type': 'application/grpc' } : {}
  return {
    serve: async (t, name, behave) => {
      const seen: string[] = []
      let open = 0
      const { port } = await openHttp2Server(t, stream => {
        const chunks: Buffer[] = []
        open++
        stream.on('close', () => open--)
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          seen.push(Buffer.concat(chunks).toString(undefined, isGrpc ? 5 : 0))
          const answer = behave()
          if (answer === undefined) return
          setTimeout(() => {
            if (stream.closed || stream.destroyed) return
            stream.respond({ ':status': answer.status, ...type }, { waitForTrailers: isGrpc })
            if (isGrpc) stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
            stream.end(isGrpc ? lettered(name) : name)
          }, answer.afterMs ?? 0).unref()
        })
      })
      return { port, seen, open: () => open }
    },
    open: async (t, { tls }) => {
      const client = await openHttp2Client(t, tls)
      return async body => {
        const stream = client.request(
          { ':method': isGrpc ? 'POST' : 'GET', ':path': '/a.B/C', ...type, ...(isGrpc ? { te: 'trailers' } : {}) },
          { endStream: !isGrpc }
        )
        const answer = collect(stream)
        if (isGrpc) stream.end(lettered(body))
        const { status, headers, trailers, body: text, code } = await answer
        const grpcStatus = String(trailers['grpc-status'] ?? headers['grpc-status'] ?? '')
        return { status: code === 0 ? status : 0, grpcStatus, body: isGrpc ? text.slice(5) : text }
      }
    }
  }
}

const http1: Pick<Protocol, 'serve' | 'open'> = {
  serve: async (t, name, behave) => {
    const seen: string[] = []
    let open = 0
    const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      open++
      response.on('close', () => open--)
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        seen.push(body)
        const answer = behave()
        if (answer === undefined) return
        setTimeout(() => {
          response.statusCode = answer.status
          response.end(name)
        }, answer.afterMs ?? 0).unref()
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    return { port: (server.address() as AddressInfo).port, seen, open: () => open }
  },
  open:
    async (_t, { plain }) =>
    async () => {
      try {
        const { status, body } = await ask(plain, { path: '/a.B/C' })
        return { status, grpcStatus: '', body }
      } catch {
        return { status: 0, grpcStatus: '', body: '' }
      }
    }
}

const protocols: readonly Protocol[] = [
  { name: 'HTTP/1.1', isHttp2: false, isSafe: true, ...http1 },
  { name: 'HTTP/2', isHttp2: true, isSafe: true, ...overHttp2(false) },
  { name: 'gRPC', isHttp2: true, isSafe: false, ...overHttp2(true) }
]

const reselect: ReselectSpec = {
  maxRetries: 4,
  // Calls of gRPC are POSTs.
  retriesNonIdempotent: true,
  statuses: [{ from: 500, to: 599 }],
  tryTimeoutMs: null,
  retryTimeoutMs: null,
  budget: null,
  backoff: null
}

for (const { name, isHttp2, isSafe, serve, open } of protocols) {
  const openPlane = async (t: Tap) => {
    const plane = openTestPlane(t)
    const listeners = [aListener(), aListener({ isTls: true, isHttp2: true })]
    let revision = 0
    const load = async (
      ports: readonly (number | ReturnType<typeof aServer>)[],
      pool: Partial<PoolPart> = {},
      service: Partial<Omit<VirtualServicePart, 'http'>> = {},
      more: readonly PoolPart[] = []
    ): Promise<void> => {
      const part = aService({ listeners, tls: aTls([certificate.id]), ...service })
      const pools = [aPool(ports, { isHttp2, algorithm: { is: 'round-robin' }, ...pool }), ...more]
      const violations = await plane.load(aSnapshot({ revision: ++revision, services: [part], pools, certificates: [certificate] }))
      if (violations.length > 0) throw new Error(JSON.stringify(violations))
    }
    const client = async () => {
      const [plain, tls] = plane.plane.bound().map(door => door.port) as [number, number]
      return open(t, { plain, tls })
    }
    return { ...plane, load, client }
  }
  /** A refusal with 503, as the client of the protocol is told it. */
  const isRefused = (seen: Seen): boolean => (name === 'gRPC' ? seen.grpcStatus === '14' : seen.status === 503)
  const isServed = (seen: Seen, by?: string): boolean =>
    seen.status === 200 && (name !== 'gRPC' || seen.grpcStatus === '0') && (by === undefined || seen.body === by)

  t.test(`${name}: faults on purpose`, async t => {
    const web = await serve(t, 'web', () => ({ status: 200 }))
    const { load, client, records } = await openPlane(t)
    await load([web.port], {}, { fault: { match: null, delay: null, abort: { percent: 100, status: 503 } } })
    const call = await client()
    t.ok(isRefused(await call('x')))
    t.equal(web.seen.length, 0, 'no server hears of it')
    await load([web.port], {}, { fault: { match: null, delay: { percent: 100, ms: 150 }, abort: null } })
    const startMs = performance.now()
    t.ok(isServed(await call('x')))
    t.ok(performance.now() - startMs >= 149)
    await until(() => records.length === 2, 'records')
    t.match(records, [{ rule: 'fault: abort' }, { rule: 'fault: delay' }])
  })

  t.test(`${name}: mirroring`, async t => {
    const [web, copies] = [await serve(t, 'web', () => ({ status: 200 })), await serve(t, 'copies', () => ({ status: 200 }))]
    const { load, client, memory } = await openPlane(t)
    const mirrorPool = aPool([copies.port], { id: 'copies', name: 'copies', isHttp2 })
    await load([web.port], {}, { mirror: { poolId: 'copies', percent: 100 } }, [mirrorPool])
    const call = await client()
    for (let n = 0; n < 5; n++) t.ok(isServed(await call(`body ${n}`), 'web'))
    await until(() => copies.seen.length === 5, 'all are copied')
    t.same(copies.seen.toSorted(), web.seen.toSorted())
    const totals = () => memory.readTotals().pools.find(({ id }) => id === 'copies')?.totals
    await until(() => totals()?.responses2xx === 5, 'copies are counted')
    t.equal(totals()?.faultsUpstream, 0)
    await until(() => memory.inFlight('copies', `127.0.0.1:${copies.port}`) === 0, 'their places are free')
  })

  t.test(`${name}: ${isSafe ? 'hedging' : 'nothing with a body is hedged'}`, async t => {
    const slow = await serve(t, 'slow', () => ({ status: 200, afterMs: 400 }))
    const fast = await serve(t, 'fast', () => ({ status: 200 }))
    const hedge: HedgeSpec = { delayMs: 30, percentile: null, budget: { percent: 100, minPerS: 100 } }
    const { load, client, memory } = await openPlane(t)
    await load([slow.port, fast.port], { hedge })
    const call = await client()
    const answers = [await call('1'), await call('2'), await call('3'), await call('4')]
    t.ok(answers.every(answer => isServed(answer, isSafe ? 'fast' : undefined)))
    const hedges = memory.readTotals().pools[0]?.hedges
    if (isSafe) t.ok(hedges !== undefined && hedges.sent >= 1 && hedges.won === hedges.sent, JSON.stringify(hedges))
    else t.equal(hedges, undefined)
    await until(() => memory.inFlight('pool-1', `127.0.0.1:${slow.port}`) === 0, 'what lost is let go')
    await until(() => slow.open() === 0, 'its server is told')
  })

  t.test(`${name}: time-out per try, and a retry on another server`, async t => {
    const silent = await serve(t, 'silent', () => undefined)
    const good = await serve(t, 'good', () => ({ status: 200 }))
    const { load, client, memory } = await openPlane(t)
    await load([silent.port, good.port], { reselect: { ...reselect, tryTimeoutMs: 120, retryTimeoutMs: 5_000 } })
    const call = await client()
    for (let n = 0; n < 4; n++) t.ok(isServed(await call(`body ${n}`), 'good'))
    t.ok(silent.seen.length >= 1)
    if (name === 'gRPC') for (let n = 0; n < 4; n++) t.ok(good.seen.includes(`body ${n}`), 'its message goes with it')
    await until(() => memory.inFlight('pool-1', `127.0.0.1:${silent.port}`) === 0, 'nothing is left with it')
    await until(() => silent.open() === 0, 'and it knows')
  })

  t.test(`${name}: the budget of retries`, async t => {
    const bad = await Promise.all(['a', 'b', 'c'].map(letter => serve(t, letter, () => ({ status: 503 }))))
    const { load, client } = await openPlane(t)
    await load(
      bad.map(({ port }) => port),
      { reselect: { ...reselect, budget: { percent: 50, minPerS: 0 } } }
    )
    const call = await client()
    for (let n = 0; n < 20; n++) t.equal((await call('x')).status, 503, 'the answer of the server, as it came')
    const asked = bad.reduce((sum, { seen }) => sum + seen.length, 0)
    t.ok(asked > 20 && asked <= 31, `${asked} for 20`)
  })

  t.test(`${name}: the circuit breaker`, async t => {
    const slow = await serve(t, 'slow', () => ({ status: 200, afterMs: 300 }))
    const { load, client } = await openPlane(t)
    await load([slow.port], { breaker: { maxRequests: 2, maxPending: 1, maxRetries: null } })
    const call = await client()
    const answers = await Promise.all(Array.from({ length: 6 }, () => call('x')))
    t.equal(answers.filter(answer => isServed(answer)).length, 3, 'two at once, and one that waited')
    t.equal(answers.filter(isRefused).length, 3)
    t.ok(isServed(await call('x')), 'places are given back')
  })

  t.test(`${name}: a disabled server finishes what it has, for its time`, async t => {
    let afterMs = 250
    const first = await serve(t, 'first', () => ({ status: 200, afterMs }))
    const second = await serve(t, 'second', () => ({ status: 200 }))
    const { load, client, records, memory } = await openPlane(t)
    const servers = (isEnabled: boolean) => [aServer(first.port, { isEnabled }), aServer(second.port, { isEnabled: !isEnabled })]
    await load(servers(true), { gracefulDisableS: 1 })
    const call = await client()
    const within = call('x')
    await until(() => first.seen.length === 1, 'it is with the server')
    await load(servers(false), { gracefulDisableS: 1 })
    t.ok(isServed(await call('x'), 'second'), 'what is new goes elsewhere')
    t.ok(isServed(await within, 'first'), 'what it has it finishes')
    afterMs = 60_000
    await load(servers(true), { gracefulDisableS: 1 })
    const beyond = call('x')
    await until(() => first.seen.length === 2, 'another one is')
    const startMs = performance.now()
    await load(servers(false), { gracefulDisableS: 1 })
    const cut = await beyond
    t.ok(performance.now() - startMs < 20_000 && performance.now() - startMs >= 990)
    t.notOk(isServed(cut), JSON.stringify(cut))
    await until(() => records.some(({ fault }) => fault === 'SERVER_WITHDRAWN'), 'the record says why')
    await until(() => memory.inFlight('pool-1', `127.0.0.1:${first.port}`) === 0, 'nothing is left with it')
    t.ok(isServed(await call('x'), 'second'), 'the client goes on')
  })
}
