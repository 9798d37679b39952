import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { buffer, text } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { aCache, openCachedOrigin } from '#test/support/cached-origin.ts'
import { ask, closedPort, openHttpServer, openTcpServer, openTestPlane, until } from '#test/support/data-plane.ts'
import { openHttp2Server } from '#test/support/http2.ts'
import { aListener, aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

const tally = (records: readonly { readonly cache?: string }[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { cache = '' } of records) counts[cache] = (counts[cache] ?? 0) + 1
  return counts
}

/** A server that answers when it is told. */
async function openHeldServer(t: Parameters<typeof openHttpServer>[0]) {
  const held: ServerResponse[] = []
  const web = await openHttpServer(t, (_request, response) => void held.push(response))
  return { ...web, held }
}

t.test('of many that ask for the same at once, one asks the server', async t => {
  const { held, port: serverPort, requests } = await openHeldServer(t)
  const { load, port, records, bugs } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ cache: aCache() })], pools: [aPool([serverPort])] }))
  const leader = ask(port())
  await until(() => held.length === 1, 'the first asks')
  const others = Array.from({ length: 20 }, () => ask(port()))
  held[0]!.writeHead(200, { 'cache-control': 'max-age=60' }).end('same')
  for (const answer of await Promise.all([leader, ...others])) t.match(answer, { status: 200, body: 'same' })
  t.equal(requests.filter(({ method }) => method === 'GET').length, 1)
  await until(() => records.filter(({ method }) => method === 'GET').length === 21, 'records')
  t.match(tally(records), { MISS: 1, HIT: 20 })
  t.same(bugs, [])
})

t.test('nobody waits for what is not kept', async t => {
  const { held, port: serverPort } = await openHeldServer(t)
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ cache: aCache() })], pools: [aPool([serverPort])] }))
  const first = ask(port())
  await until(() => held.length === 1, 'the first asks')
  const others = Array.from({ length: 5 }, () => ask(port()))
  // The head alone says it.
  held[0]!.writeHead(200, { 'cache-control': 'no-store' })
  held[0]!.write('a')
  await until(() => held.length === 6, 'the others ask themselves')
  for (const response of held) response.end('own')
  await Promise.all([first, ...others])
  await until(() => records.length === 6, 'records')
  t.same(tally(records), { MISS: 6 })
  const [again, beside] = [ask(port()), ask(port())]
  await until(() => held.length === 8, 'and none waits the next time')
  for (const response of held.slice(6)) response.end('own')
  await Promise.all([again, beside])
})

t.test('nobody waits for an answer that is long in coming', async t => {
  const { held, port: serverPort } = await openHeldServer(t)
  let aheadMs = 0
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs }
  const { load, port, bugs } = openTestPlane(t, { clock })
  await load(aSnapshot({ services: [aService({ cache: aCache() })], pools: [aPool([serverPort])] }))
  const first = ask(port())
  await until(() => held.length === 1, 'the first asks')
  aheadMs = 3_000
  const second = ask(port())
  await until(() => held.length === 2, 'the second asks as well')
  held[1]!.writeHead(200, { 'cache-control': 'max-age=60' }).end('second')
  t.match(await second, { body: 'second' })
  t.match(await ask(port()), { body: 'second', headers: { 'x-cache': 'HIT' } })
  held[0]!.writeHead(200, { 'cache-control': 'max-age=60' }).end('first')
  t.match(await first, { body: 'first' })
  t.same(bugs, [])
})

