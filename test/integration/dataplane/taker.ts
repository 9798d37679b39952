/** A thread that takes tokens as fast as it can, and says how many it got. */
import { parentPort, workerData } from 'node:worker_threads'
import { openRates } from '#engine/meter/rates.ts'

const rates = openRates(workerData as SharedArrayBuffer, () => process.hrtime.bigint())
const take = rates.open({ id: 'limit', intervalNs: 3_600_000_000_000, capacity: 1_000 })
let got = 0
for (let i = 0; i < 20_000; i++) if (take('one') === 0) got++
parentPort?.postMessage(got)
