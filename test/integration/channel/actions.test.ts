import t from 'tap'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { ActionRefused } from '#controller/fleet/port.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('a service is scaled out and in, moved and switched over; it leaves an engine only when the next one runs it', async t => {
  const { store, running, aShop, join } = await aPlacedFleet(t)
  const uuid = await aShop({ placement: { max_scale: 2 } })
  const { actions } = running
  const places = () => running.virtualServiceRuntime(uuid)?.placed_on ?? []
  const names = () => places().map(place => `${place.engine_name} ${place.phase}`)
  const refusal = (act: () => unknown): string => {
    try {
      act()
    } catch (error) {
      if (error instanceof ActionRefused) return error.message
      throw error
    }
    return 'done'
  }
  t.match(
    refusal(() => actions.scaleOut(uuid)),
    /no other engine can take it: no engine has joined group/
  )
  const one = await join('one')
  await until('on one', () => (names().join() === 'one running' ? true : undefined))
  t.match(
    refusal(() => actions.scaleOut(uuid)),
    /no other engine can take it: group Default-Group has no more engines/
  )
  t.match(
    refusal(() => actions.migrate(uuid)),
    /no other engine can take it/
  )
  t.match(
    refusal(() => actions.scaleIn(uuid)),
    /scaled to 1, the least/
  )

  const two = await join('two')
  await until('two is up', () => (running.engineRuntime(two.uuid)?.oper_status.state === 'OPER_UP' ? true : undefined))
  t.same(names(), ['one running'], 'what is placed stays')
  t.same(actions.scaleOut(uuid), { before: [one.uuid], after: [one.uuid, two.uuid] })
  await until('on both', () => (names().join() === 'one running,two running' ? true : undefined))
  t.same(
    places().map(place => place.primary),
    [true, false]
  )
  const three = await join('three')
  await until('three is up', () => (running.engineRuntime(three.uuid)?.oper_status.state === 'OPER_UP' ? true : undefined))
  t.match(
    refusal(() => actions.scaleOut(uuid)),
    /scaled to 2 engines, the most/
  )
  actions.switchOver(uuid)
  await until('switched', () => (names().join() === 'two running,one running' ? true : undefined))
  t.match(
    refusal(() => actions.migrate(uuid, three.uuid)),
    /not on engine three/
  )

  // Engine three is slow: until it runs the service, engine one goes on.
  let release = (): void => undefined
  const held = new Promise<void>(resolve => (release = resolve))
  const apply = three.engine.applySnapshot
  three.engine.applySnapshot = async (...args) => {
    await held
    return apply(...args)
  }
  t.same(actions.migrate(uuid, one.uuid, three.uuid), { before: [two.uuid, one.uuid], after: [two.uuid, three.uuid] })
  await until('one still runs it', () => (names().join() === 'two running,three starting,one leaving' ? true : undefined))
  t.equal(one.engine.applied.at(-1)?.virtualServices.length, 1)
  release()
  await until('moved', () => (names().join() === 'two running,three running' ? true : undefined))
  await until('one let it go', () => (one.engine.applied.at(-1)?.virtualServices.length === 0 ? true : undefined))

  t.same(actions.scaleIn(uuid, two.uuid), { before: [two.uuid, three.uuid], after: [three.uuid] })
  await until('on one again', () => (names().join() === 'three running' ? true : undefined))
  t.same(store.table('fleet-scale').entries(), [])
})

