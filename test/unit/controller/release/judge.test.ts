import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { bucketOf, BUCKETS, toSparse } from '#model/message/histogram.ts'
import { judge, slownessOf, zOf, type Limits, type Side } from '#controller/release/judge.ts'
import { differenceOf, proportion } from '#controller/telemetry/proportion.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const limits: Limits = {
  minimumRequests: 100,
  maxErrorIncrease: 0.005,
  maxLatencyIncrease: 0.2,
  maxHealthDrop: 20,
  confidence: 0.95,
  rules: []
}

/** A side as servers make it: latencies around `ms`, spread by a factor, errors by chance. */
function aSide(random: () => number, requests: number, errorRatio: number, ms: number, slowTail = 0): Side {
  const dense = new Float64Array(BUCKETS)
  let errors = 0
  for (let i = 0; i < requests; i++) {
    if (random() < errorRatio) errors += 1
    const spread = Math.exp((random() + random() + random() - 1.5) * 0.6)
    dense[bucketOf(ms * 1_000 * spread * (random() < slowTail ? 10 : 1))]! += 1
  }
  return { requests, errors, latency: toSparse(dense), healthScore: 100 }
}

t.test('zOf is that of the tables', async t => {
  for (const [confidence, z] of [
    [0.8, 0.8416],
    [0.9, 1.2816],
    [0.95, 1.6449],
    [0.99, 2.3263]
  ] as const)
    t.ok(Math.abs(zOf(confidence) - z) < 0.001, String(confidence))
})

t.test('a proportion lies within its bounds, and more values make them narrower', async t => {
  fc.assert(
    fc.property(fc.nat(2_000), fc.nat(2_000), fc.double({ min: 0, max: 4, noNaN: true }), (a, b, z) => {
      const [hits, count] = [Math.min(a, b), Math.max(a, b, 1)]
      const { estimate, low, high } = proportion(hits, count, z)
      const more = proportion(hits * 10, count * 10, z)
      return low >= 0 && high <= 1 && low <= estimate + 1e-12 && estimate <= high + 1e-12 && more.high - more.low <= high - low + 1e-12
    }),
    { seed }
  )
  t.same(proportion(0, 0, 1.64), { estimate: 0, low: 0, high: 1 }, 'nothing is known of nothing')
  t.ok(proportion(0, 10, 1.6449).high > 0.2, 'ten good answers do not say that all are good')
  t.match(differenceOf(proportion(0, 100, 0), proportion(0, 100, 0)), { estimate: 0, low: 0, high: 0 })
})

t.test('bounds hold as often as they say', async t => {
  const random = seededRandom(seed)
  let missed = 0
  for (let i = 0; i < 2_000; i++) {
    const draw = (): number => Array.from({ length: 400 }, () => random() < 0.03).filter(Boolean).length
    const { low } = differenceOf(proportion(draw(), 400, zOf(0.95)), proportion(draw(), 400, zOf(0.95)))
    if (low > 0) missed += 1
  }
  t.ok(missed < 160, `${missed} of 2000 equal pairs were called different at 95 %`)
})

t.test('equal sides are equally slow, and a factor is found', async t => {
  const random = seededRandom(seed)
  const [a, b] = [aSide(random, 2_000, 0, 50), aSide(random, 2_000, 0, 65)]
  t.match(slownessOf(a.latency, a.latency, 0), { estimate: 1 })
  const { estimate, low, high } = slownessOf(b.latency, a.latency, 1.6449)
  t.ok(estimate > 1.25 && estimate < 1.35 && low > 1.2 && high < 1.4, `${low} ${estimate} ${high}`)
  t.same(slownessOf([], a.latency, 1), { estimate: 1, low: 0, high: Infinity })
})

t.test('a good pool passes, and is not thrown out on the way, nineteen times of twenty and more', async t => {
  const random = seededRandom(seed)
  let failed = 0
  for (let i = 0; i < 300; i++) {
    const [old, fresh] = [aSide(random, 900, 0.002, 30), aSide(random, 300, 0.002, 30)]
    if (judge(old, fresh, limits, false).verdict !== 'wait') failed += 1
    else if (judge(old, fresh, limits, true).verdict === 'fail') failed += 1
  }
  t.ok(failed <= 15, `${failed} of 300`)
})

t.test('2 % errors and 30 % slower are found within two steps', async t => {
  const random = seededRandom(seed)
  const missed = (errorRatio: number, ms: number): number => {
    let count = 0
    for (let i = 0; i < 200; i++) {
      const isMissed = (): boolean => judge(aSide(random, 900, 0, 30), aSide(random, 300, errorRatio, ms), limits, true).verdict === 'pass'
      if (isMissed() && isMissed()) count += 1
    }
    return count
  }
  t.ok(missed(0.02, 30) <= 4, 'errors')
  t.equal(missed(0, 39), 0, 'latency')
})

