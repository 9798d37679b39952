/** Scripts that see the bodies of answers: nothing of one goes out before they have decided, and clients get one sound answer. */
import { createHash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { request as httpRequest } from 'node:http'
import { once } from 'node:events'
import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { seededRandom } from '#model/base/random.ts'
import type { PoolPart, ScriptSetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { makeForwarder } from '#engine/dataplane/http/forwarders.ts'
import { aCache } from '#test/support/cached-origin.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import { askOn, collect, openHttp2Client, openHttp2Server } from '#test/support/http2.ts'
import { aScriptSet } from '#test/support/scripts.ts'
import { aListener, aPool, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
const certificate = await aCertificate('shop', ['shop.test'])
const LIMIT = 4_096
const bodies = { limitBytes: LIMIT, passesLarge: false }
const seeing = (source: string, given: Partial<ScriptSetSpec> = {}): ScriptSetSpec =>
  aScriptSet({ 'response-body': source }, { bodies, ...given })
const replacing = "weir.response.body.replace('<' + weir.response.body.text() + '>')"

type Tap = Parameters<typeof openHttpServer>[0]

async function openPlane(
  t: Tap,
  port: number,
  sets: readonly ScriptSetSpec[],
  given: { readonly service?: Partial<Omit<VirtualServicePart, 'http'>>; readonly pool?: Partial<PoolPart> } = {}
) {
  const plane = openTestPlane(t)
  const listeners = [aListener(), aListener({ isTls: true, isHttp2: true })]
  const service = aService({ listeners, tls: aTls([certificate.id]), scripts: sets, ...given.service })
  const violations = await plane.load(
    aSnapshot({ services: [service], pools: [aPool([port], given.pool ?? {})], certificates: [certificate] })
  )
  if (violations.length > 0) throw new Error(JSON.stringify(violations))
  const [plain, tls] = plane.plane.bound().map(door => door.port) as [number, number]
  return { ...plane, plain, tls }
}

/** A server that answers each connection's first request with these bytes. */
const openBytes = (t: Tap, answer: string, ends = false) =>
  openTcpServer(t, socket =>
    socket.on('data', () => {
      socket.write(answer, 'latin1')
      if (ends) socket.end()
    })
  )
const get = 'GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n'
const whole = (length: number) => ({
  until: (seen: string) => seen.includes('\r\n\r\n') && seen.length - seen.indexOf('\r\n\r\n') - 4 >= length
})

for (const [name, answer, ends] of [
  ['with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\nDigest: x\r\nContent-Digest: x\r\n\r\nhello', false],
  [
    'in chunks',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "a"\r\nDigest: x\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n',
    false
  ],
  ['until its connection ends', 'HTTP/1.1 200 OK\r\nETag: "a"\r\nDigest: x\r\n\r\nhello', true]
] as const)
  t.test(`an answer that comes ${name} and is replaced goes out with its length`, async t => {
    const web = await openBytes(t, answer, ends)
    const { plain, tls, bugs } = await openPlane(t, web.port, [seeing(replacing)])
    const { text } = await sendRaw(plain, get, whole(7))
    t.match(text, /^HTTP\/1.1 200 OK\r\n/)
    t.match(text, /\r\ncontent-length: 7\r\n/)
    t.match(text, /\r\netag: W\/"a"\r\n/)
    t.match(text, /\r\n\r\n<hello>$/)
    t.notMatch(text, /transfer-encoding|digest|x-sum/i)
    const client = await openHttp2Client(t, tls)
    t.match(await askOn(client, { ':method': 'GET' }), { status: 200, body: '<hello>', headers: { 'content-length': '7' }, code: 0 })
    t.same(bugs, [])
  })

t.test('one that is left alone keeps its framing and its trailers', async t => {
  const web = await openBytes(
    t,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDigest: x\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n'
  )
  const { plain, records } = await openPlane(t, web.port, [seeing('weir.log(weir.event, weir.response.status, weir.response.body.text())')])
  const { text } = await sendRaw(plain, get, { until: seen => seen.endsWith('x-sum: 1\r\n\r\n') })
  t.match(text, /\r\ndigest: x\r\n/)
  t.match(text, /\r\ntransfer-encoding: chunked\r\n/)
  t.match(text, /\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n$/)
  await until(() => records.length === 1, 'the record')
  t.match(records[0], { notes: 'scripts/HTTP_RESP_DATA: response-body 200 hello' })
})

t.test('a body decides on status and headers, after the scripts for the head', async t => {
  const web = await openHttpServer(t, (_request, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('secret 1234'))
  const head = "weir.response.headers.set('x-head', String(weir.response.body))"
  const script = `
    const { response } = weir
    if (/\\d{4}/.test(response.body.text())) {
      response.status = 502
      response.headers.set('x-why', 'digits')
      response.headers.set('x-seen', response.headers.get('x-head'))
      response.body.replace('no\\n')
    }
  `
  const set = aScriptSet({ response: head, 'response-body': script }, { bodies })
  const { plain } = await openPlane(t, web.port, [set])
  const answer = await ask(plain)
  t.match(answer, { status: 502, body: 'no\n', headers: { 'x-why': 'digits', 'x-seen': 'null', 'content-length': '3' } })
})

t.test('a script cannot decide where the request goes any more', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { plain, plane } = await openPlane(t, web.port, [seeing('weir.respond(204)')])
  t.equal((await ask(plain)).status, 500)
  t.match(plane.scripts()[0], { failures: 1, lastError: /a server has answered already/ })
})

t.test('servers are asked for plain and whole answers', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const { plain } = await openPlane(t, web.port, [seeing('')])
  await ask(plain, { headers: { 'accept-encoding': 'gzip', range: 'bytes=0-1', 'if-range': '"a"' } })
  for (const name of ['accept-encoding', 'range', 'if-range']) t.equal(web.requests[0]?.headers[name], undefined)
})

t.test('a longer one is answered for with 500, however its length is told; the connection goes on', async t => {
  const web = await openHttpServer(t, (request, response) => {
    if (request.url === '/length') response.setHeader('content-length', LIMIT + 1)
    response.write('x'.repeat(LIMIT))
    response.end('x')
  })
  const { plain, tls, records, memory } = await openPlane(t, web.port, [seeing('')])
  const client = await openHttp2Client(t, tls)
  for (const path of ['/length', '/chunked']) {
    const seen = await ask(plain, { path })
    t.match(seen, { status: 500, body: '500 Internal Server Error\n' })
    t.match(await askOn(client, { ':path': path }), { status: 500, body: '500 Internal Server Error\n', code: 0 })
  }
  await until(() => records.length === 4, 'records')
  for (const { fault, notes } of records) {
    t.equal(fault, 'SCRIPT_FAILED')
    t.match(notes, /an answer over the 4096 bytes that it looks at/)
  }
  await until(() => memory.inFlight('pool-1', `127.0.0.1:${web.port}`) === 0, 'nothing is left with the server')
})

for (const isHttp2 of [false, true])
  t.test(`a longer one passes where it may, byte for byte, from a server of HTTP/${isHttp2 ? '2' : '1.1'}`, async t => {
    const sizes = [LIMIT + 1, 65_537, 300_000, 2_000_000]
    const made = new Map(sizes.map(size => [`/${size}`, randomBytes(size)]))
    const web = isHttp2
      ? await openHttp2Server(t, (stream, headers) => {
          stream.respond({ ':status': 200 })
          stream.end(made.get(String(headers[':path'])))
        })
      : await openHttpServer(t, (request, response) => {
          response.write(made.get(request.url!)!.subarray(0, 10))
          response.end(made.get(request.url!)!.subarray(10))
        })
    const set = seeing('weir.response.body.replace("never")', { bodies: { limitBytes: LIMIT, passesLarge: true } })
    const { plain, tls, bugs } = await openPlane(t, web.port, [set], { pool: { isHttp2 } })
    const client = await openHttp2Client(t, tls)
    const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
    for (const [path, bytes] of made) {
      const request = httpRequest({ port: plain, host: '127.0.0.1', path, agent: false }).end()
      const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream]
      t.equal(hash(await buffer(response)), hash(bytes), path)
      t.equal(hash(Buffer.from((await askOn(client, { ':path': path })).body, 'latin1')), hash(bytes), `${path} on a stream`)
    }
    t.same(bugs, [])
  })

for (const isHttp2 of [false, true])
  t.test(`long ones are held whole, looked at or replaced, from a server of HTTP/${isHttp2 ? '2' : '1.1'}`, async t => {
    const most = 262_144
    const bytes = randomBytes(most)
    const web = isHttp2
      ? await openHttp2Server(t, stream => (stream.respond({ ':status': 200 }), stream.end(bytes)))
      : await openHttpServer(t, (_request, response) => response.end(bytes))
    const script = "if (weir.request.path === '/new') weir.response.body.replace('y'.repeat(weir.response.body.length))"
    const set = seeing(script, { bodies: { limitBytes: most, passesLarge: false }, timeLimitMs: 1_000 })
    const { plain, tls } = await openPlane(t, web.port, [set], { pool: { isHttp2 } })
    const client = await openHttp2Client(t, tls)
    for (const path of ['/old', '/new']) {
      const wanted = path === '/old' ? bytes : Buffer.from('y'.repeat(most))
      const request = httpRequest({ port: plain, host: '127.0.0.1', path, agent: false }).end()
      const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream]
      t.ok((await buffer(response)).equals(wanted), path)
      t.ok(Buffer.from((await askOn(client, { ':path': path })).body, 'latin1').equals(wanted), `${path} on a stream`)
    }
  })

