import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { aListener, aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, closedPort, openHttpServer, openTcpServer, openTestPlane, until } from '#test/support/data-plane.ts'

const aFlowService = () => aService({ application: 'tcp', tcp: { idleTimeoutMs: 60_000 } })

t.test('a flow passes bytes and half-closes both ways', async t => {
  const server = await openTcpServer(
    t,
    socket => {
      let size = 0
      socket.on('data', chunk => (size += chunk.length))
      socket.on('end', () => socket.end(`got ${size}`))
    },
    { allowHalfOpen: true }
  )
  const { load, port, records, memory } = openTestPlane(t)
  await load(aSnapshot({ services: [aFlowService()], pools: [aPool([server.port])] }))
  const socket = connect({ port: port(), host: '127.0.0.1', allowHalfOpen: true })
  let seen = ''
  socket.on('data', chunk => (seen += chunk.toString()))
  socket.end(Buffer.alloc(1_000_000))
  await once(socket, 'end')
  t.equal(seen, 'got 1000000')
  await until(() => records.length === 1, 'a record')
  t.match(records[0], { scheme: 'tcp', status: 0, bytesIn: 1_000_000, bytesOut: 11, fault: '', poolName: 'web' })
  t.equal(memory.inFlight('pool-1', `127.0.0.1:${server.port}`), 0)
})

t.test('a server that refuses is passed over; without one the flow is reset', async t => {
  const server = await openTcpServer(t, socket => socket.end('hello'))
  const { load, port } = openTestPlane(t)
  const closed = await closedPort()
  const read = async (): Promise<string> => {
    const socket = connect(port(), '127.0.0.1')
    let seen = ''
    socket.on('data', chunk => (seen += chunk.toString())).on('error', error => (seen += (error as NodeJS.ErrnoException).code))
    await new Promise(resolve => socket.once('close', resolve))
    return seen
  }
  await load(aSnapshot({ services: [aFlowService()], pools: [aPool([closed, server.port])] }))
  for (let i = 0; i < 4; i++) t.equal(await read(), 'hello')
  await load(aSnapshot({ services: [aFlowService()], pools: [aPool([closed])] }))
  t.equal(await read(), 'ECONNRESET')
})

t.test('a reset of the server is a reset for the client, and the other way round', async t => {
  const faults: string[] = []
  const server = await openTcpServer(t, socket => {
    socket.on('error', error => faults.push((error as NodeJS.ErrnoException).code ?? ''))
    socket.on('data', chunk => (chunk.toString() === 'die' ? socket.resetAndDestroy() : socket.write(chunk)))
  })
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aFlowService()], pools: [aPool([server.port])] }))
  const first = connect(port(), '127.0.0.1', () => first.write('die'))
  const [error] = (await once(first, 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNRESET')
  const second = connect(port(), '127.0.0.1', () => second.write('hello'))
  await once(second, 'data')
  second.resetAndDestroy()
  await until(() => faults.includes('ECONNRESET') && records.length === 2, 'the reset arrived')
  t.same(
    records.map(record => record.fault),
    ['UPSTREAM_RESET', 'DOWNSTREAM_RESET']
  )
})

t.test('a silent flow ends', async t => {
  const server = await openTcpServer(t, () => undefined)
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService({ application: 'tcp', tcp: { idleTimeoutMs: 100 } })], pools: [aPool([server.port])] }))
  const socket = connect(port(), '127.0.0.1')
  socket.on('error', () => undefined)
  await new Promise(resolve => socket.once('close', resolve))
  await until(() => records.length === 1, 'a record')
  t.equal(records[0]?.fault, 'DOWNSTREAM_IDLE')
})

t.test('flows of a server that is taken out end when its grace is over', async t => {
  const server = await openTcpServer(t, socket => socket.pipe(socket))
  const { load, port } = openTestPlane(t)
  await load(aSnapshot({ services: [aFlowService()], pools: [aPool([server.port])] }))
  const socket = connect(port(), '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('x')
  await once(socket, 'data')
  await load(
    aSnapshot({ services: [aFlowService()], pools: [aPool([aServer(server.port, { isEnabled: false })], { gracefulDisableS: 0 })] })
  )
  await new Promise(resolve => socket.once('close', resolve))
})

t.test('IPv6 is served, and reaches IPv6 servers', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(String(request.headers['x-forwarded-for'])), { host: '::1' })
  const { load, port, records } = openTestPlane(t)
  const services = [aService({ listeners: [aListener({ address: '::1' })] })]
  t.same(await load(aSnapshot({ services, pools: [aPool([aServer(web.port, { host: '::1', id: `[::1]:${web.port}` })])] })), [])
  const answer = await ask(port(), { host: '::1', headers: { host: `[::1]:${port()}` } })
  t.match(answer, { status: 200, body: '::1' })
  t.match(records[0], { clientIp: '::1', host: '[::1]' })
})

t.test('a server by name is reached at the addresses that were resolved for it', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(String(request.headers.host)))
  const { load, port, plane } = openTestPlane(t)
  const server = aServer(web.port, { host: 'web.invalid', isName: true })
  await load(aSnapshot({ services: [aService()], pools: [aPool([server], { rewritesHost: 'server-name' })] }))
  plane.resolve({ [`pool-1/${server.id}`]: ['127.0.0.1'] })
  t.match(await ask(port()), { status: 200, body: 'web.invalid' })
})

t.test('Host is the request’s own unless the pool rewrites it to the name of the server', async t => {
  const web = await openHttpServer(t, (request, response) => response.end(String(request.headers.host)))
  const { load, port } = openTestPlane(t)
  const server = aServer(web.port, { hostHeader: 'web01.test' })
  await load(aSnapshot({ services: [aService()], pools: [aPool([server])] }))
  t.match(await ask(port(), { headers: { host: 'shop.test' } }), { status: 200, body: 'shop.test' })
  await load(aSnapshot({ services: [aService()], pools: [aPool([server], { rewritesHost: 'server-name' })] }))
  t.match(await ask(port(), { headers: { host: 'shop.test' } }), { status: 200, body: 'web01.test' })
})
