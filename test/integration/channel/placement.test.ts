import t from 'tap'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('with the real change, placement and compile: services run, move when their engine dies, and say where they are', async t => {
  const { running, create, join } = await aPlacedFleet(t)
  await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
  const uuid = await create('virtualservice', {
    name: 'shop',
    pool_ref: '/api/pool/?name=web',
    vsvip_ref: '/api/vsvip/?name=vip',
    services: [{ port: 8080 }]
  })
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
