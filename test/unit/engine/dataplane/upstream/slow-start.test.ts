import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import type { Resilience } from '#model/snapshot/resilience.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { Pool } from '#engine/dataplane/upstream/pool.ts'
import { ServerRate } from '#engine/dataplane/upstream/server-rate.ts'
import { relativeShares } from '#engine/dataplane/upstream/slow-start.ts'
import { CELLS } from '#engine/meter/layout.ts'
import { attachMemory, makeMemory } from '#engine/meter/shared.ts'
import { aQuestion } from '#test/contract/balancer.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aPool, aServer } from '#test/support/snapshot.ts'

function openEngine() {
  const clock = manualClock()
  const memory = makeMemory({ workers: 1, nowMs: clock.nowMs, nowEpochMs: clock.nowEpochMs })
  const random = seededRandom(7)
  const open = (part: PoolPart & Resilience, previous?: Pool): Pool => {
    const slots = memory.assign({ virtualServices: [], pools: [{ id: part.id, servers: part.servers.map(({ id }) => id) }] })
    const services = { clock, random, memory: attachMemory(memory.buffer, 0, 1, slots), addresses: { next: () => undefined } }
    return new Pool(part, services, () => null, previous)
  }
  return { clock, memory, open }
}

/** What share of so many requests goes to the server on this port. */
function shareOfPort(pool: Pool, port: number): number {
  let count = 0
  for (let n = 0; n < 4000; n++) {
    const lease = pool.lease(aQuestion(n), null)
    if (typeof lease === 'string') throw new Error(lease)
    if (lease.serverId.endsWith(`:${port}`)) count++
    lease.release()
  }
  return count / 4000
}
const near = (share: number, expected: number): boolean => Math.abs(share - expected) < 0.035

t.test('a server that comes to others gets its share little by little', async t => {
  const { clock, open } = openEngine()
  const ramping = (ports: number[]) => ({ ...aPool(ports, { algorithm: { is: 'least-connections' } }), rampS: 600 })
  const first = open(ramping([1, 2]))
  t.ok(near(shareOfPort(first, 1), 0.5), 'servers that came together are alike')
  clock.advance(3_600_000)
  const pool = open(ramping([1, 2, 3]), first)
  t.ok(near(shareOfPort(pool, 3), 0.1 / 3), 'a tenth of its share')
  clock.advance(300_000)
  t.ok(near(shareOfPort(pool, 3), 0.5 / 3), 'half of it')
  t.ok(near(shareOfPort(pool, 1), shareOfPort(pool, 2)), 'the others share the rest')
  clock.advance(300_000)
  t.ok(near(shareOfPort(pool, 3), 1 / 3))
})

t.test('a server that comes back, by its monitor or by its operator, starts slowly again', async t => {
  const { clock, memory, open } = openEngine()
  const monitor = {
    id: 'm',
    name: 'm',
    probe: { is: 'ping' },
    sendIntervalMs: 1000,
    receiveTimeoutMs: 500,
    successfulChecks: 1,
    failedChecks: 1,
    port: null,
    isQuickStart: false
  } as const
  const given = { algorithm: { is: 'least-connections' }, monitors: [monitor] } as const
  const part = (isEnabled: boolean) => ({ ...aPool([aServer(1, { isEnabled }), aServer(2)], given), rampS: 600 })
  let pool = open(part(true))
  const judge = (verdict: 'up' | 'down') => memory.judge('pool-1', '127.0.0.1:1', verdict)
  judge('up')
  memory.judge('pool-1', '127.0.0.1:2', 'up')
  clock.advance(3_600_000)
  judge('up')
  t.ok(near(shareOfPort(pool, 1), 0.5), 'still up is nothing new')
  judge('down')
  clock.advance(1000)
  judge('up')
  clock.advance(100)
  t.ok(near(shareOfPort(pool, 1), 0.05))
  clock.advance(3_600_000)
  pool = open(part(false), pool)
  clock.advance(1000)
  pool = open(part(true), pool)
  t.ok(near(shareOfPort(pool, 1), 0.05))
})

