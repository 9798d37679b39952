import t from 'tap'
import { Worker } from 'node:worker_threads'
import { systemClock } from '#model/base/clock.ts'
import { makeLog, silentLog } from '#model/base/log.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import { openCrew, type Load, type WorkerThread } from '#engine/crew.ts'
import type { WorkerFact, WorkerOrder } from '#engine/generation/orders.ts'
import { makeScriptRuns, markRuns, runOf, runsEnded } from '#engine/meter/script-runs.ts'
import { until } from '#test/support/data-plane.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const load = (revision: number): Load => ({
  snapshot: { manifest: { revision } } as unknown as Snapshot,
  slots: { virtualServices: {}, pools: {}, servers: {}, uses: {} }
})

const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise(setImmediate)
}

/** A worker thread that answers as the test says. */
class FakeThread implements WorkerThread {
  readonly worker: number
  readonly orders: WorkerOrder[] = []
  readonly #answer: (worker: number, revision: number) => readonly Violation[] | 'die' | 'silent'
  #listeners: { event: string; listener: (value: never) => void }[] = []
  isEnded = false
  /** It does not say that it has closed its listeners. */
  keepsListening = false

  constructor(worker: number, answer: (worker: number, revision: number) => readonly Violation[] | 'die' | 'silent') {
    this.worker = worker
    this.#answer = answer
  }

  on(event: string, listener: (value: never) => void): void {
    this.#listeners.push({ event, listener })
  }