t.test('a client that goes takes nobody with it', async t => {
  const { held, port: serverPort } = await openHeldServer(t)
  const { load, port, bugs } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ cache: aCache() })], pools: [aPool([serverPort])] }))
  const leader = httpRequest({ host: '127.0.0.1', port: port(), agent: false }).on('error', () => undefined)
  leader.end()
  await until(() => held.length === 1, 'the first asks')
  const other = ask(port())
  const gone = httpRequest({ host: '127.0.0.1', port: port(), agent: false }).on('error', () => undefined)
  gone.end()
  await once(gone, 'socket')
  gone.destroy()
  leader.destroy()
  await until(() => held.length === 2, 'the other asks')
  held[1]!.writeHead(200, { 'cache-control': 'max-age=60' }).end('own')
  t.match(await other, { status: 200, body: 'own' })
  t.match(await ask(port()), { body: 'own', headers: { 'x-cache': 'HIT' } })
  t.same(bugs, [])
})

t.test('stale-while-revalidate answers at once and asks behind', async t => {
  const origin = await openCachedOrigin(t)
  origin.answers = [{ headers: { 'cache-control': 'max-age=10, stale-while-revalidate=60', etag: '"1"' }, body: 'old' }]
  await ask(origin.port(), { headers: { cookie: 'who=me' } })
  origin.pass(20)
  origin.answers = [{ headers: { 'cache-control': 'max-age=10', etag: '"2"' }, body: 'new' }]
  t.match(await ask(origin.port(), { headers: { cookie: 'who=me' } }), { body: 'old', headers: { 'x-cache': 'STALE' } })
  await until(() => origin.requests.length === 2, 'the server is asked')
  t.match(origin.requests[1]!.headers, { 'if-none-match': '"1"', cookie: undefined })
  await until(() => origin.memory.readTotals().pools[0]!.totals.requests === 2, 'it has answered')
  t.match(await ask(origin.port()), { body: 'new', headers: { 'x-cache': 'HIT' } })
  origin.pass(20)
  t.match(await ask(origin.port()), { body: 'new' })
  t.same(origin.bugs, [])
})

t.test('what is found valid behind the back is fresh again', async t => {
  const origin = await openCachedOrigin(t)
  const said = { headers: { 'cache-control': 'max-age=10, stale-while-revalidate=60', etag: '"1"' } }
  origin.answers = [said]
  await ask(origin.port())
  origin.pass(20)
  origin.answers = [{ ...said, status: 304 }]
  t.match(await ask(origin.port()), { body: 'body', headers: { 'x-cache': 'STALE' } })
  await until(() => origin.memory.readTotals().pools[0]!.totals.requests === 2, 'it has answered')
  t.match(await ask(origin.port()), { body: 'body', headers: { 'x-cache': 'HIT' } })
  t.equal(origin.requests.length, 2)
})

for (const [name, answer] of [
  ['by its length', 'HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 10\r\n\r\nabc'],
  ['in chunks', 'HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'],
  ['by the connection', 'HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n\r\nabc']
] as const) {
  t.test(`a body that may have been cut is not kept, framed ${name}`, async t => {
    let asked = 0
    const web = await openTcpServer(t, socket =>
      socket.once('data', () => {
        asked++
        socket.end(answer)
      })
    )
    const { load, port, memory } = openTestPlane(t)
    await load(aSnapshot({ services: [aService({ cache: aCache() })], pools: [aPool([web.port])] }))
    await ask(port()).catch(() => undefined)
    await ask(port()).catch(() => undefined)
    await until(() => asked >= 2, 'the server is asked again')
    await until(() => memory.readTotals().virtualServices[0]!.totals.requests === 2, 'both are over')
    t.match(memory.readTotals().virtualServices[0], { cache: { hits: 0, objects: 0, bytes: 0 } })
  })
}