t.test('a script that fails: 500 in its place, or it goes out as it came', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  for (const failsOpen of [false, true]) {
    const { plain, tls, plane } = await openPlane(t, web.port, [seeing("weir.response.body.replace('x')\nnothing.here()", { failsOpen })])
    t.match(await ask(plain), failsOpen ? { status: 200, body: 'web' } : { status: 500, body: '500 Internal Server Error\n' })
    const client = await openHttp2Client(t, tls)
    t.match(await askOn(client, {}), failsOpen ? { status: 200, body: 'web' } : { status: 500 })
    t.match(plane.scripts()[0], { failures: 2, lastError: /line 2: ReferenceError/ })
  }
})

t.test('a server that breaks off in the middle is answered for: nothing of it was out', async t => {
  const web = await openBytes(t, 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello', true)
  const { plain, tls, records } = await openPlane(t, web.port, [seeing('')])
  t.match(await ask(plain), { status: 502 })
  const client = await openHttp2Client(t, tls)
  t.match(await askOn(client, {}), { status: 502, code: 0 })
  await until(() => records.length === 2, 'records')
  t.match(records, [{ fault: 'UPSTREAM_RESET' }, { fault: 'UPSTREAM_RESET' }])
})

t.test('one that does not come to its end is answered for in time; a client that goes takes it along', async t => {
  const web = await openTcpServer(t, socket => socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello')))
  const { plain, tls, records, memory, bugs } = await openPlane(t, web.port, [seeing('')], { service: { requestTimeoutMs: 250 } })
  t.match(await ask(plain), { status: 504 })
  const client = await openHttp2Client(t, tls)
  t.match(await askOn(client, {}), { status: 504, code: 0 })
  const socket = connect({ port: plain, host: '127.0.0.1' })
  socket.write(get)
  await until(() => memory.inFlight('pool-1', `127.0.0.1:${web.port}`) === 1, 'it is with the server')
  socket.resetAndDestroy()
  await until(() => records.length === 3, 'records')
  t.equal(records[2]?.fault, 'DOWNSTREAM_RESET')
  await until(() => memory.inFlight('pool-1', `127.0.0.1:${web.port}`) === 0, 'nothing is left')
  t.same(bugs, [])
})

t.test('what has no body, and what does not end, is not waited for', async t => {
  const web = await openHttpServer(t, (request, response) => {
    if (request.url === '/204') return response.writeHead(204).end()
    if (request.url === '/304') return response.writeHead(304, { etag: '"a"' }).end()
    if (request.url === '/empty') return response.writeHead(200, { 'content-length': 0 }).end()
    if (request.url === '/events')
      return void response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).write('data: 1\n\n')
    return response.writeHead(200, { 'content-length': 3 }).end(request.method === 'HEAD' ? undefined : 'web')
  })
  const { plain } = await openPlane(t, web.port, [seeing('weir.response.status = 599')])
  t.equal((await ask(plain, { path: '/204' })).status, 204)
  t.equal((await ask(plain, { path: '/304' })).status, 304)
  t.equal((await ask(plain, { path: '/empty' })).status, 200)
  t.match(await ask(plain, { method: 'HEAD', path: '/' }), { status: 200, headers: { 'content-length': '3' } })
  const { text } = await sendRaw(plain, 'GET /events HTTP/1.1\r\nHost: shop.test\r\n\r\n', { until: seen => seen.includes('data: 1') })
  t.match(text, /^HTTP\/1.1 200 /)
  t.equal((await ask(plain)).status, 599, 'what has one is')
})

t.test('calls of gRPC are not waited for', async t => {
  const web = await openHttp2Server(t, stream => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.on('data', (chunk: Buffer) => stream.write(chunk))
    stream.on('end', () => stream.end())
  })
  const { tls } = await openPlane(t, web.port, [seeing('weir.response.status = 599')], { pool: { isHttp2: true } })
  const client = await openHttp2Client(t, tls)
  const stream = client.request(
    { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc', te: 'trailers' },
    { endStream: false }
  )
  let echoed = ''
  stream.on('data', (chunk: Buffer) => (echoed += chunk.toString()))
  const over = collect(stream)
  stream.write('one')
  await until(() => echoed === 'one', 'an answer while the call is open')
  stream.end()
  t.match(await over, { status: 200 })
})

t.test('an answer to a handshake for a WebSocket that is none is seen as well', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('secret'))
  const { plain } = await openPlane(t, web.port, [seeing("weir.response.body.replace('hidden')")])
  const handshake = `GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`
  const { text } = await sendRaw(plain, handshake)
  t.match(text, /\r\n\r\nhidden$/)
})

