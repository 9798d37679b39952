import { once } from 'node:events'
import { connect as http2Connect, constants, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import { askOn, collect, openHttp2Client, openHttp2Plane, openHttp2Server } from '#test/support/http2.ts'
import { aListener, aPool, aRule, aService, aSnapshot, aTls, anUpstreamTls } from '#test/support/snapshot.ts'
import { systemClock } from '#model/base/clock.ts'
import { makeWireForwarder } from '#engine/dataplane/http/wire/wire.ts'

const certificate = await aCertificate('shop', ['shop.test'])

t.test('a stream reaches a server of HTTP/1.1 and comes back', async t => {
  const web = await openHttpServer(t, (request, response) => {
    response.setHeader('x-server', 'one')
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.end(JSON.stringify({ url: request.url, method: request.method, headers: request.headers }))
  })
  const { port, records, bugs } = await openHttp2Plane(t, { certificate, ports: [web.port] })
  const client = await openHttp2Client(t, port())
  const answer = await askOn(client, {
    ':path': '/a//b?c=d',
    ':authority': 'Shop.test:8443',
    cookie: ['x=1', 'y=2'],
    te: 'trailers',
    'user-agent': 'test'
  })
  t.match(answer, { status: 200, headers: { 'x-server': 'one', 'set-cookie': ['a=1', 'b=2'], 'x-request-id': String }, code: 0 })
  t.match(JSON.parse(answer.body), {
    url: '/a//b?c=d',
    method: 'GET',
    headers: { host: 'Shop.test:8443', cookie: 'x=1; y=2', 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'https' }
  })
  t.notOk('te' in (JSON.parse(answer.body) as { headers: object }).headers)
  await until(() => records.length === 1, 'a record')
  t.match(records[0], { protocol: 'HTTP/2', status: 200, host: 'shop.test', fault: '', userAgent: 'test', scheme: 'https' })
  t.same(bugs, [])
})

t.test('HTTP/1.1 is served beside it, and nothing else is agreed on where it is off', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('ok'))
  const { port } = await openHttp2Plane(t, { certificate, ports: [web.port] })
  t.equal((await ask(port(), { isTls: true, rejectUnauthorized: false })).body, 'ok')
  const { load, port: plain } = openTestPlane(t, { forwarder: makeWireForwarder({ clock: systemClock }) })
  await load(
    aSnapshot({
      services: [aService({ listeners: [aListener({ isTls: true })], tls: aTls(['shop']) })],
      pools: [aPool([web.port])],
      certificates: [certificate]
    })
  )
  const client = http2Connect(`https://127.0.0.1:${plain()}`, { rejectUnauthorized: false })
  t.teardown(() => client.destroy())
  const [error] = (await once(client, 'error')) as [Error]
  t.ok(error)
})

t.test('without TLS it is spoken only where it is asked for, and HTTP/1.1 beside it', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('ok'))
  const { load, port } = openTestPlane(t, { forwarder: makeWireForwarder({ clock: systemClock }) })
  const listen = (isHttp2: boolean) =>
    load(aSnapshot({ services: [aService({ listeners: [aListener({ isHttp2 })] })], pools: [aPool([web.port])] }))
  await listen(true)
  const client = http2Connect(`http://127.0.0.1:${port()}`)
  t.teardown(() => client.destroy())
  t.match(await askOn(client, { ':path': '/' }), { status: 200, body: 'ok' })
  t.equal((await ask(port())).body, 'ok')
  t.match(await sendRaw(port(), 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), { text: /^HTTP\/1.1 505/ })
  await listen(false)
  t.match(await sendRaw(port(), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), { text: /^HTTP\/1.1 505/ })
  const upgrade =
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n'
  t.match(await sendRaw(port(), upgrade), { text: /^HTTP\/1.1 200/ })
  t.notOk('upgrade' in (web.requests.at(-1)?.headers ?? {}))
})

