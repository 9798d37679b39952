import t from 'tap'
import { RetryBudget } from '#engine/dataplane/upstream/retry-budget.ts'
import { CELLS } from '#engine/meter/layout.ts'
import { manualClock } from '#test/support/manual-clock.ts'

const takeAll = (budget: RetryBudget): number => {
  let taken = 0
  while (budget.take()) taken++
  return taken
}

t.test('a budget is a share of the requests and the least of each second', async t => {
  const clock = manualClock()
  const cells = new Int32Array(new SharedArrayBuffer(CELLS * 4))
  const budget = new RetryBudget({ percent: 20, minPerS: 3 }, cells, clock.nowEpochMs)
  t.equal(takeAll(budget), 3, 'the least of one second to begin with')
  for (let n = 0; n < 100; n++) budget.requestBegan()
  t.equal(takeAll(budget), 20)
  clock.advance(2000)
  t.equal(takeAll(budget), 6)
  clock.advance(3_600_000)
  t.equal(takeAll(budget), 30, 'quiet time saves up for ten seconds')
})

t.test('a budget is one over all workers', async t => {
  const clock = manualClock()
  const cells = new Int32Array(new SharedArrayBuffer(CELLS * 4))
  const [one, two] = [1, 2].map(() => new RetryBudget({ percent: 50, minPerS: 0 }, cells, clock.nowEpochMs))
  for (let n = 0; n < 10; n++) one!.requestBegan()
  t.ok(two!.take())
  t.equal(takeAll(one!) + 1, 5)
})

t.test('requests without failures do not save up without end', async t => {
  const cells = new Int32Array(new SharedArrayBuffer(CELLS * 4))
  const budget = new RetryBudget({ percent: 100, minPerS: 0 }, cells, manualClock().nowEpochMs)
  for (let n = 0; n < 5000; n++) budget.requestBegan()
  t.equal(takeAll(budget), 1000)
})