t.test('compression packs what scripts made', async t => {
  const web = await openHttpServer(t, (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/plain' }).end('a'.repeat(500))
  )
  const service = { compression: { contentTypes: ['text/*'], minBytes: 10, level: 1, hidesAcceptEncoding: true } }
  const { plain } = await openPlane(t, web.port, [seeing(replacing)], { service })
  const request = httpRequest({ port: plain, host: '127.0.0.1', agent: false, headers: { 'accept-encoding': 'gzip' } }).end()
  const [response] = (await once(request, 'response')) as [NodeJS.ReadableStream & { headers: Record<string, string> }]
  t.equal(response.headers['content-encoding'], 'gzip')
  t.equal(gunzipSync(await buffer(response)).toString(), `<${'a'.repeat(500)}>`)
})

t.test('what is kept is what the server sent, and scripts see it each time', async t => {
  let count = 0
  const web = await openHttpServer(t, (_request, response) => {
    count++
    response.writeHead(200, { 'cache-control': 'max-age=60', etag: '"v"' }).end('kept')
  })
  const script =
    "if (weir.request.query === 'fail') nothing.here()\nweir.response.body.replace('<' + weir.response.body.text() + '>' + weir.table.increment('n'))"
  const { plain, tls, bugs } = await openPlane(t, web.port, [seeing(script)], { service: { cache: aCache() } })
  const client = await openHttp2Client(t, tls)
  t.match(await ask(plain), { status: 200, body: '<kept>1' })
  t.match(await ask(plain), { status: 200, body: '<kept>2', headers: { 'x-cache': 'HIT', 'content-length': '7' } })
  t.match(await ask(plain, { headers: { range: 'bytes=0-1' } }), { status: 200, body: '<kept>3' }, 'no part of what was not looked at')
  t.match(await ask(plain, { headers: { 'if-none-match': '"v"' } }), { status: 304 })
  t.equal(count, 1)
  t.match(await ask(plain, { path: '/?fail' }), { status: 500 })
  t.match(await ask(plain, { path: '/?fail' }), { status: 500 }, 'also when it is kept')
  t.ok(count <= 3)
  t.match(await askOn(client, {}), { status: 200 })
  t.ok(
    bugs.every(line => line.includes('a script')),
    bugs.join()
  )
})

t.test('an engine that cannot take bodies says so', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('web'))
  const plane = openTestPlane(t, { forwarder: makeForwarder('stock', { clock: systemClock }) })
  await plane.load(aSnapshot({ services: [aService({ scripts: [seeing('')] })], pools: [aPool([web.port])] }))
  t.equal((await ask(plane.port())).status, 500)
  t.match(plane.plane.scripts()[0], { failures: 1, lastError: 'this engine cannot take bodies' })
})

