import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { attachMemory, makeMemory } from '#engine/meter/shared.ts'
import { Pool, QUEUE_WAIT_MS, type Lease, type LeaseResult } from '#engine/dataplane/upstream/pool.ts'
import { Targets } from '#engine/dataplane/upstream/targets.ts'
import { aQuestion } from '#test/contract/balancer.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aPool, aServer } from '#test/support/snapshot.ts'

function open(part: PoolPart, previous?: Pool) {
  const clock = manualClock()
  const memory = makeMemory({ workers: 1, nowMs: clock.nowMs })
  const slots = memory.assign({ virtualServices: [], pools: [{ id: part.id, servers: part.servers.map(server => server.id) }] })
  const services = {
    clock,
    random: seededRandom(1),
    memory: attachMemory(memory.buffer, 0, 1, slots),
    addresses: { next: () => undefined }
  }
  return { clock, memory, pool: new Pool(part, services, () => null, previous) }
}

const isLease = (result: LeaseResult): result is Lease => typeof result !== 'string'
const lease = (pool: Pool, n = 0, tried: readonly string[] | null = null): Lease => {
  const result = pool.lease(aQuestion(n), tried)
  if (!isLease(result)) throw new Error(result)
  return result
}

t.test('lease counts a place over all workers until it is released, once', async t => {
  const { pool, memory } = open(aPool([1, 2]))
  const [first, second] = [lease(pool), lease(pool)]
  t.not(first.serverId, second.serverId)
  t.equal(memory.inFlight('pool-1', first.serverId), 1)
  first.release()
  first.release()
  t.equal(memory.inFlight('pool-1', first.serverId), 0)
})

t.test('lease passes over what failed, and says none when all did', async t => {
  const { pool } = open(aPool([1, 2, 3]))
  const tried: string[] = []
  for (let i = 0; i < 3; i++) tried.push(lease(pool, i, tried).serverId)
  t.equal(new Set(tried).size, 3)
  t.equal(pool.lease(aQuestion(0), tried), 'none')
})

t.test('lease keeps the limit of each server and tells full from none', async t => {
  const { pool } = open(aPool([1, 2], { maxConnectionsPerServer: 2 }))
  const held = Array.from({ length: 4 }, () => lease(pool))
  t.equal(pool.lease(aQuestion(0), null), 'full')
  t.equal(pool.lease(aQuestion(0), ['127.0.0.1:1']), 'full', 'the one that is left is full')
  held[0]!.release()
  t.equal(lease(pool).serverId, held[0]!.serverId)
  t.equal(open(aPool([])).pool.lease(aQuestion(0), null), 'none')
})

t.test('disabled servers and those without weight take nothing new', async t => {
  const { pool } = open(aPool([aServer(1, { isEnabled: false }), aServer(2, { weight: 0 }), aServer(3)]))
  for (let n = 0; n < 10; n++) t.equal(lease(pool, n).serverId, '127.0.0.1:3')
  t.equal(pool.resting().length, 2)
})

t.test('wait serves in order as places come free, and late ones are told', async t => {
  const { pool, clock } = open(aPool([1], { maxConnectionsPerServer: 1, queue: { depth: 2 } }))
  const held = lease(pool)
  const said: string[] = []
  const waiter =
    (name: string) =>
    (isLate: boolean): boolean => {
      if (isLate) return said.push(`${name} late`) > 0
      const result = pool.lease(aQuestion(0), null)
      return isLease(result) ? said.push(`${name} served`) > 0 : false
    }
  t.ok(pool.wait(waiter('a')))
  t.ok(pool.wait(waiter('b')))
  t.notOk(pool.wait(waiter('c')), 'the queue is full')
  held.release()
  t.same(said, ['a served'])
  clock.advance(QUEUE_WAIT_MS + 100)
  t.same(said, ['a served', 'b late'])
  t.equal(clock.waiting(), 0, 'nothing is looked for any more')
  t.notOk(
    open(aPool([1])).pool.wait(() => true),
    'a pool without a queue'
  )
})

