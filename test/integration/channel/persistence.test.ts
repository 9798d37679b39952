/** Real engines and a controller: a client has one server, whichever engine it comes to. */
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import type { Engine } from '#engine/engine.ts'
import { hashText, slotOf } from '#engine/dataplane/balance/consistent-hash.ts'
import { makeHome } from '#engine/dataplane/upstream/bindings.ts'
import type { PersistenceSpec } from '#model/snapshot/resilience.ts'
import type { MonitorSpec, Part } from '#model/snapshot/snapshot.ts'
import { aFolder, joinFolder } from '#test/support/agent.ts'
import { aFleet } from '#test/support/fleet.ts'
import { ask as askAt } from '#test/support/data-plane.ts'
import { freePorts } from '#test/support/ports.ts'
import { aListener, aPool, aService } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'
import { aWholeEngine } from '#test/support/whole-engine.ts'

const WORKERS = 2

/** A server that says who it is, and that can go and come back. */
async function aServer(t: Test, name: string) {
  let sessions = 0
  const open = async (port: number): Promise<Server> => {
    const server = createServer((request, response) => {
      if (request.url === '/login') response.setHeader('set-cookie', `SID=${name}-${sessions++}; Path=/`)
      response.end(name)
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server
  }
  const [port] = (await freePorts(1)) as [number]
  let server = await open(port)
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  t.teardown(close)
  return { name, port, close, open: async () => void (server = await open(port)) }
}

type Origin = Awaited<ReturnType<typeof aServer>>

const monitor: MonitorSpec = {
  id: 'm',
  name: 'm',
  probe: { is: 'tcp', request: null, response: null, maintenanceResponse: null, isHalfOpen: false },
  sendIntervalMs: 1_000,
  receiveTimeoutMs: 900,
  successfulChecks: 1,
  failedChecks: 1,
  port: null,
  isQuickStart: false
}

/** Engines that serve one pool at a port each; the third is there when it is asked for. */
async function aWorld(t: Test, persistence: PersistenceSpec, count = 3) {
  const servers = await Promise.all(Array.from({ length: count }, (_, i) => aServer(t, `server ${i}`)))
  const ports = await freePorts(3)
  const uuids: string[] = []
  let running = servers
  const partsOf = (uuid: string): Part[] => {
    const i = uuids.indexOf(uuid)
    if (i < 0) return []
    const pool = { ...aPool(running.map(({ port }) => port)), monitors: [monitor], persistence }
    const accessLog = { isEnabled: false, isSignificantOnly: false }
    return [aService({ listeners: [aListener({ port: ports[i]! })], accessLog }), pool]
  }
  const fleet = await aFleet(t, { partsOf })
  const join = async (): Promise<Engine> => {
    const folder = aFolder(t)
    uuids.push(await joinFolder(fleet, folder, `host-${uuids.length}`))
    const engine = await aWholeEngine(t, folder, WORKERS)
    await until('the engine serves', () => engine.bound().length === 1, 60_000)
    return engine
  }
  await join()
  await join()
  const at = async (engine: number, headers: Record<string, string> = {}, path = '/') => {
    const { status, body, headers: answered } = await askAt(ports[engine]!, { headers, path })
    return { status, body, cookie: answered['set-cookie']?.[0]?.split(';')[0] ?? '' }
  }
  const change = async (to: typeof servers): Promise<void> => {
    running = to
    await fleet.commit()
  }
  return { fleet, servers, at, join, change }
}

const from = (user: string) => ({ 'x-user': user })
const users = Array.from({ length: 12 }, (_, n) => `user ${n}`)
const byHeader: PersistenceSpec = { is: 'header', name: 'X-User', servers: {}, timeoutS: 600, whenDown: 'pick-new' }

t.test(
  'a client has one server at all engines, when its server was away, the pool grew and an engine came',
  { timeout: 240_000 },
  async t => {
    const { servers, at, join, change, fleet } = await aWorld(t, byHeader, 4)
    const [gone, , , fresh] = servers as [Origin, Origin, Origin, Origin]
    await change(servers.slice(0, 3))
    const where = new Map<string, string>()
    const ask = async (engine: number, user: string): Promise<string> => {
      const { status, body } = await at(engine, from(user))
      if (status === 200) where.set(user, body)
      return status === 200 ? body : ''
    }
    const held = async (what: string, engines: readonly number[]): Promise<void> => {
      for (const user of users)
        for (const engine of engines) t.equal((await at(engine, from(user))).body, where.get(user), `${what}: ${user} at ${engine}`)
    }
    const told = (): number => fleet.fleet.persistence?.('pool-1', 1_000).count ?? 0
    await until('all answer', async () => (await at(0)).status === 200 && (await at(1)).status === 200, 60_000)
    for (const user of users) await ask(0, user)
    t.ok(new Set(where.values()).size > 1)
    await held('by the hash alone', [0, 1])
    t.equal(told(), 0, 'nothing needed to be told')

    const its = users.filter(user => where.get(user) === gone.name)
    t.ok(its.length > 0)
    gone.close()
    await until(
      'its clients are elsewhere',
      async () => {
        for (const user of its) if (['', gone.name].includes(await ask(0, user))) return false
        return true
      },
      60_000
    )
    await until('it is told', () => told() === its.length, 30_000)
    await gone.open()
    let strangers = 0
    for (const engine of [0, 1])
      await until(`it is back at ${engine}`, async () => (await ask(engine, `stranger ${strangers++}`)) === gone.name, 60_000)
    // The second engine has not seen them since.
    await held('after its server was away', [1, 0])

    await change(servers)
    await until('the new one has clients', async () => (await ask(1, `stranger ${strangers++}`)) === fresh.name, 60_000)
    const grown = { ...aPool(servers.map(({ port }) => port)), persistence: byHeader }
    const homes = makeHome(grown)
    const homeOf = (user: string) => servers.find(({ port }) => hashText(`127.0.0.1:${port}`) === homes(slotOf(user)))?.name
    const exceptions = new Set([...its, ...[...where.keys()].filter(user => where.get(user) !== homeOf(user))])
    await until('who is elsewhere now is told', () => told() >= exceptions.size, 30_000)
    t.ok(users.some(user => where.get(user) !== homeOf(user)))

    await join()
    // It has never seen one of them, and knows before it serves.
    await held('at the third engine', [2, 1, 0])
  }
)

t.test('what becomes of a client whose server is down is the same at an engine that it was never at', { timeout: 240_000 }, async t => {
  for (const whenDown of ['abort', 'continue'] as const)
    await t.test(whenDown, async t => {
      const { servers, at, fleet } = await aWorld(t, { ...byHeader, whenDown })
      await until('all answer', async () => (await at(0)).status === 200 && (await at(1)).status === 200, 60_000)
      // Beside it there is whoever asked without the header.
      const { body } = await at(0, from('user'))
      const its = servers.find(({ name }) => name === body)!
      await until('it is told', () => fleet.fleet.persistence?.('pool-1', 10).count === 2, 60_000)
      its.close()
      const refused = async (): Promise<boolean> => (await at(1, from('user')).catch(() => ({ status: 0 }))).status !== 200
      // Before that engine has seen it, and after.
      for (let n = 0; n < 20; n++) t.ok(await refused())
      let strangers = 0
      await until('who is new is served', async () => (await at(1, from(`stranger ${strangers++}`))).status === 200, 60_000)
      await its.open()
      await until('it is back', async () => (await at(1, from('user')).catch(() => null))?.body === its.name, 60_000)
      t.equal((await at(0, from('user'))).body, its.name)
    })
})

t.test("a session of the application's cookie, begun at one engine, goes on at the other", { timeout: 120_000 }, async t => {
  const { at, fleet, join } = await aWorld(t, { is: 'app-cookie', name: 'SID', timeoutS: 600, whenDown: 'pick-new' })
  await until('all answer', async () => (await at(0)).status === 200 && (await at(1)).status === 200, 60_000)
  const sessions: { readonly cookie: string; readonly body: string }[] = []
  for (let n = 0; n < 6; n++) sessions.push(await at(n % 2, {}, '/login'))
  t.equal(new Set(sessions.map(({ body }) => body)).size, 3)
  await until('they are told', () => fleet.fleet.persistence?.('pool-1', 10).count === 6, 30_000)
  await join()
  await until('the third answers', async () => (await at(2)).status === 200, 60_000)
  for (const { cookie, body } of sessions)
    for (let engine = 0; engine < 3; engine++)
      for (let n = 0; n < 3; n++) t.equal((await at(engine, { cookie })).body, body, `${cookie} at ${engine}`)

  await fleet.fleet.stop()
  for (const { cookie, body } of sessions) t.equal((await at(1, { cookie })).body, body, 'without a controller')
})
