/** What an engine's workers know together: how full servers are, and who sent what to a pool. */
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import type { Sample } from '#model/message/message.ts'
import type { EngineSide } from '#engine/agent/port.ts'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import { openEngine } from '#engine/engine.ts'
import { startWorker } from '#engine/start-worker.ts'
import { ask, openHttpServer } from '#test/support/data-plane.ts'
import { freePorts } from '#test/support/ports.ts'
import { aListener, aPool, aService, aSnapshot } from '#test/support/snapshot.ts'
import { until } from '#test/support/wait.ts'

const WORKERS = 3

async function anEngine(t: Test) {
  const samples: Sample[] = []
  let side: EngineSide | undefined
  const engine = await openEngine({
    workers: WORKERS,
    accessLogPath: `${t.testdir()}/access.log`,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    startWorker: setup => startWorker(setup, WORKERS),
    probePort,
    lookUp: () => Promise.reject(new Error('no such name')),
    openAgent: engineSide => {
      side = engineSide
      return Promise.resolve({
        sampleTaken: sample => samples.push(sample),
        serversJudged: () => undefined,
        limitsUsed: () => undefined,
        tellQuotas: () => undefined,
        status: () => ({ isConnected: true, runningRevision: 1, reason: '' }),
        handOver: () => Promise.resolve(),
        stop: () => Promise.resolve()
      })
    }
  })
  t.teardown(() => engine.stop(0))
  return { side: side!, samples }
}

t.test('fewest servers are filled in order by all workers together', async t => {
  const held: ServerResponse[] = []
  const servers = await Promise.all([1, 2, 3].map(() => openHttpServer(t, (_request, response) => void held.push(response))))
  const { side } = await anEngine(t)
  const [port] = (await freePorts(1)) as [number]
  const capacity = 8
  const pool = aPool(
    servers.map(server => server.port),
    { algorithm: { is: 'fewest-servers', capacity }, maxConnectionsPerServer: capacity }
  )
  t.same(await side.applySnapshot(aSnapshot({ services: [aService({ listeners: [aListener({ port })] })], pools: [pool] })), [])
  const counts = (): number[] => servers.map(server => server.requests.length)
  const answers: ReturnType<typeof ask>[] = []
  for (const [more, expected] of [
    [6, [6, 0, 0]],
    [6, [8, 4, 0]],
    [8, [8, 8, 4]]
  ] as const) {
    // Connections of their own, which the kernel spreads over the workers.
    for (let n = 0; n < more; n++) answers.push(ask(port))
    await until(`${answers.length} are with servers`, () => held.length === answers.length)
    t.same(counts(), expected)
  }
  for (const response of held) response.end('ok')
  t.same(new Set((await Promise.all(answers)).map(({ status }) => status)), new Set([200]))
})

t.test('samples tell who sent what to a pool, of all workers together', async t => {
  const web = await openHttpServer(t, (request, response) => {
    response.statusCode = request.url === '/bad' ? 500 : 200
    response.end()
  })
  const { side, samples } = await anEngine(t)
  const ports = (await freePorts(2)) as [number, number]
  const [a, b] = ['a', 'b'].map((id, i) => aService({ id, name: id, listeners: [aListener({ port: ports[i]! })] })) as [
    ReturnType<typeof aService>,
    ReturnType<typeof aService>
  ]
  const pools = [aPool([web.port])]
  const send = (port: number, count: number, path = '/') => Promise.all(Array.from({ length: count }, () => ask(port, { path })))
  const told = () => {
    const { pools: all, uses = [] } = samples.at(-1)!
    const [pool] = all
    return {
      all: pool?.totals.requests,
      onlyOf: pool?.onlyOf,
      uses: uses.map(({ id, poolId, totals }) => `${id} ${poolId} ${totals.requests} ${totals.responses5xx}`)
    }
  }
  t.same(await side.applySnapshot(aSnapshot({ services: [a], pools })), [])
  await send(ports[0], 20)
  await until('told', () => samples.at(-1)?.pools[0]?.totals.requests === 20)
  t.same(told(), { all: 20, onlyOf: 'a', uses: [] })
  t.same(await side.applySnapshot(aSnapshot({ services: [a, b], pools, revision: 2 })), [])
  await Promise.all([send(ports[0], 30), send(ports[1], 40, '/bad')])
  await until('told', () => samples.at(-1)?.pools[0]?.totals.requests === 90)
  t.same(told(), { all: 90, onlyOf: undefined, uses: ['a pool-1 30 0', 'b pool-1 40 40'] })
})
