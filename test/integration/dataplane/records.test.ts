/** What is kept of every exchange and flow: whoever asked, what decided, who answered, how much, how long, and why it ended. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { faultCodes } from '#engine/base/fault.ts'
import type { AccessRecord } from '#engine/meter/shared.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { ask, closedPort, openHttpServer, openTcpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import { askOn, openHttp2Client, openHttp2Server } from '#test/support/http2.ts'
import { aListener, aPool, aRule, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'

const shop = await aCertificate('shop', ['shop.test'])
const isTls = { listeners: [aListener({ isTls: true, isHttp2: true })], tls: aTls([shop.id]) }
const noted = aRule({
  name: 'policy / noted',
  match: { path: { operator: 'begins-with', values: ['/noted'], isCaseSensitive: true } },
  action: { is: 'switch', target: { is: 'pool', poolId: 'pool-1' } }
})
const common = { virtualServiceId: 'vs-1', clientIp: '127.0.0.1', poolName: 'web', attempts: 1, fault: '' }

/** Nothing is missing, and the times are in the order in which things happen; kept connections are not connected. */
function isWhole(record: AccessRecord | undefined, isConnected = true): boolean {
  if (record === undefined) return false
  const { clientPort, sentUs, connectUs, firstByteUs, totalUs, requestId, bytesIn, bytesOut } = record
  const isNamed = clientPort > 0 && requestId !== '' && record.virtualServiceName !== '' && record.atEpochMs > 0
  const hasTimes = 0 <= sentUs && (isConnected ? sentUs <= connectUs && connectUs > 0 : connectUs === 0) && firstByteUs > 0
  return isNamed && hasTimes && sentUs <= firstByteUs && Math.max(connectUs, firstByteUs) <= totalUs && bytesIn > 0 && bytesOut > 0
}

t.test('of HTTP/1.1: first on a new connection to a server, then on a kept one', async t => {
  const web = await openHttpServer(t, (request, response) => request.resume().on('end', () => response.end('hello')))
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ ...isTls, requestRules: [noted] })], pools: [aPool([web.port])], certificates: [shop] }))
  const how = { method: 'POST', isTls: true, rejectUnauthorized: false, servername: 'shop.test', headers: { 'user-agent': 'me' } }
  for (let i = 0; i < 2; i++) {
    await ask(port(), { ...how, path: '/noted?b', body: 'x'.repeat(1_000) })
    await until(() => records.length === i + 1, 'a record')
    const seen = { method: 'POST', scheme: 'https', path: '/noted?b', protocol: 'HTTP/1.1', status: 200, server: `127.0.0.1:${web.port}` }
    t.match(records[i], { ...common, ...seen, rule: 'policy / noted', userAgent: 'me' })
    t.ok(records[i]!.bytesIn >= 1_000 && records[i]!.bytesOut >= 5)
    t.ok((records[i]!.clientRttUs ?? 0) > 0, 'an estimate of how far away the client is')
    t.ok(isWhole(records[i], i === 0), JSON.stringify(records[i]))
  }
})

for (const kind of ['HTTP/1.1', 'HTTP/2'] as const)
  t.test(`of HTTP/2, to a server of ${kind}`, async t => {
    const one = await openHttpServer(t, (request, response) => request.url !== '/never' && response.end('hello'))
    const two = await openHttp2Server(t, (stream, { ':path': path }) => {
      if (path === '/never') return
      stream.respond({ ':status': 200 })
      stream.end('hello')
    })
    const server = kind === 'HTTP/2' ? two : one
    const { load, port, records } = openTestPlane(t)
    const pools = [aPool([server.port], { isHttp2: kind === 'HTTP/2' })]
    await load(aSnapshot({ services: [aService({ ...isTls, requestRules: [noted] })], pools, certificates: [shop] }))
    const client = await openHttp2Client(t, port())
    await askOn(client, { ':path': '/noted', ':method': 'POST' }, 'x'.repeat(1_000))
    await until(() => records.length === 1, 'a record')
    const seen = { method: 'POST', scheme: 'https', path: '/noted', protocol: 'HTTP/2', status: 200, server: `127.0.0.1:${server.port}` }
    t.match(records[0], { ...common, ...seen, rule: 'policy / noted' })
    t.ok(records[0]!.bytesIn >= 1_000)
    t.ok((records[0]!.clientRttUs ?? 0) > 0)
    t.ok(isWhole(records[0]), JSON.stringify(records[0]))
    client.request({ ':path': '/never' }).on('error', () => undefined)
    await until(() => server.requests.length === 2, 'a request that is not answered')
    client.destroy()
    await until(() => records.length === 2, 'a record of who went')
    t.equal(records[1]!.fault, 'DOWNSTREAM_RESET')
  })

