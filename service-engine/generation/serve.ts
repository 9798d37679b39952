/** A data-plane worker without its thread: takes orders from a port, runs the data plane, reports facts. */
import { randomBytes } from 'node:crypto'
import { systemClock, type Clock } from '#model/base/clock.ts'
import { silentLog, type Log } from '#model/base/log.ts'
import { openRates } from '#engine/meter/rates.ts'
import { RecordLines } from '#engine/meter/record-lines.ts'
import { markRuns } from '#engine/meter/script-runs.ts'
import { attachMemory } from '#engine/meter/shared.ts'
import type { Forwarder } from '../dataplane/exchange/forwarder.ts'
import { makeForwarder } from '../dataplane/http/forwarders.ts'
import { openDataPlane } from './generation.ts'
import type { WorkerFact, WorkerOrder, WorkerSetup } from './orders.ts'

/** How often access records leave the worker, and how many may leave in that time. */
const BATCH_INTERVAL_MS = 100
/** How often a worker says what became of its scripts. */
const SCRIPTS_INTERVAL_MS = 1_000
const MAX_WAITING_RECORDS = 8_192

/** `MessagePort` of `node:worker_threads`, as far as it is used. */
export interface OrderPort {
  readonly postMessage: (fact: WorkerFact, transfer: ArrayBuffer[]) => void
  readonly on: (event: 'message', listener: (order: WorkerOrder) => void) => unknown
  readonly close?: () => void
}

export interface WorkerOptions {
  readonly clock?: Clock
  readonly log?: Log
  readonly forwarder?: Forwarder
  /** The bytes of what scripts run in; without it none can. */
  readonly readWasm?: () => Uint8Array
}

function withoutScripts(): never {
  throw new Error('this worker was started without what scripts run in')
}

/** Ids of exchanges: no two workers, and no two starts of one, have any in common. */
function makeIds(prefix: string): () => string {
  let made = 0
  return () => `${prefix}-${(++made).toString(36)}`
}

/**
 * Starts a worker on a port; it reports `ready`, then answers each `load` by `loaded`. After `stop` it reports
 * `stopped`, closes the port, and nothing of it keeps the thread alive.
 */
export function startWorker(port: OrderPort, setup: WorkerSetup, options: WorkerOptions = {}): void {
  const {
    clock = systemClock,
    log = silentLog,
    forwarder = makeForwarder(setup.forwarder ?? 'wire', { clock }),
    readWasm = withoutScripts
  } = options
  const tell = (fact: WorkerFact): void => port.postMessage(fact, [])
  const waiting = new RecordLines()
  /** Left since the last interval began. */
  let left = 0
  let dropped = 0
  const flush = (): void => {
    if (waiting.count === 0 && dropped === 0) return
    left += waiting.count
    const batch = waiting.take()
    port.postMessage({ type: 'records', batch, dropped }, [batch.lines.buffer])
    dropped = 0
  }
  const stopFlushing = clock.every(BATCH_INTERVAL_MS, () => {
    flush()
    left = 0
  })
  const plane = openDataPlane({
    clock,
    log,
    forwarder,
    random: Math.random,
    makeId: makeIds(randomBytes(8).toString('hex')),
    reusePort: setup.reusePort,
    readWasm,
    ticketKeys: Buffer.from(setup.ticketKeys),
    invalidated: setup.workers === 1 ? () => undefined : (virtualServiceId, url) => tell({ type: 'invalidated', virtualServiceId, url }),
    rates: openRates(setup.rates, () => process.hrtime.bigint(), clock.nowEpochMs),
    ...(setup.runs === undefined ? {} : { mark: markRuns(setup.runs, setup.worker) }),
    traced: (id, trace) => tell({ type: 'traced', id, trace }),
    record: record => {
      if (left + waiting.count >= MAX_WAITING_RECORDS) dropped++
      else if (!waiting.add(record)) {
        flush()
        if (!waiting.add(record)) dropped++
      }
    }
  })

  let toldScripts = false
  const stopTellingScripts = clock.every(SCRIPTS_INTERVAL_MS, () => {
    const scripts = plane.scripts()
    // Once more when the last is gone, so that nobody goes on showing it.
    if (scripts.length === 0 && !toldScripts) return
    toldScripts = scripts.length > 0
    tell({
      type: 'scripts',
      scripts: scripts.map(({ counters, ...script }) => ({ ...script, counters: [...counters].map(([name, count]) => ({ name, count })) }))
    })
  })

  const load = async (order: Extract<WorkerOrder, { type: 'load' }>): Promise<void> => {
    const memory = attachMemory(setup.buffer, setup.worker, setup.workers, order.slots)
    const violations = await plane.load(order.snapshot, memory)
    tell({
      type: 'loaded',
      sequence: order.sequence,
      revision: order.snapshot.manifest.revision,
      violations,
      bound: plane.bound()
    })
  }
  const stop = async (deadlineMs: number): Promise<void> => {
    await plane.stop(deadlineMs, () => tell({ type: 'closed' }))
    stopFlushing()
    stopTellingScripts()
    flush()
    tell({ type: 'stopped' })
    port.close?.()
  }
  port.on('message', order => {
    if (order.type === 'load') {
      load(order).catch((error: unknown) => {
        log.error('a snapshot could not be built', { error })
        const message = error instanceof Error ? error.message : String(error)
        const revision = order.snapshot.manifest.revision
        tell({
          type: 'loaded',
          sequence: order.sequence,
          revision,
          violations: [{ pointer: '', message }],
          bound: plane.bound()
        })
      })
    } else if (order.type === 'resolve') plane.resolve(order.addresses)
    else if (order.type === 'explain') tell({ type: 'explained', sequence: order.sequence, explanation: plane.explain(order.question) })
    else if (order.type === 'purge')
      tell({ type: 'purged', sequence: order.sequence, objects: plane.purge(order.virtualServiceId, order.purge) })
    else if (order.type === 'trace') plane.trace(order.order)
    else if (order.type === 'bar') plane.bar(order.scripts)
    else void stop(order.deadlineMs)
  })
  tell({ type: 'ready' })
}