t.test('relativeShares holds nobody back where all are alike', async t => {
  t.equal(
    relativeShares([0.2, 0.2], share => share),
    null
  )
  t.equal(
    relativeShares([] as number[], share => share),
    null
  )
  t.same(
    relativeShares([0.2, 0.4], share => share),
    new Map([
      [0.2, 0.5],
      [0.4, 1]
    ])
  )
})

t.test('a server gets no more than its rate, over all workers, and a burst after a quiet time', async t => {
  const clock = manualClock()
  const cells = new Int32Array(new SharedArrayBuffer(CELLS * 4))
  const [one, two] = [1, 2].map(() => new ServerRate({ count: 100, periodMs: 1000, burst: 20 }, clock.nowEpochMs))
  const takeAll = (): number => {
    let taken = 0
    while ((taken % 2 === 0 ? one! : two!).take(cells)) taken++
    return taken
  }
  t.equal(takeAll(), 20)
  let taken = 0
  for (let n = 0; n < 1000; n++) {
    clock.advance(1)
    taken += takeAll()
  }
  t.ok(Math.abs(taken - 100) <= 1, `${taken} in a second`)
  clock.advance(60_000)
  t.equal(takeAll(), 20)
  const slow = new ServerRate({ count: 1, periodMs: 60_000, burst: 1 }, clock.nowEpochMs)
  const own = new Int32Array(new SharedArrayBuffer(CELLS * 4))
  t.ok(slow.take(own))
  let got = 0
  for (let n = 0; n < 6200; n++) {
    clock.advance(50)
    if (slow.take(own)) got++
  }
  t.equal(got, 5, 'time that is worth little is not lost')
})

t.test('lease passes over a server that has had enough, and says full when all have', async t => {
  const { clock, open } = openEngine()
  const pool = open({ ...aPool([1, 2]), serverRate: { count: 10, periodMs: 1000, burst: 3 } })
  const seen = Array.from({ length: 8 }, (_, n) => {
    const lease = pool.lease(aQuestion(n), null)
    return typeof lease === 'string' ? lease : lease.serverId
  })
  t.same(seen.filter(id => id === 'full').length, 2)
  t.equal(new Set(seen).size, 3)
  clock.advance(100)
  t.not(pool.lease(aQuestion(1), null), 'full')
})

t.test('a server gets as much of its share as it says that it can take', async t => {
  const { clock, memory, open } = openEngine()
  for (const is of ['least-connections', 'round-robin', 'random'] as const) {
    const part = { ...aPool([1, 2], { id: `pool-${is}`, algorithm: { is } }), isWeighed: true as const }
    const pool = open(part)
    const id = (port: number): string => part.servers.find(server => server.port === port)!.id
    // Idle servers are alike for the others: only what is in flight tells them apart.
    const share = (): number => (is === 'round-robin' ? shareOfPort(pool, 1) : shareHeld(pool, 1))
    memory.weigh(part.id, id(1), 25)
    clock.advance(1_000)
    t.ok(near(share(), 0.2), `${is}: a quarter of the other`)
    memory.weigh(part.id, id(1), 0)
    clock.advance(1_000)
    t.equal(share(), 0, `${is}: nothing`)
    memory.weigh(part.id, id(1), null)
    clock.advance(1_000)
    t.ok(near(share(), 0.5), `${is}: all of it`)
    t.same(pool.resting(), [], `${is}: nobody is sent away`)
    memory.weigh(part.id, id(1), 0)
    memory.weigh(part.id, id(2), 0)
    clock.advance(1_000)
    t.equal(pool.lease(aQuestion(1), null), 'none', `${is}: no server can take more`)
  }
})

/** The share of the server on this port when so many requests are under way at once. */
function shareHeld(pool: Pool, port: number): number {
  const leases = Array.from({ length: 400 }, (_, n) => pool.lease(aQuestion(n), null))
  let count = 0
  for (const lease of leases) {
    if (typeof lease === 'string') throw new Error(lease)
    if (lease.serverId.endsWith(`:${port}`)) count++
    lease.release()
  }
  return count / leases.length
}