t.test('what is found to be still fresh is seen as well', async t => {
  let count = 0
  const web = await openHttpServer(t, (request, response) => {
    count++
    if (request.headers['if-none-match'] === '"v"') return response.writeHead(304, { etag: '"v"', 'cache-control': 'max-age=60' }).end()
    return response.writeHead(200, { 'cache-control': 'max-age=60', etag: '"v"' }).end('kept')
  })
  const { plain, bugs } = await openPlane(t, web.port, [seeing(replacing)], { service: { cache: aCache() } })
  t.match(await ask(plain), { status: 200, body: '<kept>' })
  t.match(await ask(plain, { headers: { 'cache-control': 'no-cache' } }), {
    status: 200,
    body: '<kept>',
    headers: { 'x-cache': 'REVALIDATED' }
  })
  t.equal(count, 2)
  t.same(bugs, [])
})

t.test('the answer of a second server that was asked beside the first is seen once', async t => {
  const hedge = { delayMs: 20, percentile: null, budget: { percent: 100, minPerS: 100 } }
  const slow = await openTcpServer(t, socket => socket.on('data', () => undefined))
  const fast = await openHttpServer(t, (_request, response) => response.end('fast'))
  const plane = openTestPlane(t)
  const pools = [aPool([slow.port, fast.port], { hedge, algorithm: { is: 'round-robin' } })]
  await plane.load(aSnapshot({ services: [aService({ scripts: [seeing(replacing)] })], pools }))
  for (let n = 0; n < 4; n++) t.match(await ask(plane.port()), { status: 200, body: '<fast>' })
  t.match(plane.plane.scripts()[0], { runs: 4, failures: 0 })
  t.ok((plane.memory.readTotals().pools[0]?.hedges?.won ?? 0) >= 1)
})

