import t from 'tap'
import { usesOf, type KnownUses } from '#model/snapshot/uses.ts'
import { aPool, aService } from '#test/support/snapshot.ts'

t.test('usesOf finds every way from a service to a pool, and what stands in for it', async t => {
  const pools = ['a', 'b', 'c', 'd', 'e', 'f'].map(id => aPool([1], { id }))
  pools[1] = { ...pools[1]!, failAction: { is: 'pool', poolId: 'c' } }
  pools[2] = { ...pools[2]!, failAction: { is: 'pool', poolId: 'b' } }
  const rule = { id: 'r', name: 'r', match: null, headerActions: [], rewrite: null, isLogged: false }
  const shop = aService({
    id: 'shop',
    target: { is: 'pool', poolId: 'a' },
    requestRules: [{ ...rule, action: { is: 'switch', target: { is: 'pool', poolId: 'b' } } }],
    mirror: { poolId: 'd', percent: 1 }
  })
  const members = [
    { poolId: 'a', ratio: 1, priority: 0 },
    { poolId: 'nowhere', ratio: 1, priority: 0 }
  ]
  const other = aService({ id: 'other', target: { is: 'group', id: 'g', name: 'g', members, failAction: { is: 'pool', poolId: 'e' } } })
  const found = usesOf({ virtualServices: [shop, other, aService({ id: 'none', target: null })], pools })
  t.same(found.map(({ virtualServiceId, poolId }) => `${virtualServiceId} ${poolId}`).toSorted(), [
    'other a',
    'other e',
    'shop a',
    'shop b',
    'shop c',
    'shop d'
  ])
})

t.test('usesOf looks once through a part that it is shown again, and sees who stands in all the same', async t => {
  let looks = 0
  const part = aService({ id: 'shop', target: null })
  Object.defineProperty(part, 'target', { enumerable: true, get: () => (looks++, { is: 'pool', poolId: 'a' }) })
  const known: KnownUses = new WeakMap()
  const uses = (standIn: string) =>
    usesOf(
      { virtualServices: [part], pools: [aPool([1], { id: 'a', failAction: { is: 'pool', poolId: standIn } }), aPool([1], { id: 'b' })] },
      known
    ).map(({ poolId }) => poolId)
  t.same(uses('b'), ['a', 'b'])
  t.same(uses('none'), ['a'])
  t.equal(looks, 1)
})