  say(event: 'message' | 'exit', value: WorkerFact | number): void {
    for (const entry of this.#listeners) if (entry.event === event) entry.listener(value as never)
  }

  postMessage(order: WorkerOrder): void {
    this.orders.push(order)
    if (order.type === 'stop' && !this.keepsListening)
      queueMicrotask(() => {
        this.say('message', { type: 'closed' })
        this.say('message', { type: 'stopped' })
      })
    if (order.type !== 'load') return
    const { revision } = order.snapshot.manifest
    const answer = this.#answer(this.worker, revision)
    if (answer === 'silent') return
    if (answer === 'die') return queueMicrotask(() => this.die())
    queueMicrotask(() => this.say('message', { type: 'loaded', sequence: order.sequence, revision, violations: answer, bound: [] }))
  }

  die(code = 1): void {
    if (this.isEnded) return
    this.isEnded = true
    this.say('exit', code)
  }

  terminate(): Promise<number> {
    this.die()
    return Promise.resolve(1)
  }

  loads(): number[] {
    return this.orders.flatMap(order => (order.type === 'load' ? [order.snapshot.manifest.revision] : []))
  }
}

function bench(workers: number, answer: (worker: number, revision: number) => readonly Violation[] | 'die' | 'silent' = () => []) {
  const clock = manualClock()
  const threads: FakeThread[] = []
  const gone: number[] = []
  const records: unknown[] = []
  const crew = openCrew({
    workers,
    start: worker => {
      const thread = new FakeThread(worker, answer)
      threads.push(thread)
      return thread
    },
    clock,
    log: silentLog,
    gone: worker => gone.push(worker),
    record: (batch, dropped) => records.push([batch.count, dropped])
  })
  return { clock, crew, threads, gone, records }
}

t.test('load reaches every worker', async t => {
  const { crew, threads } = bench(3)
  t.same(await crew.load(load(1)), [])
  t.same(
    threads.map(thread => thread.loads()),
    [[1], [1], [1]]
  )
  t.equal(crew.serving(), 3)
})

t.test('load is refused by the first worker before the others hear of it', async t => {
  const { crew, threads } = bench(3, (_, revision) => (revision === 2 ? [{ pointer: '/x', message: 'must not' }] : []))
  await crew.load(load(1))
  t.same(await crew.load(load(2)), [{ pointer: '/x', message: 'must not' }])
  t.same(
    threads.map(thread => thread.loads()),
    [[1, 2], [1], [1]]
  )
})

t.test('load that one worker refuses brings the others back to what ran', async t => {
  const { crew, threads } = bench(3, (worker, revision) => (revision === 2 && worker === 2 ? [{ pointer: '', message: 'must not' }] : []))
  await crew.load(load(1))
  t.equal((await crew.load(load(2))).length, 1)
  t.same(
    threads.map(thread => thread.loads()),
    [
      [1, 2, 1],
      [1, 2, 1],
      [1, 2]
    ]
  )
})

t.test('a worker that dies is replaced soon, after its share was given back, and runs what the others run', async t => {
  const { crew, threads, gone, clock } = bench(2)
  crew.resolve({ 'pool/a:80': ['10.0.0.1'] })
  await crew.load(load(1))
  threads[1]!.die()
  t.same(gone, [1])
  t.equal(crew.serving(), 1)
  clock.advance(2_000)
  await settle()
  t.equal(crew.serving(), 2)
  t.equal(threads[2]?.worker, 1)
  t.match(threads[2]?.orders, [{ type: 'resolve', addresses: { 'pool/a:80': ['10.0.0.1'] } }, { type: 'load' }])
})

t.test('workers that die again and again are replaced with growing pauses, bounded by two seconds', async t => {
  const { threads, clock } = bench(1)
  await settle()
  for (let death = 0; death < 8; death++) {
    threads.at(-1)!.die()
    await settle()
    const before = threads.length
    clock.advance(2_000)
    await settle()
    t.equal(threads.length, before + 1)
  }
  threads.at(-1)!.die()
  const before = threads.length
  clock.advance(200)
  await settle()
  t.equal(threads.length, before, 'not at once any more')
})

t.test('a snapshot that ends the worker which builds it is refused, and all go on with the one before', async t => {
  const { crew, threads, clock } = bench(2, (_, revision) => (revision === 2 ? 'die' : []))
  await crew.load(load(1))
  t.match(await crew.load(load(2)), [{ message: /end the worker/ }])
  clock.advance(2_000)
  await settle()
  t.same(threads.at(-1)?.loads(), [1])
  t.equal(crew.serving(), 2)
})

t.test('a worker that does not answer is ended and replaced', async t => {
  let isSilent = true
  const { crew, threads, clock } = bench(2, worker => (worker === 1 && isSilent ? 'silent' : []))
  await settle()
  const loading = crew.load(load(1))
  await settle()
  isSilent = false
  clock.advance(30_000)
  t.same(await loading, [])
  clock.advance(2_000)
  await settle()
  t.ok(threads[1]?.isEnded)
  t.same(threads[2]?.loads(), [1])
})

t.test('records come through with what was dropped', async t => {
  const { threads, records } = bench(1)
  await settle()
  threads[0]!.say('message', { type: 'records', batch: { lines: new Uint8Array(), count: 0 }, dropped: 3 })
  t.same(records, [[0, 3]])
})

t.test('stop ends every worker, and none comes back', async t => {
  const { crew, threads, clock } = bench(2)
  await crew.load(load(1))
  await crew.stop(5_000)
  t.ok(threads.every(thread => thread.isEnded))
  t.match(threads[0]?.orders.at(-1), { type: 'stop', deadlineMs: 5_000 })
  clock.advance(60_000)
  await settle()
  t.equal(threads.length, 2)
})

t.test('workers stop one after another: the next when the one before has closed its listeners', async t => {
  const { crew, threads } = bench(3)
  await crew.load(load(1))
  for (const thread of threads) thread.keepsListening = true
  const stopping = crew.stop(5_000)
  const told = () => threads.filter(({ orders }) => orders.at(-1)?.type === 'stop').length
  for (const [index, thread] of threads.entries()) {
    await settle()
    t.equal(told(), index + 1)
    if (index === 1) thread.die()
    else thread.say('message', { type: 'closed' })
  }
  await settle()
  t.notOk(threads[0]!.isEnded, 'what is open goes on')
  threads[0]!.say('message', { type: 'stopped' })
  threads[2]!.say('message', { type: 'stopped' })
  await stopping
  t.ok(threads.every(thread => thread.isEnded))
})

t.test('a worker that does not close its ports holds up the others for two seconds only', async t => {
  const { crew, threads, clock } = bench(2)
  await crew.load(load(1))
  threads[0]!.keepsListening = true
  const stopping = crew.stop(60_000)
  await settle()
  t.not(threads[1]!.orders.at(-1)?.type, 'stop')
  clock.advance(2_000)
  await settle()
  t.match(threads[1]!.orders.at(-1), { type: 'stop', deadlineMs: 60_000 })
  t.notOk(threads[0]!.isEnded, 'what is open there goes on until the deadline')
  clock.advance(60_000)
  await stopping
  t.ok(threads.every(thread => thread.isEnded))
})

t.test('purge asks every worker and adds up; an address that one made void is void in the others', async t => {
  const { crew, threads, clock } = bench(3)
  await crew.load(load(1))
  const purgesOf = ({ orders }: FakeThread) => orders.flatMap(order => (order.type === 'purge' ? [order] : []))
  const answer = crew.purge('vs', { by: 'all' })
  for (const thread of threads) thread.say('message', { type: 'purged', sequence: purgesOf(thread)[0]!.sequence, objects: 2 })
  t.equal(await answer, 6)
  threads[1]!.say('message', { type: 'invalidated', virtualServiceId: 'vs', url: 'http://a.test/' })
  t.same(
    threads.map(thread => purgesOf(thread).slice(1)),
    [0, 1, 0].map(others =>
      others === 1 ? [] : [{ type: 'purge', sequence: 0, virtualServiceId: 'vs', purge: { by: 'url', value: 'http://a.test/' } }]
    )
  )
  const late = crew.purge('vs', { by: 'all' })
  threads[0]!.say('message', { type: 'purged', sequence: purgesOf(threads[0]!).at(-1)!.sequence, objects: 1 })
  clock.advance(2_000)
  t.equal(await late, 1)
})

t.test('openCrew ends a worker that a script holds up, and its successor does not run that script', async t => {
  const clock = manualClock()
  const threads: FakeThread[] = []
  const runs = makeScriptRuns(2)
  const told: string[] = []
  const crew = openCrew({
    workers: 2,
    start: worker => {
      const thread = new FakeThread(worker, () => [])
      threads.push(thread)
      return thread
    },
    clock,
    log: makeLog(line => told.push(line)),
    gone: worker => runsEnded(runs, worker),
    runOf: worker => runOf(runs, worker),
    record: () => undefined
  })
  await settle()
  await crew.load(load(1))
  const [stuck, busy] = [markRuns(runs, 1), markRuns(runs, 0)]
  stuck.begin('evil/HTTP_REQ #1234')
  for (let i = 0; i < 9; i++) {
    busy.begin('fine/HTTP_REQ #5678')
    clock.advance(500)
    busy.end()
  }
  t.notOk(threads[1]!.isEnded, 'not before its time')
  busy.begin('fine/HTTP_REQ #5678')
  clock.advance(1_000)
  t.ok(threads[1]!.isEnded)
  t.notOk(threads[0]!.isEnded, 'one that makes progress goes on')
  busy.end()
  t.match(told.join(), /a script holds up a worker.*evil\/HTTP_REQ #1234/)
  clock.advance(2_000)
  await settle()
  const next = threads[2]!
  t.equal(next.worker, 1)
  t.same(
    next.orders.map(order => order.type),
    ['bar', 'resolve', 'load']
  )
  for (const thread of [threads[0]!, next])
    t.same(
      thread.orders.find(order => order.type === 'bar'),
      { type: 'bar', scripts: ['evil/HTTP_REQ #1234'] }
    )
  clock.advance(20_000)
  t.notOk(next.isEnded, 'its successor is not blamed')
})

t.test('openCrew ends a real thread that never comes back', async t => {
  const runs = makeScriptRuns(1)
  let started = 0
  const crew = openCrew({
    workers: 1,
    start: () => {
      const isStuck = started++ === 0
      const thread = new Worker(isStuck ? 'for (;;);' : 'require("node:worker_threads").parentPort.on("message", () => undefined)', {
        eval: true
      })
      t.teardown(() => thread.terminate())
      return thread
    },
    clock: systemClock,
    log: silentLog,
    gone: worker => runsEnded(runs, worker),
    runOf: worker => runOf(runs, worker),
    record: () => undefined
  })
  t.teardown(() => crew.stop(0))
  markRuns(runs, 0).begin('evil/HTTP_REQ #1234')
  await until(() => started === 2, 'it is replaced', 60_000)
  t.equal(runOf(runs, 0), null)
})
