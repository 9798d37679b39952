/** A whole engine in this process: real workers, and a real agent on an identity that has joined. */
import { join } from 'node:path'
import type { Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import { openAgent } from '#engine/agent/agent.ts'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import { openEngine, type Engine } from '#engine/engine.ts'
import { startWorker } from '#engine/start-worker.ts'

export async function aWholeEngine(t: Test, dataFolder: string, workers: number): Promise<Engine> {
  const engine = await openEngine({
    workers,
    accessLogPath: join(dataFolder, 'access.log'),
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    startWorker: setup => startWorker(setup, workers),
    probePort,
    lookUp: () => Promise.reject(new Error('no such name')),
    openAgent: engineSide => openAgent({ dataFolder, engineSide, clock: systemClock, random: Math.random, log: silentLog })
  })
  t.teardown(() => engine.stop(0))
  return engine
}
