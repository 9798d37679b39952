/** Pools that prefer some of their servers, those of the engine's zone or of the lowest order, whatever else they do. */
import t from 'tap'
import { seededRandom } from '#model/base/random.ts'
import { ownZoneShare } from '#model/snapshot/locality.ts'
import type { BalanceSpec, MonitorSpec, PoolPart } from '#model/snapshot/snapshot.ts'
import { makeHome } from '#engine/dataplane/upstream/bindings.ts'
import { Pool, type Lease } from '#engine/dataplane/upstream/pool.ts'
import { attachMemory, makeMemory } from '#engine/meter/shared.ts'
import { aQuestion } from '#test/contract/balancer.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aPool, aServer } from '#test/support/snapshot.ts'

const seed = Number(process.env['WEIR_SEED'] ?? Date.now() % 1_000_000)
const locality = { overprovisioning: 1.4 }
const monitor: MonitorSpec = {
  id: 'm',
  name: 'm',
  probe: { is: 'ping' },
  sendIntervalMs: 1000,
  receiveTimeoutMs: 1000,
  successfulChecks: 1,
  failedChecks: 1,
  port: null,
  isQuickStart: true
}

/** Servers on these ports, the zone of each before it. */
const zoned = (byZone: Readonly<Record<string, readonly number[]>>, given: Partial<PoolPart> = {}): PoolPart =>
  aPool(
    Object.entries(byZone).flatMap(([zone, ports]) => ports.map(port => aServer(port, zone === '' ? {} : { zone }))),
    { locality, monitors: [monitor], algorithm: { is: 'least-connections' }, ...given }
  )

function openEngine(zone: string | undefined, random = seededRandom(seed)) {
  const clock = manualClock()
  const memory = makeMemory({ workers: 1, nowMs: clock.nowMs, nowEpochMs: clock.nowEpochMs })
  const open = (part: PoolPart, previous?: Pool): Pool => {
    const slots = memory.assign({ virtualServices: [], pools: [{ id: part.id, servers: part.servers.map(({ id }) => id) }] })
    const services = {
      clock,
      random,
      memory: attachMemory(memory.buffer, 0, 1, slots),
      addresses: { next: () => undefined },
      ...(zone === undefined ? {} : { zone })
    }
    return new Pool(part, services, () => null, previous)
  }
  const judge = (port: number, verdict: 'up' | 'down'): void => {
    memory.judge('pool-1', `127.0.0.1:${port}`, verdict)
    clock.advance(25)
  }
  return { clock, memory, open, judge }
}

const lease = (pool: Pool, n: number, tried: readonly string[] | null = null): Lease => {
  const result = pool.lease(aQuestion(n), tried)
  if (typeof result === 'string') throw new Error(result)
  return result
}
const portOf = ({ serverId }: Lease): number => Number(serverId.split(':').at(-1))

/** How many of so many requests each port gets. */
function spread(pool: Pool, count = 4_000, start = 0): Map<number, number> {
  const counts = new Map<number, number>()
  for (let n = start; n < start + count; n++) {
    const held = lease(pool, n * 7_919)
    counts.set(portOf(held), (counts.get(portOf(held)) ?? 0) + 1)
    held.release()
  }
  return counts
}
const partOf = (counts: ReadonlyMap<number, number>, ports: readonly number[]): number => {
  const all = counts.values().reduce((sum, count) => sum + count, 0)
  return ports.reduce((sum, port) => sum + (counts.get(port) ?? 0), 0) / all
}

const algorithms: readonly BalanceSpec[] = [
  { is: 'round-robin' },
  { is: 'least-connections' },
  { is: 'random' },
  { is: 'fastest-response' },
  { is: 'least-load' },
  { is: 'fewest-servers', capacity: 1_000 },
  { is: 'consistent-hash', by: 'source-address', header: null },
  { is: 'consistent-hash', by: 'source-address-and-port', header: null },
  { is: 'consistent-hash', by: 'uri', header: null },
  { is: 'consistent-hash', by: 'header', header: 'X-User' }
]

