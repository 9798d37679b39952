import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import type { BalanceSpec } from '#model/snapshot/snapshot.ts'
import { makeBalancer } from '#engine/dataplane/balance/catalog.ts'
import { consistentHash } from '#engine/dataplane/balance/consistent-hash.ts'
import { fastestResponse } from '#engine/dataplane/balance/fastest-response.ts'
import { fewestServers } from '#engine/dataplane/balance/fewest-servers.ts'
import { leastConnections } from '#engine/dataplane/balance/least-connections.ts'
import { leastLoad } from '#engine/dataplane/balance/least-load.ts'
import { roundRobin, smoothSchedule, turnsOf } from '#engine/dataplane/balance/round-robin.ts'
import { twoChoices } from '#engine/dataplane/balance/two-choices.ts'
import type { Question } from '#engine/dataplane/balance/balancer.ts'
import { aCandidate, aQuestion, balancerContract, candidates } from '#test/contract/balancer.ts'

function counter(start = 0): () => number {
  let turn = start
  return () => turn++ >>> 0
}

const specs: readonly BalanceSpec[] = [
  { is: 'round-robin' },
  { is: 'least-connections' },
  { is: 'random' },
  { is: 'fastest-response' },
  { is: 'least-load' },
  { is: 'consistent-hash', by: 'source-address', header: null },
  { is: 'consistent-hash', by: 'source-address-and-port', header: null },
  { is: 'consistent-hash', by: 'uri', header: null },
  { is: 'consistent-hash', by: 'header', header: 'X-User' }
]
for (const spec of specs) {
  const name = 'by' in spec ? `${spec.is} by ${spec.by}` : spec.is
  balancerContract(t, name, () => makeBalancer(spec, { nextTurn: counter(), random: seededRandom(7) }))
}

t.test('roundRobin gives 90 to 10 within half a point over 100,000', async t => {
  const balancer = roundRobin(counter(12_345))
  const list = [aCandidate('a', 9), aCandidate('b', 1)]
  let first = 0
  for (let n = 0; n < 100_000; n++) if (balancer.pick(list, aQuestion(n)) === list[0]) first++
  t.ok(Math.abs(first / 1000 - 90) < 0.5, `${first / 1000} %`)
})

t.test('roundRobin shares one cursor with other workers', async t => {
  const turn = counter()
  const [one, two] = [roundRobin(turn), roundRobin(turn)]
  const list = candidates(4)
  const order = Array.from({ length: 8 }, (_, n) => (n % 3 === 0 ? one : two).pick(list, aQuestion(n))?.id)
  t.same(
    order,
    [...list, ...list].map(candidate => candidate.id)
  )
})

t.test('smoothSchedule spreads the heavy evenly and divides by what is common', async t => {
  t.same(smoothSchedule([5, 1, 1]), [0, 0, 1, 0, 2, 0, 0])
  t.same(smoothSchedule([20, 20]), [0, 1])
  t.same(smoothSchedule([0, 0]), [])
  t.same(smoothSchedule([]), [])
})

t.test('leastConnections takes the least for its weight, equals in turn', async t => {
  const list = [aCandidate('a', 2), aCandidate('b', 1), aCandidate('c', 1)]
  const balancer = leastConnections(counter())
  list[0]!.load = 4
  list[1]!.load = 1
  list[2]!.load = 3
  t.equal(balancer.pick(list, aQuestion(0))?.id, 'b')
  list[1]!.load = 9
  t.equal(balancer.pick(list, aQuestion(0))?.id, 'a')
})

t.test('fastestResponse takes the quick one until it is busy, and tries what it does not know', async t => {
  const list = [aCandidate('quick', 1, 1000), aCandidate('slow', 1, 8000)]
  const balancer = fastestResponse(counter())
  t.equal(balancer.pick(list, aQuestion(0))?.id, 'quick')
  list[0]!.load = 20
  t.equal(balancer.pick(list, aQuestion(0))?.id, 'slow')
  t.equal(balancer.pick([...list, aCandidate('new', 1, 0)], aQuestion(0))?.id, 'new')
})

t.test('twoChoices never takes the more loaded of two', async t => {
  const list = [aCandidate('idle'), aCandidate('busy')]
  list[1]!.load = 5
  const balancer = twoChoices(seededRandom(3))
  for (let n = 0; n < 200; n++) t.equal(balancer.pick(list, aQuestion(n))?.id, 'idle')
})

t.test('consistentHash moves no more than its share when one of 20 goes, and gives it back', async t => {
  const all = candidates(20)
  const gone = all[7]!
  const rest = all.filter(candidate => candidate !== gone)
  const [before, after] = [consistentHash({ by: 'source-address', header: null }), consistentHash({ by: 'source-address', header: null })]
  const keys = 20_000
  let moved = 0
  for (let n = 0; n < keys; n++) {
    const was = before.pick(all, aQuestion(n * 31))!
    const is = after.pick(rest, aQuestion(n * 31))!
    if (was !== is) {
      moved++
      t.equal(was, gone, 'only keys of the one that went')
    }
  }
  t.ok(moved <= (keys / 20) * 1.2 && moved >= (keys / 20) * 0.8, `${moved} of ${keys}`)
})

