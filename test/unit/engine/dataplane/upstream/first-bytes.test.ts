import t from 'tap'
import { FirstBytes } from '#engine/dataplane/upstream/first-bytes.ts'

t.test('FirstBytes says nothing before it has seen enough', async t => {
  const bytes = new FirstBytes()
  for (let n = 0; n < 49; n++) bytes.add(1_000)
  t.equal(bytes.percentileMs(0.95, 0), null)
  bytes.add(1_000)
  t.ok(Math.abs(bytes.percentileMs(0.95, 0)! - 1) < 0.04)
})

t.test('FirstBytes knows the tail, looks again after a while, and forgets', async t => {
  const bytes = new FirstBytes()
  const near = (ms: number | null, wanted: number): boolean => ms !== null && Math.abs(ms - wanted) <= wanted / 16
  for (let n = 0; n < 1_000; n++) bytes.add(n % 10 === 0 ? 100_000 : 2_000)
  t.ok(near(bytes.percentileMs(0.5, 0), 2))
  t.ok(near(bytes.percentileMs(0.95, 1), 100), 'another percentile is read at once')
  for (let n = 0; n < 20_000; n++) bytes.add(4_000)
  t.ok(near(bytes.percentileMs(0.95, 100), 100), 'what was read stays for a while')
  t.ok(near(bytes.percentileMs(0.95, 300), 4))
})
