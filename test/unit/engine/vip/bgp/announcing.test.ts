import t from 'tap'
import { silentLog } from '#model/base/log.ts'
import type { Announcing, BirdState, Verdict } from '#model/message/message.ts'
import type { BgpVip, Snapshot } from '#model/snapshot/snapshot.ts'
import type { AnnounceAnswer, Announced, AnnounceOrder } from '#engine/vip/bgp/announce.ts'
import { openBgp } from '#engine/vip/bgp/announcing.ts'
import { manualClock } from '#test/support/manual-clock.ts'
import { aPool, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'

const VIP = '192.0.2.10'
const OTHER = '192.0.2.20'
const settle = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await Promise.resolve()
}

/** Bgp over a privileged process that does what it is told, but for one address. */
function aBgp(left: Announced = { addresses: [], announced: [] }) {
  const clock = manualClock()
  const orders: AnnounceOrder[] = []
  const remembered = [left]
  const told: Announcing['vips'][] = []
  const birds: BirdState[] = []
  const verdicts = new Map<string, Verdict>()
  const state = { isOpen: true, opened: 0, failing: '', there: left, bird: { is: 'up', reason: '', sessions: [] } as BirdState }
  const order = async (what: AnnounceOrder): Promise<AnnounceAnswer> => {
    orders.push(what)
    if (!state.isOpen) return { is: 'failed', reason: 'the process that programs the kernel has ended' }
    if (what.is === 'announce' || what.is === 'adopt') {
      const sound = (list: readonly string[]) => list.filter(one => one !== state.failing)
      state.there = { addresses: sound(what.addresses), announced: sound(what.announced) }
    }
    const failed =
      what.is === 'announce' && what.addresses.includes(state.failing) ? [{ address: state.failing, reason: 'is of this host' }] : []
    return { is: 'done', ...state.there, failed }
  }
  const bgp = openBgp({
    clock,
    log: silentLog,
    openAnnouncer: () => {
      state.isOpen = true
      state.opened++
      return {
        order,
        isOpen: () => state.isOpen,
        close: async () => void (state.isOpen = false),
        remember: there => void remembered.unshift(there),
        remembered: () => remembered[0]!
      }
    },
    verdictOf: (_, id) => verdicts.get(id) ?? 'unknown',
    askBird: async () => state.bird,
    told: ({ vips, bird }) => {
      if (JSON.stringify(vips) !== JSON.stringify(told[0])) told.unshift(vips)
      if (bird !== birds[0]) birds.unshift(bird)
    }
  })
  return { bgp, clock, orders, remembered, told, birds, verdicts, state }
}

const server = aServer(81)
const vip = (more: Partial<BgpVip> = {}): BgpVip => ({ id: 'v', addresses: [VIP], services: [{ id: 'a', whenDown: false }], ...more })
function snapshotOf(...vips: BgpVip[]): Snapshot {
  const services = [aService({ id: 'a', target: { is: 'pool', poolId: 'p' } })]
  const plain = aSnapshot({ services, pools: [aPool([server], { id: 'p' })], drainTimeoutS: 5 })
  return { ...plain, engine: { ...plain.engine, bgp: { vips } } }
}

t.test('addresses are there before anything is bound, and announced when it runs', async t => {
  const { bgp, orders, told, state } = aBgp()
  t.equal(await bgp.prepare({ vips: [vip()] }), undefined)
  t.same(orders, [{ is: 'announce', addresses: [VIP], announced: [] }])
  t.ok(bgp.isHeld(VIP))
  t.equal(told.length, 0)
  bgp.update(snapshotOf(vip()))
  await settle()
  t.same(state.there.announced, [VIP])
  t.same(told[0], [{ id: 'v', reason: '' }])
})

t.test('the order is repeated, and what changes is remembered before it is done', async t => {
  const { bgp, clock, orders, remembered } = aBgp()
  bgp.update(snapshotOf(vip()))
  await settle()
  for (let i = 0; i < 10; i++) {
    clock.advance(100)
    await settle()
  }
  t.equal(orders.length, 11)
  t.same(remembered[0], { addresses: [VIP], announced: [VIP] })
  t.equal(remembered.length, 2, 'once')
})

t.test('what cannot be put onto the host is told, and no snapshot with it runs', async t => {
  const { bgp, state, told, clock } = aBgp()
  state.failing = VIP
  t.equal(await bgp.prepare({ vips: [vip()] }), `${VIP} is of this host`)
  bgp.update(snapshotOf(vip({ addresses: [OTHER] })))
  await settle()
  t.same(told[0], [{ id: 'v', reason: '' }])
  t.same(state.there, { addresses: [OTHER], announced: [OTHER] })
  bgp.update(snapshotOf(vip({ addresses: [OTHER, VIP] })))
  await settle()
  clock.advance(100)
  await settle()
  t.same(told[0], [{ id: 'v', reason: `${VIP} is of this host` }])
})

