/**
 * The data-plane workers as one: a snapshot runs in all of them or in none, and one that dies is replaced while the others
 * go on.
 *
 *   starting --ready--> serving --exit--> dead --after back-off--> starting
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { CachePurge, Explanation, RequestQuestion, RequestTrace, TraceOrder } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import type { WorkerFact, WorkerOrder } from './generation/orders.ts'
import type { RecordBatch } from './meter/record-lines.ts'
import type { RunOfScript } from './meter/script-runs.ts'
import type { Slots } from './meter/shared.ts'

/** What of a Worker is used; tests have their own. */
export interface WorkerThread {
  readonly postMessage: (order: WorkerOrder) => void
  readonly on: {
    (event: 'message', listener: (fact: WorkerFact) => void): unknown
    (event: 'error', listener: (error: Error) => void): unknown
    (event: 'exit', listener: (code: number) => void): unknown
  }
  readonly terminate: () => Promise<unknown>
}

export interface CrewOptions {
  readonly workers: number
  readonly start: (worker: number) => WorkerThread
  readonly clock: Clock
  readonly log: Log
  /** Called before a dead worker's successor starts. */
  readonly gone: (worker: number) => void
  readonly record: (batch: RecordBatch, dropped: number) => void
  /** What a worker says of its scripts. */
  readonly scripts?: (worker: number, scripts: Extract<WorkerFact, { type: 'scripts' }>['scripts']) => void
  readonly traced?: (id: string, trace: RequestTrace) => void
  /** The script that a worker runs now; null for none. One that holds up its worker for seconds is ended with it, and not run again. */
  readonly runOf?: (worker: number) => RunOfScript | null
  /** A worker that does not answer within it is ended and replaced. */
  readonly answerWithinMs?: number
}

export interface Load {
  readonly snapshot: Snapshot
  readonly slots: Slots
}

export type Bound = Extract<WorkerFact, { type: 'loaded' }>['bound']

export interface Crew {
  /** Resolves when all workers run it, or with why it cannot be: then all run what they ran before. */
  readonly load: (load: Load) => Promise<readonly Violation[]>
  /** All addresses of servers by name that are known. */
  readonly resolve: (addresses: Readonly<Record<string, readonly string[]>>) => void
  /** What would become of a request, as one worker sees it; undefined when none answers in time. */
  readonly explain: (question: RequestQuestion) => Promise<Explanation | undefined>
  /** Takes out answers that are kept, in all workers. Returns how many; a worker that does not answer in time is not waited for. */
  readonly purge: (virtualServiceId: string, purge: CachePurge) => Promise<number>
  /** All workers trace requests as they come; no more than the order's count are told. */
  readonly trace: (order: TraceOrder) => void
  /** What is bound, as the first worker told it last. */
  readonly bound: () => Bound
  readonly serving: () => number
  readonly stop: (deadlineMs: number) => Promise<void>
}

const BACKOFF_FIRST_MS = 50
const BACKOFF_MAX_MS = 1_500
/** A worker that lived so long has recovered. */
const STEADY_MS = 30_000
/** A worker has this long to close its ports, and after its deadline to say that it stopped. */
const STOP_GRACE_MS = 2_000

const MAX_TRACE_ORDERS = 64
/** How often it is looked what scripts workers run, and after how many looks at the same run a worker is ended: 5 seconds. */
const LOOK_MS = 500
const STUCK_LOOKS = 10
const MAX_BARRED = 1_000

/** Nobody waits longer for an explanation. */
const EXPLAIN_WITHIN_MS = 2_000

type Answer = Extract<WorkerFact, { type: 'loaded' }> | 'gone'

interface Seat {
  readonly worker: number
  thread: WorkerThread | null
  startedAtMs: number
  deaths: number
  /** The run of a script that was seen last, and at how many looks in a row. */
  run: number
  looks: number
  /** Who waits for the answer to the load with this sequence. */
  waiting: { readonly sequence: number; readonly answer: (answer: Answer) => void } | null
  closed: () => void
  stopped: () => void
}