t.test('a new generation takes over servers whose make did not change', async t => {
  const part = aPool([1, 2])
  const before = open(part).pool
  const edited = open(aPool([aServer(1, { weight: 5 }), aServer(2, { hostHeader: 'x' }), aServer(3)]), before).pool
  const [one, two] = edited.servers()
  t.equal(one, before.servers()[0], 'weight is none of its make')
  t.not(two, before.servers()[1])
})

t.test('a group that keeps clients on their side: shares hold, and only those move that must', async t => {
  const pools = new Map(['a', 'b', 'c'].map(id => [id, open(aPool([1], { id, name: id })).pool]))
  const group = (ratios: Record<string, number>) =>
    ({
      is: 'group',
      id: 'g',
      name: 'group',
      members: Object.entries(ratios).map(([poolId, ratio]) => ({ poolId, ratio, priority: 0 })),
      failAction: { is: 'close' },
      sticky: { by: 'client-address' }
    }) as const
  const side = (ratios: Record<string, number>, key: string, poolOf = (id: string) => pools.get(id)): string => {
    const choice = new Targets().choose(group(ratios), poolOf, key)
    return choice?.is === 'pool' ? choice.pool.part.id : 'fail'
  }
  const keys = Array.from({ length: 100_000 }, (_, i) => `192.0.2.${i % 256}/${i}`)
  const before = keys.map(key => side({ a: 90, b: 10 }, key))
  const share = (sides: readonly string[], of: string): number => (100 * sides.filter(one => one === of).length) / sides.length
  t.ok(Math.abs(share(before, 'b') - 10) < 0.5, `${share(before, 'b')} %`)
  t.same(
    keys.slice(0, 1_000).map(key => side({ b: 100, a: 900 }, key)),
    before.slice(0, 1_000),
    'neither their order nor their scale matters'
  )
  const after = keys.map(key => side({ a: 75, b: 25 }, key))
  t.ok(Math.abs(share(after, 'b') - 25) < 0.5, `${share(after, 'b')} %`)
  t.notOk(
    before.some((one, i) => one === 'b' && after[i] !== 'b'),
    'who was on the side that grows stays there'
  )
  const three = keys.map(key => side({ a: 45, b: 10, c: 45 }, key))
  const grown = keys.map(key => side({ a: 25, b: 50, c: 25 }, key))
  t.notOk(
    three.some((one, i) => one !== grown[i] && grown[i] !== 'b'),
    'nobody moves between the old ones'
  )
  t.equal(side({ a: 0, b: 1 }, 'x'), 'b')
  const onlyA = (id: string) => (id === 'a' ? pools.get('a') : undefined)
  t.same(new Set(keys.slice(0, 1_000).map(key => side({ a: 1, b: 999 }, key, onlyA))), new Set(['a']), 'a side that is down is left')
})

t.test('Targets chooses by priority and ratio among what is available', async t => {
  const pools = new Map(['a', 'b', 'c'].map(id => [id, open(aPool([1], { id, name: id })).pool]))
  const member = (poolId: string, ratio: number, priority: number) => ({ poolId, ratio, priority })
  const group = (members: ReturnType<typeof member>[]) =>
    ({ is: 'group', id: 'g', name: 'group', members, failAction: { is: 'close' } }) as const
  const targets = new Targets()
  const counts = (target: ReturnType<typeof group>, poolOf = (id: string) => pools.get(id)) => {
    const seen: Record<string, number> = {}
    for (let n = 0; n < 1000; n++) {
      const choice = targets.choose(target, poolOf)
      const name = choice?.is === 'pool' ? choice.pool.part.id : 'fail'
      seen[name] = (seen[name] ?? 0) + 1
    }
    return seen
  }
  t.same(counts(group([member('a', 90, 1), member('b', 10, 1), member('c', 100, 0)])), { a: 900, b: 100 })
  t.same(counts(group([member('a', 0, 1), member('c', 1, 0)])), { c: 1000 }, 'no share, no traffic')
  t.same(
    counts(group([member('a', 1, 5)]), () => undefined),
    { fail: 1000 }
  )
  t.equal(
    targets.choose({ is: 'pool', poolId: 'none' }, () => undefined),
    undefined
  )
})