t.test(`whatever a server sends, in whatever pieces, the client gets one sound answer after another (seed ${seed})`, async t => {
  const random = seededRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  let next: { readonly bytes: string; readonly ends: boolean } = { bytes: '', ends: false }
  const web = await openTcpServer(t, socket =>
    socket.on('data', () => {
      const { bytes, ends } = next
      for (let at = 0; at < bytes.length;) {
        const size = 1 + Math.floor(random() * random() * 3_000)
        socket.write(bytes.slice(at, at + size), 'latin1')
        at += size
      }
      if (ends) socket.end()
    })
  )
  const script = "const { body } = weir.response\nif (body.length % 2 === 0) body.replace('[' + body.length + ']')"
  const { plain, bugs } = await openPlane(t, web.port, [seeing(script)])
  const socket = connect({ port: plain, host: '127.0.0.1' })
  t.teardown(() => socket.destroy())
  let seen = ''
  let isClosed = false
  socket.on('error', () => undefined).on('close', () => (isClosed = true))
  socket.on('data', chunk => (seen += chunk.toString('latin1')))
  const one = /^HTTP\/1\.1 (\d{3}) [^]*?\r\n\r\n/
  for (let round = 0; round < 200; round++) {
    const body = pick(['', 'a', 'ab', evil, '0\r\n\r\n', 'x'.repeat(LIMIT), 'x'.repeat(LIMIT - 1), 'x'.repeat(LIMIT + 1)])
    const chunks = body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`
    const [bytes, ends, isSound] = pick([
      [`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, false, true],
      [`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`, false, true],
      [`HTTP/1.1 200 OK\r\n\r\n${body}`, true, true],
      [`HTTP/1.1 200 OK\r\nContent-Length: ${body.length + 1}\r\n\r\n${body}`, true, false],
      [`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}zz\r\n${evil}`, true, false],
      [`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n${chunks}0\r\n\r\n`, true, false]
    ] as const)
    next = { bytes, ends }
    const expected = body.length % 2 === 0 && body !== '' ? `[${body.length}]` : body
    seen = ''
    socket.write(get)
    const status = await new Promise<string>(resolve => {
      const look = setInterval(() => {
        const head = one.exec(seen)
        if (head === null && !isClosed) return
        const length = /\r\ncontent-length: (\d+)\r\n/.exec(head?.[0] ?? '')?.[1]
        const isChunked = /\r\ntransfer-encoding: chunked\r\n/.test(head?.[0] ?? '')
        const rest = seen.slice(head?.[0].length ?? 0)
        const isWhole = isChunked ? rest.endsWith('0\r\n\r\n') : length !== undefined && rest.length >= Number(length)
        if (!isWhole && !isClosed) return
        clearInterval(look)
        const got = isChunked ? rest.replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$|^0\r\n\r\n$/g, '') : rest
        const isRefused = body.length > LIMIT || !isSound
        if (isClosed || (length !== undefined && isChunked)) resolve(`closed or framed twice: ${seen.slice(0, 300)}`)
        else if (isRefused) resolve(head?.[1] === '500' || head?.[1] === '502' ? '' : `not refused: ${seen.slice(0, 300)}`)
        else if (body === '') resolve(['', '[0]'].includes(got) ? '' : `not empty: ${got}`)
        else resolve(head?.[1] === '200' && got === expected ? '' : `${seen.slice(0, 300)} for ${JSON.stringify(bytes.slice(0, 200))}`)
      }, 1)
    })
    if (status !== '') t.fail(`round ${round}: ${status}`)
    if (isClosed) break
  }
  t.notOk(isClosed, 'one connection for all of them')
  t.ok(
    bugs.every(line => line.includes('a script failed')),
    bugs.join()
  )
})
