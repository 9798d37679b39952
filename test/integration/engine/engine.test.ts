import { createServer, type AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import type { Sample, ServerJudgement } from '#model/message/message.ts'
import type { MonitorSpec } from '#model/snapshot/snapshot.ts'
import type { EngineSide } from '#engine/agent/port.ts'
import type { WorkerThread } from '#engine/crew.ts'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import { openEngine, type Engine } from '#engine/engine.ts'
import type { LookUp } from '#engine/monitor/resolve.ts'
import { startWorker } from '#engine/start-worker.ts'
import { ask, closedPort, openHttpServer } from '#test/support/data-plane.ts'
import { aListener, aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

interface EngineUnderTest {
  readonly engine: Engine
  readonly side: EngineSide
  readonly samples: Sample[]
  readonly judgements: ServerJudgement[]
  readonly threads: WorkerThread[]
  readonly accessLog: string
}

async function anEngine(t: Test, lookUp: LookUp = () => Promise.reject(new Error('no such name'))): Promise<EngineUnderTest> {
  const samples: Sample[] = []
  const judgements: ServerJudgement[] = []
  const threads: WorkerThread[] = []
  const accessLog = join(t.testdir(), 'access.log')
  let side: EngineSide | undefined
  const engine = await openEngine({
    workers: 2,
    accessLogPath: accessLog,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    startWorker: setup => {
      const thread = startWorker(setup, 2)
      threads.push(thread)
      return thread
    },
    probePort,
    lookUp,
    openAgent: engineSide => {
      side = engineSide
      return Promise.resolve({
        sampleTaken: sample => samples.push(sample),
        serversJudged: told => judgements.push(...told),
        limitsUsed: () => undefined,
        tellQuotas: () => undefined,
        status: () => ({ isConnected: true, runningRevision: 1, reason: '' }),
        handOver: () => Promise.resolve(),
        stop: () => Promise.resolve()
      })
    }
  })
  t.teardown(() => engine.stop(0))
  return { engine, side: side!, samples, judgements, threads, accessLog }
}

const monitor: MonitorSpec = {
  id: 'hm-1',
  name: 'http',
  probe: {
    is: 'http',
    request: 'GET /health HTTP/1.0',
    isExactRequest: false,
    statusRanges: [{ from: 200, to: 299 }],
    bodyContains: null,
    maintenanceStatuses: [],
    maintenanceBody: null,
    tls: null,
    authorization: null
  },
  sendIntervalMs: 1_000,
  receiveTimeoutMs: 4_000,
  successfulChecks: 1,
  failedChecks: 1,
  port: null,
  isQuickStart: true
}

t.test('an engine serves a snapshot with all workers, and tells of traffic, servers and requests', async t => {
  const { side, samples, judgements, accessLog, engine } = await anEngine(t)
  const good = await openHttpServer(t, (_, response) => response.end('good'))
  const bad = await openHttpServer(t, (request, response) => {
    response.statusCode = request.url === '/health' ? 503 : 200
    response.end('bad')
  })
  const port = await closedPort()
  const snapshot = aSnapshot({
    services: [aService({ listeners: [aListener({ port })] })],
    pools: [aPool([good.port, bad.port], { monitors: [monitor] })]
  })
  t.same(await side.applySnapshot(snapshot), [])
  await until('both servers are judged', () => judgements.length >= 2)
  t.match(
    side.judgements().map(({ serverId, verdict, probes }) => [serverId, verdict, probes[0]?.detail]),
    [
      [`127.0.0.1:${good.port}`, 'up', '200'],
      [`127.0.0.1:${bad.port}`, 'down', 'status 503']
    ]
  )
  for (let i = 0; i < 10; i++) t.match(await ask(port), { status: 200, body: 'good' })
  const sample = await until('a sample tells of ten requests', () =>
    samples.find(taken => taken.virtualServices[0]?.totals.requests === 10)
  )
  t.match(sample, {
    pools: [{ id: 'pool-1', totals: { connections: sample.servers[0]?.totals.connections } }],
    servers: [{ poolId: 'pool-1', id: `127.0.0.1:${good.port}`, totals: { requests: 10, responses2xx: 10 } }, { totals: { requests: 0 } }],
    host: { memoryTotalBytes: Number }
  })
  t.ok((sample.pools[0]?.totals.connections ?? 0) > 0, 'connections to the server are counted, for the pool too')
  const lines = await until('ten lines are logged', () => {
    const found = readFileSync(accessLog, 'utf8').split('\n').filter(Boolean)
    return found.length === 10 ? found : undefined
  })
  t.match(JSON.parse(lines[0]!), { virtualServiceName: 'shop', status: 200, poolName: 'web', server: `127.0.0.1:${good.port}` })
  t.match(engine.status(), { isUp: true, line: /^up: .*revision 1 runs on 2 of 2 workers$/ })
})

t.test('a port that another program has is a violation, and what runs goes on', async t => {
  const { side } = await anEngine(t)
  const server = await openHttpServer(t, (_, response) => response.end('here'))
  const port = await closedPort()
  const running = aService({ listeners: [aListener({ port })] })
  t.same(await side.applySnapshot(aSnapshot({ services: [running], pools: [aPool([server.port])] })), [])
  const stranger = createServer()
  await new Promise<void>(resolve => stranger.listen(0, '127.0.0.1', resolve))
  t.teardown(() => stranger.close())
  const taken = (stranger.address() as AddressInfo).port
  const next = aSnapshot({
    revision: 2,
    services: [running, aService({ id: 'vs-2', name: 'second', listeners: [aListener({ port: taken })] })],
    pools: [aPool([server.port])]
  })
  t.match(await side.applySnapshot(next), [{ pointer: '/virtual-service/vs-2/listeners/0', message: /in use/ }])
  t.match(await ask(port), { status: 200, body: 'here' })
})

t.test('a worker that dies is replaced and its totals stay', async t => {
  const { engine, side, samples, threads } = await anEngine(t)
  const server = await openHttpServer(t, (_, response) => response.end('here'))
  const port = await closedPort()
  await side.applySnapshot(aSnapshot({ services: [aService({ listeners: [aListener({ port })] })], pools: [aPool([server.port])] }))
  for (let i = 0; i < 10; i++) await ask(port)
  await until('the first ten are counted', () => samples.at(-1)?.virtualServices[0]?.totals.requests === 10)
  await threads[0]!.terminate()
  await until('both workers serve again', () => threads.length === 3 && engine.status().line.includes('2 of 2'))
  // Connections that waited in the dead worker's queue may be reset: ask until ten were answered.
  let answered = 0
  await until(
    'ten more are answered',
    () =>
      answered >= 10 ||
      void ask(port).then(
        () => answered++,
        () => undefined
      )
  )
  await until('all twenty are counted', () => samples.at(-1)!.virtualServices[0]!.totals.requests >= 20)
})

t.test('a server by name is reached where its name points', async t => {
  const server = await openHttpServer(t, (_, response) => response.end('by name'))
  const { side, judgements } = await anEngine(t, () => Promise.resolve({ addresses: ['127.0.0.1'], ttlS: 60 }))
  const port = await closedPort()
  const named = aServer(server.port, { id: `web.test:${server.port}`, host: 'web.test', isName: true })
  await side.applySnapshot(
    aSnapshot({ services: [aService({ listeners: [aListener({ port })] })], pools: [aPool([named], { monitors: [monitor] })] })
  )
  await until('the name is judged', () => judgements.some(told => told.verdict === 'up' && told.ip === '127.0.0.1'))
  t.match(await ask(port), { status: 200, body: 'by name' })
})

t.test('an engine that is stood down serves nothing and takes nothing', async t => {
  const { engine, side } = await anEngine(t)
  const server = await openHttpServer(t, (_, response) => response.end('here'))
  const port = await closedPort()
  const snapshot = aSnapshot({
    services: [aService({ listeners: [aListener({ port })] })],
    pools: [aPool([server.port])],
    drainTimeoutS: 0
  })
  await side.applySnapshot(snapshot)
  await side.standDown('revoked')
  await t.rejects(ask(port), { code: 'ECONNREFUSED' })
  t.match(await side.applySnapshot(snapshot), [{ message: /trusted/ }])
  t.match(engine.status(), { isUp: false, line: /revoked/ })
})
