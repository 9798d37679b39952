import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { attachMemory, makeMemory, MemoryFull, type TrafficMeter } from '#engine/meter/shared.ts'

const shop = { virtualServices: ['vs-1'], pools: [{ id: 'pool-1', servers: ['10.0.0.1:80', '10.0.0.2:80'] }] }

t.test('readTotals sums what every worker added', async t => {
  const memory = makeMemory({ workers: 2, nowMs: () => 0 })
  const slots = memory.assign(shop)
  for (const worker of [0, 1]) {
    const meter = attachMemory(memory.buffer, worker, 2, slots).virtualServiceMeter('vs-1')
    meter.connectionOpened()
    meter.connectionOpened()
    meter.connectionClosed()
    meter.exchangeEnded(200, 5)
    meter.exchangeEnded(503, 100_000)
    meter.exchangeEnded(0, 5)
    meter.faulted('upstream')
    meter.bytesIn(10)
    meter.bytesOut(1_000)
  }
  const [sample] = memory.readTotals().virtualServices
  t.match(sample, {
    id: 'vs-1',
    totals: {
      requests: 6,
      responses2xx: 2,
      responses5xx: 2,
      responses4xx: 0,
      faultsUpstream: 2,
      faultsEngine: 0,
      bytesIn: 20,
      bytesOut: 2_000,
      connections: 4,
      openConnections: 2
    }
  })
  t.same(sample?.latency.slice(0, 2), [5, 4])
  t.equal(sample?.latency.length, 4)
})

t.test('readTotals names servers with their pool', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0 })
  const slots = memory.assign(shop)
  attachMemory(memory.buffer, 0, 1, slots).serverMeter('pool-1', '10.0.0.2:80').exchangeEnded(404, 1)
  t.match(memory.readTotals().servers, [
    { id: '10.0.0.1:80', poolId: 'pool-1', totals: { requests: 0 } },
    { id: '10.0.0.2:80', poolId: 'pool-1', totals: { requests: 1, responses4xx: 1 } }
  ])
})

t.test('readTotals gives a pool the connections of its servers', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0 })
  const view = attachMemory(memory.buffer, 0, 1, memory.assign(shop))
  for (const server of ['10.0.0.1:80', '10.0.0.2:80']) {
    view.serverMeter('pool-1', server).connectionOpened()
    view.serverMeter('pool-1', server).connectionOpened()
  }
  view.serverMeter('pool-1', '10.0.0.1:80').connectionClosed()
  view.poolMeter('pool-1').exchangeEnded(200, 1)
  t.match(memory.readTotals().pools, [{ totals: { requests: 1, connections: 4, openConnections: 3 } }])
})

t.test('a pool keeps the connections of a server that left it and came back', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0 })
  const view = attachMemory(memory.buffer, 0, 1, memory.assign(shop))
  const gone = view.serverMeter('pool-1', '10.0.0.1:80')
  for (let i = 0; i < 5; i++) gone.connectionOpened()
  view.serverMeter('pool-1', '10.0.0.2:80').connectionOpened()
  memory.assign({ ...shop, pools: [{ id: 'pool-1', servers: ['10.0.0.2:80'] }] })
  t.match(memory.readTotals().pools, [{ totals: { connections: 6, openConnections: 6 } }], 'what drains is still open')
  t.equal(memory.readTotals().servers.length, 1)
  for (let i = 0; i < 5; i++) gone.connectionClosed()
  memory.assign(shop)
  t.match(memory.readTotals().pools, [{ totals: { connections: 6, openConnections: 1 } }], 'no connection happens twice')
})

t.test('serverCell counts in flight over all workers and nextTurn goes round over all workers', async t => {
  const memory = makeMemory({ workers: 2, nowMs: () => 0 })
  const slots = memory.assign(shop)
  const [one, two] = [0, 1].map(worker => attachMemory(memory.buffer, worker, 2, slots))
  const a = one!.serverCell('pool-1', '10.0.0.1:80')
  const b = two!.serverCell('pool-1', '10.0.0.1:80')
  t.equal(a.acquire(), 0)
  t.equal(b.acquire(), 1)
  t.equal(a.inFlight(), 2)
  a.release()
  t.equal(memory.inFlight('pool-1', '10.0.0.1:80'), 1)
  t.same([one!.poolCell('pool-1').nextTurn(), two!.poolCell('pool-1').nextTurn(), one!.poolCell('pool-1').nextTurn()], [0, 1, 2])
})

t.test('workerGone gives back what the worker held and keeps its totals', async t => {
  const memory = makeMemory({ workers: 2, nowMs: () => 0 })
  const slots = memory.assign(shop)
  const [one, two] = [0, 1].map(worker => attachMemory(memory.buffer, worker, 2, slots))
  one!.serverCell('pool-1', '10.0.0.1:80').acquire()
  two!.serverCell('pool-1', '10.0.0.1:80').acquire()
  two!.serverCell('pool-1', '10.0.0.1:80').acquire()
  two!.virtualServiceMeter('vs-1').connectionOpened()
  memory.workerGone(1)
  t.equal(memory.inFlight('pool-1', '10.0.0.1:80'), 1)
  t.match(memory.readTotals().virtualServices, [{ totals: { connections: 1, openConnections: 0 } }])
})

