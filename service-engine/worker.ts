/** The entry of a data-plane worker thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { makeLog } from '#model/base/log.ts'
import type { WorkerSetup } from './generation/orders.ts'
import { startWorker } from './generation/serve.ts'

if (parentPort === null) throw new Error('worker.ts runs as a worker thread only')
const setup = workerData as WorkerSetup
startWorker(parentPort, setup, { log: makeLog(line => process.stderr.write(line), { fields: { part: 'worker', worker: setup.worker } }) })
