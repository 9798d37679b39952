/** Clients stay with their server, however they are known. */
import t from 'tap'
import { randomBytes } from 'node:crypto'
import { connect as tlsConnect } from 'node:tls'
import type { PersistenceSpec, Resilience } from '#model/snapshot/resilience.ts'
import type { PoolPart, ServerSpec } from '#model/snapshot/snapshot.ts'
import { ask, openHttpServer, openTcpServer, openTestPlane, sendRaw } from '#test/support/data-plane.ts'
import { aListener, aPool, aServer, aService, aSnapshot, aTls } from '#test/support/snapshot.ts'
import { selfSigned } from '#test/support/self-signed.ts'

type Tap = Parameters<typeof openHttpServer>[0]

/** Servers that say who they are. */
const openServers = (t: Tap, count: number, cookies = false) =>
  Promise.all(
    Array.from({ length: count }, async (_, i) => {
      let sessions = 0
      const { port } = await openHttpServer(t, (_request, response) => {
        if (cookies) response.setHeader('set-cookie', [`SESSION="${i}-${sessions++}"; Path=/`, 'other=1'])
        response.end(`server ${i}`)
      })
      return port
    })
  )

const aCookie: Extract<PersistenceSpec, { is: 'cookie' }> = {
  is: 'cookie',
  name: 'stay',
  keyBase64: randomBytes(32).toString('base64'),
  timeoutS: null,
  isKept: false,
  isHttpOnly: true,
  isAlwaysSent: false,
  whenDown: 'pick-new'
}
const monitored: Partial<PoolPart> = {
  monitors: [
    {
      id: 'm',
      name: 'm',
      probe: { is: 'ping' },
      sendIntervalMs: 1000,
      receiveTimeoutMs: 500,
      successfulChecks: 1,
      failedChecks: 1,
      port: null,
      isQuickStart: false
    }
  ]
}
const persistent = (
  servers: readonly (number | ServerSpec)[],
  persistence: PersistenceSpec,
  given: Partial<PoolPart & Resilience> = {}
) => ({
  ...aPool(servers, given),
  ...given,
  persistence
})

t.test('a cookie that only we can read keeps a client, on every engine with the key', async t => {
  const ports = await openServers(t, 4)
  const snapshot = aSnapshot({ services: [aService()], pools: [persistent(ports, aCookie)] })
  const [one, two] = [openTestPlane(t), openTestPlane(t)]
  for (const engine of [one, two]) t.same(await engine.load(snapshot), [])
  const first = await ask(one.port())
  const [set = ''] = first.headers['set-cookie'] ?? []
  t.match(set, /^stay=[\w-]{40,}; Path=\/; HttpOnly$/)
  t.notMatch(Buffer.from(set.slice(5, set.indexOf(';')), 'base64url').toString('latin1'), /127\.0\.0\.1/)
  const headers = { cookie: `a=b; ${set.slice(0, set.indexOf(';'))}` }
  for (let n = 0; n < 6; n++) {
    const answer = await ask((n % 2 === 0 ? one : two).port(), { headers })
    t.equal(answer.body, first.body)
    t.equal(answer.headers['set-cookie'], undefined, 'it is sent once')
  }
  const bodies = new Set<string>()
  for (let n = 0; n < 8; n++) bodies.add((await ask(one.port(), { headers: { cookie: `stay=${'x'.repeat(60)}` } })).body)
  t.equal(bodies.size, 4, 'a cookie of somebody else binds to nothing')
  t.same(one.bugs, [])
})

t.test('over TLS the cookie is Secure; it ages, and is kept by the browser when told', async t => {
  const { certificatePem, keyPem } = await selfSigned(['localhost'])
  const certificate = { kind: 'certificate', id: 'c', name: 'c', certificatePem, keyPem, names: ['localhost'], keyType: 'ec' } as const
  const ports = await openServers(t, 1)
  const { load, port } = openTestPlane(t)
  const service = aService({ listeners: [aListener({ isTls: true })], tls: aTls(['c']) })
  const pool = persistent(ports, { ...aCookie, timeoutS: 600, isKept: true, isHttpOnly: false, isAlwaysSent: true })
  t.same(await load(aSnapshot({ services: [service], pools: [pool], certificates: [certificate] })), [])
  const answer = await ask(port(), { isTls: true, rejectUnauthorized: false })
  t.match(answer.headers['set-cookie'], [/; Path=\/; Max-Age=600; Secure$/])
  const again = await ask(port(), { isTls: true, rejectUnauthorized: false, headers: { cookie: answer.headers['set-cookie']![0]! } })
  t.match(again.headers['set-cookie'], [/^stay=/], 'with every answer')
})

