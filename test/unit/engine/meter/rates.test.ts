import t from 'tap'
import { makeRates, openRates, openRatesBook } from '#engine/meter/rates.ts'

const MS = 1_000_000

t.test('take gives a full bucket at once and then one token each interval, over all workers', async t => {
  let now = 1_000_000_000n
  const buffer = makeRates([1, 2])
  const workers = [openRates(buffer, () => now), openRates(buffer, () => now)] as const
  const takes = workers.map(worker => worker.open({ id: 'limit', intervalNs: 10 * MS, capacity: 3 }))
  const take = (n: number, key = 'a'): number => takes[n % 2]!(key)
  t.same(
    [0, 1, 2, 3].map(n => take(n)),
    [0, 0, 0, 10 * MS]
  )
  t.equal(take(0, 'b'), 0, 'another key has its own bucket')
  now += BigInt(4 * MS)
  t.equal(take(0), 6 * MS)
  now += BigInt(6 * MS)
  t.same([take(1), take(0)], [0, 10 * MS])
  now += BigInt(1_000 * MS)
  t.same(
    [0, 1, 2, 3].map(n => take(n) === 0),
    [true, true, true, false],
    'a bucket never holds more than its capacity'
  )
})

t.test('take admits the rate in the long run, whatever is offered', async t => {
  let now = 0n
  const take = openRates(makeRates([3, 4]), () => now).open({ id: 'limit', intervalNs: MS, capacity: 50 })
  const perSecond: number[] = []
  for (let second = 0; second < 5; second++) {
    let admitted = 0
    for (let i = 0; i < 5_000; i++) {
      now += BigInt(MS / 5)
      if (take('') === 0) admitted++
    }
    perSecond.push(admitted)
  }
  t.ok(
    perSecond.every(count => count >= 950 && count <= 1_050),
    perSecond.join()
  )
})

t.test('take has a bounded table: more keys than cells push out those that are nearly full again', async t => {
  let now = 0n
  const buffer = makeRates([5, 6])
  const rates = openRates(buffer, () => now)
  const slow = rates.open({ id: 'slow', intervalNs: 1_000 * MS, capacity: 10 })
  const fast = rates.open({ id: 'fast', intervalNs: MS, capacity: 10 })
  for (let i = 0; i < 10; i++) slow('busy')
  t.not(slow('busy'), 0)
  for (let i = 0; i < 200_000; i++) fast(`stranger ${i}`)
  now += BigInt(MS)
  t.not(slow('busy'), 0, 'an empty bucket outlives a flood of strangers')
  t.ok(buffer.byteLength < 2_000_000)
})

t.test('a budget of bytes lets its rate go in the long run, over all workers, and says how far behind each is', async t => {
  let now = 1_000_000_000n
  const buffer = makeRates([1, 2])
  const limit = { id: 'bytes', intervalNs: 1_000, capacity: 100_000 }
  const [one, two] = [openRates(buffer, () => now).openBudget(limit), openRates(buffer, () => now).openBudget(limit)]
  t.equal(one.take('', 60_000), 0)
  t.equal(two.take('', 60_000), 20_000)
  t.equal(one.take('', 10_000), 30_000, 'who comes later is further behind')
  t.equal(two.take('other', 60_000), 0, 'another key has its own')
  t.equal(one.nsPerByte(''), 1_000)
  now += 30_000_000n
  t.equal(one.take('', 0), 0)
  t.equal(one.take('', 50_000), 50_000)
  t.equal(one.take('', -50_000), 0, 'what did not go is given back')
  now += 10_000_000_000n
  t.equal(one.take('', -1_000), 0)
  t.equal(one.take('', 100_000), 0)
  t.equal(one.take('', 1), 1, 'a bucket never holds more than its capacity')
})

t.test('what waits for a budget of bytes is asked for, so that engines share it by what they have to send', async t => {
  const now = 1_000_000_000n
  const buffer = makeRates([1, 2])
  const limit = { id: 'bytes', intervalNs: 1_000, capacity: 100_000, engines: 2 }
  const budget = openRates(buffer, () => now).openBudget(limit)
  const book = openRatesBook(buffer, () => now)
  t.equal(budget.nsPerByte(''), 2_000, 'half of it at the start')
  budget.take('', 250_000)
  const [use] = book.collect([limit], 10)
  t.match(use, { asked: 450_000, share: 0.5 })
  book.share(limit, { bucket: use!.bucket, share: 1, owedMs: use!.owedMs })
  t.equal(budget.nsPerByte(''), 1_000)
})
