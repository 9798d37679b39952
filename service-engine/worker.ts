/** The entry of a data-plane worker thread. */
import { setFlagsFromString } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { makeLog } from '#model/base/log.ts'
import type { WorkerSetup } from './generation/orders.ts'
import { startWorker } from './generation/serve.ts'
import { readQuickJs } from './quickjs-file.ts'

if (parentPort === null) throw new Error('worker.ts runs as a worker thread only')
// A pattern of a rule that runs wild on a stranger's path is taken over by the engine that needs linear time only.
setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks')
// Objects made where some have lived long would all be made old at once; dead old exchanges then keep alive all that they
// refer to until the next full collection. What an exchange is made of dies young, so that collecting it costs next to nothing.
setFlagsFromString('--no-allocation-site-pretenuring')
const setup = workerData as WorkerSetup
startWorker(parentPort, setup, {
  readWasm: readQuickJs,
  log: makeLog(line => process.stderr.write(line), { fields: { part: 'worker', worker: setup.worker } })
})