t.test('what becomes of a bound client follows the profile when its server is down', async t => {
  const ports = await openServers(t, 3)
  const { load, port, memory } = openTestPlane(t)
  const serverOf = (body: string) => `127.0.0.1:${ports[Number(body.slice(7))]}`
  let revision = 0
  for (const [whenDown, expected] of [
    ['pick-new', 'another'],
    ['abort', 'refused'],
    ['continue', 'same']
  ] as const) {
    const pool = persistent(ports, { ...aCookie, whenDown }, monitored)
    await load(aSnapshot({ revision: ++revision, services: [aService()], pools: [pool] }))
    for (const one of ports) memory.judge('pool-1', `127.0.0.1:${one}`, 'up')
    const first = await ask(port())
    const cookie = first.headers['set-cookie']![0]!
    memory.judge('pool-1', serverOf(first.body), 'down')
    const answer = await ask(port(), { headers: { cookie } })
    const became = answer.status !== 200 ? 'refused' : answer.body === first.body ? 'same' : 'another'
    t.equal(became, expected, whenDown)
    t.equal(answer.headers['set-cookie'] !== undefined, expected === 'another', 'a new server, a new cookie')
  }
})

t.test('a disabled server keeps its clients when told, and gets no others', async t => {
  const ports = await openServers(t, 2)
  const { load, port } = openTestPlane(t)
  const pool = (isEnabled: boolean, given: Partial<PoolPart & Resilience> = {}) =>
    persistent([aServer(ports[0]!, { isEnabled }), aServer(ports[1]!)], aCookie, given)
  const run = (revision: number, part: PoolPart) => load(aSnapshot({ revision, services: [aService()], pools: [part] }))
  await run(1, pool(true))
  let cookie = ''
  for (let n = 0; n < 4 && cookie === ''; n++) {
    const { body, headers } = await ask(port())
    if (body === 'server 0') cookie = headers['set-cookie']![0]!
  }
  await run(2, pool(false))
  t.equal((await ask(port(), { headers: { cookie } })).body, 'server 1')
  await run(3, pool(false, { keepsBoundWhenDisabled: true }))
  t.equal((await ask(port(), { headers: { cookie } })).body, 'server 0')
  for (let n = 0; n < 4; n++) t.equal((await ask(port())).body, 'server 1')
  await run(4, pool(false, { keepsBoundWhenDisabled: true, gracefulDisableS: 0 }))
  t.equal((await ask(port(), { headers: { cookie } })).body, 'server 1', 'when its grace is over')
})

t.test('a client address stays with its server when servers come', async t => {
  const ports = await openServers(t, 4)
  const { load, port } = openTestPlane(t)
  const by: PersistenceSpec = { is: 'client-address', prefixLength: 0, timeoutS: 300, whenDown: 'pick-new' }
  await load(aSnapshot({ services: [aService()], pools: [persistent(ports.slice(0, 1), by)] }))
  t.equal((await ask(port())).body, 'server 0')
  await load(aSnapshot({ revision: 2, services: [aService()], pools: [persistent(ports, by)] }))
  const bodies = new Set<string>()
  for (let n = 0; n < 10; n++) bodies.add((await ask(port())).body)
  t.same([...bodies], ['server 0'])
})

t.test('a header names the server, or spreads clients', async t => {
  const ports = await openServers(t, 4)
  const { load, port } = openTestPlane(t)
  const servers = { blue: `127.0.0.1:${ports[2]}` }
  const pool = persistent(ports, { is: 'header', name: 'X-Where', servers, timeoutS: 60, whenDown: 'pick-new' })
  await load(aSnapshot({ services: [aService()], pools: [pool] }))
  const seen = new Map<string, Set<string>>()
  for (let n = 0; n < 60; n++) {
    const value = n % 2 === 0 ? 'blue' : `user ${n % 20}`
    seen.set(value, (seen.get(value) ?? new Set()).add((await ask(port(), { headers: { 'x-where': value } })).body))
  }
  t.same([...seen.get('blue')!], ['server 2'])
  for (const [value, bodies] of seen) t.equal(bodies.size, 1, `${value} stays`)
  t.ok(new Set([...seen.values()].flatMap(bodies => [...bodies])).size > 1)
})

