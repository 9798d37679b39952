/** Servers that stop in the middle, tunnels on which nothing happens, connections that say nothing: each ends in its time. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { makeForwarder } from '#engine/dataplane/http/forwarders.ts'
import { forwarderKinds } from '#engine/dataplane/exchange/forwarder.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { openHttpServer, openTcpServer, openTestPlane, sendRaw, until, ask } from '#test/support/data-plane.ts'
import { collect, openHttp2Client, openHttp2Plane, openHttp2Server } from '#test/support/http2.ts'
import { aListener, aPool, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'

const [certificate, second] = await Promise.all([aCertificate('shop', ['shop.test']), aCertificate('other', ['other.test'])])

const openOf = (t: Test, kind: (typeof forwarderKinds)[number]) =>
  openTestPlane(t, { forwarder: makeForwarder(kind, { clock: systemClock }) })

/** A client that sends and keeps what it sees. */
function openRaw(t: Test, port: number, bytes: string): { socket: Socket; seen: () => string; isClosed: () => boolean } {
  const socket = connect(port, '127.0.0.1')
  let seen = ''
  let isClosed = false
  socket
    .on('data', chunk => (seen += chunk.toString('latin1')))
    .on('error', () => undefined)
    .on('close', () => (isClosed = true))
  t.teardown(() => socket.destroy())
  socket.write(bytes)
  return { socket, seen: () => seen, isClosed: () => isClosed }
}

for (const kind of forwarderKinds) {
  t.test(`${kind}: a server that stops in the middle of an answer is not waited for without end`, async t => {
    const web = await openTcpServer(t, socket => {
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'))
    })
    const { load, port, records } = openOf(t, kind)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port], { stallTimeoutMs: 300 })] }))
    const { text } = await sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    t.match(text, /200 OK[^]*half$/)
    await until(() => records.length === 1, 'a record')
    t.match(records[0], { status: 200, fault: 'UPSTREAM_RESPONSE_TIMEOUT' })
  })

  t.test(`${kind}: a server that takes nothing of a body is not waited for without end`, async t => {
    const web = await openTcpServer(t, socket => void socket.pause())
    const { load, port, records } = openOf(t, kind)
    await load(aSnapshot({ services: [aService()], pools: [aPool([web.port], { stallTimeoutMs: 300 })] }))
    const client = openRaw(t, port(), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n')
    const chunk = Buffer.alloc(1_000_000)
    for (let i = 0; i < 99; i++) client.socket.write(chunk)
    await until(() => records.length === 1, 'a record')
    t.match(records[0], { status: 504, fault: 'UPSTREAM_RESPONSE_TIMEOUT' })
  })

  t.test(`${kind}: a tunnel without traffic ends, one with traffic either way lasts`, async t => {
    const web = await openHttpServer(t, () => undefined)
    web.server.on('upgrade', (request, socket) => {
      socket.on('error', () => undefined)
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
      )
      if (request.url !== '/ticks') return void socket.resume()
      const ticks = setInterval(() => socket.write('tick'), 50)
      socket.on('close', () => clearInterval(ticks))
    })
    const { load, port, records } = openOf(t, kind)
    await load(aSnapshot({ services: [aService({ http: { tunnelIdleTimeoutMs: 400 } })], pools: [aPool([web.port])] }))
    const open = (path: string) =>
      openRaw(
        t,
        port(),
        `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
      )
    const ticking = open('/ticks')
    await until(() => ticking.seen().includes('tick'), 'a tunnel with traffic')
    const silent = open('/silent')
    await until(() => silent.seen().includes('101'), 'a silent one')
    await until(() => silent.isClosed(), 'its end')
    await until(() => records.length === 1, 'a record')
    t.match(records[0], { path: '/silent', status: 101, fault: 'DOWNSTREAM_IDLE' })
    t.notOk(ticking.isClosed())
  })
}

for (const isHttp2 of [false, true]) {
  const kind = isHttp2 ? 'HTTP/2' : 'HTTP/1.1'
  t.test(`a stream of HTTP/2 ends when its server (${kind}) stops in the middle, and others do not`, async t => {
    const port = isHttp2
      ? (
          await openHttp2Server(t, (stream, headers) => {
            stream.respond({ ':status': 200 })
            if (headers[':path'] === '/stops') stream.write('half')
            else stream.end('whole')
          })
        ).port
      : (
          await openHttpServer(t, (request, response) => {
            if (request.url === '/stops') response.write('half')
            else response.end('whole')
          })
        ).port
    const plane = await openHttp2Plane(t, { certificate, ports: [port], pool: { isHttp2, stallTimeoutMs: 300 } })
    const client = await openHttp2Client(t, plane.port())
    const stops = client.request({ ':path': '/stops' })
    const stopped = collect(stops)
    t.match(await collect(client.request({ ':path': '/' })), { status: 200, body: 'whole' })
    t.not((await stopped).code, 0)
    await until(() => plane.records.some(record => record.fault === 'UPSTREAM_RESPONSE_TIMEOUT'), 'a record')
    t.match(await collect(client.request({ ':path': '/' })), { status: 200, body: 'whole' })
  })
}

t.test('a server that answers early may wait for the rest of the request as long as it comes', async t => {
  const echo = await openTcpServer(t, socket => {
    let isBegun = false
    let size = 0
    socket.on('data', chunk => {
      if (!isBegun) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n')
      isBegun = true
      size += chunk.length
      if (size > 1_000) socket.write('done')
    })
  })
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService()], pools: [aPool([echo.port], { stallTimeoutMs: 600 })] }))
  const client = openRaw(t, port(), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1400\r\n\r\n')
  const sender = setInterval(() => client.socket.write('x'.repeat(100)), 100)
  t.teardown(() => clearInterval(sender))
  await until(() => client.seen().endsWith('done'), 'all of the answer')
  clearInterval(sender)
  t.notMatch(records[0], { fault: 'UPSTREAM_RESPONSE_TIMEOUT' })
})

t.test('a connection that says nothing has the time that the profile gives it, with TLS and without', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('ok'))
  for (const certificates of [[], [certificate], [certificate, second]]) {
    const isTls = certificates.length > 0
    const { load, port, memory } = openTestPlane(t)
    const service = aService({
      listeners: [aListener({ isTls })],
      ...(isTls ? { tls: aTls(certificates.map(({ id }) => id)) } : {}),
      http: { acceptTimeoutMs: 300 }
    })
    t.same(await load(aSnapshot({ services: [service], pools: [aPool([web.port])], certificates })), [])
    const silent = openRaw(t, port(), '')
    // The beginning of a ClientHello that does not go on.
    const stalled = isTls ? openRaw(t, port(), '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03') : silent
    await until(() => silent.isClosed() && stalled.isClosed(), 'both are let go')
    t.equal(silent.seen(), '')
    await until(() => memory.readTotals().virtualServices[0]?.totals.openConnections === 0, 'nothing is left')
    if (isTls) {
      const socket = connectTls({ port: port(), host: '127.0.0.1', rejectUnauthorized: false })
      socket.on('error', () => undefined).resume()
      await once(socket, 'secureConnect')
      await once(socket, 'close')
    }
    t.equal((await ask(port(), { isTls, rejectUnauthorized: false })).body, 'ok')
  }
})