t.test('judge is seen by workers, and a server is unknown before', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0 })
  const slots = memory.assign(shop)
  const cell = attachMemory(memory.buffer, 0, 1, slots).serverCell('pool-1', '10.0.0.1:80')
  t.equal(cell.verdict(), 'unknown')
  memory.judge('pool-1', '10.0.0.1:80', 'down')
  t.equal(cell.verdict(), 'down')
  memory.judge('pool-1', '10.0.0.1:80', 'up')
  t.equal(cell.verdict(), 'up')
  memory.judge('pool-1', 'nobody:1', 'up')
})

t.test('responded smooths towards what is observed', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0 })
  const cell = attachMemory(memory.buffer, 0, 1, memory.assign(shop)).serverCell('pool-1', '10.0.0.1:80')
  t.equal(cell.responseUs(), 0)
  cell.responded(800)
  t.equal(cell.responseUs(), 800)
  cell.responded(1_600)
  t.equal(cell.responseUs(), 900)
  cell.responded(Number.MAX_VALUE)
  t.ok(cell.responseUs() > 0)
})

t.test('assign keeps the slot of an id that stays, and of one that comes back within the grace', async t => {
  let nowMs = 0
  const memory = makeMemory({ workers: 1, nowMs: () => nowMs, graceMs: 1_000 })
  const first = memory.assign(shop)
  attachMemory(memory.buffer, 0, 1, first).virtualServiceMeter('vs-1').exchangeEnded(200, 1)
  memory.assign({ virtualServices: [], pools: [] })
  t.same(memory.readTotals(), { virtualServices: [], pools: [], servers: [], uses: [] })
  nowMs = 999
  t.same(memory.assign(shop), first)
  t.match(memory.readTotals().virtualServices, [{ totals: { requests: 1 } }])
})

t.test('assign hands a slot on after the grace, empty', async t => {
  let nowMs = 0
  const memory = makeMemory({ workers: 1, nowMs: () => nowMs, graceMs: 1_000, maxSlots: 1 })
  const first = memory.assign({ virtualServices: ['a'], pools: [] })
  attachMemory(memory.buffer, 0, 1, first).virtualServiceMeter('a').exchangeEnded(200, 1)
  memory.assign({ virtualServices: [], pools: [] })
  t.throws(() => memory.assign({ virtualServices: ['b'], pools: [] }), MemoryFull)
  nowMs = 1_000
  t.same({ ...memory.assign({ virtualServices: ['b'], pools: [] }).virtualServices }, { b: first.virtualServices['a'] })
  t.match(memory.readTotals().virtualServices, [{ id: 'b', totals: { requests: 0 }, latency: [] }])
})

t.test('assign refuses more than fits and changes nothing then', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0, maxSlots: 4 })
  memory.assign(shop)
  t.throws(() => memory.assign({ ...shop, virtualServices: ['vs-1', 'vs-2'] }), MemoryFull)
  t.equal(memory.readTotals().virtualServices.length, 1)
})

t.test('attachMemory refuses an id without a slot, whatever it is called', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0 })
  const view = attachMemory(memory.buffer, 0, 1, memory.assign(shop))
  t.throws(() => view.virtualServiceMeter('constructor'), RangeError)
  t.throws(() => view.poolCell('pool-2'), RangeError)
})

t.test('a view taken before the memory grew goes on, in a worker thread as well', async t => {
  const memory = makeMemory({ workers: 1, nowMs: () => 0 })
  const slots = memory.assign(shop)
  const before = memory.buffer.byteLength
  const worker = new Worker(
    `import { parentPort, workerData } from 'node:worker_threads'
     const { attachMemory } = await import(workerData.module)
     const meter = attachMemory(workerData.buffer, 0, 1, workerData.slots).virtualServiceMeter('vs-1')
     parentPort.on('message', slots => {
       meter.bytesIn(7)
       if (slots.virtualServices['vs-500'] === undefined) return
       attachMemory(workerData.buffer, 0, 1, slots).virtualServiceMeter('vs-500').bytesIn(9)
       parentPort.postMessage('done')
       parentPort.close()
     })`,
    {
      eval: true,
      workerData: { buffer: memory.buffer, slots, module: import.meta.resolve('#engine/meter/shared.ts') }
    }
  )
  t.teardown(() => worker.terminate())
  worker.postMessage(slots)
  worker.postMessage(memory.assign({ virtualServices: Array.from({ length: 501 }, (_, i) => `vs-${i}`), pools: [] }))
  await once(worker, 'message')
  t.ok(memory.buffer.byteLength > before, 'it grew')
  const totals = new Map(memory.readTotals().virtualServices.map(sample => [sample.id, sample.totals.bytesIn]))
  t.equal(totals.get('vs-1'), 14)
  t.equal(totals.get('vs-500'), 9)
})

