import { randomBytes } from 'node:crypto'
import t from 'tap'
import { Bindings } from '#engine/dataplane/upstream/bindings.ts'
import { networkOf } from '#engine/dataplane/upstream/persistence.ts'
import { cookieOf } from '#engine/dataplane/exchange/headers.ts'
import { ServerCookie } from '#engine/dataplane/upstream/server-cookie.ts'
import { BINDING_SETS, BINDING_WAYS } from '#engine/meter/layout.ts'
import { attachMemory, makeMemory } from '#engine/meter/shared.ts'
import { manualClock } from '#test/support/manual-clock.ts'

function openBindings(workers = 1) {
  const clock = manualClock()
  const memory = makeMemory({ workers, nowMs: clock.nowMs })
  const slots = memory.assign({ virtualServices: [], pools: [] })
  const of = (poolId: string, worker = 0) =>
    new Bindings(attachMemory(memory.buffer, worker, workers, slots).bindings, {
      poolId,
      timeoutS: 60,
      home: () => undefined,
      nowEpochMs: clock.nowEpochMs
    })
  return { clock, of }
}

t.test('a binding is seen by all workers, kept by use, and forgotten without', async t => {
  const { clock, of } = openBindings(2)
  const [one, two] = [of('pool-1', 0), of('pool-1', 1)]
  one.bind('10.0.0.1', 0xdeadbeef)
  t.equal(two.find('10.0.0.1'), 0xdeadbeef)
  t.equal(of('pool-2').find('10.0.0.1'), undefined, 'each pool has its own')
  two.bind('10.0.0.1', 7)
  t.equal(one.find('10.0.0.1'), 7)
  for (let n = 0; n < 5; n++) {
    clock.advance(50_000)
    t.equal(one.find('10.0.0.1'), 7)
  }
  clock.advance(61_000)
  t.equal(one.find('10.0.0.1'), undefined)
})

t.test('a full table forgets who was away for longest', async t => {
  const { clock, of } = openBindings()
  const bindings = of('pool-1')
  const count = BINDING_SETS * BINDING_WAYS
  for (let n = 0; n < count / 4; n++) bindings.bind(`old ${n}`, n)
  clock.advance(10_000)
  for (let n = 0; n < count; n++) bindings.bind(`new ${n}`, n)
  let [old, fresh] = [0, 0]
  for (let n = 0; n < 10_000; n++) {
    if (bindings.find(`old ${n}`) === n) old++
    if (bindings.find(`new ${n}`) === n) fresh++
  }
  t.ok(fresh > 8000 && old < 3000, `${fresh} new and ${old} old ones of 10000`)
})

t.test('a cookie opens for its pool and key, and not when it was changed', async t => {
  const key = randomBytes(32).toString('base64')
  const cookie = new ServerCookie(key, 'pool-1')
  const value = cookie.seal({ serverId: '[2001:db8::1]:80', atS: 1234 })
  t.match(value, /^[\w-]+$/)
  for (let n = 0; n < 2; n++) t.same(cookie.open(value), { serverId: '[2001:db8::1]:80', atS: 1234 })
  t.not(cookie.seal({ serverId: 'a', atS: 1 }), cookie.seal({ serverId: 'a', atS: 1 }), 'no two are the same')
  t.equal(new ServerCookie(key, 'pool-2').open(value), undefined)
  t.equal(new ServerCookie(randomBytes(32).toString('base64'), 'pool-1').open(value), undefined)
  for (const wrong of ['', 'x', value.slice(0, 20), `${value}AAAA`, (value.startsWith('A') ? 'B' : 'A') + value.slice(1), 'A'.repeat(9999)])
    t.equal(cookie.open(wrong), undefined)
})

t.test('cookieOf finds a cookie by its whole name', async t => {
  t.equal(cookieOf('a=1; stay=x=y ;b=2', 'stay'), 'x=y')
  t.equal(cookieOf('stay="q"', 'stay'), 'q')
  t.equal(cookieOf('mystay=1; stayx=2;=3; stay', 'stay'), '')
  t.equal(cookieOf('', 'stay'), '')
})

t.test('networkOf is one text for all addresses of a network', async t => {
  const same = (a: string, b: string, prefix: number): boolean => networkOf(a, prefix) === networkOf(b, prefix)
  t.ok(same('10.1.2.3', '10.1.200.4', 16))
  t.notOk(same('10.1.2.3', '10.2.2.3', 16))
  t.ok(same('10.1.2.3', '10.1.2.4', 29) && !same('10.1.2.3', '10.1.2.9', 29))
  t.ok(same('2001:db8::1', '2001:db8:0:0:ffff::', 64) && !same('2001:db8::1', '2001:db8:0:1::1', 64))
  t.ok(same('::1', '::2', 120) && !same('::1', '::2', 128))
  t.equal(networkOf('10.1.2.3', 0), '10.1.2.3')
  t.equal(networkOf('10.1.2.3', 64), '10.1.2.3', 'longer than the address')
})
