import t from 'tap'
import { makeRates, openRates } from '#engine/meter/rates.ts'

const MS = 1_000_000

t.test('take gives a full bucket at once and then one token each interval, over all workers', async t => {
  let now = 1_000_000_000n
  const buffer = makeRates([1, 2])
  const workers = [openRates(buffer, () => now), openRates(buffer, () => now)] as const
  const take = (n: number, key = 'a'): number => workers[n % 2]!.take('limit', key, 10 * MS, 3)
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
  const rates = openRates(makeRates([3, 4]), () => now)
  const perSecond: number[] = []
  for (let second = 0; second < 5; second++) {
    let admitted = 0
    for (let i = 0; i < 5_000; i++) {
      now += BigInt(MS / 5)
      if (rates.take('limit', '', MS, 50) === 0) admitted++
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
  for (let i = 0; i < 10; i++) rates.take('limit', 'busy', 1_000 * MS, 10)
  t.not(rates.take('limit', 'busy', 1_000 * MS, 10), 0)
  for (let i = 0; i < 200_000; i++) rates.take('limit', `stranger ${i}`, MS, 10)
  now += BigInt(MS)
  t.not(rates.take('limit', 'busy', 1_000 * MS, 10), 0, 'an empty bucket outlives a flood of strangers')
  t.ok(buffer.byteLength < 2_000_000)
})
