/** Engines on one host have its ports in common: what goes from one to the other is never on both. */
import t from 'tap'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { ActionRefused } from '#controller/fleet/port.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('a service moves between engines of one host: the one closes its ports before the other is told', async t => {
  const { change, running, aShop, join } = await aPlacedFleet(t)
  const uuid = await aShop({ placement: { max_scale: 2 } })
  const where = () => (running.virtualServiceRuntime(uuid)?.placed_on ?? []).map(place => `${place.engine_name} ${place.phase}`).join()
  const one = await join('one', { networkId: 'boot/net:[1]' })
  await until('on one', () => (where() === 'one running' ? true : undefined))
  const two = await join('two', { networkId: 'boot/net:[1]' })
  await until('two is up', () => (running.engineRuntime(two.uuid)?.oper_status.state === 'OPER_UP' ? true : undefined))

  let sharedPorts = 0
  for (const [mine, other] of [
    [one, two],
    [two, one]
  ] as const) {
    const apply = mine.engine.applySnapshot
    mine.engine.applySnapshot = snapshot => {
      const has = (services: readonly { readonly id: string }[] | undefined): boolean => services?.some(({ id }) => id === uuid) === true
      if (has(snapshot.virtualServices) && has(other.engine.applied.at(-1)?.virtualServices)) sharedPorts += 1
      return apply(snapshot)
    }
  }
  t.throws(() => running.actions.scaleOut(uuid), ActionRefused, 'both cannot listen on one port')
  const drain = async (engine: string, state: string): Promise<void> => {
    const write = { op: 'patch', kind: 'serviceengine', uuid: engine, patch: { replace: { enable_state: state } } } as const
    await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [write] })
  }
  for (let round = 0; round < 5; round++) {
    await drain(one.uuid, 'SE_STATE_DISABLED')
    await until('it went to two', () => (where() === 'two running' ? true : undefined))
    await drain(one.uuid, 'SE_STATE_ENABLED')
    running.actions.migrate(uuid, two.uuid, one.uuid)
    await until('it came back', () => (where() === 'one running' ? true : undefined))
  }
  t.equal(sharedPorts, 0)
})

t.test('the last engine of a service is drained only when another can take it', async t => {
  const { change, running, aShop, join } = await aPlacedFleet(t)
  const uuid = await aShop()
  const where = () => (running.virtualServiceRuntime(uuid)?.placed_on ?? []).map(place => `${place.engine_name} ${place.phase}`).join()
  const one = await join('one')
  await until('on one', () => (where() === 'one running' ? true : undefined))
  const write = { op: 'patch', kind: 'serviceengine', uuid: one.uuid, patch: { replace: { enable_state: 'SE_STATE_DISABLED' } } } as const
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes: [write] })
  await until('it says why', () =>
    JSON.stringify(running.virtualServiceRuntime(uuid)).includes('engine one is drained and keeps it') ? true : undefined
  )
  t.equal(where(), 'one running')
  const since = one.engine.applied.findIndex(snapshot => snapshot.virtualServices.length === 1)
  t.ok(one.engine.applied.slice(since).every(snapshot => snapshot.virtualServices.length === 1))
  await join('two')
  await until('on two', () => (where() === 'two running' ? true : undefined))
})
