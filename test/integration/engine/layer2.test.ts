/** Engines that hear each other over real sockets; who holds an address is a list here, and an interface in the lab. */
import { createSocket } from 'node:dgram'
import t, { type Test } from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { silentLog } from '#model/base/log.ts'
import type { OwnedVip } from '#model/message/message.ts'
import type { Layer2Flows, Layer2Spec } from '#model/snapshot/snapshot.ts'
import { shortId } from '#engine/vip/layer2/heartbeat.ts'
import { sendDatagram } from '#engine/vip/layer2/network.ts'
import type { HoldAnswer, HoldOrder } from '#engine/vip/layer2/order.ts'
import { openLayer2, type Layer2 } from '#engine/vip/layer2/watch.ts'
import { freePorts } from '#test/support/ports.ts'
import { until } from '#test/support/wait.ts'

const DISCARD = 9
const VIP = '198.51.100.9'

interface Member {
  readonly id: string
  readonly layer2: Layer2
  readonly orders: HoldOrder[]
  told: readonly OwnedVip[]
  /** What the holder cannot hold, and why. */
  failing: string
  /** Does nothing any more by itself. */
  isKilled: boolean
  readonly holds: () => boolean
}

interface World {
  readonly secret?: string
  /** They do not reach each other. */
  readonly isCut?: boolean
  /** Whom the controller hears; without it there is none. */
  readonly heard?: ReadonlySet<string>
  /** Its owner passes them on. */
  readonly flows?: readonly Layer2Flows[]
}

async function engines(
  t: Test,
  ids: readonly string[],
  { secret = 'c2VjcmV0', isCut = false, heard, flows }: World = {}
): Promise<Member[]> {
  const ports = await freePorts(ids.length)
  const members: Member[] = ids.map((id, i) => {
    let held: string[] = []
    let shared: string[] = []
    const order = async (what: HoldOrder): Promise<HoldAnswer> => {
      member.orders.push(what)
      const failed = member.failing === '' ? [] : [{ address: VIP, reason: member.failing }]
      if (what.is === 'hold') shared = (what.shared ?? []).flatMap(vip => vip.addresses)
      if (what.is === 'hold') held = what.addresses.filter(address => !failed.some(one => one.address === address))
      return { is: 'done', held: held.map(address => ({ address, interface: 'eth0' })), shared, failed: what.is === 'hold' ? failed : [] }
    }
    const layer2 = openLayer2({
      clock: { ...systemClock, every: (ms, work) => systemClock.every(ms, () => member.isKilled || work()) },
      log: silentLog,
      port: ports[i]!,
      fallback: '',
      openHolder: () => ({ order, close: async () => void (held = []), isOpen: () => true, remember: () => undefined }),
      isConnected: () => heard !== undefined,
      askPeers: asked => {
        const seen = members.filter(({ id }) => asked.includes(id) && heard?.has(id) === true)
        member.layer2.peersSeen(seen.map(({ id, told }) => ({ engineId: id, silentMs: 100, owned: told })))
      },
      told: owned => (member.told = owned)
    })
    const member: Member = {
      id,
      layer2,
      orders: [],
      told: [],
      failing: '',
      isKilled: false,
      holds: () => layer2.isHeld(VIP)
    }
    t.teardown(() => layer2.stop())
    return member
  })
  const spec = (of: string): Layer2Spec => ({
    secret,
    peers: ids.flatMap((id, i) => (id === of ? [] : [{ id, addresses: ['127.0.0.1'], port: isCut ? DISCARD : ports[i]! }])),
    vips: [{ id: 'vsvip-1', addresses: [VIP], engines: ids.slice(0, 2), term: 1, ...(flows === undefined ? {} : { flows }) }]
  })
  for (const { id, layer2 } of members) {
    t.equal(await layer2.prepare(id, spec(id)), undefined)
    layer2.update(id, spec(id), 1_000)
  }
  return members
}

t.test('the first holds the address; when it ends the second does, and tells', async t => {
  const [a, b, c] = (await engines(t, ['a', 'b', 'c'])) as [Member, Member, Member]
  await until('a holds it', () => a.holds())
  t.same(a.told, [{ id: 'vsvip-1', term: 1 }])
  t.same(a.orders[0], { is: 'prepare' })
  t.notOk(b.holds() || c.holds())
  await a.layer2.stop()
  await until('b holds it', () => b.holds())
  t.notOk(a.holds() || c.holds())
  t.ok(b.told[0]!.term > 1)
})

