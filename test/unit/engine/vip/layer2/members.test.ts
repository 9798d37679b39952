import t from 'tap'
import { SILENT_MS } from '#engine/vip/layer2/election.ts'
import { Members, type Reachable } from '#engine/vip/layer2/members.ts'

const addresses = ['10.0.0.2']
const heard = (at: Readonly<Record<string, number>>): Map<string, Reachable> =>
  new Map(Object.entries(at).map(([id, heardAtMs]) => [id, { addresses, heardAtMs }]))
const at = (nowMs: number, drainMs = 5_000): { nowMs: number; drainMs: number } => ({ nowMs, drainMs })

t.test('an engine takes part once it says that it is ready, under a number of its own', async t => {
  const members = new Members()
  t.same(members.of('v', ['b', 'c'], heard({ b: 0, c: 0 }), at(0)), [])
  members.heard('c', 'v', true, 0)
  t.same(members.of('v', ['b', 'c'], heard({ b: 0, c: 0 }), at(0)), [{ id: 'c', number: 2, addresses, isTaking: true }])
  members.heard('b', 'v', true, 0)
  t.same(
    members.of('v', ['b', 'c'], heard({ b: 0, c: 0 }), at(0)).map(({ id, number }) => [id, number]),
    [
      ['c', 2],
      ['b', 3]
    ]
  )
  t.same(members.of('w', ['b', 'c'], heard({ b: 0, c: 0 }), at(0)), [], 'of the address that it said it of')
})

t.test('one that is silent is out at once, one that only stops to be ready keeps its flows for a while', async t => {
  const members = new Members()
  members.heard('b', 'v', true, 0)
  members.of('v', ['b'], heard({ b: 0 }), at(0))
  members.heard('b', 'v', false, 100)
  t.same(members.of('v', ['b'], heard({ b: 100 }), at(100)), [{ id: 'b', number: 2, addresses, isTaking: false }])
  t.equal(members.of('v', ['b'], heard({ b: 5_100 }), at(5_100)).length, 1)
  t.equal(members.of('v', ['b'], heard({ b: 5_101 }), at(5_101)).length, 0, 'no longer than the drain')
  members.heard('b', 'v', true, 6_000)
  t.match(members.of('v', ['b'], heard({ b: 6_000 }), at(6_000)), [{ id: 'b', number: 2, isTaking: true }])
  t.same(members.of('v', ['b'], heard({ b: 6_000 }), at(6_001 + SILENT_MS)), [], 'silent')
})

t.test('one that carries the address no more keeps its flows, also when it is not heard as a peer any more', async t => {
  const members = new Members()
  members.heard('b', 'v', true, 0)
  members.of('v', ['b'], heard({ b: 0 }), at(0))
  t.match(members.of('v', [], heard({}), at(100)), [{ id: 'b', isTaking: false }])
  t.equal(members.of('v', [], heard({}), at(5_101)).length, 0)
})

t.test('one that ended is out', async t => {
  const members = new Members()
  members.heard('b', 'v', true, 0)
  members.of('v', ['b'], heard({ b: 0 }), at(0))
  members.left('b')
  t.same(members.of('v', ['b'], heard({ b: 0 }), at(0)), [])
})

t.test('of addresses that are gone nothing is kept', async t => {
  const members = new Members()
  members.heard('b', 'v', true, 0)
  members.keepOnly(new Set())
  t.same(members.of('v', ['b'], heard({ b: 0 }), at(0)), [])
})