t.test("a session of the application's own cookie stays where it began", async t => {
  const ports = await openServers(t, 3, true)
  const { load, port } = openTestPlane(t)
  await load(
    aSnapshot({
      services: [aService()],
      pools: [persistent(ports, { is: 'app-cookie', name: 'SESSION', timeoutS: 60, whenDown: 'pick-new' })]
    })
  )
  for (let session = 0; session < 6; session++) {
    const first = await ask(port())
    const cookie = first.headers['set-cookie']![0]!.split(';')[0]!
    for (let n = 0; n < 3; n++) t.equal((await ask(port(), { headers: { cookie: `x=1; ${cookie}` } })).body, first.body)
  }
})

t.test('a flow of layer 4 stays by its address too', async t => {
  const ports = await Promise.all([0, 1, 2, 3].map(async i => (await openTcpServer(t, socket => socket.end(`server ${i}`))).port))
  const { load, port } = openTestPlane(t)
  const by: PersistenceSpec = { is: 'client-address', prefixLength: 24, timeoutS: 300, whenDown: 'pick-new' }
  await load(aSnapshot({ services: [aService({ application: 'tcp' })], pools: [persistent(ports, by)] }))
  const seen = new Set<string>()
  for (let n = 0; n < 8; n++) seen.add((await sendRaw(port(), '')).text)
  t.equal(seen.size, 1)
  t.match([...seen][0], /^server \d$/)
})

for (const application of ['http', 'tcp'] as const)
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
    t.test(`a TLS session comes back to its server: ${application}, ${maxVersion}`, async t => {
      const { certificatePem, keyPem } = await selfSigned(['localhost'])
      const certificate = { kind: 'certificate', id: 'c', name: 'c', certificatePem, keyPem, names: ['localhost'], keyType: 'ec' } as const
      const ports =
        application === 'http'
          ? await openServers(t, 4)
          : await Promise.all([0, 1, 2, 3].map(async i => (await openTcpServer(t, socket => socket.end(`server ${i}`))).port))
      const plane = openTestPlane(t)
      const by: PersistenceSpec = { is: 'tls-session', timeoutS: 60, whenDown: 'pick-new' }
      const service = aService({ application, listeners: [aListener({ isTls: true })], tls: { ...aTls(['c']), followsSessions: true } })
      const load = (revision: number, pools: PoolPart[]) =>
        plane.load(aSnapshot({ revision, services: [service], pools, certificates: [certificate] }))
      t.same(await load(1, [persistent(ports, by)]), [])

      /** Where a client came to, and the tickets that it was given. */
      const visit = (session?: Buffer) =>
        new Promise<{ server: string; sessions: Buffer[]; isReused: boolean }>((resolve, reject) => {
          const sessions: Buffer[] = []
          let text = ''
          let isReused = false
          const given = session === undefined ? {} : { session }
          const socket = tlsConnect({ port: plane.port(), host: '127.0.0.1', rejectUnauthorized: false, maxVersion, ...given }, () => {
            isReused = socket.isSessionReused()
            if (application === 'http') socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
          })
          socket.on('session', ticket => sessions.push(ticket))
          socket.on('data', chunk => (text += chunk.toString()))
          socket.on('error', reject)
          socket.on('close', () => resolve({ server: /server \d/.exec(text)?.[0] ?? '', sessions, isReused }))
        })

      const first = await Promise.all(Array.from({ length: 8 }, () => visit()))
      t.equal(new Set(first.map(({ server }) => server)).size, 4, 'who is new is spread')
      for (const { server, sessions } of first) {
        let ticket = sessions.at(-1)!
        // Each time with the newest, as browsers do, over more visits than tickets were given at first.
        for (let n = 0; n < 5; n++) {
          const next = await visit(ticket)
          t.same([next.server, next.isReused], [server, true], `visit ${n}`)
          if (maxVersion === 'TLSv1.3') t.ok(next.sessions.length > 0, 'a ticket for the next time')
          ticket = next.sessions.at(-1) ?? ticket
        }
        for (const older of sessions) t.equal((await visit(older)).server, server, 'any of its tickets does')
      }
      const [one] = first
      await load(2, [persistent([...ports].reverse(), by)])
      t.equal((await visit(one!.sessions.at(-1))).server, one!.server, 'after a change of the pool')
      await load(3, [
        persistent(
          ports.filter((_, i) => `server ${i}` !== one!.server),
          by
        )
      ])
      const moved = await visit(one!.sessions.at(-1))
      t.not(moved.server, one!.server)
      t.equal((await visit(moved.sessions.at(-1) ?? one!.sessions.at(-1))).server, moved.server, 'and stays where it went')
      t.same(plane.bugs, [])
    })
