import { randomBytes } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import t from 'tap'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import { makeRates } from '#engine/meter/rates.ts'
import type { WorkerFact, WorkerOrder, WorkerSetup } from '#engine/generation/orders.ts'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import { makeMemory } from '#engine/meter/shared.ts'
import { aListener, aPool, aRule, aService, aSnapshot } from '#test/support/snapshot.ts'
import { ask, closedPort, openHttpServer, until } from '#test/support/data-plane.ts'

const wild = aRule({
  match: { path: { operator: 'regex', values: ['^/(a+)+$'], isCaseSensitive: true } },
  action: { is: 'respond', status: 418, contentType: '', bodyBase64: '' }
})

t.test('two workers share a port, a cursor and the counters; records come in batches; both stop', async t => {
  const servers = await Promise.all(['a', 'b'].map(name => openHttpServer(t, (_request, response) => response.end(name))))
  const memory = makeMemory({ workers: 2, nowMs: () => performance.now() })
  const port = await closedPort()
  const snapshot: Snapshot = aSnapshot({
    services: [aService({ listeners: [aListener({ port })], requestRules: [wild] })],
    pools: [aPool(servers.map(server => server.port))]
  })
  const slots = memory.assign({
    virtualServices: ['vs-1'],
    pools: snapshot.pools.map(pool => ({ id: pool.id, servers: pool.servers.map(server => server.id) }))
  })
  const ticketKeys = randomBytes(48)
  t.equal(await probePort({ address: '127.0.0.1', port }), undefined)

  const facts: WorkerFact[][] = [[], []]
  const workers = facts.map((list, worker) => {
    const setup: WorkerSetup = { buffer: memory.buffer, worker, workers: 2, reusePort: true, ticketKeys, rates: makeRates([1, 2]) }
    const thread = new Worker(new URL('../../../service-engine/worker.ts', import.meta.url), { workerData: setup })
    thread.on('message', (fact: WorkerFact) => list.push(fact))
    t.teardown(() => thread.terminate())
    return thread
  })
  const order = (message: WorkerOrder): void => workers.forEach(worker => worker.postMessage(message))
  const all = (type: WorkerFact['type']): boolean => facts.every(list => list.some(fact => fact.type === type))
  await until(() => all('ready'), 'both are ready')
  order({ type: 'load', sequence: 7, snapshot, slots })
  await until(() => all('loaded'), 'both have loaded')
  for (const list of facts)
    t.match(
      list.find(fact => fact.type === 'loaded'),
      { sequence: 7, revision: 1, violations: [] }
    )

  const bodies: string[] = []
  for (let i = 0; i < 40; i++) bodies.push((await ask(port)).body)
  t.equal(bodies.filter(body => body === 'a').length, 20, 'round robin counts over both workers')
  await until(() => memory.readTotals().virtualServices[0]?.totals.requests === 40, 'every exchange is counted')
  const records = (): number => facts.flat().reduce((sum, fact) => sum + (fact.type === 'records' ? fact.batch.count : 0), 0)
  await until(() => records() === 40, 'every record')

  t.equal((await ask(port, { path: `/${'a'.repeat(20)}` })).status, 418)
  t.equal((await ask(port, { path: `/${'a'.repeat(200)}!` })).status, 200, 'a pattern that would backtrack for ever does not')

  const question = {
    virtualServiceId: 'vs-1',
    method: 'GET',
    host: 'a',
    path: `/${'a'.repeat(20)}`,
    headers: [],
    clientIp: '192.0.2.1',
    scheme: ''
  } as const
  order({ type: 'explain', sequence: 9, question })
  await until(() => all('explained'), 'both have explained')
  for (const list of facts)
    t.match(
      list.find(fact => fact.type === 'explained'),
      { sequence: 9, explanation: { verdict: 'answer', status: 418, steps: [{ isMatched: true }] } }
    )

  const exits = workers.map(worker => once(worker, 'exit'))
  order({ type: 'stop', deadlineMs: 1000 })
  await Promise.all(exits)
  t.ok(all('stopped'), 'the threads end by themselves')
  t.equal(await probePort({ address: '127.0.0.1', port }), undefined)
})
