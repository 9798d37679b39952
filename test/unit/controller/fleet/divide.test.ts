import t from 'tap'
import { divide, type Holder } from '#controller/fleet/divide.ts'

/** The Park-Miller generator: the same numbers for the same seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
}
const seed = Number(process.env['WEIR_SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000))
t.comment(`seed ${seed}`)

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const someHolders = (random: () => number): Holder[] =>
  Array.from({ length: 1 + Math.floor(random() * 12) }, () => ({
    share: random() < 0.2 ? 0 : random(),
    demand: random() < 0.3 ? 0 : random() * 10 ** (random() * 6 - 1),
    owedMs: random() < 0.3 ? 0 : random() * 5_000
  }))

t.test('divide never gives more than the budget, and something to everybody', async t => {
  const random = seeded(seed)
  for (let i = 0; i < 2_000; i++) {
    const holders = someHolders(random)
    const portions = divide(holders)
    const total = sum(portions.map(({ share }) => share))
    if (Math.abs(total - 1) > 1e-9) t.fail(`${JSON.stringify(holders)} add up to ${total}`)
    let settled = holders
    for (let round = 0; round < 20; round++) settled = settled.map((holder, j) => ({ ...holder, share: divide(settled)[j]!.share }))
    const least = Math.min(...settled.map(({ share }) => share))
    if (least < 0.019 / holders.length) t.fail(`${JSON.stringify(holders)} leave one with ${least}`)
  }
})

t.test('divide goes straight to where it should be: every step is nearer, and none goes past it', async t => {
  const random = seeded(seed)
  for (let i = 0; i < 500; i++) {
    const holders = someHolders(random)
    const demand = sum(holders.map(holder => holder.demand))
    const goal = holders.map(holder => (demand < 0.01 ? 1 / holders.length : 0.02 / holders.length + (0.98 * holder.demand) / demand))
    let now = divide(holders).map(({ share }, j) => ({ ...holders[j]!, share }))
    for (let round = 0; round < 30; round++) {
      const next = divide(now)
      for (const [j, { share }] of next.entries()) {
        const [before, after] = [goal[j]! - now[j]!.share, goal[j]! - share]
        if (Math.abs(after) > Math.abs(before) + 1e-12 || before * after < -1e-12) t.fail(`${before} became ${after}`)
      }
      now = now.map((holder, j) => ({ ...holder, share: next[j]!.share }))
    }
    for (const [j, { share }] of now.entries()) if (Math.abs(share - goal[j]!) > 1e-6) t.fail(`${share} is not ${goal[j]}`)
  }
})

t.test('divide moves tokens with shares: buckets together hold what they held', async t => {
  const random = seeded(seed)
  for (let i = 0; i < 500; i++) {
    const given = someHolders(random)
    const held = sum(given.map(({ share }) => share))
    if (held === 0) continue
    const holders = given.map(holder => ({ ...holder, share: holder.share / held }))
    const portions = divide(holders)
    const before = sum(holders.map(({ share, owedMs }) => share * owedMs))
    const after = sum(
      portions.map(({ share, owedMs }, j) => {
        const holder = holders[j]!
        return share <= holder.share ? share * holder.owedMs : holder.share * holder.owedMs + (share - holder.share) * owedMs
      })
    )
    if (Math.abs(before - after) > 1e-6) t.fail(`${before} became ${after}`)
  }
})

t.test('what an engine left behind is everybody else’s', async t => {
  const [one, two] = divide([
    { share: 0.25, demand: 0, owedMs: 0 },
    { share: 0.25, demand: 0, owedMs: 0 }
  ])
  t.same([one?.share, two?.share], [0.5, 0.5])
})
