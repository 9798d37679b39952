/** An exchange that takes too long as a whole is ended, wherever it is. */
import { connect } from 'node:net'
import t from 'tap'
import { ask, openHttpServer, openTestPlane, sendRaw, until } from '#test/support/data-plane.ts'
import { aPool, aService, aSnapshot } from '#test/support/snapshot.ts'

t.test('without an answer in time the client gets one from us, and nobody is asked again', async t => {
  const web = await openHttpServer(t, (request, response) => {
    if (request.url === '/fast') response.end('fast')
  })
  const { load, port, records, bugs } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ requestTimeoutMs: 300 })], pools: [aPool([web.port, web.port + 1])] }))
  const answer = await ask(port(), { path: '/slow' })
  t.equal(answer.status, 504)
  await until(() => records.length === 1, 'a record')
  t.match(records[0], { status: 504, fault: 'REQUEST_TIMEOUT' })
  t.equal(web.requests.length, 1)
  t.equal((await ask(port(), { path: '/fast' })).body, 'fast')
  t.same(bugs, [])
})

t.test('an answer that does not end in time is cut, so that it cannot be taken for a whole one', async t => {
  const web = await openHttpServer(t, (_request, response) => void response.write('begun'))
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ requestTimeoutMs: 300 })], pools: [aPool([web.port])] }))
  const { text } = await sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(text, /200 OK[^]*begun/)
  t.notMatch(text, /\r\n0\r\n\r\n$/)
  await until(() => records.length === 1, 'a record')
  t.match(records[0], { fault: 'REQUEST_TIMEOUT' })
})

t.test('a request that waits for a place is answered in time', async t => {
  const web = await openHttpServer(t, () => undefined)
  const { load, port } = openTestPlane(t)
  const pool = aPool([web.port], { maxConnectionsPerServer: 1, queue: { depth: 5 } })
  await load(aSnapshot({ services: [aService({ requestTimeoutMs: 400 })], pools: [pool] }))
  const statuses = await Promise.all([ask(port()), ask(port())].map(answer => answer.then(({ status }) => status)))
  t.same(statuses, [504, 504])
  t.ok(web.requests.length <= 2)
})

t.test('a tunnel lasts', async t => {
  const web = await openHttpServer(t, () => undefined)
  web.server.on('upgrade', (_request, socket) => {
    socket.on('error', () => undefined)
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
    )
    socket.pipe(socket)
  })
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ requestTimeoutMs: 200 })], pools: [aPool([web.port])] }))
  const socket = connect(port(), '127.0.0.1')
  t.teardown(() => socket.destroy())
  let seen = ''
  socket.on('error', () => undefined).on('data', chunk => (seen += chunk.toString()))
  socket.write(
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
  await until(() => seen.includes('101'), 'a tunnel')
  const sinceMs = performance.now()
  await until(() => performance.now() - sinceMs > 400, 'twice the limit')
  socket.write('still here')
  await until(() => seen.endsWith('still here'), 'an echo')
})
