import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as tlsConnect, createServer as createTlsServer } from 'node:tls'
import t from 'tap'
import { readProxyHeader, writeProxyHeader } from '#engine/dataplane/listen/proxy-protocol.ts'
import { aCertificate } from '#test/support/certificates.ts'
import { aListener, aPool, aService, aSnapshot, aTls, anUpstreamTls } from '#test/support/snapshot.ts'
import { openHttpServer, openTcpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'

const fromEdge = aListener({ proxyProtocol: { trusted: ['127.0.0.0/8'] } })
const request = 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const client = { ip: '192.0.2.77', port: 4711 }
const here = { ip: '198.51.100.1', port: 80 }

t.test('HTTP: the client of the header is who rules, logs and servers see', async t => {
  const web = await openHttpServer(t, (seen, response) => response.end(String(seen.headers['x-forwarded-for'])))
  const { load, port, records, memory } = openTestPlane(t)
  const networkRules = [{ name: 'deny', ranges: ['203.0.113.0/24'], isNegated: false, ports: [], action: 'deny' as const }]
  const services = [aService({ listeners: [fromEdge], networkRules })]
  t.same(await load(aSnapshot({ services, pools: [aPool([web.port])] })), [])
  for (const version of [1, 2] as const) {
    const head = writeProxyHeader(version, client, here)
    t.match((await sendRaw(port(), Buffer.concat([head, Buffer.from(request)]))).text, /200 OK[^]*192\.0\.2\.77$/, `version ${version}`)
  }
  await until(() => records.length === 2, 'records')
  t.match(records[0], { clientIp: '192.0.2.77', clientPort: 4711, status: 200 })

  const denied = writeProxyHeader(2, { ip: '203.0.113.5', port: 1 }, here)
  t.match(await sendRaw(port(), Buffer.concat([denied, Buffer.from(request)])), { text: '' }, 'a rule is asked about the client')
  t.match(await sendRaw(port(), request), { text: '' }, 'nothing without a header')
  t.match(await sendRaw(port(), `PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n${request}`), { text: '' }, 'nothing by one that cannot be read')
  t.match((await sendRaw(port(), `PROXY UNKNOWN\r\n${request}`)).text, /127\.0\.0\.1$/, 'a proxy may speak for itself')
  t.equal(web.requests.length, 3)
  await until(() => memory.readTotals().virtualServices[0]?.totals.openConnections === 0, 'all connections are accounted for')
})

t.test('the header may come in any cut, and two connections do not mix', async t => {
  const web = await openHttpServer(t, (seen, response) => response.end(String(seen.headers['x-forwarded-for'])))
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ listeners: [fromEdge] })], pools: [aPool([web.port])] }))
  const slowly = async (ip: string, version: 1 | 2): Promise<string> => {
    const socket = connect({ port: port(), host: '127.0.0.1', noDelay: true })
    let seen = ''
    socket.on('data', (chunk: Buffer) => (seen += chunk.toString()))
    for (const byte of writeProxyHeader(version, { ip, port: 1 }, here)) {
      socket.write(Buffer.from([byte]))
      await new Promise(resolve => setImmediate(resolve))
    }
    socket.write(request)
    await once(socket, 'close')
    return seen
  }
  const seen = await Promise.all([slowly('192.0.2.1', 1), slowly('192.0.2.2', 2), slowly('2001:db8::3', 2)])
  t.match(seen[0], /192\.0\.2\.1$/)
  t.match(seen[1], /192\.0\.2\.2$/)
  t.match(seen[2], /2001:db8::3$/)
})

t.test('a peer that is not trusted is cut', async t => {
  const web = await openHttpServer(t, (_request, response) => response.end('x'))
  const { load, port } = openTestPlane(t)
  const listeners = [aListener({ proxyProtocol: { trusted: ['192.0.2.1'] } })]
  await load(aSnapshot({ services: [aService({ listeners })], pools: [aPool([web.port])] }))
  t.match(await sendRaw(port(), Buffer.concat([writeProxyHeader(1, client, here), Buffer.from(request)])), { text: '' })
  t.equal(web.requests.length, 0)
})

