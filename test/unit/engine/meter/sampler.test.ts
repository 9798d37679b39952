import t from 'tap'
import type { HostSample, Sample } from '#model/message/message.ts'
import { startSampler } from '#engine/meter/sampler.ts'
import { attachMemory, makeMemory } from '#engine/meter/shared.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const host = (cpuRatio: number): HostSample => ({
  cpuRatio,
  processCpuRatio: 0,
  memoryUsedBytes: 1,
  memoryTotalBytes: 2,
  processRssBytes: 3,
  networkReceivedBytes: 4,
  networkSentBytes: 5
})

t.test('startSampler tells totals each second and stops', async t => {
  const clock = manualClock(1_000)
  const memory = makeMemory({ workers: 1, nowMs: clock.nowMs })
  const slots = memory.assign({ virtualServices: ['vs-1'], pools: [] })
  const samples: Sample[] = []
  const sampler = startSampler({
    memory,
    readHost: () => Promise.resolve(host(0.5)),
    bootId: 'boot',
    clock,
    dropped: () => ({ samples: 3, logLines: 4 }),
    take: sample => samples.push(sample)
  })
  attachMemory(memory.buffer, 0, 1, slots).virtualServiceMeter('vs-1').exchangeEnded(200, 10)
  await new Promise(setImmediate)
  clock.advance(2_000)
  t.match(samples, [
    { bootId: 'boot', sequence: 1, atEpochMs: 2_000, droppedSamples: 3, droppedLogLines: 4, host: { cpuRatio: 0.5 } },
    { sequence: 2, atEpochMs: 3_000, virtualServices: [{ id: 'vs-1', totals: { requests: 1 } }] }
  ])
  sampler.stop()
  clock.advance(5_000)
  t.equal(samples.length, 2)
})

t.test('startSampler never has two readings of the host at once, and does not wait for one', async t => {
  const clock = manualClock()
  const samples: Sample[] = []
  const answers: ((host: HostSample) => void)[] = []
  startSampler({
    memory: makeMemory({ workers: 1, nowMs: clock.nowMs }),
    readHost: () => new Promise(resolve => answers.push(resolve)),
    bootId: 'boot',
    clock,
    dropped: () => ({ samples: 0, logLines: 0 }),
    take: sample => samples.push(sample)
  })
  clock.advance(3_000)
  t.equal(answers.length, 1)
  t.equal(samples.length, 3)
  answers[0]!(host(0.9))
  await new Promise(setImmediate)
  clock.advance(1_000)
  t.equal(samples[3]?.host.cpuRatio, 0.9)
  t.equal(answers.length, 2)
})