t.test('consistentHash is the same for all workers and whatever the order, and depends on what it is told', async t => {
  const list = candidates(6)
  const [one, two] = [consistentHash({ by: 'header', header: 'X-User' }), consistentHash({ by: 'header', header: 'x-user' })]
  const reversed = list.toReversed()
  for (let n = 0; n < 300; n++) t.equal(one.pick(list, aQuestion(n))?.id, two.pick(reversed, aQuestion(n))?.id)
  const byUri = consistentHash({ by: 'uri', header: null })
  const same = { ...aQuestion(1), clientIp: '198.51.100.1', clientPort: 9 }
  t.equal(byUri.pick(list, aQuestion(1)), byUri.pick(list, same))
  const without = { ...aQuestion(1), header: () => '' }
  t.equal(
    one.pick(list, without),
    consistentHash({ by: 'source-address', header: null }).pick(list, without),
    'without the header by the client'
  )

  const byCookie = consistentHash({ by: 'cookie', header: null, cookie: 'user' })
  const of = (user: string, more = ''): Question => ({ ...aQuestion(1), header: name => (name === 'cookie' ? `${more}user=${user}` : '') })
  const picked = new Set<string>()
  for (let n = 0; n < 300; n++) {
    const { id } = byCookie.pick(list, of(`u${n}`))!
    picked.add(id)
    t.equal(byCookie.pick(list, { ...of(`u${n}`, 'a=1; '), clientIp: '198.51.100.1' })?.id, id)
  }
  t.equal(picked.size, 6)
  const byText = consistentHash({ by: 'text', header: null })
  t.equal(byText.pick(list, { ...aQuestion(1), spreadBy: 'x' }), byText.pick(list, { ...aQuestion(2), spreadBy: 'x' }))
  for (const balancer of [byCookie, byText])
    t.equal(balancer.pick(list, without), consistentHash({ by: 'source-address', header: null }).pick(list, without), 'by the client')
})

t.test('leastLoad takes who has worked least for its weight, whatever its connections', async t => {
  const [busy, idle, strong] = [aCandidate('busy'), aCandidate('idle'), aCandidate('strong', 4)]
  const list = [
    { ...busy, busyUs: () => 900_000 },
    { ...idle, busyUs: () => 100_000, inFlight: () => 5 },
    { ...strong, busyUs: () => 300_000 }
  ]
  const balancer = leastLoad(counter())
  for (let n = 0; n < 6; n++) t.equal(balancer.pick(list, aQuestion(n))?.id, 'strong')
  for (let n = 0; n < 6; n++) t.equal(balancer.pick(list.slice(0, 2), aQuestion(n))?.id, 'idle')
})

t.test('fewestServers fills one after another, and shares when all are full', async t => {
  const list = [aCandidate('resting', 0), ...candidates(3)]
  const balancer = fewestServers(2, counter())
  const picks = Array.from({ length: 9 }, (_, n) => {
    const picked = balancer.pick(list, aQuestion(n))!
    picked.load++
    return list.indexOf(picked)
  })
  t.same(picks.slice(0, 6), [1, 1, 2, 2, 3, 3])
  t.same(
    picks.slice(6).toSorted((a, b) => a - b),
    [1, 2, 3]
  )
  list[1]!.load = 1
  t.equal(balancer.pick(list, aQuestion(1)), list[1])
  t.equal(balancer.pick([], aQuestion(1)), undefined)
})

t.test('turnsOf gives each its share, in an order without bursts, and looks at each weight a few times however large they are', async t => {
  t.equal(turnsOf([])(3), -1)
  t.equal(turnsOf([0, 0])(3), -1)
  t.same([0, 1, 2, 3].map(turnsOf([0, 7, 7])), [1, 2, 1, 2])
  t.same([0, 1, 2, 3, 4, 5, 6].map(turnsOf([5, 1, 1])), smoothSchedule([5, 1, 1]))
  t.same([0, 1, 0xffffffff].map(turnsOf([1, 1, 0])), [0, 1, 1])
  for (const [count, most] of [
    [5_000, 20],
    [1_000, 1_000],
    [300, 400]
  ] as const) {
    let reads = 0
    const weights = Array.from({ length: count }, (_, i) => (i % 10 === 0 ? 0 : 1 + ((i * 7_919) % most)))
    const watched = new Proxy(weights, {
      get: (list, key, receiver) => {
        if (typeof key === 'string' && /^\d+$/.test(key)) reads++
        return Reflect.get(list, key, receiver) as unknown
      }
    })
    const at = turnsOf(watched)
    t.ok(reads < 10 * count, `${reads} looks at ${count} weights`)
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const counts = new Float64Array(count)
    const ROUNDS = 4
    const start = 4_294_000_000
    for (let n = 0; n < ROUNDS * total; n++) counts[at((start + n) >>> 0)]!++
    const worst = weights.reduce((most, weight, i) => Math.max(most, Math.abs(counts[i]! - ROUNDS * weight)), 0)
    t.ok(worst <= 4, `${worst} off after ${ROUNDS} rounds of ${count}`)
    t.ok(weights.every((weight, i) => weight > 0 || counts[i] === 0))
  }
})

t.test('fewestServers lets the next in order stand in', async t => {
  const list = candidates(4)
  const balancer = fewestServers(2, counter())
  list[1]!.load = 1
  t.equal(balancer.standIn?.(list.slice(1)), list[1])
  list[1]!.load = 2
  t.equal(balancer.standIn?.(list.slice(1)), list[2])
})
