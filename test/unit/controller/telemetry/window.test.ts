import fc from 'fast-check'
import t from 'tap'
import { addSparse, BUCKETS, toSparse } from '#model/message/histogram.ts'
import { addedTo, advance, AT, countOf, latencyBoundsS, makeGrown, makeWindow } from '#controller/telemetry/window.ts'
import { noTotals } from '#test/support/sample.ts'

t.test('addedTo is the difference of two histograms', async t => {
  t.same(addedTo([3, 1, 9, 5], [3, 4, 7, 2, 9, 5]), [3, 3, 7, 2])
  t.same(addedTo([], []), [])
  t.same(addedTo([3, 5], [3, 2]), [], 'a bucket that went back is no traffic')
  t.same(addedTo([], [4, 1, 4, 1]), [4, 1], 'the walk ends where the order ends')
  t.same(addedTo([], [BUCKETS, 1]), [])
})

t.test('addedTo undoes addition', async t => {
  const histogram = fc.array(fc.tuple(fc.nat(BUCKETS - 1), fc.integer({ min: 1, max: 1_000 })), { maxLength: 30 }).map(pairs => {
    const dense = new Float64Array(BUCKETS)
    for (const [bucket, count] of pairs) dense[bucket]! += count
    return toSparse(dense)
  })
  fc.assert(
    fc.property(histogram, histogram, (before, added) => {
      const dense = new Float64Array(BUCKETS)
      addSparse(dense, before)
      addSparse(dense, added)
      t.equal(JSON.stringify(addedTo(before, toSparse(dense))), JSON.stringify(added))
    }),
    { numRuns: 100 }
  )
})

t.test('countOf takes counts and nothing else', async t => {
  t.equal(countOf(5, 1), 5)
  for (const wrong of [Number.NaN, -1, Number.POSITIVE_INFINITY, 1e300, '5', null, undefined]) t.equal(countOf(wrong, 1), 1)
})

t.test('advance tells how many connections ended', async t => {
  const [window, grown] = [makeWindow(), makeGrown()]
  advance(window, grown, { totals: { ...noTotals, connections: 10, openConnections: 4 }, latency: [] }, 1, false)
  t.equal(window.endedPerS, 6)
  advance(window, grown, { totals: { ...noTotals, connections: 14, openConnections: 2 }, latency: [] }, 2, false)
  t.equal(window.endedPerS, 3)
  t.equal(window.rates[AT.connections], 2)
  t.equal(grown.counts[AT.connections], 14)
})

t.test('advance sorts latency into the bounds that Prometheus sees', async t => {
  const [window, grown] = [makeWindow(), makeGrown()]
  advance(window, grown, { totals: noTotals, latency: [0, 2, BUCKETS - 1, 1] }, 1, false)
  t.equal(grown.latencyCounts[0], 2)
  t.equal(grown.latencyCounts[latencyBoundsS.length], 1)
  t.ok(grown.latencySumS > 10_000)
})
