import fc from 'fast-check'
import t from 'tap'
import { addSparse, BUCKETS, percentileUs, toSparse } from '#model/message/histogram.ts'
import { makeSummer } from '#controller/telemetry/figures.ts'
import { makeWindow, type Window } from '#controller/telemetry/window.ts'

const windowWith = (latency: readonly number[]): Window => ({ ...makeWindow(), latency })

t.test('makeSummer takes the percentiles that the merged histogram has', async t => {
  const sum = makeSummer()
  const histogram = fc.array(fc.tuple(fc.nat(BUCKETS - 1), fc.integer({ min: 1, max: 50 })), { maxLength: 12 }).map(pairs => {
    const dense = new Float64Array(BUCKETS)
    for (const [bucket, count] of pairs) dense[bucket]! += count
    return toSparse(dense)
  })
  fc.assert(
    fc.property(fc.array(histogram, { maxLength: 4 }), histograms => {
      const dense = new Float64Array(BUCKETS)
      for (const sparse of histograms) addSparse(dense, sparse)
      const figures = sum(histograms.map(windowWith))
      const ms = (ratio: number): number | null => {
        const us = percentileUs(dense, ratio)
        return us === null ? null : us / 1_000
      }
      return figures.latencyP50Ms === ms(0.5) && figures.latencyP95Ms === ms(0.95) && figures.latencyP99Ms === ms(0.99)
    }),
    { numRuns: 300 }
  )
  t.match(sum([]), { latencyP50Ms: null, latencyMeanMs: null, latencyCount: 0, atEpochMs: null })
})