t.test('the last words of one that was killed make the second take it, whatever the controller still believes', async t => {
  const [a, b] = (await engines(t, ['a', 'b', 'c'], { heard: new Set(['a', 'b', 'c']) })) as [Member, Member]
  await until('a holds it', () => a.holds())
  const since = performance.now()
  await until('they hear each other', () => performance.now() - since > 1_000)
  a.isKilled = true
  const order = a.orders.at(-1)
  const words = order?.is === 'hold' ? (order.lastWords ?? []) : []
  t.equal(words.length, 2, 'one for each other')
  for (const { to, port, bytes } of words) await sendDatagram({ from: null, to, port, bytes: Buffer.from(bytes, 'base64') })
  await until('b holds it', () => b.holds())
})

t.test('what cannot be held is left to the next', async t => {
  const [a, b] = (await engines(t, ['a', 'b'])) as [Member, Member]
  a.failing = 'is an address of this host itself'
  await until('b holds it', () => b.holds())
  t.notOk(a.holds())
  t.same(a.layer2.owned(), [])
})

t.test('whom nobody hears but the controller is not dead', async t => {
  const heard = new Set(['a', 'b'])
  const [a, b] = (await engines(t, ['a', 'b'], { isCut: true, heard })) as [Member, Member]
  await until('a holds it', () => a.holds())
  const since = performance.now()
  await until('longer than any silence', () => performance.now() - since > 2_000)
  t.notOk(b.holds())
  heard.delete('a')
  await until('b holds it', () => b.holds())
})

t.test('strangers and another key are not heard', async t => {
  const [a, b] = (await engines(t, ['a', 'b'])) as [Member, Member]
  await until('a holds it', () => a.holds())
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const others = await engines(t, ['a', 'b'], { secret: 'b3RoZXI=' })
  t.equal(others.length, 2)
  for (let i = 0; i < 50; i++) socket.send(Buffer.alloc(200, i), 9, '127.0.0.1')
  await until('each pair has its owner', () => others[0]!.holds() && a.holds() && !b.holds())
})

t.test('an owner passes flows on to who is ready, no new ones to who lets go, and none to who is killed', async t => {
  const flows = [{ protocol: 'tcp', ports: [[80, 80]], by: 'source' }] as const
  const [a, b, c] = (await engines(t, ['a', 'b', 'c'], { flows })) as [Member, Member, Member]
  const sharedBy = ({ orders }: Member) => {
    const last = orders.at(-1)
    return last?.is === 'hold' ? last.shared : undefined
  }
  await until('a holds it, and b takes part', () => a.holds() && sharedBy(a)?.[0]?.others[0]?.isTaking === true)
  t.same(sharedBy(a), [
    {
      addresses: [VIP],
      flows,
      self: shortId('a'),
      others: [{ id: shortId('b'), number: 2, addresses: ['127.0.0.1'], isTaking: true }]
    }
  ])
  t.same(sharedBy(b)?.[0]?.others, [], 'who does not own it passes nothing on')
  t.ok(b.layer2.isHeld(VIP), 'it is not an address of the host itself')
  t.same(b.layer2.owned(), [])
  t.same(sharedBy(c), undefined)

  let isGone = false
  void b.layer2.letGo(undefined).then(() => (isGone = true))
  await until('b let go', () => isGone)
  t.equal(sharedBy(a)?.[0]?.others[0]?.isTaking, false, 'as soon as b may close its ports')
  b.layer2.update('b', { secret: 'c2VjcmV0', peers: [], vips: [] }, 60_000)
  t.same(sharedBy(b)?.[0]?.flows, [], 'what it has may go on')

  const words = b.orders.flatMap(order => (order.is === 'hold' ? [order.lastWords ?? []] : [])).findLast(some => some.length > 0)
  b.isKilled = true
  for (const { to, port, bytes } of words ?? []) await sendDatagram({ from: null, to, port, bytes: Buffer.from(bytes, 'base64') })
  await until('none is passed on to it', () => sharedBy(a)?.[0]?.others.length === 0)
})
