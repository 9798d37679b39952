import fc from 'fast-check'
import t from 'tap'
import { ratiosOf, stepsOf, withRatios } from '#controller/release/ratios.ts'
import { smoothSchedule } from '#engine/dataplane/balance/round-robin.ts'

const policy = { scheme: 'CANARY', test_traffic_ratio_rampup: 25, target_test_traffic_ratio: 100 } as const

t.test('steps of a policy', async t => {
  t.same(stepsOf(policy), [25, 50, 75, 100])
  t.same(stepsOf({ ...policy, test_traffic_ratio_rampup: 40, target_test_traffic_ratio: 90 }), [40, 80, 90])
  t.same(stepsOf({ ...policy, steps: [1, 5, 25, 100] }), [1, 5, 25, 100])
  t.same(stepsOf({ ...policy, scheme: 'BLUE_GREEN' }), [0, 100], 'the old pools are measured first')
  t.same(stepsOf({ ...policy, test_traffic_ratio_rampup: 100 }), [0, 100])
  t.same(stepsOf({ ...policy, scheme: 'BLUE_GREEN', target_test_traffic_ratio: 50 }), [50])
})

t.test('the share of the new pool is what it should be, and the old keep theirs among each other', async t => {
  const seed = 7_919
  t.comment(`seed ${seed}`)
  const old = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), old, (share, ratios) => {
      const members = ratios.map((ratio, i) => ({ pool: `old-${i}`, ratio }))
      const made = ratiosOf(share, 'new', members)
      const total = [...made.values()].reduce((sum, ratio) => sum + ratio, 0)
      const isWhole = [...made.values()].every(ratio => Number.isInteger(ratio) && ratio >= 0 && ratio <= 1_000)
      const isKept = share === 100 || members.every(({ pool }) => made.get(pool)! > 0)
      return isWhole && isKept && Math.abs((100 * made.get('new')!) / total - share) < 0.6
    }),
    { seed }
  )
})

t.test('90 to 10 over 100,000 picks is within half a point', async t => {
  const ratios = ratiosOf(10, 'new', [{ pool: 'old', ratio: 1 }])
  const schedule = smoothSchedule([...ratios.values()])
  let fresh = 0
  for (let turn = 0; turn < 100_000; turn++) if (schedule[turn % schedule.length] === 0) fresh += 1
  t.ok(Math.abs(fresh / 1_000 - 10) < 0.5, `${fresh / 1_000} %`)
})

t.test('members keep what else they say', async t => {
  const members = [{ pool_ref: 'a', ratio: 5, priority_label: '1' }, { pool_ref: 'b' }, { pool_ref: 'c', ratio: 3 }]
  const made = withRatios(members, new Map([['a', 0]]), pool => (pool === 'b' ? 'IN_SERVICE' : undefined))
  t.same(made, [
    { pool_ref: 'a', ratio: 0, priority_label: '1' },
    { pool_ref: 'b', deployment_state: 'IN_SERVICE' },
    { pool_ref: 'c', ratio: 3 }
  ])
})
