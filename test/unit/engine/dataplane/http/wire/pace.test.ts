import t from 'tap'
import { bodyPaceOf, Pace, paceOf, tunnelIdleOf } from '#engine/dataplane/http/wire/pace.ts'
import { plainHttp } from '#test/support/snapshot.ts'

/** Asks each half second; answers when it was too slow, or the end. */
function endOf(pace: Pace, bytesAt: (ms: number) => number, untilMs: number): number {
  pace.begin(0)
  for (let nowMs = 500; nowMs <= untilMs; nowMs += 500) {
    pace.passed(bytesAt(nowMs), nowMs)
    if (pace.isTooSlow(nowMs)) return nowMs
  }
  return untilMs
}

const usual = { minBytesPerS: 100, graceMs: 10_000 }

t.test('Pace ends what stands still one grace after it last moved', async t => {
  t.equal(
    endOf(new Pace(usual), () => 0, 60_000),
    10_000
  )
  t.equal(
    endOf(new Pace(usual), ms => (ms <= 4_000 ? 100_000 : 0), 60_000),
    14_000
  )
})

t.test('Pace ends what drips, and lets go on what has the least rate on average', async t => {
  t.equal(
    endOf(new Pace(usual), () => 49, 60_000),
    10_000
  )
  t.equal(
    endOf(new Pace(usual), () => 50, 60_000),
    60_000
  )
  t.equal(
    endOf(new Pace(usual), ms => (ms % 5_000 === 0 ? 500 : 0), 60_000),
    60_000,
    'in bursts'
  )
  t.equal(
    endOf(new Pace(usual), ms => (ms <= 1_000 ? 1_000_000 : 1), 60_000),
    20_000,
    'what came before buys nothing'
  )
})

t.test('Pace without a rate asks for a sign of life', async t => {
  const pace = new Pace({ minBytesPerS: 0, graceMs: 2_000 })
  t.equal(
    endOf(pace, ms => (ms % 1_500 === 0 && ms < 10_000 ? 1 : 0), 60_000),
    11_000
  )
})

t.test('bodyPaceOf keeps the shorter of two times, and the profile alone holds without a rate', async t => {
  t.same(bodyPaceOf({ ...plainHttp, bodyTimeoutMs: 3_000 }), { minBytesPerS: 240, graceMs: 3_000 })
  t.same(bodyPaceOf({ ...plainHttp, bodyTimeoutMs: 30_000 }), { minBytesPerS: 240, graceMs: 10_000 })
  const pace = { minBytesPerS: 0, graceMs: 1_000 }
  t.same(bodyPaceOf({ ...plainHttp, pace, bodyTimeoutMs: 30_000 }), { minBytesPerS: 0, graceMs: 30_000 })
  t.same(paceOf({ ...plainHttp, pace }), pace)
  t.equal(tunnelIdleOf(plainHttp), 600_000)
  t.equal(tunnelIdleOf({ ...plainHttp, tunnelIdleTimeoutMs: 0 }), 0)
})