/** One pool, whose users a test names; two workers. */
function sharedPool(over: Partial<Parameters<typeof makeMemory>[0]> = {}) {
  const clock = { nowMs: 0 }
  const memory = makeMemory({ workers: 2, nowMs: () => clock.nowMs, graceMs: 1_000, ...over })
  const pools = [{ id: 'pool-1', servers: ['10.0.0.1:80'] }]
  /** Services that run and send to the pool, and others that only run. */
  const run = (users: readonly string[], others: readonly string[] = []) => {
    const uses = users.map(virtualServiceId => ({ virtualServiceId, poolId: 'pool-1' }))
    const slots = memory.assign({ virtualServices: [...users, ...others], pools, uses })
    return [0, 1].map(worker => {
      const view = attachMemory(memory.buffer, worker, 2, slots)
      return (service: string) => view.useMeter(service, 'pool-1') ?? view.poolMeter('pool-1')
    }) as [(service: string) => TrafficMeter, (service: string) => TrafficMeter]
  }
  const told = () => {
    const { pools: all, uses } = memory.readTotals()
    const [pool] = all
    return { requests: pool?.totals.requests, onlyOf: pool?.onlyOf, uses: uses.map(({ id, totals }) => `${id} ${totals.requests}`) }
  }
  return { clock, memory, pools, run, told }
}

t.test('a pool with one user is its user’s; from the second on each has a part, and the pool is all of them', async t => {
  const { memory, run, told } = sharedPool()
  const [alone] = run(['a'])
  alone('a').exchangeEnded(200, 5)
  t.same(told(), { requests: 1, onlyOf: 'a', uses: [] })
  const [first, second] = run(['a', 'b'])
  second('a').exchangeEnded(200, 5)
  for (let n = 0; n < 3; n++) first('b').exchangeEnded(500, 7)
  t.same(told(), { requests: 5, onlyOf: undefined, uses: ['a 1', 'b 3'] })
  t.same(memory.readTotals().pools[0]?.latency, [5, 2, 7, 3], 'the times of all')
  t.match(memory.readTotals().uses[1], { id: 'b', poolId: 'pool-1', totals: { responses5xx: 3 }, latency: [7, 3] })
})

t.test('the totals of a pool never go back, whoever comes and goes', async t => {
  const { clock, run, told } = sharedPool()
  const [, lasting] = run(['a', 'b'])
  lasting('a').exchangeEnded(200, 5)
  lasting('b').exchangeEnded(200, 5)
  run(['a'])
  lasting('b').exchangeEnded(200, 5)
  t.same(told(), { requests: 3, onlyOf: undefined, uses: ['a 1'] }, 'what a removed service still does is not of who stays')
  clock.nowMs = 2_000
  const [later] = run(['a'])
  lasting('a').exchangeEnded(200, 5)
  later('a').exchangeEnded(200, 5)
  t.same(told(), { requests: 5, onlyOf: undefined, uses: ['a 3'] }, 'and stays when its row is handed on')
  run(['a', 'b'])
  t.same(told(), { requests: 5, onlyOf: undefined, uses: ['a 3', 'b 0'] })
})

t.test('the row of a pair stays while both run: a flow may last longer than the rule that led there', async t => {
  const { clock, memory, pools, run, told } = sharedPool()
  const [flow] = run(['a', 'b'])
  const lasting = flow('a')
  run(['b'], ['a'])
  clock.nowMs = 1_000_000
  const uses = [{ virtualServiceId: 'b', poolId: 'pool-1' }]
  memory.assign({ virtualServices: ['a', 'b', 'c', 'd'], pools: [...pools, { id: 'pool-2', servers: ['10.0.0.2:80'] }], uses })
  lasting.bytesOut(1_000)
  lasting.exchangeEnded(0, 5)
  t.same(told(), { requests: 1, onlyOf: undefined, uses: ['a 1', 'b 0'] })
  t.same(
    memory.readTotals().virtualServices.map(({ totals }) => totals.bytesOut + totals.requests),
    [0, 0, 0, 0],
    'nobody was given its place'
  )
})

t.test('without room for parts a pool is told as a whole, and nothing is refused for it', async t => {
  const { run, told } = sharedPool({ maxSlots: 5 })
  const [whole] = run(['a', 'b', 'c'])
  whole('a').exchangeEnded(200, 5)
  t.same(told(), { requests: 1, onlyOf: undefined, uses: [] })
  t.throws(() => run(['a', 'b', 'c', 'd']), MemoryFull)
  const { run: runFew, told: toldFew } = sharedPool({ maxSlots: 5 })
  runFew(['a', 'b'])
  t.same(toldFew().uses, ['a 0', 'b 0'])
  const [mixed] = runFew(['a', 'b', 'c'])
  mixed('c').exchangeEnded(500, 5)
  t.same(toldFew(), { requests: 1, onlyOf: undefined, uses: [] }, 'parts that leave somebody out would mislead')
})
