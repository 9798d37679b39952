import t from 'tap'
import { isReachable, poolsByService } from '#engine/vip/bgp/reachable.ts'
import { aPool, aRule, aServer, aService, aSnapshot } from '#test/support/snapshot.ts'

const member = (poolId: string, ratio = 1) => ({ poolId, ratio, priority: 0 })

t.test('poolsByService finds those that a service may send clients to, by whatever way', async t => {
  const names = ['plain', 'by-rule', 'member', 'resting', 'stands-in', 'of-child', 'in-turn', 'of-nobody']
  const failTo = (poolId: string) => ({ failAction: { is: 'pool', poolId } as const })
  const pools = names.map(id =>
    aPool([80], { id, ...(id === 'plain' ? failTo('stands-in') : id === 'stands-in' ? failTo('in-turn') : {}) })
  )
  const group = {
    is: 'group',
    id: 'g',
    name: 'g',
    members: [member('member'), member('resting', 0)],
    failAction: { is: 'close' }
  } as const
  const services = [
    aService({ id: 'a', target: { is: 'pool', poolId: 'plain' } }),
    aService({
      id: 'b',
      target: group,
      requestRules: [aRule({ action: { is: 'switch', target: { is: 'pool', poolId: 'by-rule' } } as never })],
      hosting: { by: 'host', names: [{ name: 'x.test', childId: 'c', match: null }] }
    }),
    aService({ id: 'c', target: { is: 'pool', poolId: 'of-child' }, listeners: [] }),
    aService({ id: 'd', target: null })
  ]
  const found = poolsByService(aSnapshot({ services, pools }))
  const idsOf = (id: string) => found.get(id)?.map(pool => pool.id)
  t.same(idsOf('a'), ['plain', 'stands-in', 'in-turn'])
  t.same(idsOf('b'), ['member', 'by-rule', 'of-child'])
  t.same(idsOf('d'), [])
})

t.test('isReachable is false only where every server is known to be down, or disabled', async t => {
  const verdicts = new Map<string, 'up' | 'down'>()
  const judge = (_: string, id: string) => verdicts.get(id) ?? 'unknown'
  const [one, two] = [aServer(81), aServer(82)]
  const pools = [aPool([one]), aPool([two, aServer(83, { isEnabled: false })])]
  t.ok(isReachable(pools, judge), 'nothing is known yet')
  verdicts.set(one.id, 'down')
  t.ok(isReachable(pools, judge))
  verdicts.set(two.id, 'down')
  t.notOk(isReachable(pools, judge))
  verdicts.set(one.id, 'up')
  t.ok(isReachable(pools, judge))
  t.ok(isReachable([], judge), 'who answers by itself needs no server')
})
