import { Agent } from 'node:http'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { aListener, aPool, aRule, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, openHttpServer, openTestPlane, sendRaw, until, type HttpServerUnderTest } from '#test/support/data-plane.ts'
import { Listener, probePort } from '#engine/dataplane/listen/listener.ts'

t.test('pools, rules and limits are edited under load: no request fails and no WebSocket is cut', async t => {
  const servers: HttpServerUnderTest[] = []
  for (let i = 0; i < 4; i++) servers.push(await openHttpServer(t, (_request, response) => void setTimeout(() => response.end('ok'), i)))
  const sockets = new WebSocketServer({ server: servers[0]!.server })
  sockets.on('connection', socket => socket.on('message', data => socket.send(data)))
  const { load, port, bugs, memory } = openTestPlane(t)
  const algorithms = ['round-robin', 'least-connections', 'random', 'fastest-response'] as const
  const snapshot = (revision: number) => {
    const chosen = servers.filter((_, i) => i === 0 || (revision >> (i % 3)) % 2 === 0)
    const pool = aPool(
      chosen.map((server, i) =>
        aServer(server.port, { weight: 1 + ((revision + i) % 3), isEnabled: chosen.length === 1 || i !== revision % 7 })
      ),
      {
        algorithm: { is: algorithms[revision % 4]! },
        connectTimeoutMs: 10_000 + (revision % 2),
        maxConnectionsPerServer: revision % 3 === 0 ? 200 : null
      }
    )
    const requestRules = revision % 2 === 0 ? [aRule({ headerActions: [{ is: 'add', name: 'x-revision', value: String(revision) }] })] : []
    return aSnapshot({ revision, services: [aService({ requestRules, http: { maxHeaderCount: 100 + (revision % 2) } })], pools: [pool] })
  }
  t.same(await load(snapshot(1)), [])
  const at = port()
  const socket = new WebSocket(`ws://127.0.0.1:${at}/`)
  await once(socket, 'open')
  let echoes = 0
  socket.on('message', () => echoes++)

  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  t.teardown(() => agent.destroy())
  let isOver = false
  let done = 0
  const failures: string[] = []
  const client = async (): Promise<void> => {
    while (!isOver) {
      const isPost = done % 3 === 0
      try {
        const answer = await ask(at, { agent, method: isPost ? 'POST' : 'GET', ...(isPost ? { body: 'x' } : {}) })
        if (answer.status !== 200) failures.push(String(answer.status))
      } catch (error) {
        failures.push(String(error))
      }
      done++
    }
  }
  const clients = Array.from({ length: 64 }, client)
  for (let revision = 2; revision <= 25; revision++) {
    t.same(await load(snapshot(revision)), [])
    socket.send('still here')
    const from = done
    await until(() => done > from + 20, 'traffic goes on')
  }
  isOver = true
  await Promise.all(clients)
  t.same(failures, [])
  t.ok(done > 480, `${done} requests`)
  await until(() => echoes === 24, 'every echo')
  t.equal(port(), at)
  socket.terminate()
  await until(() => servers.every(server => memory.inFlight('pool-1', `127.0.0.1:${server.port}`) === 0), 'nothing is in flight')
  t.same(bugs, [])
})

t.test('servers that die under load lose no request that may be repeated', async t => {
  const servers: HttpServerUnderTest[] = []
  for (let i = 0; i < 3; i++) servers.push(await openHttpServer(t, (_request, response) => void setTimeout(() => response.end('ok'), 3)))
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aService()], pools: [aPool(servers.map(server => server.port))] }))
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  t.teardown(() => agent.destroy())
  let isOver = false
  let done = 0
  const failures: string[] = []
  const clients = Array.from({ length: 32 }, async () => {
    while (!isOver) {
      const { status } = await ask(port(), { agent })
      done++
      if (status !== 200) failures.push(String(status))
    }
  })
  for (const server of servers.slice(0, 2)) {
    const from = done
    await until(() => done > from + 200, 'traffic')
    server.server.close()
    server.server.closeAllConnections()
  }
  const from = done
  await until(() => done > from + 200, 'traffic on the last one')
  isOver = true
  await Promise.all(clients)
  t.same(
    records.filter(record => record.fault !== '').map(record => record.fault),
    []
  )
  t.same(failures, [])
})

