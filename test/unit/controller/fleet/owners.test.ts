import t from 'tap'
import { Owners } from '#controller/fleet/owners.ts'
import type { Engine } from '#controller/fleet/roster.ts'

const vsvip = { body: { vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.9', type: 'V4' } }] } }
const service = { body: { vsvip_ref: 'vsvip-1' } }

function some() {
  const rows = new Map<string, object>()
  const table = { get: (key: string) => rows.get(key), set: (key: string, row: object) => void rows.set(key, row) }
  const store = { table: () => table, get: (kind: string) => (kind === 'vsvip' ? vsvip : service) } as never
  const heard = new Map<string, number>()
  const engine = (uuid: string): Engine =>
    ({
      uuid,
      row: { facts: { addresses: ['127.0.0.1', `10.0.0.${uuid.charCodeAt(0)}`], peerPort: 9445 } },
      session: heard.has(uuid) ? { isLive: true, heardAtMs: heard.get(uuid) } : undefined
    }) as unknown as Engine
  return { store, heard, engine, open: () => new Owners({ store, deriveSecret: purpose => purpose, engine }) }
}
const spec = (owners: Owners, engines: readonly string[], of = engines[0]!, all = ['a', 'b', 'c']) =>
  owners.specFor(of, ['vs-1'], { uuid: 'group', engines: all }, new Map([['vs-1', engines]]))

t.test('an engine is told its addresses, its peers and the secret of the group', async t => {
  t.same(spec(some().open(), ['a', 'b']), {
    secret: 'heartbeats of engine group group',
    peers: [
      { id: 'b', addresses: ['10.0.0.98'], port: 9445 },
      { id: 'c', addresses: ['10.0.0.99'], port: 9445 }
    ],
    vips: [{ id: 'vsvip-1', addresses: ['10.0.0.9'], engines: ['a', 'b'], term: 1 }]
  })
})

t.test('a term grows with each change of the first engine, also over a restart', async t => {
  const world = some()
  const owners = world.open()
  const term = (owners: Owners, engines: readonly string[]): number => spec(owners, engines).vips[0]!.term
  t.equal(term(owners, ['a', 'b']), 1)
  t.equal(term(owners, ['a', 'c']), 1)
  t.equal(term(owners, ['b', 'a']), 2)
  t.equal(term(world.open(), ['b', 'a']), 2)
  t.equal(term(world.open(), ['a', 'b']), 3)
})

t.test('who took it by itself becomes the first under its own term', async t => {
  const owners = some().open()
  spec(owners, ['a', 'b'])
  owners.told('a', [{ id: 'vsvip-1', term: 1 }])
  t.equal(owners.ownerOf('vsvip-1'), 'a')
  owners.gone('a')
  t.same(owners.told('b', [{ id: 'vsvip-1', term: 2 }]), ['vsvip-1'])
  t.same(owners.told('b', [{ id: 'vsvip-1', term: 2 }]), [], 'once')
  t.equal(spec(owners, ['b', 'a']).vips[0]!.term, 2, 'no order: it is so already')
  t.same(owners.told('a', [{ id: 'vsvip-1', term: 1 }]), [], 'who has not heard of it yet is not asked')
  t.equal(owners.ownerOf('vsvip-1'), 'b')
})

t.test('peers are few in a large group, and two hear each other or neither does', async t => {
  const world = some()
  const all = Array.from({ length: 50 }, (_, i) => String.fromCharCode(200 + i))
  const owners = world.open()
  const peersOf = (uuid: string): string[] => spec(owners, [all[0]!, all[30]!], uuid, all).peers.map(peer => peer.id)
  t.equal(peersOf(all[0]!).length, 5, 'the other and two on each side')
  for (const uuid of all.slice(1, 5))
    for (const peer of peersOf(uuid)) if (peer !== all[0] && peer !== all[30]) t.ok(peersOf(peer).includes(uuid))
})

t.test('what the controller hears is told to engines of the group alone', async t => {
  const world = some()
  world.heard.set('b', 900)
  const owners = world.open()
  owners.told('b', [{ id: 'vsvip-1', term: 4 }])
  const asked = (groupOf: (uuid: string) => unknown) => owners.seen(world.engine('a'), ['b', 'c'], groupOf, 1_000)
  t.same(
    asked(() => 'g'),
    [{ engineId: 'b', silentMs: 100, owned: [{ id: 'vsvip-1', term: 4 }] }]
  )
  t.same(
    asked(uuid => uuid),
    []
  )
})
