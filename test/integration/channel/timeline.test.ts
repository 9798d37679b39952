/** The timeline of a real fleet: what is placed where, and why it moved. */
import t from 'tap'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('a service that is placed, and moved as its engine is drained, is told so', async t => {
  const { change, running, timeline, aShop, join } = await aPlacedFleet(t)
  const uuid = await aShop()
  const told = (about: string) => timeline.list({ uuids: new Set([about]), limit: 10, isSeen: () => true })
  const one = await join('one')
  await until('it is placed', () => (told(uuid).length === 1 ? true : undefined))
  t.match(told(uuid), [{ event_id: 'VS_ADD_SE', obj_name: 'shop', event_description: 'is placed on one', related_uuids: [one.uuid] }])
  const two = await join('two')
  await until('two is up', () => (running.engineRuntime(two.uuid)?.oper_status.state === 'OPER_UP' ? true : undefined))
  const drain = { op: 'patch', kind: 'serviceengine', uuid: one.uuid, patch: { replace: { enable_state: 'SE_STATE_DISABLED' } } } as const
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [drain] })
  await until('it moved', () => (told(uuid).length === 2 ? true : undefined))
  t.match(
    told(two.uuid),
    [{ event_id: 'VS_MIGRATE', event_description: 'moves from one to two; it is placed on two' }],
    'and is found under its engine'
  )
  t.equal(told(one.uuid).length, 2)
})
