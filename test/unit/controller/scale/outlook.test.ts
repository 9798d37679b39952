import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { DEMAND, Outlook } from '#controller/scale/outlook.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const seed = Number(process.env['WEIR_SEED'] ?? 20_261)
t.comment(`seed ${seed}`)

const DAY_S = 86_400
const START_S = 1_699_920_000
/** Quiet, but from 9 to 17 o'clock. */
const demandAt = (epochS: number): number => ((epochS % DAY_S) / 3_600 >= 9 && (epochS % DAY_S) / 3_600 < 17 ? 3 : 0.5)

t.test('Outlook learns days from the series, knows the rise before it comes, and learns the same again after a restart', async t => {
  const random = seededRandom(seed)
  const store = openMemoryStore()
  for (let day = 0; day < 4; day++) {
    for (let s = 0; s < DAY_S; s += 30) {
      const atEpochS = START_S + day * DAY_S + s
      store.series.append([
        { entity: 'shop', metric: DEMAND, atEpochS, value: demandAt(atEpochS) * (0.95 + 0.1 * random()), rollup: 'mean' }
      ])
      if (s % 1_800 === 0) store.series.flush()
    }
    store.series.flush()
    store.series.prune(START_S + (day + 1) * DAY_S)
  }
  const ask = (hour: number, minute: number) => {
    const at = START_S + 4 * DAY_S + hour * 3_600 + minute * 60
    const later = manualClock(at * 1_000)
    const outlook = new Outlook(store.series, later)
    t.equal(outlook.within('shop', 900_000), undefined, 'nobody noted it yet')
    outlook.begin()
    outlook.note('shop', 0.5)
    return { expected: outlook.within('shop', 900_000), view: outlook.view('shop') }
  }
  const night = ask(0, 30)
  t.match(night.view, { is_usable: true, step_s: 600, days: 4 })
  t.ok(night.expected! < 1, `at night: ${night.expected}`)

  // The fifth day goes on as the others did.
  for (let s = 0; s < 9 * 3_600; s += 30) {
    const atEpochS = START_S + 4 * DAY_S + s
    store.series.append([{ entity: 'shop', metric: DEMAND, atEpochS, value: demandAt(atEpochS), rollup: 'mean' }])
    if (s % 1_800 === 0) store.series.flush()
  }
  const before = ask(8, 50)
  t.ok(before.expected! > 2, `ten minutes before the rise: ${before.expected}`)
  t.same(ask(8, 50), before, 'a controller that starts again says the same')
})

t.test('Outlook says nothing of what it does not know', async t => {
  const store = openMemoryStore()
  const clock = manualClock()
  const outlook = new Outlook(store.series, clock)
  outlook.begin()
  outlook.note('new', 1)
  t.equal(outlook.within('new', 900_000), undefined)
  t.equal(outlook.view('new'), null)
  outlook.forget('new')
  t.equal(outlook.within('new', 900_000), undefined)
})
