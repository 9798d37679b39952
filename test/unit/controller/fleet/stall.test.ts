import t from 'tap'
import { watchStalls } from '#controller/fleet/stall.ts'
import { manualClock } from '#test/support/manual-clock.ts'

/** A process whose timers come late once. */
function aProcess(stallMs: number) {
  const clock = manualClock()
  let isStanding = false
  const stalls = watchStalls({ ...clock, every: (ms, call) => clock.every(ms, () => isStanding || call()) })
  return {
    stalls,
    clock,
    standStill: () => {
      isStanding = true
      clock.advance(stallMs)
      isStanding = false
    }
  }
}

t.test('a process that stood still knows it, also before its first timer, for two seconds', async t => {
  const { stalls, clock, standStill } = aProcess(5_000)
  clock.advance(60_000)
  t.notOk(stalls.lately(), 'time alone is no stall')
  standStill()
  t.ok(stalls.lately())
  clock.advance(2_000)
  t.ok(stalls.lately())
  clock.advance(250)
  t.notOk(stalls.lately())
  stalls.stop()
})

t.test('what is shorter than agents wait is none', async t => {
  const { stalls, standStill } = aProcess(900)
  standStill()
  t.notOk(stalls.lately())
})
