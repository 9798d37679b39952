import t from 'tap'
import { makeRates, openRates } from '#engine/meter/rates.ts'

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