t.test('few requests say nothing, whatever they look like', async t => {
  const random = seededRandom(seed)
  const bad = aSide(random, 20, 1, 500)
  const good = aSide(random, 5_000, 0, 30)
  t.match(judge(good, bad, limits, false), { verdict: 'wait' })
  t.match(judge(good, bad, limits, true), { verdict: 'too-few', reasons: [/20 of the new pool and 5000 of the old, 100 are needed/] })
  t.match(judge(bad, good, limits, true), { verdict: 'too-few' })
})

t.test('one error of a hundred may be chance: it is neither passed nor failed', async t => {
  const old: Side = { requests: 1_000, errors: 2, latency: [200, 1_000], healthScore: 100 }
  const fresh: Side = { requests: 100, errors: 1, latency: [200, 100], healthScore: 100 }
  t.match(judge(old, fresh, limits, true), { verdict: 'unsure', reasons: [/^errors: 1 % of 100 against 0.2 % of 1000 \(not certain\)$/] })
  t.match(judge(old, { ...fresh, requests: 400, latency: [200, 400] }, limits, true), { verdict: 'pass' }, 'more requests settle it')
  t.match(judge(old, { ...fresh, errors: 20 }, limits, true), { verdict: 'fail' })
})

t.test('what is nearly certain ends a step before its time, with the figures in its reason', async t => {
  const random = seededRandom(seed)
  const old = aSide(random, 1_000, 0, 30)
  t.match(judge(old, aSide(random, 200, 0.5, 30), limits, false), {
    verdict: 'fail',
    reasons: [/^errors: .* % of 200 against 0 % of 1000$/]
  })
  t.match(judge(old, aSide(random, 400, 0, 90), limits, false), { verdict: 'fail', reasons: [/^latency: [23]\.\d+ times/] })
  t.match(judge(old, { ...aSide(random, 0, 0, 30), healthScore: 0 }, limits, false), { verdict: 'fail', reasons: [/is down/] })
})

t.test('a slow end is found where the middle is as it was', async t => {
  const random = seededRandom(seed)
  const { verdict, reasons } = judge(
    aSide(random, 2_000, 0, 30),
    aSide(random, 2_000, 0, 30, 0.16),
    { ...limits, maxLatencyIncrease: 1 },
    true
  )
  t.equal(verdict, 'fail')
  t.match(reasons.join(), /took longer than/)
})

t.test('a difference of less than a millisecond is none', async t => {
  const random = seededRandom(seed)
  t.match(judge(aSide(random, 1_000, 0, 0.5), aSide(random, 1_000, 0, 0.8), limits, true), { verdict: 'pass' })
})

t.test('health and rules are asked at the end', async t => {
  const random = seededRandom(seed)
  const old = aSide(random, 1_000, 0, 30)
  const fresh = aSide(random, 1_000, 0, 30)
  t.match(judge(old, { ...fresh, healthScore: 79 }, limits, true), { verdict: 'fail', reasons: ['health: 79 against 100'] })
  t.match(judge(old, { ...fresh, healthScore: 80 }, limits, true), { verdict: 'pass' })
  const rule = (metric_id: Limits['rules'][number]['metric_id'], operator: Limits['rules'][number]['operator'], threshold: number) =>
    judge(old, fresh, { ...limits, rules: [{ metric_id, operator, threshold }] }, true).verdict
  t.equal(rule('health.health_score_value', 'CO_GE', 100), 'pass')
  t.equal(rule('health.health_score_value', 'CO_GT', 100), 'fail')
  t.equal(rule('l7_server.pct_response_errors', 'CO_EQ', 0), 'pass')
  t.equal(rule('l7_server.pct95_latency', 'CO_LT', 1), 'fail')
  t.equal(rule('l7_server.avg_resp_latency', 'CO_LE', 60), 'pass')
  t.equal(rule('l7_server.pct50_latency', 'CO_NE', 7), 'pass')
})

t.test('more errors never make a verdict better', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 3_000 }), fc.nat(100), fc.nat(100), (requests, a, b) => {
      const old: Side = { requests: 1_000, errors: 3, latency: [200, 1_000], healthScore: 100 }
      const verdictOf = (errors: number) =>
        judge(old, { requests, errors, latency: [200, requests], healthScore: 100 }, limits, true).verdict
      return !(verdictOf(Math.min(a, b)) === 'fail' && verdictOf(Math.max(a, b)) === 'pass')
    }),
    { seed }
  )
})
