import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { learn, stepsOf } from '#controller/scale/forecast.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const DAY = 144
/** A day with a quiet night and a peak in the afternoon, in engines. */
const shapeAt = (step: number): number => 2 + 1.8 * Math.sin(((step % DAY) / DAY) * 2 * Math.PI - Math.PI / 2) ** 3

function days(count: number, more: (step: number) => number | null): (number | null)[] {
  return Array.from({ length: count * DAY }, (_, step) => {
    const added = more(step)
    return added === null ? null : Math.max(0, shapeAt(step) + added)
  })
}

function meanMiss(ahead: readonly number[], from: number, truth: (step: number) => number): number {
  return ahead.reduce((sum, value, i) => sum + Math.abs(value - truth(from + i)), 0) / ahead.length
}

t.test('learn foretells a day that it has seen, through noise and gaps, and knows that it does', async t => {
  const random = seededRandom(seed)
  const noise = (): number => (random() + random() + random() - 1.5) * 0.3
  for (const [name, more] of [
    ['clean', () => 0],
    ['noisy', noise],
    ['with gaps', (step: number) => (step % 7 === 3 || (step > 500 && step < 560) ? null : noise())]
  ] as const) {
    const learnt = learn(days(7, more), DAY, 12)
    t.ok(learnt?.isUsable, name)
    t.equal(learnt?.seasons, 7)
    const miss = meanMiss(learnt!.ahead, 7 * DAY, shapeAt)
    t.ok(miss < 0.25, `${name}: misses by ${miss}`)
  }
})

t.test('learn sees the rise before it comes, wherever in the day it stands', async t => {
  const history = days(5, () => 0)
  for (let cut = 0; cut < DAY; cut += 12) {
    const until = 4 * DAY + cut
    const learnt = learn(history.slice(0, until), DAY, 6)!
    t.ok(
      Math.abs(learnt.ahead[5]! - shapeAt(until + 5)) < 0.2,
      `an hour ahead at step ${cut}: ${learnt.ahead[5]} for ${shapeAt(until + 5)}`
    )
  }
})

t.test('learn follows a trend, and does not carry it on for ever', async t => {
  const learnt = learn(
    days(10, step => (step / DAY) * 0.3),
    DAY,
    24
  )!
  t.ok(meanMiss(learnt.ahead, 10 * DAY, step => shapeAt(step) + (step / DAY) * 0.3) < 0.4)
  const far = learn(
    days(10, step => (step / DAY) * 0.3),
    DAY,
    10 * DAY
  )!
  t.ok(Math.max(...far.ahead) < 10, 'ten days of growth are not added for the ten days ahead')
})

t.test('learn says nothing of too little, and is not used where it knows no better than now', async t => {
  const random = seededRandom(seed)
  t.equal(
    learn(
      days(1, () => 0),
      DAY,
      6
    ),
    undefined
  )
  t.equal(learn([], DAY, 6), undefined)
  t.equal(
    learn(
      days(4, step => (step % 3 === 0 ? 0 : null)),
      DAY,
      6
    ),
    undefined,
    'more gaps than values'
  )
  t.equal(
    learn(
      Array.from({ length: 4 * DAY }, () => null),
      DAY,
      6
    ),
    undefined
  )
  let walk = 5
  const drift = Array.from({ length: 6 * DAY }, () => (walk = Math.max(0, walk + (random() - 0.5) * 0.4)))
  t.equal(learn(drift, DAY, 2)?.isUsable, false, 'a walk has no season')
  const flat = learn(
    Array.from({ length: 3 * DAY }, () => 1.5),
    DAY,
    3
  )
  t.ok(flat!.ahead.every(value => Math.abs(value - 1.5) < 1e-9))
  t.equal(flat!.isUsable, false, 'a flat load needs no forecast')
})

t.test('learn never foretells less than nothing', async t => {
  const night = Array.from({ length: 4 * DAY }, (_, step) => (step % DAY < 20 ? 3 : 0))
  t.ok(learn(night, DAY, DAY)!.ahead.every(value => value >= 0))
})

t.test('stepsOf takes minutes where there are some, and lines between hours before', async t => {
  const untilEpochS = 10 * 86_400
  const coarse = Array.from({ length: 48 }, (_, i) => ({ atEpochS: untilEpochS - (48 - i) * 3_600, value: i }))
  const fine = Array.from({ length: 30 }, (_, i) => ({ atEpochS: untilEpochS - (30 - i) * 60, value: 100 + i }))
  const steps = stepsOf({ fine, coarse }, { stepS: 600, count: 300, untilEpochS })
  t.equal(steps.length, 300)
  t.same(steps.slice(-3), [104.5, 114.5, 124.5])
  t.equal(steps[0], null, 'before the first hour nothing is known')
  const hours = steps.slice(12, 297)
  t.ok(
    hours.every((value, i) => value !== null && (i === 0 || value >= hours[i - 1]!)),
    'a rising line stays one'
  )
})
