import t from 'tap'
import { windowEndMs } from '#model/snapshot/limit.ts'
import { makeRates, openRates, openRatesBook } from '#engine/meter/rates.ts'

const noon = Date.UTC(2027, 1, 28, 12)

t.test('windowEndMs is the end of the day or month, in UTC', async t => {
  t.equal(windowEndMs('day', noon), Date.UTC(2027, 2, 1))
  t.equal(windowEndMs('month', noon), Date.UTC(2027, 2, 1))
  t.equal(windowEndMs('month', Date.UTC(2027, 11, 31, 23, 59, 59, 999)), Date.UTC(2028, 0, 1))
  t.equal(windowEndMs('day', Date.UTC(2028, 1, 28)), Date.UTC(2028, 1, 29))
})

t.test('a quota is for all workers and each key, and is whole again when its window ends', async t => {
  let now = noon
  const buffer = makeRates([1, 2])
  const quota = { id: 'vs/requests', count: 3, period: 'day' } as const
  const uses = [1, 2].map(() =>
    openRates(
      buffer,
      () => 0n,
      () => now
    ).openQuota(quota)
  )
  const end = Date.UTC(2027, 2, 1)
  t.same(
    [0, 1, 0, 1, 0].map(worker => uses[worker]!('a')),
    [0, 0, 0, end, end]
  )
  t.equal(uses[0]!('b'), 0)
  now = end
  t.equal(uses[0]!('a'), 0)
})

t.test('what was used is told once; what is left comes from the controller', async t => {
  const buffer = makeRates([1, 2])
  const quota = { id: 'vs/requests', count: 10, period: 'month', engines: 2, seed: [3, 4] } as const
  const use = openRates(
    buffer,
    () => 0n,
    () => noon
  ).openQuota(quota)
  const book = openRatesBook(buffer, () => 0n)
  for (let i = 0; i < 4; i++) use('a')
  const [told] = book.collectQuotas([quota], 10)
  t.match(told, { limitId: 'vs/requests', count: 10, used: 4, endsAtEpochMs: Date.UTC(2027, 2, 1) })
  t.same(book.collectQuotas([quota], 10), [])
  use('a')
  book.quotaLeft(quota, { ...told!, left: 3 })
  t.same(
    [1, 2, 3].map(() => use('a') === 0),
    [true, true, false],
    'what was used since is taken off'
  )
  t.match(book.collectQuotas([quota], 10), [{ used: 3 }])
  use('a')
  t.match(book.collectQuotas([quota], 10), [{ used: 0 }], 'asked in vain is told as well')

  const other = makeRates([7, 8])
  openRatesBook(other, () => 0n).quotaLeft(quota, { ...told!, left: 1 })
  const there = openRates(
    other,
    () => 0n,
    () => noon
  ).openQuota(quota)
  t.same([there('a') === 0, there('a') === 0], [true, false], 'an engine that begins knows what is left before the first request')
})

t.test('more keys than there is room for are let through', async t => {
  const use = openRates(
    makeRates([1, 2]),
    () => 0n,
    () => noon
  ).openQuota({ id: 'q', count: 1, period: 'day' })
  let refused = 0
  for (let i = 0; i < 20_000; i++) if (use(`key ${i}`) !== 0) refused++
  t.equal(refused, 0)
})