export function openCrew(options: CrewOptions): Crew {
  const { workers, start, clock, log, gone, record, answerWithinMs = 30_000 } = options
  let running: Load | null = null
  let addresses: Readonly<Record<string, readonly string[]>> = {}
  let bound: Bound = []
  let sequence = 0
  let isStopping = false
  const purges = new Map<number, (objects: number) => void>()
  /** With the count that is left. */
  const tracesLeft = new Map<string, TraceOrder>()
  const barred = new Set<string>()
  const questions = new Map<number, (explanation: Explanation | undefined) => void>()
  /** Loads and replacements, one after another: a successor never misses a load that runs meanwhile. */
  let queue: Promise<unknown> = Promise.resolve()
  const seats: readonly Seat[] = Array.from({ length: workers }, (_, worker) => ({
    worker,
    thread: null,
    startedAtMs: 0,
    deaths: 0,
    run: 0,
    looks: 0,
    waiting: null,
    closed: () => undefined,
    stopped: () => undefined
  }))

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work)
    queue = result.catch(() => undefined)
    return result
  }

  const tellOthers = (from: Seat, virtualServiceId: string, url: string): void => {
    for (const seat of seats)
      if (seat !== from) seat.thread?.postMessage({ type: 'purge', sequence: 0, virtualServiceId, purge: { by: 'url', value: url } })
  }

  const trace = (order: TraceOrder): void => {
    tracesLeft.delete(order.id)
    if (order.count > 0) {
      // Orders that never had all their requests.
      if (tracesLeft.size >= MAX_TRACE_ORDERS) tracesLeft.delete(tracesLeft.keys().next().value!)
      tracesLeft.set(order.id, order)
    }
    for (const { thread } of seats) thread?.postMessage({ type: 'trace', order })
  }

  const heardTrace = (id: string, found: RequestTrace): void => {
    const order = tracesLeft.get(id)
    if (order === undefined) return
    const left = { ...order, count: order.count - 1 }
    if (left.count > 0) tracesLeft.set(id, left)
    else trace(left)
    options.traced?.(id, found)
  }

  const hear = (seat: Seat, fact: WorkerFact): void => {
    if (fact.type === 'records') record(fact.batch, fact.dropped)
    else if (fact.type === 'closed') seat.closed()
    else if (fact.type === 'stopped') seat.stopped()
    else if (fact.type === 'purged') purges.get(fact.sequence)?.(fact.objects)
    else if (fact.type === 'invalidated') tellOthers(seat, fact.virtualServiceId, fact.url)
    else if (fact.type === 'scripts') options.scripts?.(seat.worker, fact.scripts)
    else if (fact.type === 'traced') heardTrace(fact.id, fact.trace)
    else if (fact.type === 'explained') questions.get(fact.sequence)?.(fact.explanation)
    else if (fact.type === 'loaded' && seat.waiting?.sequence === fact.sequence) seat.waiting.answer(fact)
  }

  const bar = (script: string): void => {
    if (barred.size >= MAX_BARRED) barred.delete(barred.values().next().value!)
    barred.add(script)
    for (const { thread } of seats) thread?.postMessage({ type: 'bar', scripts: [...barred] })
  }

  /** Ends workers that a script holds up; their successors do not run it. */
  const watch = (runningIn: (worker: number) => RunOfScript | null): void => {
    for (const seat of seats) {
      const run = seat.thread === null ? null : runningIn(seat.worker)
      if (run === null || run.count !== seat.run) {
        seat.run = run?.count ?? 0
        seat.looks = 0
        continue
      }
      if (++seat.looks < STUCK_LOOKS) continue
      seat.looks = 0
      log.error('a script holds up a worker, which is ended; it is not run again until it is changed', {
        worker: seat.worker,
        script: run.script
      })
      bar(run.script)
      void seat.thread?.terminate()
    }
  }
  const { runOf } = options
  const stopWatching = runOf === undefined ? () => undefined : clock.every(LOOK_MS, () => watch(runOf))

  const died = (seat: Seat, thread: WorkerThread, code: number): void => {
    if (seat.thread !== thread) return
    seat.thread = null
    seat.waiting?.answer('gone')
    seat.closed()
    seat.stopped()
    gone(seat.worker)
    if (isStopping) return
    seat.deaths = clock.nowMs() - seat.startedAtMs >= STEADY_MS ? 0 : seat.deaths + 1
    const delayMs = Math.min(BACKOFF_MAX_MS, seat.deaths === 0 ? 0 : BACKOFF_FIRST_MS * 2 ** (seat.deaths - 1))
    log.error('a worker ended and is replaced', { worker: seat.worker, code, delayMs })
    clock.after(delayMs, () => void inTurn(() => occupy(seat)))
  }

  /** Starts a thread on a seat and brings it to where the others are. */
  const occupy = async (seat: Seat): Promise<void> => {
    if (isStopping || seat.thread !== null) return
    const thread = start(seat.worker)
    seat.thread = thread
    seat.startedAtMs = clock.nowMs()
    thread.on('message', fact => {
      if (seat.thread === thread) hear(seat, fact)
    })
    thread.on('error', error => log.error('a worker failed', { worker: seat.worker, error }))
    thread.on('exit', code => died(seat, thread, code))
    if (barred.size > 0) thread.postMessage({ type: 'bar', scripts: [...barred] })
    if (running === null) return
    thread.postMessage({ type: 'resolve', addresses })
    const answer = await order(seat, running)
    if (answer !== 'gone' && answer.violations.length > 0) {
      // What ran here a moment ago does not any more: the next attempt comes by the back-off.
      log.error('a new worker cannot run what the others run', { worker: seat.worker, violations: answer.violations })
      await thread.terminate()
    }
  }

  const order = (seat: Seat, load: Load): Promise<Answer> => {
    const { thread } = seat
    if (thread === null) return Promise.resolve('gone')
    const own = ++sequence
    return new Promise(resolve => {
      const cancel = clock.after(answerWithinMs, () => {
        log.error('a worker does not answer and is ended', { worker: seat.worker })
        void thread.terminate()
      })
      seat.waiting = {
        sequence: own,
        answer: answer => {
          cancel()
          seat.waiting = null
          resolve(answer)
        }
      }
      thread.postMessage({ type: 'load', sequence: own, snapshot: load.snapshot, slots: load.slots })
    })
  }

  /** One worker goes first: what cannot be built is refused before the others hear of it. */
  const loadAll = async (load: Load): Promise<readonly Violation[]> => {
    const [first, ...others] = seats.filter(seat => seat.thread !== null)
    if (first === undefined) return [{ pointer: '', message: 'must wait: no worker runs now' }]
    const answer = await order(first, load)
    if (answer === 'gone') return [{ pointer: '', message: 'must not end the worker that builds it' }]
    if (answer.violations.length > 0) return answer.violations
    const answers = await Promise.all(others.map(async seat => ({ seat, answer: await order(seat, load) })))
    const violations = answers.flatMap(({ answer }) => (answer === 'gone' ? [] : answer.violations))
    if (violations.length > 0) {
      const back = running
      const changed = [
        first,
        ...answers.filter(({ answer }) => answer !== 'gone' && answer.violations.length === 0).map(({ seat }) => seat)
      ]
      if (back !== null) await Promise.all(changed.map(seat => order(seat, back)))
      // With nothing to go back to, they are replaced by empty ones.
      else await Promise.all(changed.map(async seat => seat.thread?.terminate()))
      return violations
    }
    running = load
    bound = answer.bound
    return []
  }

  /** Resolves when the worker says so, dies, or is late. */
  const untilSaid = (seat: Seat, what: 'closed' | 'stopped', withinMs: number): Promise<void> =>
    new Promise(resolve => {
      const cancel = clock.after(withinMs, resolve)
      seat[what] = () => {
        cancel()
        resolve()
      }
    })

  for (const seat of seats) void inTurn(() => occupy(seat))

  return {
    load: load => inTurn(() => loadAll(load)),
    resolve: next => {
      addresses = next
      for (const { thread } of seats) thread?.postMessage({ type: 'resolve', addresses: next })
    },
    explain: question => {
      const thread = seats.find(seat => seat.thread !== null)?.thread
      if (thread === undefined || thread === null) return Promise.resolve(undefined)
      const own = ++sequence
      return new Promise(resolve => {
        const answer = (explanation: Explanation | undefined): void => {
          cancel()
          questions.delete(own)
          resolve(explanation)
        }
        const cancel = clock.after(EXPLAIN_WITHIN_MS, () => answer(undefined))
        questions.set(own, answer)
        thread.postMessage({ type: 'explain', sequence: own, question })
      })
    },
    purge: async (virtualServiceId, purge) => {
      const threads = seats.flatMap(({ thread }) => thread ?? [])
      const objects = await Promise.all(
        threads.map(thread => {
          const own = ++sequence
          return new Promise<number>(resolve => {
            const answer = (count: number): void => {
              cancel()
              purges.delete(own)
              resolve(count)
            }
            // A thread that died keeps nothing.
            const cancel = clock.after(EXPLAIN_WITHIN_MS, () => answer(0))
            purges.set(own, answer)
            thread.postMessage({ type: 'purge', sequence: own, virtualServiceId, purge })
          })
        })
      )
      return objects.reduce((sum, count) => sum + count, 0)
    },
    trace,
    bound: () => bound,
    serving: () => seats.filter(seat => seat.thread !== null).length,
    stop: deadlineMs => {
      isStopping = true
      stopWatching()
      return inTurn(async () => {
        const ended: Promise<unknown>[] = []
        // One after another: what waits in the queue of a listener that closes goes to one that is open, and would be lost in the
        // moment in which that closes too.
        for (const seat of seats) {
          const { thread } = seat
          if (thread === null) continue
          const closed = untilSaid(seat, 'closed', STOP_GRACE_MS)
          ended.push(untilSaid(seat, 'stopped', deadlineMs + STOP_GRACE_MS).then(() => thread.terminate()))
          thread.postMessage({ type: 'stop', deadlineMs })
          await closed
        }
        await Promise.all(ended)
      })
    }
  }
}
