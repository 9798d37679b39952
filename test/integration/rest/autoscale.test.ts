import t from 'tap'
import { aRest } from '#test/support/rest.ts'

t.test('scaling by load is read by who may read, and a pool is scaled by who may change it', async t => {
  const { admin, signIn, store } = await aRest(t)
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await admin.call('POST', `/api/${kind}`, body)
    t.equal(answer.status, 201, answer.text)
    return String(answer.body['uuid'])
  }
  await make('vsvip', { name: 'v', vip: [{ vip_id: '1', ip_address: { addr: '192.0.2.1', type: 'V4' } }] })
  const service = await make('virtualservice', { name: 's', vsvip_ref: '/api/vsvip?name=v', services: [{ port: 80 }] })
  t.match(await admin.call('GET', `/api/virtualservice/${service}/autoscale`), {
    status: 200,
    body: { enabled: false, now: null, forecast: null, decisions: [] }
  })
  t.match(await admin.call('GET', '/api/virtualservice/none/autoscale'), { status: 404 })
  const group = store.list('serviceenginegroup')[0]!.uuid
  t.match(await admin.call('GET', `/api/serviceenginegroup/${group}/autoscale`), { status: 200, body: { engines: 0, decisions: [] } })

  const pool = await make('pool', { name: 'p', servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  const out = `/api/pool/${pool}/scaleout`
  t.match(await admin.call('POST', out, {}), { status: 409, text: /no autoscale_policy_ref/ })
  await make('serverautoscalepolicy', { name: 'by-load', max_size: 2 })
  await admin.call('PATCH', `/api/pool/${pool}`, { replace: { autoscale_policy_ref: '/api/serverautoscalepolicy?name=by-load' } })
  t.match(await admin.call('POST', out, {}), { status: 409, text: /no webhook_ref/ })
  await make('webhook', { name: 'machines', callback_url: 'https://machines.test/' })
  await admin.call('PATCH', '/api/serverautoscalepolicy/' + store.list('serverautoscalepolicy')[0]!.uuid, {
    replace: { webhook_ref: '/api/webhook?name=machines' }
  })
  t.match(await admin.call('POST', out, { reason: 7, size: 3 }), {
    status: 422,
    violations: [{ pointer: '/reason' }, { pointer: '/size' }]
  })
  t.match(await admin.call('POST', out, { reason: 'a sale' }), {
    status: 200,
    body: { decisions: [{ kind: 'ASKED', cause: 'request', before: 1, after: 2, reasons: ['asked for by admin: a sale'] }] }
  })
  t.match(await admin.call('POST', out), { status: 409, text: /2 servers were asked for already/ })
  t.match(await admin.call('POST', `/api/pool/${pool}/scalein`), { status: 409 })
  t.match(await admin.call('GET', `/api/pool/${pool}/autoscale`), { body: { decisions: [{ kind: 'ASKED' }] } })
  t.match(await admin.call('DELETE', '/api/webhook/' + store.list('webhook')[0]!.uuid), { status: 409 }, 'it is in use')

  await make('role', { name: 'looks', privileges: [{ resource: 'PERMISSION_POOL', type: 'READ_ACCESS' }] })
  const password = 'correct horse battery'
  await make('user', { name: 'eve', password, access: [{ tenant_ref: '/api/tenant?name=admin', role_ref: '/api/role?name=looks' }] })
  const eve = await signIn('eve', password)
  t.match(await eve.call('GET', `/api/pool/${pool}/autoscale`), { status: 200 })
  t.match(await eve.call('POST', out), { status: 403 })
  t.match(await eve.call('GET', `/api/virtualservice/${service}/autoscale`), { status: 404 })
})

t.test('only a superuser says who makes engines; who may read a group sees what is made', async t => {
  const { admin, signIn, store } = await aRest(t)
  const cloud = `/api/cloud/${store.findByName('cloud', 'admin', 'Default-Cloud')!.uuid}`
  const group = `/api/serviceenginegroup/${store.list('serviceenginegroup')[0]!.uuid}`
  const patch = (engine_driver: object) => ({ replace: { engine_driver } })
  const set = async (engine_driver?: object) => {
    const { engine_driver: _, ...rest } = (await admin.call('GET', cloud)).body
    return admin.call('PUT', cloud, { ...rest, ...(engine_driver === undefined ? {} : { engine_driver }) })
  }
  const wrong = await set({ type: 'HUMANS', max_engines: 0, join_timeout: 1, rack: 7 })
  t.equal(wrong.status, 422)
  t.same(
    new Set(wrong.violations.map(({ pointer }) => pointer)),
    new Set(['type', 'max_engines', 'join_timeout', 'rack'].map(name => `/engine_driver/${name}`))
  )
  for (const url of ['http://c:9443', 'https://c:9443/path', 'https://me@c:9443', 'c:9443'])
    t.match(
      await set({ type: 'PROCESS', controller_url: url }),
      { status: 422, violations: [{ pointer: '/engine_driver/controller_url' }] },
      url
    )
  t.match(await set({ type: 'WEBHOOK', process: {} }), {
    status: 422,
    violations: [
      { pointer: '/engine_driver/process', message: 'is for type PROCESS, not WEBHOOK' },
      { pointer: '/engine_driver/webhook_ref', message: 'is needed for type WEBHOOK' },
      { pointer: '/engine_driver/controller_url', message: 'is needed for type WEBHOOK' }
    ]
  })
  await admin.call('POST', '/api/webhook', { name: 'maker', callback_url: 'https://maker.test/' })
  const hook = { type: 'WEBHOOK', webhook_ref: '/api/webhook?name=maker', controller_url: 'https://c:9443' }
  t.match(await set(hook), { status: 200 })
  t.match(await admin.call('DELETE', '/api/webhook/' + store.list('webhook')[0]!.uuid), { status: 409 }, 'it is in use')
  const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n'
  const host = { address: '10.0.0.1', host_key: 'ssh-ed25519 AAAA' }
  const pool = (ssh: object) => ({ type: 'SSH', controller_url: 'https://c:9443', ssh })
  t.match(await set({ type: 'SSH', webhook_ref: '/api/webhook?name=maker' }), {
    status: 422,
    violations: [
      { pointer: '/engine_driver/webhook_ref' },
      { pointer: '/engine_driver/ssh', message: 'is needed for type SSH' },
      { pointer: '/engine_driver/controller_url' }
    ]
  })
  for (const [wrong, pointer] of [
    [{ hosts: [host, host], private_key: key }, '/hosts/1/address'],
    [{ hosts: [host], private_key: 'ssh-ed25519 AAAA' }, '/private_key'],
    [{ hosts: [], private_key: key }, '/hosts'],
    [{ hosts: [{ ...host, address: '-oProxyCommand=x' }], private_key: key }, '/hosts/0/address'],
    [{ hosts: [{ ...host, user: '-l' }], private_key: key }, '/hosts/0/user'],
    [{ hosts: [{ ...host, host_key: 'ssh-ed25519 AAAA\n* ssh-rsa BBBB' }], private_key: key }, '/hosts/0/host_key']
  ] as const)
    t.match(await set(pool(wrong)), { status: 422, violations: [{ pointer: `/engine_driver/ssh${pointer}` }] }, pointer)
  t.match(await set(pool({ hosts: [host], private_key: key })), { status: 200 })
  const shown = await admin.call('GET', cloud)
  t.notMatch(shown.text, 'OPENSSH PRIVATE')
  t.match(shown.body, { engine_driver: { ssh: { private_key: '<sensitive>' } } })
  t.notMatch(JSON.stringify(store.findByName('cloud', 'admin', 'Default-Cloud')), 'OPENSSH PRIVATE', 'sealed at rest')
  t.match(await set(), { status: 200 })
  await admin.call('POST', '/api/role', {
    name: 'infra',
    privileges: ['PERMISSION_CLOUD', 'PERMISSION_SERVICEENGINEGROUP'].map(resource => ({ resource, type: 'WRITE_ACCESS' }))
  })
  const password = 'correct horse battery'
  const access = [{ tenant_ref: '/api/tenant?name=admin', role_ref: '/api/role?name=infra' }]
  t.match(await admin.call('POST', '/api/user', { name: 'eve', password, access }), { status: 201 })
  const eve = await signIn('eve', password)
  const refused = { status: 422, violations: [{ pointer: '/engine_driver', message: /superuser/ }] }
  t.match(await eve.call('PATCH', cloud, patch({ type: 'PROCESS' })), refused)
  t.match(await eve.call('POST', '/api/cloud', { name: 'mine', engine_driver: { type: 'PROCESS' } }), refused)
  t.match(await eve.call('GET', `${group}/autoscale`), { status: 200, body: { driver: null, problem: null, making: [], strangers: [] } })

  t.match(await set(pool({ hosts: [host], private_key: key })), { status: 200 })
  const kept = (await eve.call('GET', cloud)).body
  t.match(await eve.call('PUT', cloud, { ...kept, description: 'a secret that stays' }), { status: 200 })
  const now = (await eve.call('GET', cloud)).body
  const driver = now['engine_driver'] as { readonly ssh: object }
  const other = { ...now, engine_driver: { ...driver, ssh: { ...driver.ssh, private_key: key.replace('abc', 'def') } } }
  t.match(await eve.call('PUT', cloud, other), refused, 'a secret is changed by a superuser only')
  t.match(await set({ type: 'PROCESS' }), { status: 200 })
  t.match(await eve.call('PATCH', cloud, { replace: { description: 'ours' } }), { status: 200 }, 'the rest of a cloud may be changed')
  const whole = (await eve.call('GET', cloud)).body
  t.match(await eve.call('PUT', cloud, { ...whole, description: 'theirs' }), { status: 200 })
  const { engine_driver: _, ...without } = (await eve.call('GET', cloud)).body
  t.match(await eve.call('PUT', cloud, without), refused, 'to take it away is to change it')
  t.match(await eve.call('POST', `${group}/retry`, {}), { status: 200, body: { making: [] } })
  t.match(await eve.call('POST', '/api/serviceenginegroup/none/retry', {}), { status: 404 })
  await admin.call('POST', '/api/role', { name: 'looks', privileges: [{ resource: 'PERMISSION_SERVICEENGINEGROUP', type: 'READ_ACCESS' }] })
  const looks = [{ tenant_ref: '/api/tenant?name=admin', role_ref: '/api/role?name=looks' }]
  await admin.call('POST', '/api/user', { name: 'tom', password, access: looks })
  t.match(await (await signIn('tom', password)).call('POST', `${group}/retry`, {}), { status: 403 })
})