t.test('of a WebSocket: one, when it is over', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end())
  new WebSocketServer({ server: web.server }).on('connection', socket => socket.on('message', data => socket.send(data)))
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ requestRules: [noted] })], pools: [aPool([web.port])] }))
  const client = new WebSocket(`ws://127.0.0.1:${port()}/noted/chat`)
  await once(client, 'open')
  client.send('x'.repeat(10_000))
  await once(client, 'message')
  t.equal(records.length, 0)
  client.close()
  await until(() => records.length === 1, 'a record')
  t.match(records[0], { ...common, method: 'GET', scheme: 'http', path: '/noted/chat', status: 101, rule: 'policy / noted' })
  t.ok(records[0]!.bytesIn > 10_000 && records[0]!.bytesOut > 10_000, 'what went through the tunnel, both ways')
  t.ok(isWhole(records[0]), JSON.stringify(records[0]))
})

t.test('of a flow of TCP, over TLS, with a server that is not there before one that is', async t => {
  const [echo, closed] = [await openTcpServer(t, socket => socket.pipe(socket)), await closedPort()]
  const { load, port, records } = openTestPlane(t)
  const service = aService({ application: 'tcp', listeners: [aListener({ isTls: true })], tls: aTls([shop.id]) })
  await load(aSnapshot({ services: [service], pools: [aPool([closed, echo.port])], certificates: [shop] }))
  for (let i = 0; i < 2; i++) {
    const socket = connectTls({ port: port(), host: '127.0.0.1', servername: 'shop.test', rejectUnauthorized: false })
    socket.write('hello')
    await once(socket, 'data')
    socket.end()
    await until(() => records.length === i + 1, 'a record')
  }
  for (const record of records) {
    const seen = { scheme: 'tls', host: 'shop.test', protocol: 'TCP', server: `127.0.0.1:${echo.port}`, bytesIn: 5, bytesOut: 5 }
    t.match(record, { ...common, ...seen, attempts: Number })
    t.ok((record.clientRttUs ?? 0) > 0)
    t.ok(isWhole(record), JSON.stringify(record))
  }
  t.ok(
    records.some(({ attempts }) => attempts === 2),
    'each try counts'
  )
})

t.test('of a session of UDP', async t => {
  const server = createSocket('udp4')
  t.teardown(() => server.close())
  server.on('message', (datagram, from) => server.send(datagram, from.port, from.address))
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  const { load, port, records } = openTestPlane(t)
  const service = aService({ application: 'udp', listeners: [aListener({ protocol: 'udp' })], tcp: { idleTimeoutMs: 50 } })
  await load(aSnapshot({ services: [service], pools: [aPool([server.address().port])] }))
  const client = createSocket('udp4')
  t.teardown(() => client.close())
  client.send('hello', port(), '127.0.0.1')
  await once(client, 'message')
  await until(() => records.length === 1, 'a record')
  t.match(records[0], { ...common, scheme: 'udp', protocol: 'UDP', server: `127.0.0.1:${server.address().port}`, bytesIn: 5, bytesOut: 5 })
  t.ok(isWhole(records[0], false), JSON.stringify(records[0]))
})

t.test('of what came to nothing: why it ended', async t => {
  const silent = await openTcpServer(t, socket => socket.resume())
  const [broken, closed] = [await openTcpServer(t, socket => socket.once('data', () => socket.destroy())), await closedPort()]
  const { load, port, records } = openTestPlane(t)
  const services = [
    aService(),
    aService({ id: 'vs-2', listeners: [aListener({})], target: { is: 'pool', poolId: 'pool-2' } }),
    aService({ id: 'vs-3', listeners: [aListener({})], target: { is: 'pool', poolId: 'pool-3' } })
  ]
  const pools = [aPool([silent.port]), aPool([broken.port], { id: 'pool-2' }), aPool([closed], { id: 'pool-3' })]
  await load(aSnapshot({ services, pools }))
  const due = async (fault: string, act: () => unknown): Promise<void> => {
    const before = records.length
    await act()
    await until(() => records.length === before + 1, `a record of ${fault}`)
    t.equal(records.at(-1)!.fault, fault)
    t.ok(faultCodes.includes(records.at(-1)!.fault as (typeof faultCodes)[number]))
  }
  await due('DOWNSTREAM_BAD_REQUEST', () => sendRaw(port(), 'GET / HTTP/1.1\r\n\r\n'))
  await due('UPSTREAM_RESET_UNANSWERED', () => sendRaw(port('vs-2'), 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'))
  await due('UPSTREAM_CONNECT_REFUSED', () => sendRaw(port('vs-3'), 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'))
  await due('DOWNSTREAM_RESET', async () => {
    const socket = connect({ port: port(), host: '127.0.0.1' })
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'connect')
    setImmediate(() => socket.destroy())
  })
})
