/** `address_mode` BGP as the controller sees it: every engine of a service has its addresses, and tells whether it announces them. */
import t from 'tap'
import type { BirdState } from '#model/message/message.ts'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { anAgent, anEngine } from '#test/support/agent.ts'
import { aPlacedFleet } from '#test/support/placed-fleet.ts'
import { until } from '#test/support/wait.ts'

t.test('each engine of a group that announces has the addresses, and says whether it announces them', async t => {
  const { store, change, running, create, join } = await aPlacedFleet(t)
  const [group] = store.list('serviceenginegroup')
  const body = { ...group!.body, address_mode: 'BGP', min_scaleout_per_vs: 2 }
  const writes = [{ op: 'replace', kind: 'serviceenginegroup', uuid: group!.uuid, body } as const]
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes })
  await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  const vip = { vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' }, ip6_address: { addr: 'fd92::1', type: 'V6' } }
  const vsvip = await create('vsvip', { name: 'vip', vip: [vip] })
  const refs = { pool_ref: '/api/pool/?name=web', vsvip_ref: '/api/vsvip/?name=vip' }
  const shop = await create('virtualservice', { name: 'shop', ...refs, services: [{ port: 8080 }] })
  const silent = await create('virtualservice', { name: 'silent', ...refs, services: [{ port: 8081 }], enable_rhi: false })
  const [one, two] = [await join('one'), await join('two')]
  const places = (uuid: string) => running.virtualServiceRuntime(uuid)?.placed_on ?? []
  await until('both run on both', () => [shop, silent].every(uuid => places(uuid).filter(place => place.phase === 'running').length === 2))
  for (const { engine } of [one, two]) {
    t.same(engine.applied.at(-1)!.engine.bgp, {
      vips: [{ id: vsvip, addresses: ['192.0.2.1', 'fd92::1'], services: [{ id: shop, whenDown: false }] }]
    })
    const listeners = engine.applied
      .at(-1)!
      .virtualServices.flatMap(part => part.listeners.map(({ address, port }) => `${address} ${port}`))
    t.same(
      new Set(listeners),
      new Set(['192.0.2.1 8080', 'fd92::1 8080', '192.0.2.1 8081', 'fd92::1 8081']),
      'bound as they are, whoever has them'
    )
  }
  t.same(
    places(shop).map(place => [place.primary, place.owns_addresses, place.announces_addresses, place.announce_reason]),
    [
      [false, false, false, 'it does not run it yet'],
      [false, false, false, 'it does not run it yet']
    ]
  )
  const up: BirdState = { is: 'up', reason: '', sessions: [{ name: 'router', isUp: true, state: 'up Established' }] }
  const tell = (of: typeof one, reason: string, bird = up): void => of.agent.vipsAnnounced?.({ vips: [{ id: vsvip, reason }], bird })
  const reasons = () =>
    Object.fromEntries(places(shop).map(place => [place.engine_name, [place.announces_addresses, place.announce_reason]]))
  tell(one, '')
  tell(two, 'none of its servers is up')
  await until('the controller has heard both', () => JSON.stringify(reasons()).includes('none of its servers'))
  t.same(reasons(), { one: [true, ''], two: [false, 'none of its servers is up'] })
  t.match(running.engineRuntime(two.uuid)?.bgp, {
    state: 'up',
    sessions: [{ name: 'router', up: true, state: 'up Established' }],
    vips: [{ vsvip_name: 'vip', announced: false, reason: 'none of its servers is up' }]
  })
  tell(one, '', { is: 'down', reason: 'BIRD has no session with a router', sessions: [] })
  await until('a session has ended', () => reasons()['one']?.[0] === false)
  t.same(reasons()['one'], [false, 'BIRD has no session with a router'])
  tell(one, '', { is: 'unknown', reason: 'the engine may not ask', sessions: [] })
  await until('who is not known to be unheard is taken for heard', () => reasons()['one']?.[0] === true)
  t.throws(() => running.actions.switchOver(shop), { message: /none is the primary/ })

  const answers = () => running.virtualServiceRuntime(shop)?.answers_at?.map(at => `${at.engine_name} ${at.address} ${at.reason}`.trimEnd())
  t.same(answers()?.toSorted(), [
    'one 192.0.2.1',
    'one fd92::1',
    ...['192.0.2.1', 'fd92::1'].map(at => `two ${at} none of its servers is up`)
  ])

  await two.agent.stop()
  await until('two is gone', () => reasons()['two']?.[1] !== 'none of its servers is up')
  t.match(reasons(), { one: [true, ''] })
})

t.test('an engine that comes back says anew what it announces', async t => {
  const { store, change, running, create, enrol } = await aPlacedFleet(t)
  const [group] = store.list('serviceenginegroup')
  const writes = [{ op: 'replace', kind: 'serviceenginegroup', uuid: group!.uuid, body: { ...group!.body, address_mode: 'BGP' } } as const]
  await change.apply({ actor: controllerActor, tenant: ADMIN_TENANT, writes })
  await create('pool', { name: 'web', default_server_port: 8000, servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  const vsvip = await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
  const refs = { pool_ref: '/api/pool/?name=web', vsvip_ref: '/api/vsvip/?name=vip' }
  const shop = await create('virtualservice', { name: 'shop', ...refs, services: [{ port: 8080 }] })
  const { folder } = await enrol('one')
  const announcing = () => ({ vips: [{ id: vsvip, reason: '' }], bird: { is: 'up', reason: '', sessions: [] } as const })
  await anAgent(t, folder, Object.assign(anEngine(), { announcing }))
  await until('it is told with the first words', () => running.virtualServiceRuntime(shop)?.placed_on[0]?.announces_addresses === true)
})
