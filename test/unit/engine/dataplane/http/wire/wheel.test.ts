import t from 'tap'
import { Timer, Wheel } from '#engine/dataplane/http/wire/wheel.ts'
import { manualClock } from '#test/support/manual-clock.ts'

t.test('a deadline is never early, hardly late, and met once', async t => {
  const clock = manualClock()
  const wheel = new Wheel(clock)
  clock.advance(12_345)
  let expired = 0
  const timer = new Timer(() => expired++)
  for (const delayMs of [0, 1, 99, 100, 101, 1_000]) {
    expired = 0
    const lane = wheel.lane(delayMs)
    lane.arm(timer)
    clock.advance(Math.max(0, delayMs - 1))
    t.equal(expired, 0, `${delayMs} ms: not before`)
    clock.advance(301)
    t.equal(expired, 1, `${delayMs} ms: soon after`)
    clock.advance(5_000)
    t.equal(expired, 1, `${delayMs} ms: once`)
  }
})

t.test('a timer has one deadline: the last that was set, or none', async t => {
  const clock = manualClock()
  const wheel = new Wheel(clock)
  const met: string[] = []
  const timers = ['a', 'b', 'c', 'd'].map(name => new Timer(() => met.push(name)))
  const [a, b, c, d] = timers as [Timer, Timer, Timer, Timer]
  for (const timer of timers) wheel.lane(1_000).arm(timer)
  b.disarm()
  b.disarm()
  wheel.lane(5_000).arm(c)
  clock.advance(500)
  wheel.lane(1_000).arm(a)
  clock.advance(800)
  t.same(met, ['d'])
  clock.advance(500)
  t.same(met, ['d', 'a'])
  clock.advance(5_000)
  t.same(met, ['d', 'a', 'c'])
  t.notOk([a, b, c, d].some(timer => timer.isArmed))
})

t.test('a deadline may set deadlines, its own and others\u2019', async t => {
  const clock = manualClock()
  const wheel = new Wheel(clock)
  const lane = wheel.lane(100)
  let count = 0
  const other = new Timer(() => count++)
  const timer: Timer = new Timer(() => {
    if (++count < 5) lane.arm(timer)
    lane.arm(other)
  })
  lane.arm(timer)
  clock.advance(10_000)
  t.equal(count, 6)
})

t.test('a wheel without deadlines does not tick', async t => {
  const clock = manualClock()
  const wheel = new Wheel(clock)
  t.equal(clock.waiting(), 0)
  const timer = new Timer(() => undefined)
  wheel.lane(1_000).arm(timer)
  t.equal(clock.waiting(), 1)
  timer.disarm()
  clock.advance(1_000)
  t.equal(clock.waiting(), 0)
  wheel.lane(1_000).arm(timer)
  wheel.stop()
  t.equal(clock.waiting(), 0)
})

t.test('thousands of deadlines at once leave room for others between them', async t => {
  const clock = manualClock()
  let [met, most] = [0, 0]
  const watched = (call: () => void) => (): void => {
    const before = met
    call()
    most = Math.max(most, met - before)
  }
  const wheel = new Wheel({
    ...clock,
    after: (delayMs, call) => clock.after(delayMs, watched(call)),
    every: (intervalMs, call) => clock.every(intervalMs, watched(call))
  })
  for (let i = 0; i < 2_000; i++) wheel.lane(i % 2 === 0 ? 100 : 101).arm(new Timer(() => met++))
  clock.advance(500)
  t.equal(met, 2_000, 'all are met')
  t.ok(most <= 100, `${most} in one go`)
  t.equal(clock.waiting(), 0)
})