for (const isHttp2 of [false, true]) {
  const kind = isHttp2 ? 'HTTP/2' : 'HTTP/1.1'
  const openEcho = async (t: Parameters<typeof openHttpServer>[0]): Promise<number> =>
    isHttp2
      ? (
          await openHttp2Server(t, (stream, headers) => {
            stream.respond({ ':status': 200, 'x-length': headers['content-length'] ?? 'none' }, { waitForTrailers: true })
            stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
            stream.pipe(stream)
          })
        ).port
      : (
          await openHttpServer(t, (request, response) => {
            response.writeHead(200, { 'x-length': request.headers['content-length'] ?? 'none', trailer: 'x-end' })
            response.addTrailers({ 'x-end': 'yes' })
            request.pipe(response)
          })
        ).port

  t.test(`bodies and trailers pass both ways to a server of ${kind}`, async t => {
    const echo = await openEcho(t)
    const { port, bugs, records } = await openHttp2Plane(t, { certificate, ports: [echo], pool: { isHttp2 } })
    const client = await openHttp2Client(t, port())
    const large = Buffer.alloc(3_000_000, 'abcdefgh')
    for (const body of ['', 'short', large]) {
      const answer = await askOn(client, { ':method': 'POST', 'content-length': body.length }, body)
      t.match(answer, { status: 200, code: 0, headers: { 'x-length': String(body.length) }, trailers: { 'x-end': 'yes' } })
      t.ok(Buffer.from(answer.body, 'latin1').equals(Buffer.from(body)))
      const chunked = await askOn(client, { ':method': 'PUT' }, body)
      t.match(chunked, { status: 200, code: 0, headers: { 'x-length': 'none' }, trailers: { 'x-end': 'yes' } })
      t.equal(chunked.body.length, body.length)
    }
    await until(() => records.length === 6, 'records')
    t.same(new Set(records.map(record => record.fault)), new Set(['']))
    t.same(bugs, [])
  })

  t.test(`a hundred streams at once are served by servers of ${kind}`, async t => {
    const echo = await openEcho(t)
    const { port, memory, records } = await openHttp2Plane(t, { certificate, ports: [echo], pool: { isHttp2 } })
    const client = await openHttp2Client(t, port())
    const bodies = Array.from({ length: 100 }, (_, i) => String(i).repeat(1 + i * 97))
    const answers = await Promise.all(bodies.map(body => askOn(client, { ':method': 'POST' }, body)))
    t.same(
      answers.map(answer => answer.body),
      bodies
    )
    await until(() => records.length === 100, 'records')
    const connections = memory.readTotals().servers[0]?.totals.openConnections ?? 0
    t.ok(isHttp2 ? connections === 1 : connections > 1, `${connections} connections`)
  })

  t.test(`a server of ${kind} that breaks off is a stream that breaks off`, async t => {
    const framings = ['content-length: 100\r\n\r\n', 'transfer-encoding: chunked\r\n\r\n7\r\n']
    const listener = isHttp2
      ? await openHttp2Server(t, stream => {
          // With trailers due the library does not end the stream before it resets it.
          stream.respond({ ':status': 200 }, { waitForTrailers: true })
          stream.write('partial', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR))
        })
      : await openTcpServer(t, socket => {
          const framing = framings.pop() ?? ''
          socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${framing}partial`, () => socket.destroy()))
        })
    const { port, records } = await openHttp2Plane(t, { certificate, ports: [listener.port], pool: { isHttp2 } })
    const client = await openHttp2Client(t, port())
    for (let i = 1; i <= 2; i++) {
      t.match(await askOn(client, {}), { status: 200, code: constants.NGHTTP2_INTERNAL_ERROR })
      await until(() => records.length === i, 'a record')
      t.match(records.at(-1), { fault: 'UPSTREAM_RESET' })
    }
    t.notOk(client.destroyed, 'the connection goes on')
  })

  t.test(`a client that resets its stream ends the work of a server of ${kind}`, async t => {
    let closed = 0
    const port0 = isHttp2
      ? (
          await openHttp2Server(t, stream => {
            stream.on('close', () => closed++)
            stream.respond({ ':status': 200 })
            stream.write('begun')
          })
        ).port
      : (
          await openHttpServer(t, (request, response) => {
            request.socket.on('close', () => closed++)
            response.write('begun')
          })
        ).port
    const { port, records } = await openHttp2Plane(t, { certificate, ports: [port0], pool: { isHttp2 } })
    const client = await openHttp2Client(t, port())
    const stream = client.request({ ':path': '/' })
    await once(stream, 'data')
    stream.close(constants.NGHTTP2_CANCEL)
    await until(() => closed === 1, 'the server is told')
    await until(() => records.length === 1, 'a record')
    t.match(records[0], { fault: 'DOWNSTREAM_RESET' })
  })

  t.test(`what a reader does not take is not read from a server of ${kind}`, async t => {
    let written = 0
    const chunk = Buffer.alloc(65_536)
    const flood = (write: (chunk: Buffer) => boolean, whenDrained: (more: () => void) => void): void => {
      const more = (): void => {
        while (written < 60_000_000) {
          written += chunk.length
          if (!write(chunk)) return whenDrained(more)
        }
      }
      more()
    }
    const port0 = isHttp2
      ? (
          await openHttp2Server(t, stream => {
            stream.respond({ ':status': 200 })
            flood(
              data => stream.write(data),
              more => stream.once('drain', more)
            )
          })
        ).port
      : (
          await openHttpServer(t, (_request, response) =>
            flood(
              data => response.write(data),
              more => response.once('drain', more)
            )
          )
        ).port
    const { port } = await openHttp2Plane(t, { certificate, ports: [port0], pool: { isHttp2 } })
    const client = await openHttp2Client(t, port())
    const stalled = client.request({ ':path': '/' })
    stalled.on('error', () => undefined)
    stalled.pause()
    await once(stalled, 'response')
    let seen = -1
    await until(() => {
      const isStill = written === seen
      seen = written
      return isStill && written > 0
    }, 'the server is held up')
    await new Promise(resolve => setTimeout(resolve, 50))
    t.ok(written < 20_000_000, `${written} bytes were taken from the server`)
    stalled.close()
  })
}

t.test('a body that the server does not take is not read from the client', async t => {
  for (const isHttp2 of [false, true]) {
    const port0 = isHttp2
      ? (await openHttp2Server(t, stream => stream.pause())).port
      : (await openTcpServer(t, socket => socket.pause())).port
    const { port } = await openHttp2Plane(t, { certificate, ports: [port0], pool: { isHttp2 } })
    const client = await openHttp2Client(t, port())
    const stream = client.request({ ':path': '/', ':method': 'POST' })
    stream.on('error', () => undefined)
    const chunk = Buffer.alloc(65_536)
    let taken = 0
    const more = (): void => {
      if (taken < 60_000_000 && !stream.destroyed) stream.write(chunk, () => ((taken += chunk.length), more()))
    }
    more()
    let seen = -1
    await until(() => {
      const isStill = taken === seen
      seen = taken
      return isStill && taken > 0
    }, 'the client is held up')
    await new Promise(resolve => setTimeout(resolve, 50))
    t.ok(taken < 20_000_000, `${taken} bytes were taken from the client`)
    stream.close()
  }
})

t.test('HEAD, 204, 304, 1xx and answers of our own', async t => {
  const web = await openHttpServer(t, (request, response) => {
    if (request.url === '/204') response.writeHead(204).end()
    else if (request.url === '/304') response.writeHead(304, { 'content-length': 5 }).end()
    else if (request.url === '/103') {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' })
      response.end('after')
    } else response.writeHead(200, { 'content-length': 5 }).end(request.method === 'HEAD' ? undefined : 'hello')
  })
  const { port, load, snapshot, bugs } = await openHttp2Plane(t, { certificate, ports: [web.port] })
  const client = await openHttp2Client(t, port())
  t.match(await askOn(client, { ':method': 'HEAD' }), { status: 200, headers: { 'content-length': '5' }, body: '' })
  t.match(await askOn(client, { ':path': '/204' }), { status: 204, body: '' })
  t.match(await askOn(client, { ':path': '/304' }), { status: 304, body: '' })
  const hinted = client.request({ ':path': '/103' })
  const hints: unknown[] = []
  hinted.on('headers', fields => hints.push(fields[':status'], fields['link']))
  t.match(await collect(hinted), { status: 200, body: 'after' })
  t.same(hints, [103, '</a.css>; rel=preload'])

  const rules = [
    aRule({
      match: { path: { operator: 'equals', values: ['/no'], isCaseSensitive: true } },
      action: { is: 'respond', status: 403, contentType: 'text/plain', bodyBase64: Buffer.from('no').toString('base64') }
    }),
    aRule({ match: { path: { operator: 'equals', values: ['/shut'], isCaseSensitive: true } }, action: { is: 'close' } })
  ]
  await load({
    ...snapshot,
    virtualServices: [{ ...snapshot.virtualServices[0]!, requestRules: rules }],
    manifest: { ...snapshot.manifest, parts: [] }
  })
  t.match(await askOn(client, { ':path': '/no' }), { status: 403, body: 'no', headers: { 'content-length': '2' } })
  t.match(await askOn(client, { ':path': '/no', ':method': 'POST' }, 'x'.repeat(100_000)), { status: 403, body: 'no' })
  t.match(await askOn(client, { ':path': '/shut' }), { status: 0, code: constants.NGHTTP2_CANCEL })
  t.match(await askOn(client, { ':path': '/' }), { status: 200, body: 'hello' })
  t.same(bugs, [])
})

t.test('100-continue is said when the body is wanted, other expectations are refused', async t => {
  const web = await openHttpServer(t, (request, response) => {
    request.resume().on('end', () => response.end('got it'))
  })
  const { port } = await openHttp2Plane(t, { certificate, ports: [web.port] })
  const client = await openHttp2Client(t, port())
  const stream = client.request({ ':path': '/', ':method': 'POST', expect: '100-continue' }, { endStream: false })
  const answer = collect(stream)
  await once(stream, 'continue')
  stream.end('body')
  t.match(await answer, { status: 200, body: 'got it' })
  t.match(await askOn(client, { ':method': 'POST', expect: 'a miracle' }, 'x'), { status: 417 })
})

t.test('a body over the limit is refused, whether it says so or not', async t => {
  const web = await openHttpServer(t, (request, response) => {
    request.resume().on('end', () => response.end())
  })
  const { port } = await openHttp2Plane(t, { certificate, ports: [web.port], http: { maxBodyBytes: 1000 } })
  const client = await openHttp2Client(t, port())
  t.match(await askOn(client, { ':method': 'POST', 'content-length': 5000 }, 'x'.repeat(5000)), { status: 413 })
  t.match(await askOn(client, { ':method': 'POST' }, 'x'.repeat(5000)), { status: 413 })
  t.match(await askOn(client, { ':method': 'POST' }, 'x'.repeat(500)), { status: 200 })
})

t.test('a client of HTTP/1.1 is served by a server of HTTP/2', async t => {
  const echo = await openHttp2Server(t, (stream, headers) => {
    if (headers[':path'] === '/empty') return stream.respond({ ':status': 204 }, { endStream: true })
    if (headers[':path'] === '/early') return stream.respond({ ':status': 200 }, { endStream: true })
    stream.respond({ ':status': 200, 'x-authority': headers[':authority'] }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
    stream.pipe(stream)
  })
  const { load, port, records } = openTestPlane(t, { forwarder: makeWireForwarder({ clock: systemClock }) })
  await load(aSnapshot({ services: [aService()], pools: [aPool([echo.port], { isHttp2: true })] }))
  const body = 'x'.repeat(300_000)
  t.match(await ask(port(), { method: 'POST', body, headers: { 'content-length': body.length } }), { status: 200, body })
  t.match(await ask(port(), { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } }), { status: 200, body })
  t.match(await ask(port(), { path: '/empty' }), { status: 204, body: '' })
  t.match(await ask(port(), { path: '/early' }), { status: 200, body: '', headers: { 'content-length': '0' } })
  t.match(await ask(port(), { method: 'HEAD' }), { status: 200, body: '' })
  const raw = await sendRaw(port(), 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok')
  t.match(raw.text, /\r\n\r\n2\r\nok\r\n0\r\nx-end: yes\r\n\r\n$/)
  t.match(raw.text, /x-authority: a\r\n/)
  t.equal(echo.sessions.length, 1, 'one connection for all of them')
  await until(() => records.length === 6, 'records')
  t.same(new Set(records.map(record => record.fault)), new Set(['']))
})

t.test('TLS to a server of HTTP/2 agrees on it, or fails', async t => {
  const secure = await openHttp2Server(t, stream => stream.respond({ ':status': 204 }, { endStream: true }), { certificate })
  const verified = anUpstreamTls({ serverName: 'shop.test', trustedPem: certificate.certificatePem, isHostChecked: true })
  const { port, load, snapshot, records } = await openHttp2Plane(t, {
    certificate,
    ports: [secure.port],
    pool: { isHttp2: true, tls: verified }
  })
  const client = await openHttp2Client(t, port())
  t.match(await askOn(client, {}), { status: 204 })

  const plain = createHttpsServer({ cert: certificate.certificatePem, key: certificate.keyPem }, (_request, response) =>
    response.end('old')
  )
  plain.listen(0, '127.0.0.1')
  await once(plain, 'listening')
  t.teardown(() => {
    plain.closeAllConnections()
    plain.close()
  })
  const { port: oldPort } = plain.address() as AddressInfo
  const askWith = async (ports: readonly number[], tls: ReturnType<typeof anUpstreamTls>): Promise<number> => {
    const { virtualServices: services, certificates } = snapshot
    await load(aSnapshot({ services, pools: [aPool(ports, { isHttp2: true, tls })], certificates }))
    return (await askOn(client, {})).status
  }
  t.equal(await askWith([oldPort], anUpstreamTls()), 502, 'a server that does not speak it')
  t.equal(await askWith([secure.port], { ...verified, serverName: 'evil.test' }), 502, 'a server that is another')
  t.equal(await askWith([secure.port], anUpstreamTls()), 204)
  const { virtualServices: services, certificates } = snapshot
  await load(
    aSnapshot({ services, pools: [aPool([oldPort], { isHttp2: true, isHttp1Allowed: true, tls: anUpstreamTls() })], certificates })
  )
  for (let i = 0; i < 3; i++) t.match(await askOn(client, { ':method': 'POST' }, 'x'), { status: 200, body: 'old' })
  await load(
    aSnapshot({ services, pools: [aPool([secure.port], { isHttp2: true, isHttp1Allowed: true, tls: anUpstreamTls() })], certificates })
  )
  t.match(await askOn(client, {}), { status: 204 })
  await until(() => records.length === 8, 'records')
  t.same(
    records.map(record => record.fault),
    ['', 'UPSTREAM_TLS_FAILED', 'UPSTREAM_TLS_FAILED', '', '', '', '', '']
  )
})

t.test('a server that refuses streams, or goes away, loses no request', async t => {
  let refused = 0
  const picky = await openHttp2Server(t, stream => {
    if (refused++ % 2 === 0) return stream.close(constants.NGHTTP2_REFUSED_STREAM)
    stream.respond({ ':status': 200 })
    stream.on('data', () => undefined)
    stream.end('served')
  })
  const { port, records } = await openHttp2Plane(t, { certificate, ports: [picky.port], pool: { isHttp2: true } })
  const client = await openHttp2Client(t, port())
  t.match(await askOn(client, {}), { status: 200, body: 'served' })
  t.match(await askOn(client, { ':method': 'POST' }, 'a small body can be sent again'), { status: 200, body: 'served' })
  await until(() => records.length === 2, 'records')

  const leaving = await openHttp2Server(t, stream => {
    stream.respond({ ':status': 200 })
    stream.end('bye')
    if (leaving.requests.length % 8 === 0) stream.session?.close()
  })
  const second = await openHttp2Plane(t, { certificate, ports: [leaving.port], pool: { isHttp2: true } })
  const other = await openHttp2Client(t, second.port())
  const answers = await Promise.all(Array.from({ length: 30 }, () => askOn(other, {})))
  t.same(new Set(answers.map(answer => answer.status)), new Set([200]))
  t.ok(leaving.sessions.length > 1, `${leaving.sessions.length} connections`)
})

t.test('streams beyond what a server takes at once go to another connection', async t => {
  const open: ServerHttp2Stream[] = []
  let isWarm = false
  const small = await openHttp2Server(
    t,
    stream => {
      open.push(stream)
      // Nobody is answered before all are there.
      if (isWarm && open.length < 20) return
      for (const one of open.splice(0)) {
        one.respond({ ':status': 200 })
        one.end('ok')
      }
    },
    { settings: { maxConcurrentStreams: 4 } }
  )
  const { port } = await openHttp2Plane(t, { certificate, ports: [small.port], pool: { isHttp2: true } })
  const client = await openHttp2Client(t, port())
  t.match(await askOn(client, {}), { status: 200 })
  isWarm = true
  const answers = await Promise.all(Array.from({ length: 20 }, () => askOn(client, {})))
  t.same(new Set(answers.map(answer => answer.status)), new Set([200]))
  t.ok(small.sessions.length >= 5, `${small.sessions.length} connections`)
})

t.test('a service that is removed tells its clients, and what is under way ends well', async t => {
  let finish = (): void => undefined
  const slow = await openHttp2Server(t, stream => {
    stream.respond({ ':status': 200 })
    stream.write('first ')
    finish = () => stream.end('last')
  })
  const { port, load, snapshot } = await openHttp2Plane(t, { certificate, ports: [slow.port], pool: { isHttp2: true } })
  const client = await openHttp2Client(t, port())
  const stream = client.request({ ':path': '/' })
  const answer = collect(stream)
  await once(stream, 'response')
  const told: number[] = []
  client.on('goaway', (_code, last) => told.push(last))
  const closed = once(client, 'close')
  await load(aSnapshot({ services: [], pools: snapshot.pools, revision: 2 }))
  await until(() => told.length > 0, 'the client is told')
  finish()
  t.match(await answer, { status: 200, body: 'first last', code: 0 })
  await closed
  t.equal(told[0], 2 ** 31 - 1, 'no more, but what is on its way is taken')
})

t.test('pools and limits are edited under load: no stream fails', async t => {
  const echo = await openHttp2Server(t, stream => {
    stream.respond({ ':status': 200 })
    stream.pipe(stream)
  })
  const { port, load, snapshot, bugs } = await openHttp2Plane(t, { certificate, ports: [echo.port], pool: { isHttp2: true } })
  const client = await openHttp2Client(t, port())
  let isOver = false
  const failures: unknown[] = []
  let served = 0
  const run = async (): Promise<void> => {
    while (!isOver) {
      const answer = await askOn(client, { ':method': 'POST' }, 'hello')
      if (answer.status === 200 && answer.body === 'hello') served++
      else failures.push(answer)
    }
  }
  const runs = Array.from({ length: 8 }, run)
  for (let revision = 2; revision < 12; revision++) {
    const goal = served + 20
    await load(
      aSnapshot({
        services: [{ ...snapshot.virtualServices[0]!, http: { ...snapshot.virtualServices[0]!.http, maxHeaderCount: 200 + revision } }],
        pools: [{ ...snapshot.pools[0]!, connectTimeoutMs: 5000 + revision }],
        certificates: snapshot.certificates,
        revision
      })
    )
    await until(() => served > goal || failures.length > 0, 'streams are served')
  }
  isOver = true
  await Promise.all(runs)
  t.same(failures, [])
  t.same(bugs, [])
})

t.test('a connection that has had its requests is told to go, and a new one goes on', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('ok'))
  const http2 = { initialWindowBytes: 65_536, maxStreams: 128, maxControlFrames: 1000, maxEmptyDataFrames: 1000, maxRequests: 3 }
  const { port } = await openHttp2Plane(t, { certificate, ports: [web.port], http: { http2 } })
  const client = await openHttp2Client(t, port())
  const told = once(client, 'goaway')
  for (let i = 0; i < 3; i++) t.match(await askOn(client, {}), { status: 200, body: 'ok' })
  await told
  t.match(await askOn(await openHttp2Client(t, port()), {}), { status: 200 })
})

t.test('who says nothing is let go', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('ok'))
  const { port, memory } = await openHttp2Plane(t, {
    certificate,
    ports: [web.port],
    http: { headerTimeoutMs: 200, keepAliveTimeoutMs: 200 }
  })
  const silent = await openHttp2Client(t, port())
  await once(silent, 'close')
  const idle = await openHttp2Client(t, port())
  t.match(await askOn(idle, {}), { status: 200 })
  if (!idle.destroyed) await once(idle, 'close')
  await until(() => memory.readTotals().virtualServices[0]?.totals.openConnections === 0, 'all connections are closed')
})

t.test('a body that does not come, and a reader that does not read, end the stream and no other', async t => {
  const web = await openHttpServer(t, (request, response) => {
    request.resume().on('end', () => response.end('ok'))
  })
  const { port } = await openHttp2Plane(t, { certificate, ports: [web.port], http: { bodyTimeoutMs: 200 } })
  const client = await openHttp2Client(t, port())
  const stream = client.request({ ':path': '/', ':method': 'POST' })
  stream.write('begin')
  t.match(await collect(stream), { status: 408 })
  t.match(await askOn(client, {}), { status: 200 })
})
