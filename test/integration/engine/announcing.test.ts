/** An engine that announces, with real workers and ports; the privileged process is a list here, and an interface in the lab. */
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import type { Announcing } from '#model/message/message.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import type { EngineSide } from '#engine/agent/port.ts'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import { openEngine, type Engine } from '#engine/engine.ts'
import { startWorker } from '#engine/start-worker.ts'
import type { AnnounceAnswer, Announced, AnnounceOrder } from '#engine/vip/bgp/announce.ts'
import { ask, openHttpServer } from '#test/support/data-plane.ts'
import { freePorts } from '#test/support/ports.ts'
import { aListener, aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

const VIP = '127.0.0.1'

interface UnderTest {
  readonly engine: Engine
  readonly side: EngineSide
  readonly told: Announcing[]
  readonly there: () => Announced
  /** Asked with each order; what it answers is kept. */
  readonly seen: unknown[]
}

async function anEngine(t: Test, mayAnnounce: boolean, look: () => Promise<unknown> = async () => undefined): Promise<UnderTest> {
  let there: Announced = { addresses: [], announced: [] }
  let side: EngineSide | undefined
  const told: Announcing[] = []
  const seen: unknown[] = []
  const order = async (what: AnnounceOrder): Promise<AnnounceAnswer> => {
    if (what.is === 'announce') {
      const isLess = what.announced.length < there.announced.length
      there = { addresses: what.addresses, announced: what.announced }
      if (isLess) seen.push(await look())
    }
    return { is: 'done', ...there, failed: [] }
  }
  const openAnnouncer = () => ({
    order,
    isOpen: () => true,
    close: async () => void (there = { addresses: [], announced: [] }),
    remember: () => undefined,
    remembered: () => there
  })
  const engine = await openEngine({
    workers: 1,
    accessLogPath: join(t.testdir(), 'access.log'),
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    startWorker: setup => startWorker(setup, 1),
    probePort,
    lookUp: () => Promise.reject(new Error('no such name')),
    ...(mayAnnounce ? { bgp: { openAnnouncer, askBird: async () => ({ is: 'up', reason: '', sessions: [] }) } } : {}),
    openAgent: engineSide => {
      side = engineSide
      return Promise.resolve({
        sampleTaken: () => undefined,
        serversJudged: () => undefined,
        limitsUsed: () => undefined,
        tellQuotas: () => undefined,
        vipsAnnounced: announcing => told.push(announcing),
        status: () => ({ isConnected: true, runningRevision: 1, reason: '' }),
        handOver: () => Promise.resolve(),
        stop: () => Promise.resolve()
      })
    }
  })
  t.teardown(() => engine.stop(0))
  return { engine, side: side!, told, there: () => there, seen }
}

/** A service on an address that is announced, or the same engine without it. */
async function snapshots(
  t: Test,
  drainTimeoutS = 30
): Promise<{ readonly port: number; readonly full: Snapshot; readonly empty: Snapshot }> {
  const { port: serverPort } = await openHttpServer(t, (_, response) => void response.end('hello'))
  const [port] = (await freePorts(1)) as [number]
  const service = aService({ listeners: [aListener({ address: VIP, port, vip: VIP })] })
  const full = aSnapshot({ services: [service], pools: [aPool([aServer(serverPort)])], drainTimeoutS })
  const vips = [{ id: 'vsvip-1', addresses: [VIP], services: [{ id: service.id, whenDown: false }] }]
  const empty = aSnapshot({ revision: 2, drainTimeoutS })
  return {
    port,
    full: { ...full, engine: { ...full.engine, bgp: { vips } } },
    empty: { ...empty, engine: { ...empty.engine, bgp: { vips: [] } } }
  }
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise(done => {
    const socket = connect({ host: VIP, port })
    socket.once('connect', () => done(true)).once('error', () => done(false))
    socket.once('close', () => socket.destroy())
    socket.once('connect', () => socket.destroy())
  })

t.test('an address is announced once its service answers, and withdrawn while it still does', async t => {
  const { port, full, empty } = await snapshots(t)
  const { side, told, there, seen } = await anEngine(t, true, () => isOpen(port))
  t.ok(side.facts().abilities.includes('bgp'))
  t.same(await side.applySnapshot(full), [])
  await until('it is announced', () => there().announced.length === 1)
  t.equal((await ask(port)).status, 200)
  await until('it is told', () => told.at(-1)?.vips[0]?.reason === '')
  t.same(side.announcing?.()?.vips, [{ id: 'vsvip-1', reason: '' }])
  t.notOk(side.facts().addresses.includes(VIP), 'what is announced is no address of the host')
  t.same(await side.applySnapshot(empty), [])
  t.same(seen, [true], 'its port was open as it was withdrawn')
  await until('the port is closed', async () => !(await isOpen(port)))
  t.same(there(), { addresses: [VIP], announced: [] }, 'the last connections may end there')
})

t.test('a service that comes back is announced again, while its address drains and after it went', async t => {
  const { port, full, empty } = await snapshots(t, 1)
  const { side, told, there } = await anEngine(t, true)
  t.same(await side.applySnapshot(full), [])
  for (const waits of [false, true]) {
    await until('it is announced', () => there().announced.length === 1)
    await until('it is told', () => told.at(-1)?.vips[0]?.reason === '')
    t.same(await side.applySnapshot(empty), [])
    if (waits) await until('its address is gone', () => there().addresses.length === 0)
    t.same(await side.applySnapshot(full), [])
    t.equal((await ask(port)).status, 200)
  }
  await until('it is announced', () => there().announced.length === 1)
  await until('it is told', () => told.at(-1)?.vips[0]?.reason === '')
})

t.test('an engine that stops withdraws first, and leaves nothing', async t => {
  const { port, full } = await snapshots(t)
  const { engine, side, there, seen } = await anEngine(t, true, () => isOpen(port))
  t.same(await side.applySnapshot(full), [])
  await until('it is announced', () => there().announced.length === 1)
  await engine.stop(1_000)
  t.same(seen, [true])
  t.same(there(), { addresses: [], announced: [] })
})

t.test('an engine that may not announce refuses the service, and says why', async t => {
  const { full } = await snapshots(t)
  const { side } = await anEngine(t, false)
  t.notOk(side.facts().abilities.includes('bgp'))
  t.same(await side.applySnapshot(full), [
    {
      pointer: '/virtual-service/vs-1/listeners',
      message: 'must be where an engine may announce addresses (address_mode BGP): that needs CAP_NET_ADMIN and the program ip'
    }
  ])
})
