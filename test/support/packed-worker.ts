/** The main of a self-contained file that runs one worker on the snapshot of its last argument, and says what came of it. */
import { readFileSync } from 'node:fs'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import type { WorkerFact, WorkerSetup } from '#engine/generation/orders.ts'
import { makeRates } from '#engine/meter/rates.ts'
import { makeMemory } from '#engine/meter/shared.ts'
import { startWorker } from '#engine/start-worker.ts'

const snapshot = JSON.parse(readFileSync(process.argv.at(-1) ?? '', 'utf8')) as Snapshot
const memory = makeMemory({ workers: 1, nowMs: () => performance.now() })
const slots = memory.assign({
  virtualServices: snapshot.virtualServices.map(({ id }) => id),
  pools: snapshot.pools.map(({ id, servers }) => ({ id, servers: servers.map(server => server.id) }))
})
const setup: WorkerSetup = {
  buffer: memory.buffer,
  worker: 0,
  workers: 1,
  reusePort: false,
  ticketKeys: new Uint8Array(48),
  rates: makeRates([1, 2])
}
const worker = startWorker(setup, 1)
worker.on('message', (fact: WorkerFact) => {
  if (fact.type === 'loaded') console.log(JSON.stringify({ violations: fact.violations, port: fact.bound[0]?.port }))
})
worker.postMessage({ type: 'load', sequence: 1, snapshot, slots })