for (const algorithm of algorithms) {
  const name = `${algorithm.is}${'by' in algorithm ? ` by ${algorithm.by}` : ''}`

  t.test(`${name}: what goes where follows the servers that are up (seed ${seed})`, async t => {
    const random = seededRandom(seed)
    for (let round = 0; round < 12; round++) {
      const ports = {
        a: [1, 2, 3, 4, 5].slice(0, 1 + Math.floor(random() * 5)),
        b: [11, 12, 13, 14].slice(0, 1 + Math.floor(random() * 4))
      }
      const { open, judge } = openEngine('a', random)
      const pool = open(zoned(ports, { algorithm }))
      const isUp = new Map([...ports.a, ...ports.b].map(port => [port, random() < 0.6]))
      if (![...isUp.values()].includes(true)) isUp.set(11, true)
      for (const [port, up] of isUp) judge(port, up ? 'up' : 'down')
      const up = (of: readonly number[]): readonly number[] => of.filter(port => isUp.get(port))
      const capacity = (of: readonly number[]) => ({ able: up(of).length, all: of.length })
      const expected = ownZoneShare(capacity(ports.a), capacity(ports.b), locality)
      const counts = spread(pool)
      for (const port of counts.keys()) if (isUp.get(port) !== true) t.fail(`a request for ${port}, which is down`)
      const own = partOf(counts, ports.a)
      const isExact = expected === 0 || expected === 1
      t.ok(isExact ? own === expected : Math.abs(own - expected) < 0.05, `${own} of ${expected}: ${JSON.stringify([...isUp])}`)
    }
  })
}

t.test('each side is shared by its servers as the algorithm says', async t => {
  const { open, judge } = openEngine('a')
  const pool = open(zoned({ a: [1, 2, 3, 4], b: [11, 12] }, { algorithm: { is: 'round-robin' } }))
  for (const port of [1, 2, 11, 12]) judge(port, 'up')
  for (const port of [3, 4]) judge(port, 'down')
  const counts = spread(pool, 8_000)
  for (const [port, expected] of [
    [1, 0.35],
    [2, 0.35],
    [11, 0.15],
    [12, 0.15]
  ] as const)
    t.ok(Math.abs(partOf(counts, [port]) - expected) < 0.03, `${port}: ${partOf(counts, [port])}`)
})

t.test('servers without a zone are others; weights count, and so does a server that is disabled', async t => {
  const { open, judge } = openEngine('a')
  const part = aPool([aServer(1, { zone: 'a', weight: 1 }), aServer(2, { zone: 'a', weight: 3, isEnabled: false }), aServer(11)], {
    locality,
    monitors: [monitor],
    algorithm: { is: 'random' }
  })
  const pool = open(part)
  for (const port of [1, 2, 11]) judge(port, 'up')
  t.ok(Math.abs(partOf(spread(pool), [1]) - 0.35) < 0.04, 'a quarter of the zone times 1.4')
})

t.test('what servers say that they can take counts as well', async t => {
  const { memory, open, judge } = openEngine('a')
  const pool = open(zoned({ a: [1, 2], b: [11, 12] }, { algorithm: { is: 'random' }, isWeighed: true }))
  for (const port of [1, 2, 11, 12]) judge(port, 'up')
  t.equal(partOf(spread(pool), [1, 2]), 1)
  for (const port of [1, 2]) memory.weigh('pool-1', `127.0.0.1:${port}`, 50)
  judge(1, 'up')
  t.ok(Math.abs(partOf(spread(pool), [1, 2]) - 0.7) < 0.04)
})

t.test('an engine without a zone, or with one that no server or every server is in, balances as without locality', async t => {
  for (const [zone, servers] of [
    [undefined, { a: [1], b: [11] }],
    ['c', { a: [1], b: [11] }],
    ['a', { a: [1, 11] }]
  ] as const) {
    const { open, judge } = openEngine(zone)
    const pool = open(zoned(servers, { algorithm: { is: 'round-robin' } }))
    for (const port of [1, 11]) judge(port, 'up')
    t.ok(Math.abs(partOf(spread(pool, 1_000), [1]) - 0.5) < 0.01, `${zone}`)
    t.equal(pool.isOwnZone('127.0.0.1:1'), undefined)
  }
})

t.test('a server of the zone that is full or has failed is stood in for by its neighbours, then by the others', async t => {
  const { open, judge } = openEngine('a')
  const pool = open(zoned({ a: [1, 2], b: [11] }, { maxConnectionsPerServer: 1 }))
  for (const port of [1, 2, 11]) judge(port, 'up')
  const held = [lease(pool, 1), lease(pool, 2)]
  t.same(
    held.map(portOf).toSorted((a, b) => a - b),
    [1, 2]
  )
  const third = lease(pool, 3)
  t.equal(portOf(third), 11)
  t.equal(pool.lease(aQuestion(4), null), 'full')
  for (const one of [...held, third]) one.release()
  const tried: string[] = []
  for (let n = 0; n < 3; n++) tried.push(lease(pool, n, tried).serverId)
  t.same(tried.slice(0, 2).toSorted(), ['127.0.0.1:1', '127.0.0.1:2'])
  t.equal(tried[2], '127.0.0.1:11')
})