t.test('a service without a server that is up is withdrawn, and announced again', async t => {
  const { bgp, clock, state, told, verdicts } = aBgp()
  bgp.update(snapshotOf(vip()))
  await settle()
  const beat = async (): Promise<void> => {
    clock.advance(100)
    await settle()
  }
  verdicts.set(server.id, 'down')
  await beat()
  t.same(state.there, { addresses: [VIP], announced: [] })
  t.same(told[0], [{ id: 'v', reason: 'none of its servers is up, as this engine sees them' }])
  bgp.update(snapshotOf(vip({ services: [{ id: 'a', whenDown: true }] })))
  await settle()
  t.same(state.there.announced, [VIP], 'unless it is wanted all the same')
  bgp.update(snapshotOf(vip({ services: [] })))
  await settle()
  t.same(told[0], [{ id: 'v', reason: 'enable_rhi is false' }])
  t.same(state.there, { addresses: [VIP], announced: [] })
  verdicts.set(server.id, 'up')
  bgp.update(snapshotOf(vip()))
  await settle()
  t.same(told[0], [{ id: 'v', reason: '' }])
})

t.test('what leaves is withdrawn first; its address goes when its last connections may have ended', async t => {
  const { bgp, clock, state } = aBgp()
  bgp.update(snapshotOf(vip(), vip({ id: 'w', addresses: [OTHER] })))
  await settle()
  let isWithdrawn = false
  const withdrawn = bgp.withdraw({ vips: [vip()] }).then(() => (isWithdrawn = true))
  await settle()
  t.same(state.there, { addresses: [VIP, OTHER], announced: [VIP] })
  t.notOk(isWithdrawn, 'routers need a moment')
  clock.advance(500)
  await withdrawn
  bgp.update(snapshotOf(vip()))
  await settle()
  clock.advance(4_900)
  await settle()
  t.same(state.there.addresses, [VIP, OTHER])
  clock.advance(200)
  await settle()
  t.same(state.there.addresses, [VIP])
})

t.test('what was withdrawn for a snapshot that was refused is announced again', async t => {
  const { bgp, clock, state } = aBgp()
  bgp.update(snapshotOf(vip()))
  await settle()
  t.equal(await bgp.prepare({ vips: [vip({ addresses: [OTHER] })] }), undefined)
  const withdrawn = bgp.withdraw({ vips: [] })
  await settle()
  clock.advance(500)
  await withdrawn
  t.same(state.there, { addresses: [VIP, OTHER], announced: [] })
  bgp.update(snapshotOf(vip()))
  await settle()
  t.same(state.there.announced, [VIP])
  clock.advance(5_100)
  await settle()
  t.same(state.there.addresses, [VIP], 'and what was made ready for it goes')
})

t.test('a privileged process that was killed is started again, and takes over', async t => {
  const { bgp, clock, orders, state } = aBgp()
  bgp.update(snapshotOf(vip()))
  await settle()
  state.isOpen = false
  orders.length = 0
  clock.advance(100)
  await settle()
  t.equal(state.opened, 2)
  t.same(orders, [
    { is: 'adopt', addresses: [VIP], announced: [VIP] },
    { is: 'announce', addresses: [VIP], announced: [VIP] }
  ])
})

t.test('a process that takes over finds what the one before left, and that one forgets it', async t => {
  const before = aBgp()
  before.bgp.update(snapshotOf(vip()))
  await settle()
  await before.bgp.leave()
  t.same(before.orders.at(-1), { is: 'leave' })
  before.clock.advance(1_000)
  await settle()
  t.same(before.orders.at(-1), { is: 'leave' })
  const next = aBgp(before.remembered[0])
  await next.bgp.adopt()
  t.same(next.orders, [{ is: 'adopt', addresses: [VIP], announced: [VIP] }])
  t.ok(next.bgp.isHeld(VIP))
  next.bgp.update(snapshotOf(vip()))
  await settle()
  t.same(next.orders.slice(1), [{ is: 'announce', addresses: [VIP], announced: [VIP] }], 'nothing is withdrawn meanwhile')
})

t.test('an engine that stops leaves nothing', async t => {
  const { bgp, clock, orders, remembered } = aBgp()
  bgp.update(snapshotOf(vip()))
  await settle()
  await bgp.stop()
  t.same(remembered[0], { addresses: [], announced: [] })
  const before = orders.length
  clock.advance(1_000)
  bgp.update(snapshotOf(vip()))
  await settle()
  t.equal(orders.length, before)
})

t.test('BIRD is asked every two seconds while something is to be announced, and what it says is told', async t => {
  const { bgp, clock, birds, told, state } = aBgp()
  t.equal(bgp.announcing(), undefined)
  bgp.update(snapshotOf(vip()))
  await settle()
  t.match(birds[0], { is: 'up' })
  state.bird = { is: 'down', reason: 'BIRD does not answer', sessions: [] }
  clock.advance(1_900)
  await settle()
  t.match(birds[0], { is: 'up' })
  clock.advance(100)
  await settle()
  t.match(bgp.announcing(), { vips: [{ id: 'v', reason: '' }], bird: { is: 'down', reason: 'BIRD does not answer' } })
  t.equal(birds[0]!.is, 'down')
  bgp.update(snapshotOf())
  await settle()
  t.same(told[0], [], 'and that nothing is')
  t.equal(bgp.announcing(), undefined)
})
