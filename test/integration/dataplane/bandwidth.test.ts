/**
 * Bytes go no faster than they may, and all of them arrive. What is asserted of time is only that it took as long as it must: a busy
 * machine makes it longer.
 */
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import type { CacheSpec } from '#model/snapshot/content.ts'
import type { BandwidthSpec } from '#model/snapshot/snapshot.ts'
import { systemClock } from '#model/base/clock.ts'
import { makeWireForwarder } from '#engine/dataplane/http/wire/wire.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, until } from '#test/support/data-plane.ts'
import { askOn, openHttp2Client, openHttp2Server } from '#test/support/http2.ts'
import { aListener, aPool, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'

const RATE = 800_000
/** What goes before anything waits, beside the burst. */
const READ_BYTES = 65_536

const limit = (direction: BandwidthSpec['direction'], bytesPerS = RATE, isPerClient = false): BandwidthSpec => ({
  id: `vs-1/bandwidth/${isPerClient ? 'client-' : ''}${direction}`,
  direction,
  isPerClient,
  bytesPerS
})

const leastMs = (bytes: number, connections = 1, rate = RATE): number => ((bytes - rate / 10 - connections * READ_BYTES) / rate) * 1_000

async function took(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await run()
  return performance.now() - began
}

const body = 'all work and no play '.repeat(20_000)

t.test('answers go no faster than they may, one or many at once, and short ones no faster than long ones', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(request.url === '/short' ? body.slice(0, 4_000) : body))
  const { load, port, bugs, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ bandwidth: [limit('down')] })], pools: [aPool([web.port])] }))
  const one = await took(async () => t.ok((await ask(port())).body === body))
  t.ok(one >= leastMs(body.length), `one in ${one} ms`)
  const many = await took(async () => {
    const answers = await Promise.all([1, 2, 3].map(() => ask(port())))
    t.ok(answers.every(answer => answer.body === body))
  })
  t.ok(many >= leastMs(3 * body.length, 3), `three in ${many} ms`)
  const short = await took(async () => {
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 15 }, () => ask(port(), { path: '/short' })))
  })
  t.ok(short >= leastMs(600_000), `150 short ones in ${short} ms`)
  t.ok(records.every(({ fault }) => fault === ''))
  t.same(bugs, [])
})

t.test('bodies of requests go no faster than they may, and are not taken for slow ones', async t => {
  const sizes: number[] = []
  const web = await openHttpServer(t, (request, response) => {
    let size = 0
    request.on('data', (chunk: Buffer) => (size += chunk.length))
    request.on('end', () => {
      sizes.push(size)
      response.end('ok')
    })
  })
  const { load, port, bugs } = openTestPlane(t)
  const http = { ...aService().http, pace: { minBytesPerS: 100_000_000, graceMs: 400 } }
  await load(aSnapshot({ services: [aService({ bandwidth: [limit('up')], http })], pools: [aPool([web.port])] }))
  for (const headers of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
    const ms = await took(async () => t.match(await ask(port(), { method: 'POST', headers, body }), { status: 200, body: 'ok' }))
    t.ok(ms >= leastMs(body.length), `in ${ms} ms`)
  }
  t.same(sizes, [body.length, body.length])
  t.same(bugs, [])
})

t.test('each client has what it may, whatever others do', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end(body))
  const { load, port } = openTestPlane(t)
  const specs = [limit('down', 200_000, true)]
  await load(aSnapshot({ services: [aService({ bandwidth: specs })], pools: [aPool([web.port])] }))
  const order: string[] = []
  const busy = Promise.all([1, 2].map(() => ask(port(), { localAddress: '127.0.0.2' }))).then(() => order.push('busy'))
  const ms = await took(() => ask(port(), { localAddress: '127.0.0.3' }).then(() => order.push('quiet')))
  t.ok(ms >= leastMs(body.length, 1, 200_000), `in ${ms} ms`)
  await busy
  t.same(order, ['quiet', 'busy'])
})

