import t from 'tap'
import { addressGroup, Throttle } from '#controller/access/throttle.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const settings = { freeFailures: 2, firstWaitMs: 100, maxWaitMs: 1000, forgetMs: 5000, keysMax: 3 }

t.test('Throttle lets some failures pass, then waits longer each time up to its bound', async t => {
  const clock = manualClock()
  const throttle = new Throttle(clock, settings)
  const waits = []
  for (let at = 0; at < 9; at++) {
    throttle.failed('a')
    waits.push(throttle.waitMs('a'))
  }
  t.same(waits, [0, 0, 100, 200, 400, 800, 1000, 1000, 1000])
  t.equal(throttle.waitMs('b'), 0)
  clock.advance(999)
  t.equal(throttle.waitMs('a'), 1)
  clock.advance(1)
  t.equal(throttle.waitMs('a'), 0)
})

t.test('Throttle forgets after a success, after a while, and when there are too many', async t => {
  const clock = manualClock()
  const throttle = new Throttle(clock, settings)
  const fail = (key: string, times = 3) => {
    for (let at = 0; at < times; at++) throttle.failed(key)
  }
  fail('a')
  throttle.succeeded('a')
  throttle.failed('a')
  t.equal(throttle.waitMs('a'), 0)
  fail('a')
  clock.advance(5000)
  fail('a', 1)
  t.equal(throttle.waitMs('a'), 0)
  fail('a')
  for (const key of ['b', 'c', 'd']) fail(key)
  t.equal(throttle.waitMs('a'), 0, 'the one that failed longest ago went')
  t.ok(throttle.waitMs('d') > 0)
})

t.test('addressGroup puts together what one host may choose from', async t => {
  t.equal(addressGroup('10.0.0.1'), '10.0.0.1')
  t.equal(addressGroup('::ffff:10.0.0.1'), '10.0.0.1')
  t.equal(addressGroup('2001:db8:1:2:3:4:5:6'), addressGroup('2001:DB8:1:2::9'))
  t.equal(addressGroup('2001:db8::1'), '2001:db8:0:0::/64')
  t.not(addressGroup('2001:db8:1:2::1'), addressGroup('2001:db8:1:3::1'))
  t.equal(addressGroup('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(addressGroup('::1'), '0:0:0:0::/64')
  t.equal(addressGroup(''), '')
})
