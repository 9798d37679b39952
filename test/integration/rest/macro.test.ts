import t from 'tap'
import { aRest } from '#test/support/rest.ts'

const macro = (more: object = {}) => ({
  model_name: 'VirtualService',
  data: {
    name: 'shop & co',
    services: [{ port: 80 }],
    vsvip_ref_data: { name: 'shop vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] },
    pool_ref_data: {
      name: 'shop #1?',
      servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }],
      health_monitor_refs_data: [{ name: 'shop-monitor', type: 'HEALTH_MONITOR_TCP' }]
    },
    ...more
  }
})

t.test('a macro makes an object and all that is nested in it, in one revision', async t => {
  const { admin, store } = await aRest(t)
  const before = store.revision()
  const made = await admin.call('POST', '/api/macro', macro())
  t.match(made, { status: 201, body: { name: 'shop & co', pool_ref: /\/api\/pool\/pool-/, vsvip_ref: /\/api\/vsvip\/vsvip-/ } }, made.text)
  t.equal(store.revision(), before + 1)
  const pool = await admin.call('GET', `/api/pool?name=${encodeURIComponent('shop #1?')}&include_name`)
  t.match(pool.results[0], { health_monitor_refs: [/#shop-monitor$/] })
})

t.test('a macro that is wrong anywhere makes nothing and says where', async t => {
  const { admin, store } = await aRest(t)
  const before = store.revision()
  const wrong = await admin.call(
    'POST',
    '/api/macro',
    macro({ pool_ref_data: { name: 'p', lb_algorithm: 'NO', health_monitor_refs_data: [{ name: 'm' }] } })
  )
  t.equal(wrong.status, 422)
  const pointers = wrong.violations.map(violation => violation.pointer)
  t.ok(pointers.includes('/data/pool_ref_data/lb_algorithm'), pointers.join(' '))
  t.ok(pointers.includes('/data/pool_ref_data/health_monitor_refs_data/0/type'), pointers.join(' '))
  t.match(await admin.call('POST', '/api/macro', macro({ pool_ref_data: [] })), {
    status: 422,
    violations: [{ pointer: '/data/pool_ref_data' }]
  })
  t.match(await admin.call('POST', '/api/macro', macro({ pool_ref_data: {} })), {
    status: 422,
    violations: [{ pointer: '/data/pool_ref_data/name' }]
  })
  t.match(await admin.call('POST', '/api/macro', { model_name: 'Nothing', data: {} }), {
    status: 422,
    violations: [{ pointer: '/model_name' }]
  })
  t.match(await admin.call('POST', '/api/macro', { model_name: 'JoinToken', data: { name: 'x' } }), { status: 422 })
  t.equal(store.revision(), before)
})

t.test('a macro changes what is there, makes what is not, and deletes both', async t => {
  const { admin, store } = await aRest(t)
  await admin.call('POST', '/api/macro', macro())
  const pool = (await admin.call('GET', '/api/pool')).results[0]!
  const changed = await admin.call(
    'PUT',
    '/api/macro',
    macro({ enabled: false, pool_ref_data: { name: 'shop #1?', description: 'changed' } })
  )
  t.match(changed, { status: 200, body: { enabled: false } })
  t.match(await admin.call('GET', `/api/pool/${String(pool['uuid'])}`), { body: { description: 'changed' } })
  const moved = await admin.call('PUT', '/api/macro', macro({ pool_ref_data: { name: 'new pool' } }))
  t.equal(moved.status, 200)
  t.equal((await admin.call('GET', '/api/pool')).body['count'], 2)

  t.match(await admin.call('PUT', '/api/macro', macro({ _last_modified: '1' })), { status: 412 })
  const revision = store.revision()
  t.equal((await admin.call('DELETE', '/api/macro?dry_run', macro({ pool_ref_data: { name: 'new pool' } }))).status, 204)
  t.equal(store.revision(), revision)
  t.equal((await admin.call('DELETE', '/api/macro', macro({ pool_ref_data: { name: 'new pool' } }))).status, 204)
  t.match((await admin.call('GET', '/api/pool')).body, { count: 1 })
  t.match((await admin.call('GET', '/api/virtualservice')).body, { count: 0 })
})