t.test('a port that another process has is a violation, and what ran goes on', async t => {
  const stranger = createServer().listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  t.teardown(() => stranger.close())
  const { port: taken } = stranger.address() as AddressInfo
  t.equal(await probePort({ address: '127.0.0.1', port: taken }), 'EADDRINUSE')
  t.equal(await probePort({ address: '192.0.2.77', port: 0 }), 'EADDRNOTAVAIL')
  t.equal(await probePort({ address: '127.0.0.1', port: 0 }), undefined)
  const web = await openHttpServer(t, (_request, response) => response.end('ok'))
  const { load, port, plane } = openTestPlane(t)
  const pools = [aPool([web.port])]
  await load(aSnapshot({ services: [aService()], pools }))
  const second = aService({ id: 'vs-2', listeners: [aListener(), aListener({ port: taken }), aListener({ address: '192.0.2.77' })] })
  t.match(await load(aSnapshot({ services: [aService(), second], pools })), [
    { pointer: '/virtual-service/vs-2/listeners/1', message: /in use/ },
    { pointer: '/virtual-service/vs-2/listeners/2', message: /address of this host/ }
  ])
  t.equal(plane.bound().length, 1)
  t.equal((await ask(port())).body, 'ok')
  const twice = aService({ id: 'vs-3', listeners: [aListener({ port: 1 }), aListener({ port: 1 })] })
  t.match(
    await load(aSnapshot({ services: [twice] })),
    [{ message: String }, { message: String }].slice(0, process.getuid?.() === 0 ? 1 : 2)
  )
})

t.test('rules that cannot be compiled are violations, all of them', async t => {
  const { load } = openTestPlane(t)
  const bad = (id: string, value: string) =>
    aService({
      id,
      listeners: [],
      requestRules: [aRule({ name: `p / ${id}`, match: { path: { operator: 'regex', values: [value], isCaseSensitive: true } } })]
    })
  const range = aService({
    id: 'c',
    listeners: [],
    networkRules: [{ name: 'n', ranges: ['10.0.0.0/99'], isNegated: false, ports: [], action: 'deny' }]
  })
  t.match(await load(aSnapshot({ services: [bad('a', '('), bad('b', '['), range] })), [
    { pointer: '/virtual-service/a', message: /p \/ a/ },
    { pointer: '/virtual-service/b', message: /p \/ b/ },
    { pointer: '/virtual-service/c', message: /10.0.0.0\/99/ }
  ])
})

t.test('a service that is removed finishes what runs, says so, and closes what is idle', async t => {
  let answer = (): void => undefined
  const web = await openHttpServer(t, (request, response) => {
    if (request.url === '/at-once') return void response.end('at once')
    answer = () => response.end('late')
  })
  const { load, port, plane } = openTestPlane(t)
  await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
  const at = port()
  const idle = sendRaw(at, 'GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n')
  const running = sendRaw(at, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => web.requests.length === 2, 'the requests')
  t.same(await load(aSnapshot({})), [])
  t.same(plane.bound(), [])
  await t.rejects(ask(at), 'no new connection')
  t.match((await idle).text, /^HTTP\/1.1 200 OK[^]*at once$/)
  answer()
  t.match((await running).text, /^HTTP\/1.1 200 OK[^]*connection: close[^]*late$/i)
})

t.test('stopping closes the port first; who has come already and said nothing is still answered', async t => {
  const web = await openHttpServer(t, (_request, response) => void response.end('at once'))
  const { load, port, plane } = openTestPlane(t)
  await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
  const at = port()
  const newcomer = connect(at, '127.0.0.1')
  await once(newcomer, 'connect')
  const idle = sendRaw(at, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => web.requests.length === 1, 'the request of who came later')
  const closed = Promise.withResolvers<void>()
  const stopped = plane.stop(60_000, closed.resolve)
  await closed.promise
  await t.rejects(ask(at), 'no new connection')
  t.match((await idle).text, /^HTTP\/1.1 200 OK[^]*at once$/)
  newcomer.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(await text(newcomer), /^HTTP\/1.1 200 OK[^]*connection: close[^]*at once$/i)
  await stopped
})

t.test('stopping ends by its deadline, whatever runs', async t => {
  const web = await openHttpServer(t, () => undefined)
  const { load, port, plane } = openTestPlane(t)
  await load(aSnapshot({ services: [aService()], pools: [aPool([web.port])] }))
  const running = sendRaw(port(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => web.requests.length === 1, 'the request')
  await plane.stop(50)
  t.equal((await running).text, '')
})

/** Between two immediates the loop looks at every socket: who has connected is accepted by this process then. */
async function untilAccepted(): Promise<void> {
  await setImmediate()
  await setImmediate()
}

t.test('who comes to a new port before it is served waits, and is answered', async t => {
  const listener = await Listener.open({ address: '127.0.0.1', port: 0 }, { reusePort: true })
  t.teardown(() => listener.close())
  const early = connect(listener.port, '127.0.0.1')
  early.end('hello')
  await once(early, 'connect')
  await untilAccepted()
  listener.acceptor = socket => void socket.pipe(socket)
  t.equal(await text(early), 'hello')
})

t.test('a port that is given up before it is served lets go of who came', async t => {
  const listener = await Listener.open({ address: '127.0.0.1', port: 0 }, { reusePort: true })
  const early = connect(listener.port, '127.0.0.1')
  early.on('error', () => undefined)
  await once(early, 'connect')
  await untilAccepted()
  await listener.close()
  await once(early, 'close')
  t.ok(early.destroyed)
})