t.test('a group is redistributed, and an engine that is disabled hands over before it stops', async t => {
  const { store, change, running, create, join } = await aPlacedFleet(t)
  await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
  const uuids: string[] = []
  for (const port of [8081, 8082, 8083, 8084])
    uuids.push(
      await create('virtualservice', {
        name: `shop-${port}`,
        pool_ref: '/api/pool/?name=web',
        vsvip_ref: '/api/vsvip/?name=vip',
        services: [{ port }]
      })
    )
  const where = () =>
    uuids.map(uuid =>
      running
        .virtualServiceRuntime(uuid)
        ?.placed_on.map(place => `${place.engine_name} ${place.phase}`)
        .join()
    )
  const one = await join('one')
  await until('all on one', () => (where().every(name => name === 'one running') ? true : undefined))
  const two = await join('two')
  await until('two is up', () => (running.engineRuntime(two.uuid)?.oper_status.state === 'OPER_UP' ? true : undefined))
  const group = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')!.uuid
  t.equal(running.actions.redistribute(group).moved.length, 2)
  await until('spread', () => (where().filter(name => name === 'two running').length === 2 ? true : undefined))
  await until('left', () => (one.engine.applied.at(-1)?.virtualServices.length === 2 ? true : undefined))
  t.equal(running.actions.redistribute(group).moved.length, 0)

  await change.apply({
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: [{ op: 'patch', kind: 'serviceengine', uuid: one.uuid, patch: { replace: { enable_state: 'SE_STATE_DISABLED' } } }]
  })
  await until('all on two', () => (where().every(name => name === 'two running') ? true : undefined))
  await until('one is empty', () => (one.engine.applied.at(-1)?.virtualServices.length === 0 ? true : undefined))

  // Its address changes: what it listened for is given up at once, wherever it goes.
  const [uuid = ''] = uuids
  await change.apply({
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: [
      { op: 'create', kind: 'vsvip', body: { name: 'own', vip: [{ vip_id: '1', ip_address: { addr: '127.0.0.1', type: 'V4' } }] } },
      { op: 'patch', kind: 'virtualservice', uuid, patch: { replace: { vsvip_ref: '/api/vsvip/?name=own' } } }
    ]
  })
  await until('on its new address', () =>
    two.engine.applied.at(-1)?.virtualServices.find(({ id }) => id === uuid)?.listeners[0]?.address === '127.0.0.1' ? true : undefined
  )
  t.equal(running.virtualServiceRuntime(uuid)?.placed_on.length, 1)
})

t.test('active/standby: one engine is active for all, a switch-over takes all along, and who comes back stands by', async t => {
  const { store, change, running, create, join, connectAgain } = await aPlacedFleet(t)
  const group = store.findByName('serviceenginegroup', ADMIN_TENANT, 'Default-Group')!.uuid
  const set = (replace: Readonly<Record<string, string | boolean>>) =>
    change.apply({
      actor: controllerActor,
      tenant: ADMIN_TENANT,
      writes: [{ op: 'patch', kind: 'serviceenginegroup', uuid: group, patch: { replace } }]
    })
  await set({ address_mode: 'L2', ha_mode: 'HA_MODE_LEGACY_ACTIVE_STANDBY' })
  await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  const uuids: string[] = []
  for (const last of [1, 2]) {
    await create('vsvip', { name: `vip-${last}`, vip: [{ vip_id: '1', ip_address: { addr: `192.0.2.${last}`, type: 'V4' } }] })
    uuids.push(
      await create('virtualservice', {
        name: `shop-${last}`,
        pool_ref: '/api/pool/?name=web',
        vsvip_ref: `/api/vsvip/?name=vip-${last}`,
        services: [{ port: 8080 }],
        active_standby_se_tag: `ACTIVE_STANDBY_SE_${last}`
      })
    )
  }
  const roles = () =>
    uuids
      .map(uuid =>
        (running.virtualServiceRuntime(uuid)?.placed_on ?? [])
          .map(({ engine_name: name, primary, standby, phase }) => `${primary ? '+' : ''}${standby ? '-' : ''}${name} ${phase}`)
          .join(' ')
      )
      .join(', ')
  const untilRoles = (wanted: string) => until(wanted, () => (roles() === wanted ? true : undefined))
  const one = await join('one')
  await untilRoles('+one running, +one running')
  t.match(running.virtualServiceRuntime(uuids[0]!)?.oper_status.reason.join(), /group Default-Group has no more engines/)
  const two = await join('two')
  await untilRoles('+one running -two running, +one running -two running')
  await join('three')
  t.same(running.actions.redistribute(group).moved, [])
  t.same(running.actions.switchOver(uuids[1]!).after, [two.uuid, one.uuid])
  await untilRoles('+two running -one running, +two running -one running')

  await two.agent.stop()
  await untilRoles('+one running, +one running')
  await connectAgain(two)
  await untilRoles('+one running -two running, +one running -two running')

  await set({ distribute_load_active_standby: true })
  t.equal(roles(), '+one running -two running, +one running -two running', 'nothing moves by itself')
  t.same(running.actions.redistribute(group).moved, [uuids[1]])
  await untilRoles('+one running -two running, +two running -one running')
  await set({ auto_redistribute_active_standby_load: true })
  t.throws(() => running.actions.switchOver(uuids[0]!), { name: 'ActionRefused', message: /redistributes by itself/ })
  await one.agent.stop()
  await untilRoles('+two running, +two running')
  await connectAgain(one)
  await untilRoles('+one running -two running, +two running -one running')
})
