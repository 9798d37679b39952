import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import type { PoolPart, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { aListener, aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { openTcpServer, openTestPlane, until } from '#test/support/data-plane.ts'

type Scope = Pick<Test, 'teardown'>

async function bound(t: Scope, address = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  socket.bind(0, address)
  await once(socket, 'listening')
  t.teardown(() => void new Promise<void>(resolve => (isOpen(socket) ? socket.close(resolve) : resolve())))
  return socket
}

function isOpen(socket: Socket): boolean {
  try {
    socket.address()
    return true
  } catch {
    return false
  }
}

/** Answers each datagram with its own name and what came. */
async function openEcho(t: Scope, name: string, address?: string): Promise<{ socket: Socket; port: number; seen: string[] }> {
  const socket = await bound(t, address)
  const seen: string[] = []
  socket.on('message', (datagram, from) => {
    seen.push(datagram.toString())
    socket.send(`${name}:${datagram.toString()}`, from.port, from.address)
  })
  return { socket, port: socket.address().port, seen }
}

/** A client: says something and waits for the answer. */
async function openClient(t: Scope, port: () => number, address = '127.0.0.1') {
  const socket = await bound(t, address)
  const answers: string[] = []
  socket.on('message', (datagram, from) => answers.push(`${from.port === port() ? '' : 'from elsewhere '}${datagram.toString()}`))
  return {
    answers,
    say: (what: string) => socket.send(what, port(), address),
    ask: async (what: string): Promise<string> => {
      const before = answers.length
      socket.send(what, port(), address)
      await until(() => answers.length > before, `an answer to ${what}`)
      return answers.at(-1)!
    }
  }
}

const aDatagramService = (given: Partial<VirtualServicePart> = {}): VirtualServicePart =>
  aService({ application: 'udp', listeners: [aListener({ protocol: 'udp' })], tcp: { idleTimeoutMs: 60_000 }, ...given })
const aDatagramPool = (servers: Parameters<typeof aPool>[0], given: Partial<PoolPart> = {}) => aPool(servers, given)

t.test('clients have sessions of their own, each with one server, and get answers from the port that they asked', async t => {
  const [one, two] = await Promise.all([openEcho(t, 'one'), openEcho(t, 'two')])
  const { load, port, records, memory } = openTestPlane(t)
  const snapshot = (idleTimeoutMs: number) =>
    aSnapshot({ services: [aDatagramService({ tcp: { idleTimeoutMs } })], pools: [aDatagramPool([one.port, two.port])] })
  t.same(await load(snapshot(60_000)), [])
  const clients = await Promise.all(Array.from({ length: 4 }, () => openClient(t, port)))
  const first = await Promise.all(clients.map(client => client.ask('hello')))
  t.same(first.toSorted(), ['one:hello', 'one:hello', 'two:hello', 'two:hello'], 'balanced')
  for (const [i, client] of clients.entries()) t.equal(await client.ask('again'), first[i]!.replace('hello', 'again'), 'and stays')
  const totals = () => memory.readTotals().virtualServices[0]!.totals
  t.match(totals(), { connections: 4, openConnections: 4, bytesIn: 40, bytesOut: 72 })
  t.equal(memory.inFlight('pool-1', `127.0.0.1:${one.port}`), 2)
  await load(snapshot(50))
  const hasty = await openClient(t, port)
  await hasty.ask('x')
  await until(() => records.length === 1, 'a session that is idle ends')
  t.match(records[0], { protocol: 'UDP', scheme: 'udp', clientIp: '127.0.0.1', fault: '', poolName: 'web' })
  t.match(totals(), { connections: 5, openConnections: 4, requests: 1 }, 'the others began under a longer time')
})

t.test('a server that is not there ends the session, and the next one goes elsewhere', async t => {
  const echo = await openEcho(t, 'one')
  const gone = await openEcho(t, 'gone')
  const closedPort = gone.port
  gone.socket.close()
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aDatagramService()], pools: [aDatagramPool([closedPort, echo.port])] }))
  const client = await openClient(t, port)
  await until(() => {
    client.say('hello')
    return client.answers.length > 0
  }, 'an answer')
  t.ok(records.every(record => record.fault === 'UPSTREAM_CONNECT_REFUSED'))
  t.ok(records.length >= 1)
})

t.test('rules decide, and a service without servers answers nobody', async t => {
  const echo = await openEcho(t, 'one')
  const { load, port, memory } = openTestPlane(t)
  const networkRules = [{ name: 'deny', ranges: ['127.0.0.0/8'], isNegated: false, ports: [], action: 'deny' as const }]
  await load(aSnapshot({ services: [aDatagramService({ networkRules })], pools: [aDatagramPool([echo.port])] }))
  const client = await openClient(t, port)
  const faults = (): number => memory.readTotals().virtualServices[0]!.totals.faultsEngine
  client.say('hello')
  await until(() => faults() === 1, 'the rule decided')
  await load(aSnapshot({ services: [aDatagramService({ target: null })] }))
  client.say('hello')
  await until(() => faults() === 2, 'no server')
  await load(aSnapshot({ services: [aDatagramService()], pools: [aDatagramPool([echo.port])] }))
  t.equal(await client.ask('now'), 'one:now')
  t.same(client.answers, ['one:now'])
  t.same(echo.seen, ['now'])
})