t.test('who is hashed stays: fewer servers of the zone move only those that have to leave', async t => {
  const { open, judge } = openEngine('a')
  const pool = open(zoned({ a: [1, 2, 3, 4], b: [11, 12] }, { algorithm: { is: 'consistent-hash', by: 'source-address', header: null } }))
  const where = (): number[] =>
    Array.from({ length: 3_000 }, (_, n) => {
      const held = lease(pool, n * 31)
      held.release()
      return portOf(held)
    })
  for (const port of [1, 2, 3, 4, 11, 12]) judge(port, 'up')
  const before = where()
  t.ok(before.every(port => port < 10))
  t.same(where(), before, 'the same again')
  judge(4, 'down')
  const three = where()
  t.ok(
    three.every((port, n) => port === before[n] || before[n] === 4),
    'three of four keep all'
  )
  judge(3, 'down')
  const two = where()
  const leave = two.filter(port => port > 10).length / two.length
  t.ok(Math.abs(leave - 0.3) < 0.04, `${leave} leave`)
  t.ok(two.every((port, n) => port > 10 || port === three[n] || three[n] === 3))
  judge(2, 'down')
  t.ok(
    where().every((port, n) => two[n]! < 10 || port === two[n]),
    'who has left does not move when more leave'
  )
})

t.test('clients that persistence spreads by a hash prefer the zone; where they went is told to the other engines', async t => {
  const { open, judge } = openEngine('a')
  const persistence = { is: 'client-address', prefixLength: 0, timeoutS: 300, whenDown: 'pick-new' } as const
  const part = zoned({ a: [1, 2], b: [11, 12] }, { persistence })
  const pool = open(part)
  for (const port of [1, 2, 11, 12]) judge(port, 'up')
  const first = lease(pool, 5)
  t.ok(portOf(first) < 10)
  judge(portOf(first) === 1 ? 2 : 1, 'down')
  t.equal(lease(pool, 5).serverId, first.serverId, 'it stays')
  const counts = spread(pool, 2_000, 1_000)
  t.ok(Math.abs(partOf(counts, [1, 2]) - 0.7) < 0.05, `${partOf(counts, [1, 2])}`)
  t.equal(makeHome(part)(7), undefined, 'nobody can say where a client is but who was told')
})

t.test('a server of the zone that comes back starts slowly; its neighbours take what it does not take yet', async t => {
  const { clock, open, judge } = openEngine('a')
  const part = zoned({ a: [1, 2], b: [11] }, { rampS: 600 })
  const pool = open(part)
  for (const port of [1, 2, 11]) judge(port, 'up')
  clock.advance(3_600_000)
  judge(2, 'down')
  spread(pool, 10)
  judge(2, 'up')
  const counts = spread(pool)
  t.equal(partOf(counts, [11]), 0, 'all of it stays in the zone')
  t.ok(partOf(counts, [2]) < 0.1, `${partOf(counts, [2])}`)
})

t.test('what went where is counted, what was withdrawn is not; nothing is counted where zones make no difference', async t => {
  const { memory, open, judge } = openEngine('a')
  const pool = open(zoned({ a: [1], b: [11] }))
  const zones = () => memory.readTotals().pools[0]?.zones
  for (const port of [1, 11]) judge(port, 'up')
  lease(pool, 1).withdraw()
  t.equal(zones(), undefined)
  const held = lease(pool, 1)
  held.release()
  held.withdraw()
  judge(1, 'down')
  lease(pool, 2).release()
  lease(pool, 3).release()
  t.same(zones(), { own: 1, others: 2 })
  const plain = openEngine('a')
  const other = plain.open(aPool([1, 2]))
  lease(other, 1).release()
  t.equal(plain.memory.readTotals().pools[0]?.zones, undefined)
})

/** Servers on these ports, by their order. */
const ordered = (byOrder: Readonly<Record<number, readonly number[]>>, given: Partial<PoolPart> = {}): PoolPart =>
  aPool(
    Object.entries(byOrder).flatMap(([order, ports]) => ports.map(port => aServer(port, order === '1' ? {} : { order: Number(order) }))),
    { monitors: [monitor], ...given }
  )

