/** The entry of a data-plane worker thread. */
import { setFlagsFromString } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { makeLog } from '#model/base/log.ts'
import type { WorkerSetup } from './generation/orders.ts'
import { startWorker } from './generation/serve.ts'

if (parentPort === null) throw new Error('worker.ts runs as a worker thread only')
// A pattern of a rule that runs wild on a stranger's path is taken over by the engine that needs linear time only.
setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks')
const setup = workerData as WorkerSetup
startWorker(parentPort, setup, { log: makeLog(line => process.stderr.write(line), { fields: { part: 'worker', worker: setup.worker } }) })