t.test('behind TLS: the header comes first, then the handshake', async t => {
  const certificate = await aCertificate('shop', ['shop.test'])
  const web = await openHttpServer(t, (seen, response) => response.end(String(seen.headers['x-forwarded-for'])))
  const { load, port } = openTestPlane(t)
  const listeners = [aListener({ isTls: true, proxyProtocol: { trusted: [] } })]
  const snapshot = aSnapshot({
    services: [aService({ listeners, tls: aTls(['shop']) })],
    pools: [aPool([web.port])],
    certificates: [certificate]
  })
  t.same(await load(snapshot), [])
  const plain = connect(port(), '127.0.0.1')
  plain.write(writeProxyHeader(2, client, here))
  const socket = tlsConnect({ socket: plain, servername: 'shop.test', rejectUnauthorized: false })
  let seen = ''
  socket.on('data', chunk => (seen += chunk.toString()))
  socket.write(request)
  await once(socket, 'end')
  t.match(seen, /192\.0\.2\.77$/)
})

/** Reads the header off a connection and answers with what it says. */
function tellHeader(socket: Socket): void {
  let seen: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk])
    const found = readProxyHeader(seen)
    if (found.is !== 'header' || seen.length < found.length + 2) return
    socket.end(`${found.source?.ip} ${found.source?.port} ${found.destination?.port} ${seen.subarray(found.length).toString()}`)
  })
}

t.test('a flow tells its server who the client is', async t => {
  const server = await openTcpServer(t, tellHeader)
  const { load, port, records } = openTestPlane(t)
  for (const version of [1, 2] as const) {
    const services = [aService({ application: 'tcp', tcp: { idleTimeoutMs: 60_000, sendsProxyProtocol: version } })]
    await load(aSnapshot({ services, pools: [aPool([server.port])] }))
    const socket = connect(port(), '127.0.0.1')
    socket.write('hi')
    const [answer] = (await once(socket, 'data')) as [Buffer]
    t.equal(answer.toString(), `127.0.0.1 ${socket.localPort} ${port()} hi`)
  }
  const services = [aService({ application: 'tcp', listeners: [fromEdge], tcp: { idleTimeoutMs: 60_000, sendsProxyProtocol: 1 } })]
  await load(aSnapshot({ services, pools: [aPool([server.port])] }))
  const { text } = await sendRaw(port(), Buffer.concat([writeProxyHeader(2, client, here), Buffer.from('hi')]))
  t.equal(text, `192.0.2.77 4711 ${port()} hi`, 'what came in goes on')
  await until(() => records.length === 3, 'records')
  t.match(records[2], { clientIp: '192.0.2.77', clientPort: 4711, bytesIn: 2 })
})

t.test('a flow tells a server that speaks TLS before its handshake', async t => {
  const certificate = await aCertificate('server', ['server.test'])
  const secure = createTlsServer({ cert: certificate.certificatePem, key: certificate.keyPem }, socket => {
    socket.on('error', () => undefined).once('data', chunk => socket.end(chunk))
  })
  let told = ''
  const server = await openTcpServer(t, socket => {
    const look = (): void => {
      const bytes = socket.read() as Buffer | null
      if (bytes === null) return
      const found = readProxyHeader(bytes)
      if (found.is !== 'header') return
      told = found.source?.ip ?? ''
      socket.removeListener('readable', look)
      if (bytes.length > found.length) socket.unshift(bytes.subarray(found.length))
      secure.emit('connection', socket)
    }
    socket.on('readable', look)
  })
  const { load, port } = openTestPlane(t)
  const services = [aService({ application: 'tcp', tcp: { idleTimeoutMs: 60_000, sendsProxyProtocol: 2 } })]
  await load(aSnapshot({ services, pools: [aPool([server.port], { tls: anUpstreamTls() })] }))
  const socket = connect(port(), '127.0.0.1')
  socket.write('hello')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.equal(answer.toString(), 'hello')
  t.equal(told, '127.0.0.1')
  socket.destroy()
})

t.test('TCP over TLS: a flow out of TLS', async t => {
  const certificate = await aCertificate('db', ['db.test'])
  const server = await openTcpServer(t, socket => socket.pipe(socket))
  const { load, port, records } = openTestPlane(t)
  const snapshot = aSnapshot({
    services: [aService({ application: 'tcp', listeners: [aListener({ isTls: true })], tls: aTls(['db']) })],
    pools: [aPool([server.port])],
    certificates: [certificate]
  })
  t.same(await load(snapshot), [])
  const socket = tlsConnect({ port: port(), host: '127.0.0.1', servername: 'db.test', rejectUnauthorized: false })
  socket.write('query')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.equal(answer.toString(), 'query')
  socket.end()
  await until(() => records.length === 1, 'a record')
  t.match(records[0], { scheme: 'tls', host: 'db.test', bytesIn: 5, bytesOut: 5, fault: '' })
})