t.test('streams of HTTP/2 go no faster either, on both sides', async t => {
  const certificate = await aCertificate('shop', ['shop.test'])
  const web = await openHttp2Server(t, stream => {
    let size = 0
    stream.on('data', (chunk: Buffer) => (size += chunk.length))
    stream.on('end', () => {
      stream.respond({ ':status': 200, 'x-size': String(size) })
      stream.end(body)
    })
  })
  const { load, port, bugs } = openTestPlane(t, { forwarder: makeWireForwarder({ clock: systemClock }) })
  const service = aService({
    listeners: [aListener({ isTls: true, isHttp2: true })],
    tls: aTls([certificate.id]),
    bandwidth: [limit('down'), limit('up')]
  })
  await load(aSnapshot({ services: [service], pools: [aPool([web.port], { isHttp2: true })], certificates: [certificate] }))
  const client = await openHttp2Client(t, port())
  const down = await took(async () => {
    const answers = await Promise.all([1, 2].map(() => askOn(client, { ':path': '/' })))
    t.ok(answers.every(answer => answer.body === body))
  })
  t.ok(down >= leastMs(2 * body.length, 2), `down in ${down} ms`)
  const up = await took(async () => {
    const stream = client.request({ ':method': 'POST', ':path': '/' })
    stream.end(body)
    const [headers] = (await once(stream, 'response')) as [Record<string, string>]
    t.equal(headers['x-size'], String(body.length))
    stream.resume()
    await once(stream, 'end')
  })
  t.ok(up >= 2 * leastMs(body.length), `up and down in ${up} ms`)
  t.same(bugs, [])
})

t.test('flows go no faster, and end after their last byte', async t => {
  const bytes = Buffer.alloc(400_000, 'x')
  const server = await openTcpServer(
    t,
    socket => {
      let size = 0
      socket.on('data', (chunk: Buffer) => (size += chunk.length))
      socket.on('end', () => socket.end(size === bytes.length ? bytes : Buffer.from('cut')))
    },
    { allowHalfOpen: true }
  )
  const { load, port, records, memory } = openTestPlane(t)
  const bandwidth = [limit('down'), limit('up')]
  const service = aService({ application: 'tcp', tcp: { idleTimeoutMs: 60_000 }, bandwidth })
  await load(aSnapshot({ services: [service], pools: [aPool([server.port])] }))
  let seen = 0
  const ms = await took(async () => {
    const socket = connect({ port: port(), host: '127.0.0.1', allowHalfOpen: true })
    socket.on('data', (chunk: Buffer) => (seen += chunk.length))
    socket.end(bytes)
    await once(socket, 'end')
    socket.destroy()
  })
  t.equal(seen, bytes.length)
  t.ok(ms >= 2 * leastMs(bytes.length), `in ${ms} ms`)
  // One that is broken off while it waits is over at once, for both sides.
  const gone = connect({ port: port(), host: '127.0.0.1' })
  gone.on('error', () => undefined).write(bytes)
  await until(() => gone.bytesWritten > 100_000 && memory.inFlight('pool-1', `127.0.0.1:${server.port}`) === 1, 'a flow')
  gone.resetAndDestroy()
  await until(() => records.length === 2, 'its end')
  t.equal(records.length, 2)
})

t.test('what is kept, what is packed and what is tunnelled go no faster', async t => {
  const web = await openHttpServer(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'max-age=60' })
    response.end(body)
  })
  web.server.on('upgrade', (_request, socket) => {
    socket.on('error', () => undefined)
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
    )
    socket.end(body)
  })
  const cache: CacheSpec = {
    maxBytes: 10_000_000,
    minObjectBytes: 1,
    maxObjectBytes: 5_000_000,
    defaultExpireS: 60,
    isHeuristic: false,
    isAggressive: false,
    keepsQueries: true,
    ignoresRequests: false,
    sendsAge: true,
    sendsDate: true,
    sendsXCache: true,
    excludedPaths: null,
    contentTypes: [],
    blockedContentTypes: []
  }
  const { load, port, bugs } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ bandwidth: [limit('down')], cache })], pools: [aPool([web.port])] }))
  t.ok((await ask(port())).body === body)
  const kept = await took(async () => t.ok((await ask(port())).body === body))
  t.equal(web.requests.length, 1)
  t.ok(kept >= leastMs(body.length), `kept in ${kept} ms`)
  const tunnel = await took(async () => {
    const request = httpRequest({
      port: port(),
      host: '127.0.0.1',
      headers: {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=='
      }
    }).end()
    const [, socket, head] = (await once(request, 'upgrade')) as [unknown, Socket, Buffer]
    socket.on('error', () => undefined)
    let size = head.length
    socket.on('data', (chunk: Buffer) => (size += chunk.length))
    await once(socket, 'end')
    socket.destroy()
    t.equal(size, body.length)
  })
  t.ok(tunnel >= leastMs(body.length, 2), `tunnelled in ${tunnel} ms`)
  t.same(bugs, [])
})
