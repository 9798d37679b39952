/**
 * An engine without a controller, as a process of its own: `WEIR_FORWARDER=wire|stock node engine.ts <snapshot.json>`. All of
 * the engine's composition runs - agent thread, worker threads, access log, monitors, sampling each second - but the link:
 * the snapshot comes from a file and samples go nowhere. Prints one line of JSON when it serves.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { systemClock } from '#model/base/clock.ts'
import { makeLog } from '#model/base/log.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import type { EngineSide } from '#engine/agent/port.ts'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import { openEngine } from '#engine/engine.ts'
import { systemLookUp } from '#engine/monitor/resolve.ts'
import { readSettings } from '#engine/settings.ts'
import { startWorker } from '#engine/start-worker.ts'

export interface EngineReady {
  /** From the snapshot in memory to all workers running it. */
  readonly loadMs: number
  readonly abilities: readonly string[]
}

const settings = readSettings(process.env, hostname())
const snapshot = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Snapshot
let side: EngineSide | undefined
const engine = await openEngine({
  workers: settings.workers,
  accessLogPath: settings.accessLogPath,
  forwarder: settings.forwarder,
  clock: systemClock,
  random: Math.random,
  log: makeLog(line => process.stderr.write(line), { level: 'warn' }),
  startWorker: setup => startWorker(setup, settings.workers),
  probePort,
  lookUp: systemLookUp(),
  openAgent: engineSide => {
    side = engineSide
    return Promise.resolve({
      sampleTaken: () => undefined,
      serversJudged: () => undefined,
      limitsUsed: () => undefined,
      tellQuotas: () => undefined,
      status: () => ({ isConnected: true, runningRevision: 1, reason: '' }),
      handOver: () => Promise.resolve(),
      stop: () => Promise.resolve()
    })
  }
})
if (side === undefined) throw new Error('the engine did not open its agent')
const startMs = performance.now()
const violations = await side.applySnapshot(snapshot)
if (violations.length > 0) throw new Error(`the snapshot was refused: ${JSON.stringify(violations.slice(0, 5))}`)
const ready: EngineReady = { loadMs: performance.now() - startMs, abilities: side.facts().abilities }
console.log(JSON.stringify(ready))

// Started with a channel it takes more snapshots, one after another.
const agentSide = side
let applied = Promise.resolve()
process.on('message', message => {
  applied = applied.then(async () => {
    const fromMs = performance.now()
    const refused = await agentSide.applySnapshot(message as Snapshot)
    process.send?.({ tookMs: performance.now() - fromMs, violations: refused })
  })
})
process.on('disconnect', () => process.exit(0))

process.on('SIGTERM', () => void engine.stop(0).then(() => process.exit(0)))
setInterval(() => undefined, 60_000)
