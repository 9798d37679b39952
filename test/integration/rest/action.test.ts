import t from 'tap'
import { controllerActor } from '#controller/access/actor.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { aRest, aTenant } from '#test/support/rest.ts'

t.test('placement is told what to do by Avi’s paths, and every wrong field is named', async t => {
  const house = await aRest(t)
  const { admin, fleet } = house
  const vip = { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] }
  t.equal((await admin.call('POST', '/api/vsvip', vip)).status, 201)
  const made = await admin.call('POST', '/api/virtualservice', { name: 'shop', vsvip_ref: '/api/vsvip?name=vip', services: [{ port: 80 }] })
  const uuid = String(made.body['uuid'])
  const order = {
    actor: controllerActor,
    tenant: ADMIN_TENANT,
    writes: ['one', 'two'].map(name => ({ op: 'create' as const, kind: 'serviceengine' as const, body: { name } }))
  }
  const engines = (await house.change.apply(order)).resources.map(resource => resource.uuid)
  const base = `/api/virtualservice/${uuid}`
  t.match(await admin.call('POST', `${base}/scaleout`), {
    status: 200,
    body: {
      engines: [{ engine_uuid: 'serviceengine-2' }],
      joining: [{ engine_uuid: 'serviceengine-2' }],
      leaving: [{ engine_uuid: 'serviceengine-1' }]
    }
  })
  t.equal((await admin.call('POST', `${base}/scaleout`, { to_se_ref: '/api/serviceengine/?name=two', vip_id: '1' })).status, 200)
  t.equal((await admin.call('POST', `${base}/scalein`, { from_se_ref: engines[0] })).status, 200)
  t.equal((await admin.call('POST', `${base}/migrate`, { from_se_ref: engines[0], to_se_ref: engines[1] })).status, 200)
  t.equal((await admin.call('POST', `${base}/switchover`, {})).status, 200)
  const { body } = await admin.call('GET', '/api/serviceenginegroup?name=Default-Group')
  const group = (body['results'] as { uuid: string }[])[0]!.uuid
  t.match(await admin.call('POST', `/api/serviceenginegroup/${group}/redistribute`), { status: 200, body: { moved: [] } })
  t.same(fleet.acted, [
    `out ${uuid}`,
    `out ${uuid} ${engines[1]}`,
    `in ${uuid} ${engines[0]}`,
    `migrate ${uuid} ${engines[0]} ${engines[1]}`,
    `over ${uuid}`,
    `redistribute ${group}`
  ])

  const wrong = await admin.call('POST', `${base}/migrate`, { from_se_ref: 'nobody', to_se_ref: 7, vip_id: '9', to_new_se: true })
  t.equal(wrong.status, 422)
  t.same(
    wrong.violations.map(({ pointer }) => pointer).toSorted((a, b) => a.localeCompare(b)),
    ['/from_se_ref', '/to_new_se', '/to_se_ref', '/vip_id']
  )
  t.equal((await admin.call('POST', '/api/virtualservice/virtualservice-none/scaleout')).status, 404)
  t.equal(fleet.acted.length, 6)
})

t.test('who may not write may not move', async t => {
  const house = await aRest(t)
  const { admin } = house
  const vip = { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] }
  await admin.call('POST', '/api/vsvip', vip)
  const made = await admin.call('POST', '/api/virtualservice', { name: 'shop', vsvip_ref: '/api/vsvip?name=vip', services: [{ port: 80 }] })
  const { client } = await aTenant(house, 'blue')
  t.equal((await client.call('POST', `/api/virtualservice/${String(made.body['uuid'])}/scaleout`)).status, 404)
  t.same(house.fleet.acted, [])
})