t.test('what is removed drains: sessions go on, nothing new comes in, and the port may come back at once', async t => {
  const echo = await openEcho(t, 'one')
  const { load, port, plane, memory } = openTestPlane(t)
  const snapshot = (revision: number, services: readonly VirtualServicePart[]) =>
    aSnapshot({ revision, services, pools: [aDatagramPool([echo.port])], drainTimeoutS: 20 })
  await load(snapshot(1, [aDatagramService({ tcp: { idleTimeoutMs: 1_500 } })]))
  const at = port()
  const old = await openClient(t, () => at)
  const fresh = await openClient(t, () => at)
  await old.ask('hello')
  await load(snapshot(2, []))
  t.same(plane.bound(), [])
  t.equal(await old.ask('still'), 'one:still')
  fresh.say('too late')
  t.equal(await old.ask('still'), 'one:still')
  const again = aDatagramService({ id: 'vs-2', listeners: [aListener({ protocol: 'udp', port: at })] })
  // A port of 0 has a name of its own: the real one is taken as long as the old socket answers.
  await until(() => memory.inFlight('pool-1', `127.0.0.1:${echo.port}`) === 0, 'the session is idle')
  await until(() => plane.bound().length === 0, 'nothing is bound')
  let violations = await load(snapshot(3, [again]))
  const deadline = performance.now() + 10_000
  while (violations.length > 0 && performance.now() < deadline) violations = await load(snapshot(3, [again]))
  t.same(violations, [])
  t.equal(await fresh.ask('now'), 'one:now')
  await load(snapshot(4, []))
  t.equal(await fresh.ask('drains'), 'one:drains')
  t.same(await load(snapshot(5, [aDatagramService({ id: 'vs-3', listeners: again.listeners })])), [], 'while it drains')
  const third = await openClient(t, () => at)
  t.equal(await third.ask('third'), 'one:third')
  t.notOk(echo.seen.includes('too late'))
})

t.test('sessions of a server that is taken out end when its grace is over', async t => {
  const [one, two] = await Promise.all([openEcho(t, 'one'), openEcho(t, 'two')])
  const { load, port, records } = openTestPlane(t)
  await load(aSnapshot({ services: [aDatagramService()], pools: [aDatagramPool([one.port])] }))
  const client = await openClient(t, port)
  t.equal(await client.ask('a'), 'one:a')
  const servers = [aServer(one.port, { isEnabled: false }), aServer(two.port)]
  await load(aSnapshot({ services: [aDatagramService()], pools: [aDatagramPool(servers, { gracefulDisableS: 0 })] }))
  await until(() => records.length === 1, 'the session is cut')
  t.equal(records[0]?.fault, 'SERVER_WITHDRAWN')
  t.equal(await client.ask('b'), 'two:b')
})

t.test('IPv6, and a port that TCP has as well', async t => {
  const echo = await openEcho(t, 'six', '::1')
  const server = await openTcpServer(t, socket => socket.end('tcp'))
  const { load, plane } = openTestPlane(t)
  const spare = await bound(t, '::1')
  const at = spare.address().port
  await new Promise<void>(resolve => void spare.close(resolve))
  const services = [
    aDatagramService({ listeners: [aListener({ address: '::1', port: at, protocol: 'udp' })] }),
    aService({
      id: 'vs-2',
      application: 'tcp',
      listeners: [aListener({ address: '::1', port: at })],
      target: { is: 'pool', poolId: 'p-2' }
    })
  ]
  const pools = [aDatagramPool([aServer(echo.port, { host: '::1' })]), aPool([server.port], { id: 'p-2' })]
  t.same(await load(aSnapshot({ services, pools })), [])
  t.equal(plane.bound().length, 2)
  const client = await openClient(t, () => at, '::1')
  t.equal(await client.ask('x'), 'six:x')
  const [answer] = (await once(connect(at, '::1'), 'data')) as [Buffer]
  t.equal(answer.toString(), 'tcp')
})

t.test('flows go to the port that the client reached where the pool says so', async t => {
  const echo = await openEcho(t, 'same', '127.0.0.2')
  const { load } = openTestPlane(t)
  const services = [aDatagramService({ listeners: [aListener({ port: echo.port, protocol: 'udp' })] })]
  const server = aServer(9, { host: '127.0.0.2' })
  t.same(await load(aSnapshot({ services, pools: [aDatagramPool([server], { usesServicePort: true })] })), [])
  const client = await openClient(t, () => echo.port)
  t.equal(await client.ask('x'), 'same:x')
})

t.test('a port of datagrams that somebody has is told', async t => {
  const socket = await bound(t)
  const { port } = socket.address()
  t.equal(await probePort({ address: '127.0.0.1', port, protocol: 'udp' }), 'EADDRINUSE')
  const { load } = openTestPlane(t)
  const violations = await load(aSnapshot({ services: [aDatagramService({ listeners: [aListener({ port, protocol: 'udp' })] })] }))
  t.match(violations, [{ pointer: '/virtual-service/vs-1/listeners/0', message: /is in use/ }])
})

t.test('workers share a port: each client stays with one of them', async t => {
  const echo = await openEcho(t, 'one')
  const workers = [openTestPlane(t, { reusePort: true }), openTestPlane(t, { reusePort: true })] as const
  const pools = [aDatagramPool([echo.port])]
  t.same(await workers[0].load(aSnapshot({ services: [aDatagramService()], pools })), [])
  const port = workers[0].port()
  const listeners = [aListener({ protocol: 'udp', port })]
  t.same(await workers[1].load(aSnapshot({ services: [aDatagramService({ listeners })], pools })), [])
  const clients = await Promise.all(Array.from({ length: 16 }, () => openClient(t, () => port)))
  for (const what of ['a', 'b', 'c']) t.same(await Promise.all(clients.map(client => client.ask(what))), Array(16).fill(`one:${what}`))
  const sessions = workers.map(({ memory }) => memory.readTotals().virtualServices[0]!.totals.connections)
  t.equal(sessions[0]! + sessions[1]!, 16)
})
