/** An engine without a controller: snapshots come as lines on standard input, facts go as lines to standard output. */
import { createInterface } from 'node:readline'
import { systemClock } from '#model/base/clock.ts'
import { makeLog } from '#model/base/log.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'
import type { EngineSide } from '#engine/agent/port.ts'
import { probePort } from '#engine/dataplane/listen/listener.ts'
import { openEngine } from '#engine/engine.ts'
import { makeKernelStarter } from '#engine/start-kernel.ts'
import { startWorker } from '#engine/start-worker.ts'
import { hasNetAdmin, readHostForwarding } from '#engine/vip/kernel/host.ts'

const [dataFolder = '.'] = process.argv.slice(2)
const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`)
const kernel = hasNetAdmin() ? makeKernelStarter(dataFolder, systemClock, null) : null
await kernel?.clearLeftOver()
let side: EngineSide | undefined
const engine = await openEngine({
  workers: 1,
  accessLogPath: '',
  clock: systemClock,
  random: Math.random,
  log: makeLog(line => process.stderr.write(line)),
  startWorker: setup => startWorker(setup, 1),
  probePort,
  lookUp: () => Promise.reject(new Error('no such name')),
  ...(kernel === null ? {} : { kernel: { readHost: readHostForwarding, openLink: kernel.openLink } }),
  openAgent: engineSide => {
    side = engineSide
    return Promise.resolve({
      sampleTaken: sample => say({ sample }),
      serversJudged: () => undefined,
      limitsUsed: () => undefined,
      tellQuotas: () => undefined,
      status: () => ({ isConnected: true, runningRevision: 1, reason: '' }),
      handOver: () => Promise.resolve(),
      stop: () => Promise.resolve()
    })
  }
})
process.on('SIGTERM', () => void engine.stop(0).then(() => process.exit(0)))
say({ abilities: side!.facts().abilities })
for await (const line of createInterface({ input: process.stdin })) {
  say({ violations: await side!.applySnapshot(JSON.parse(line) as Snapshot) })
}