t.test('one answer is kept, and packed for each client as it likes', async t => {
  const origin = await openCachedOrigin(t, {
    service: { compression: { contentTypes: ['text/*'], minBytes: 10, level: 1, hidesAcceptEncoding: true } }
  })
  const body = 'all work and no play '.repeat(20_000)
  origin.answers = [{ headers: { 'cache-control': 'max-age=60', 'content-type': 'text/plain', etag: '"1"' }, body }]
  const packed = async (headers: Record<string, string>): Promise<IncomingMessage> => {
    const request = httpRequest({ host: '127.0.0.1', port: origin.port(), headers, agent: false }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return response
  }
  for (const cache of [undefined, 'HIT', 'HIT']) {
    const response = await packed({ 'accept-encoding': 'gzip' })
    t.match(response.headers, { 'content-encoding': 'gzip', etag: 'W/"1"', vary: 'Accept-Encoding', 'x-cache': cache })
    t.ok(gunzipSync(await buffer(response)).toString() === body)
  }
  const plain = await packed({})
  t.match(plain.headers, { 'x-cache': 'HIT', 'content-length': String(body.length), etag: '"1"' })
  t.notOk('content-encoding' in plain.headers)
  t.ok((await text(plain)) === body)
  t.match(await ask(origin.port(), { headers: { 'accept-encoding': 'gzip', 'if-none-match': 'W/"1"' } }), { status: 304, body: '' })
  t.equal(origin.requests.length, 1)
  t.same(origin.bugs, [])
})

t.test('rules for answers work on what is kept, and see the client of now', async t => {
  const origin = await openCachedOrigin(t, {
    service: { cors: { origins: ['*'], methods: ['GET'], headers: [], exposedHeaders: [], hasCredentials: false, maxAgeS: 60 } }
  })
  origin.answers = [{ headers: { 'cache-control': 'max-age=60' } }]
  t.notOk('access-control-allow-origin' in (await ask(origin.port())).headers)
  const answer = await ask(origin.port(), { headers: { origin: 'https://a.test', 'x-request-id': 'mine' } })
  t.match(answer.headers, { 'x-cache': 'HIT', 'access-control-allow-origin': '*', 'x-request-id': 'mine' })
})

t.test('a reader that is slow gets all of what is kept', async t => {
  const origin = await openCachedOrigin(t)
  const body = Buffer.alloc(3_000_000, 'abcdefghij')
  origin.answers = [{ headers: { 'cache-control': 'max-age=60' }, body }]
  await ask(origin.port())
  const request = httpRequest({ host: '127.0.0.1', port: origin.port(), agent: false }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) {
    chunks.push(chunk as Buffer)
    await new Promise(resolve => setImmediate(resolve))
  }
  t.ok(Buffer.concat(chunks).equals(body))
  const early = httpRequest({ host: '127.0.0.1', port: origin.port(), agent: false }).on('error', () => undefined)
  early.end()
  await once(early, 'response')
  early.destroy()
  await until(() => origin.records.length === 3, 'who leaves early is recorded')
  t.equal(origin.plane.purge('vs-1', { by: 'all' }), 1)
  await until(() => origin.memory.readTotals().virtualServices[0]!.cache!.bytes === 0, 'nothing is held for those that left')
  t.same(origin.bugs, [])
})

t.test('what is kept stands in while no server is up', async t => {
  const web = await openHttpServer(t, (_request, response) =>
    response.writeHead(200, { 'cache-control': 'max-age=0, stale-if-error=600', etag: '"1"' }).end('kept')
  )
  const { load, port, bugs } = openTestPlane(t)
  const service = aService({ cache: aCache() })
  await load(aSnapshot({ services: [service], pools: [aPool([web.port])], revision: 1 }))
  t.match(await ask(port()), { status: 200, body: 'kept' })
  await load(aSnapshot({ services: [service], pools: [aPool([await closedPort()])], revision: 2 }))
  t.match(await ask(port()), { status: 200, body: 'kept', headers: { 'x-cache': 'STALE' } })
  t.match(await ask(port(), { path: '/other' }), { status: 502 })
  t.same(bugs, [])
})

t.test('purges take out what they name, and what is on its way', async t => {
  const origin = await openCachedOrigin(t)
  const { plane, port } = origin
  origin.answers = [{ headers: { 'cache-control': 'max-age=600', 'surrogate-key': 'shoes red' } }]
  const fetchAll = async (): Promise<void> => {
    for (const path of ['/a/1', '/a/2', '/b?x=1']) await ask(port(), { path, headers: { host: 'Shop.test:8080' } })
  }
  await fetchAll()
  t.equal(plane.purge('vs-1', { by: 'url', value: 'http://shop.test/b?x=1' }), 1)
  t.equal(plane.purge('vs-1', { by: 'prefix', value: 'http://shop.test/a/' }), 2)
  await fetchAll()
  t.equal(plane.purge('vs-1', { by: 'tag', value: 'Red' }), 3)
  t.equal(plane.purge('vs-1', { by: 'all' }), 0)
  t.equal(plane.purge('nobody', { by: 'all' }), 0)
  t.match(origin.memory.readTotals().virtualServices[0]!.cache, { objects: 0, bytes: 0, misses: 6 })
})

t.test('a new configuration keeps what is kept, and one without a cache does not', async t => {
  const web = await openHttpServer(t, (_request, response) => response.writeHead(200, { 'cache-control': 'max-age=60' }).end('web'))
  const { load, port } = openTestPlane(t)
  const pools = [aPool([web.port])]
  await load(aSnapshot({ services: [aService({ cache: aCache() })], pools, revision: 1 }))
  await ask(port())
  await load(aSnapshot({ services: [aService({ name: 'renamed', cache: aCache() })], pools, revision: 2 }))
  t.match(await ask(port()), { headers: { 'x-cache': 'HIT' } })
  await load(aSnapshot({ services: [aService({})], pools, revision: 3 }))
  t.notOk('x-cache' in (await ask(port())).headers)
  await load(aSnapshot({ services: [aService({ cache: aCache() })], pools, revision: 4 }))
  t.notOk('x-cache' in (await ask(port())).headers)
})

t.test('over HTTP/2, towards clients and servers, it is the same', async t => {
  const large = 'abcdefghij'.repeat(50_000)
  let isStill = false
  const web = await openHttp2Server(t, (stream, headers) => {
    if (isStill) return void (stream.respond({ ':status': 304, etag: '"1"', 'cache-control': 'max-age=0' }), stream.end())
    stream.respond({ ':status': 200, 'cache-control': headers[':path'] === '/still' ? 'max-age=0' : 'max-age=60', etag: '"1"' })
    stream.end(large)
  })
  const { load, port, records, bugs } = openTestPlane(t)
  const service = aService({ listeners: [aListener({ isHttp2: true })], cache: aCache() })
  await load(aSnapshot({ services: [service], pools: [{ ...aPool([web.port]), isHttp2: true }] }))
  const session = connectHttp2(`http://127.0.0.1:${port()}`)
  t.teardown(() => session.destroy())
  const get = async (path: string, more: Record<string, string> = {}) => {
    const stream = session.request({ ':path': path, ...more })
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    return { headers, body: await text(stream) }
  }
  for (const cache of [undefined, 'HIT', 'HIT']) {
    const { headers, body } = await get('/')
    t.match(headers, { ':status': 200, 'x-cache': cache, 'content-length': cache === undefined ? undefined : String(large.length) })
    t.ok(body === large)
  }
  t.match(await get('/', { range: 'bytes=0-2' }), { headers: { ':status': 206 }, body: 'abc' })
  t.match(await get('/', { 'if-none-match': '"1"' }), { headers: { ':status': 304 }, body: '' })
  t.match(await get('/', { ':method': 'HEAD' }), { headers: { ':status': 200, 'content-length': String(large.length) }, body: '' })
  await get('/still')
  isStill = true
  const { headers, body } = await get('/still')
  t.match(headers, { ':status': 200, 'x-cache': 'REVALIDATED' })
  t.ok(body === large)
  t.equal(web.requests.length, 3)
  // A client of HTTP/1.1 shares what is kept: it is the same address.
  t.match(await ask(port()), { headers: { 'x-cache': 'HIT' } })
  await until(() => records.length === 9, 'records')
  t.same(bugs, [])
})