for (const algorithm of algorithms)
  t.test(`${algorithm.is}${'by' in algorithm ? ` by ${algorithm.by}` : ''}: the lowest order that is up gets everything`, async t => {
    const { open, judge } = openEngine(undefined)
    const pool = open(ordered({ 1: [1, 2], 2: [11, 12], 7: [21] }, { algorithm }))
    const who = (): readonly number[] => [...spread(pool, 200).keys()].toSorted((a, b) => a - b)
    const only = algorithm.is === 'fewest-servers'
    for (const port of [1, 2, 11, 12, 21]) judge(port, 'up')
    t.same(who(), only ? [1] : [1, 2])
    judge(1, 'down')
    t.same(who(), [2], 'one of them is enough')
    judge(2, 'down')
    t.same(who(), only ? [11] : [11, 12])
    for (const port of [11, 12]) judge(port, 'down')
    t.same(who(), [21])
    judge(2, 'up')
    t.same(who(), [2], 'the first that is back gets everything')
  })

t.test('what all of an order cannot take, or have failed, goes to the next', async t => {
  const { open, judge } = openEngine(undefined)
  const pool = open(ordered({ 1: [1, 2], 2: [11], 3: [21] }, { maxConnectionsPerServer: 1 }))
  for (const port of [1, 2, 11, 21]) judge(port, 'up')
  const held = Array.from({ length: 4 }, (_, n) => lease(pool, n))
  t.same(new Set(held.slice(0, 2).map(portOf)), new Set([1, 2]))
  t.same(held.slice(2).map(portOf), [11, 21])
  t.equal(pool.lease(aQuestion(9), null), 'full')
  for (const one of held) one.release()
  t.equal(portOf(lease(pool, 1, ['127.0.0.1:1'])), 2, 'a retry stays within the order')
  t.equal(portOf(lease(pool, 1, ['127.0.0.1:1', '127.0.0.1:2'])), 11, 'as long as there is one')
})

t.test('who is bound to a server that stands by stays; engines tell each other all of such clients', async t => {
  const persistence = { is: 'client-address', prefixLength: 32, timeoutS: 600, whenDown: 'pick-new' } as const
  const { open, judge } = openEngine(undefined)
  const part = ordered({ 1: [1], 2: [11] }, { persistence })
  const pool = open(part)
  judge(11, 'up')
  judge(1, 'down')
  t.equal(portOf(lease(pool, 1)), 11)
  judge(1, 'up')
  t.equal(portOf(lease(pool, 1)), 11, 'it stays')
  t.equal(portOf(lease(pool, 2)), 1, 'who is new does not come')
  t.equal(makeHome(part)(7), undefined)
  t.type(makeHome(ordered({ 1: [1, 11] }, { persistence }))(7), 'number')
})
for (const algorithm of algorithms)
  t.test(
    `${algorithm.is}${'by' in algorithm ? ` by ${algorithm.by}` : ''}: order goes before zones, which count within each order`,
    async t => {
      const { open, judge } = openEngine('a')
      const servers = [
        aServer(1, { zone: 'a' }),
        aServer(2, { zone: 'a' }),
        aServer(11, { zone: 'b' }),
        aServer(3, { zone: 'a', order: 2 }),
        aServer(12, { zone: 'b', order: 2 }),
        aServer(13, { zone: 'b', order: 2 })
      ]
      const pool = open(aPool(servers, { locality, monitors: [monitor], algorithm }))
      const shares = (): Record<string, number> => {
        const counts = spread(pool, 3_000)
        return Object.fromEntries([1, 2, 3, 11, 12, 13].map(port => [port, partOf(counts, [port])]))
      }
      for (const port of [1, 2, 3, 11, 12, 13]) judge(port, 'up')
      const all = shares()
      t.equal(all['1']! + all['2']!, 1, 'the zone of the first order')
      judge(1, 'down')
      const half = shares()
      t.ok(Math.abs(half['2']! - 0.7) < 0.05 && Math.abs(half['11']! - 0.3) < 0.05, 'spills over within its order')
      judge(2, 'down')
      t.equal(shares()['11'], 1, 'another zone of the first order before the own one of the second')
      judge(11, 'down')
      t.equal(shares()['3'], 1, 'the second order, by its zones again')
      judge(3, 'down')
      const last = shares()
      t.equal(last['12']! + last['13']!, 1)
    }
  )

t.test('what the first order cannot take stays in the zone of the next', async t => {
  const { open, judge } = openEngine('a')
  const servers = [
    aServer(1, { zone: 'a' }),
    aServer(11, { zone: 'b' }),
    aServer(2, { zone: 'a', order: 2 }),
    aServer(12, { zone: 'b', order: 2 })
  ]
  const given = { locality, monitors: [monitor], algorithm: { is: 'least-connections' }, maxConnectionsPerServer: 1 } as const
  const pool = open(aPool(servers, given))
  for (const port of [1, 11, 2, 12]) judge(port, 'up')
  t.same(
    [1, 2, 3, 4].map(n => portOf(lease(pool, n))),
    [1, 11, 2, 12]
  )
})
