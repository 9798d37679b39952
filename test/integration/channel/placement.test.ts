import t from 'tap'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('with the real change, placement and compile: services run, move when their engine dies, and say where they are', async t => {
  const { running, aShop, join } = await aPlacedFleet(t)
  const uuid = await aShop()
  const shop = () => running.virtualServiceRuntime(uuid)
  await until('waiting', () => shop()?.oper_status.reason[0]?.startsWith('waiting for an engine'))
  t.equal(shop()?.oper_status.state, 'OPER_DOWN')

  const one = await join('one')
  await until('up', () => shop()?.oper_status.state === 'OPER_UP')
  t.match(shop(), { placed_on: [{ engine_uuid: one.uuid, engine_name: 'one', state: 'OPER_UP' }], engines_wanted: 1 })
  t.match(one.engine.applied.at(-1), {
    virtualServices: [{ name: 'shop', target: { is: 'pool' } }],
    pools: [{ name: 'web', servers: [{ id: '10.0.0.1:8000' }] }]
  })
  t.match(running.engineRuntime(one.uuid)?.virtualservices, [{ name: 'shop' }])

  const two = await join('two')
  await until('two is up', () => running.engineRuntime(two.uuid)?.oper_status.state === 'OPER_UP')
  t.match(shop()?.placed_on, [{ engine_name: 'one' }], 'what is placed stays')
  await one.agent.stop()
  await until('it runs on the other', () => {
    const now = shop()
    return now?.oper_status.state === 'OPER_UP' && now.placed_on[0]?.engine_name === 'two'
  })
  t.match(two.engine.applied.at(-1)?.virtualServices, [{ name: 'shop' }])
  await running.revoke(two.uuid, 'lost')
  await until('none is left', () => shop()?.oper_status.reason[0] === 'waiting for an engine: no engine in group Default-Group is up')
  await until('stood down', () => two.engine.stoodDown.length === 1)
})

t.test('two engines, and the process of one hands over to another: nothing moves, and the engine is never told as down', async t => {
  const { running, create, aShop, join, connectAgain } = await aPlacedFleet(t)
  const uuid = await aShop()
  const one = await join('one')
  await until('it runs', () => running.virtualServiceRuntime(uuid)?.oper_status.state === 'OPER_UP')
  const two = await join('two')
  await until(
    'two runs all it should',
    () => running.engineRuntime(two.uuid)?.running_revision === running.engineRuntime(two.uuid)?.wanted_revision
  )

  const told: string[] = []
  t.teardown(
    running.onStateChange(({ kind, uuid }) => {
      if (kind === 'serviceengine' && uuid === one.uuid) told.push(running.engineRuntime(uuid)!.oper_status.state)
      if (kind === 'virtualservice') told.push(`service ${running.virtualServiceRuntime(uuid)!.oper_status.state}`)
    })
  )
  await one.agent.handOver()
  await until('the controller saw the link end', () => running.engineRuntime(one.uuid)?.connected === false)
  // A change plans at once, without the engine that is not connected now.
  await create('pool', { name: 'another' })
  await until(
    'two was told since',
    () => running.engineRuntime(two.uuid)?.wanted_revision === running.engineRuntime(one.uuid)?.wanted_revision
  )
  t.match(running.virtualServiceRuntime(uuid)?.placed_on, [{ engine_name: 'one' }])
  t.equal(running.virtualServiceRuntime(uuid)?.oper_status.state, 'OPER_UP', 'it is served all the while')
  const next = await connectAgain(one)
  await until('it is up again', () => running.virtualServiceRuntime(uuid)?.oper_status.state === 'OPER_UP')
  t.match(running.virtualServiceRuntime(uuid)?.placed_on, [{ engine_name: 'one' }])
  t.notOk(told.includes('OPER_DOWN'), told.join(', '))
  t.same(
    told.filter(state => state.startsWith('service') && state !== 'service OPER_UP'),
    []
  )
  t.notOk(
    two.engine.applied.some(({ virtualServices }) => virtualServices.length > 0),
    'nothing ever went to the other'
  )
  t.equal(next.engine.applied.length, 1, 'what runs was not told again')
})

t.test('a link that breaks and comes back leaves a service as up as it was, though nothing is told anew', async t => {
  const { running, aShop, join, connectAgain } = await aPlacedFleet(t)
  const uuid = await aShop()
  const one = await join('one')
  await until('it runs', () => running.virtualServiceRuntime(uuid)?.oper_status.state === 'OPER_UP')
  await one.agent.stop()
  await until('it is down', () => running.virtualServiceRuntime(uuid)?.oper_status.state === 'OPER_DOWN')
  await connectAgain(one)
  await until('it is up again', () => running.virtualServiceRuntime(uuid)?.oper_status.state === 'OPER_UP')
  t.pass('up')
})

t.test('a service says at which addresses it answers: those of its engines that see a server', async t => {
  const { store, change, running, create, join } = await aPlacedFleet(t)
  const [group] = store.list('serviceenginegroup')
  const body = { ...group!.body, min_scaleout_per_vs: 2 }
  const writes = [{ op: 'replace', kind: 'serviceenginegroup', uuid: group!.uuid, body } as const]
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes })
  const monitor = await create('healthmonitor', { name: 'probe', type: 'HEALTH_MONITOR_TCP' })
  const servers = [{ ip: { addr: '10.0.0.1', type: 'V4' } }]
  const pool = await create('pool', { name: 'web', default_server_port: 8000, servers, health_monitor_refs: [monitor] })
  await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
  const refs = { pool_ref: '/api/pool/?name=web', vsvip_ref: '/api/vsvip/?name=vip' }
  const uuid = await create('virtualservice', { name: 'shop', ...refs, services: [{ port: 8080 }] })
  const answers = () => running.virtualServiceRuntime(uuid)?.answers_at?.map(at => `${at.engine_name} ${at.address} ${at.reason}`.trimEnd())
  t.same(answers(), [])
  const one = await join('one', { addresses: ['10.9.0.1', '127.0.0.1'] })
  const two = await join('two', { addresses: ['10.9.0.2', 'fd00::2', '127.0.0.1'] })
  await until('both answer', () => answers()?.toSorted().join() === 'one 10.9.0.1,two 10.9.0.2')
  const judged = { poolId: pool, serverId: '10.0.0.1:8000', ip: '10.0.0.1', sinceEpochMs: 0, probes: [] }
  two.agent.serversJudged([{ ...judged, verdict: 'down' }])
  one.agent.serversJudged([{ ...judged, verdict: 'up' }])
  const blind = 'two 10.9.0.2 none of its servers is up, as this engine sees them'
  await until('two sees none', () => answers()?.toSorted().join() === `one 10.9.0.1,${blind}`)
  t.equal(running.virtualServiceRuntime(uuid)?.oper_status.state, 'OPER_UP', 'clients are served all the same')
})
