/** The window of each second: what the shared memory and the host say, as one sample of totals since boot. */
import type { Clock } from '#model/base/clock.ts'
import type { HostSample, Sample } from '#model/message/message.ts'
import type { ReadHost } from './host.ts'
import type { Memory } from './shared.ts'

export const SAMPLE_INTERVAL_MS = 1_000

export interface Sampler {
  readonly stop: () => void
}

/**
 * Hands a sample to `take` each second. A reading of the host that has not ended when the next is due is not joined by a
 * second one: the sample goes out with the figures of before, so that traffic figures never wait for a slow host.
 */
export function startSampler(options: {
  readonly memory: { readonly readTotals: () => ReturnType<Memory['readTotals']> & Pick<Sample, 'limits' | 'scripts'> }
  readonly readHost: ReadHost
  readonly bootId: string
  readonly clock: Clock
  readonly dropped: () => { readonly samples: number; readonly logLines: number }
  readonly take: (sample: Sample) => void
}): Sampler {
  const { memory, readHost, bootId, clock, dropped, take } = options
  let sequence = 0
  let isReading = false
  let host: HostSample = {
    cpuRatio: 0,
    processCpuRatio: 0,
    memoryUsedBytes: 0,
    memoryTotalBytes: 0,
    processRssBytes: 0,
    networkReceivedBytes: 0,
    networkSentBytes: 0
  }

  const read = (): void => {
    if (isReading) return
    isReading = true
    readHost()
      .then(
        next => {
          host = next
        },
        // The next second reads again; the figures of before stand until then.
        () => undefined
      )
      .finally(() => {
        isReading = false
      })
  }

  read()
  const stop = clock.every(SAMPLE_INTERVAL_MS, () => {
    sequence += 1
    const { samples, logLines } = dropped()
    take({
      bootId,
      sequence,
      atEpochMs: clock.nowEpochMs(),
      droppedSamples: samples,
      droppedLogLines: logLines,
      host,
      ...memory.readTotals()
    })
    read()
  })
  return { stop }
}
