import t from 'tap'
import { aRest, aTenant, PASSWORD } from '#test/support/rest.ts'

const basic = (username: string, password: string): Readonly<Record<string, string>> => ({
  authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
})

t.test('signing in answers what the SDKs read, by JSON and by form', async t => {
  const { anonymous } = await aRest(t)
  const json = await anonymous.call('POST', '/login', { username: 'admin', password: PASSWORD })
  t.match(json, {
    status: 200,
    body: {
      user: { username: 'admin', is_superuser: true },
      tenants: [{ name: 'admin', uuid: 'admin' }],
      version: { Version: /^\d+\.\d+\.\d+$/ },
      session_cookie_name: 'sessionid'
    }
  })
  const cookies = (json.headers['set-cookie'] as readonly string[]).join('\n')
  t.match(cookies, /^sessionid=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/m)
  t.match(cookies, /^csrftoken=[\w-]{43}; Path=\/; Secure; SameSite=Strict$/m)
  const form = await anonymous.call('POST', '/login', `username=admin&password=${encodeURIComponent(PASSWORD)}`, {
    'content-type': 'application/x-www-form-urlencoded'
  })
  t.equal(form.status, 200)
})

t.test('wrong credentials are refused alike, malformed ones by their shape', async t => {
  const { anonymous, errors } = await aRest(t)
  const wrong = await anonymous.call('POST', '/login', { username: 'admin', password: 'wrong' })
  const nobody = await anonymous.call('POST', '/login/', { username: 'nobody', password: 'wrong' })
  t.match(wrong, { status: 401, body: { code: 'WRONG_CREDENTIALS' } })
  t.equal(nobody.body['error'], wrong.body['error'])
  t.equal(wrong.headers['set-cookie'], undefined)
  const foreign = await anonymous.call('POST', '/login', { username: 'admin', password: PASSWORD }, { origin: 'https://evil.test' })
  t.match(foreign, { status: 403, body: { code: 'WRONG_ORIGIN' } })
  for (const body of [{}, { username: 'admin' }, { username: ['admin'], password: 1 }, [], 'null', '"x"'])
    t.equal((await anonymous.call('POST', '/login', body)).status, 400, JSON.stringify(body))
  t.equal((await anonymous.call('POST', '/login', { username: 'a'.repeat(9_000), password: 'x' })).status, 401)
  t.same(errors, [])
})

t.test('a session ends by logout', async t => {
  const { admin, anonymous } = await aRest(t)
  t.equal((await admin.call('GET', '/api/pool')).status, 200)
  t.equal((await admin.call('POST', '/logout', '')).status, 200)
  t.match(await admin.call('GET', '/api/pool'), { status: 401, body: { code: 'NOT_SIGNED_IN' } })
  t.equal((await anonymous.call('POST', '/logout')).status, 200)
})

t.test('a write with a session needs the token and comes from here', async t => {
  const { admin, anonymous } = await aRest(t)
  const { cookie, csrfToken } = admin
  const post = (headers: Readonly<Record<string, string>>) =>
    anonymous.call('POST', '/api/pool?dry_run', { name: 'x' }, { cookie, ...headers })
  const referer = 'https://controller.test:9443/'
  t.match(await post({}), { status: 403, body: { code: 'CSRF' } })
  t.match(await post({ referer }), { status: 403, body: { code: 'CSRF' } })
  t.match(await post({ referer, 'x-csrftoken': `${csrfToken}x` }), { status: 403, body: { code: 'CSRF' } })
  t.match(await post({ 'x-csrftoken': csrfToken }), { status: 403, body: { code: 'CSRF', error: /Referer/ } })
  t.match(await post({ referer: 'https://evil.test/', 'x-csrftoken': csrfToken }), { status: 403, body: { code: 'WRONG_ORIGIN' } })
  t.match(await post({ referer, origin: 'https://evil.test', 'x-csrftoken': csrfToken }), { status: 403, body: { code: 'WRONG_ORIGIN' } })
  t.match(await post({ referer: 'not a url', 'x-csrftoken': csrfToken }), { status: 403 })
  t.equal((await post({ referer, 'x-csrftoken': csrfToken })).status, 200)
  t.equal((await post({ origin: 'https://controller.test:9443', 'x-csrftoken': csrfToken })).status, 200)
})

t.test('HTTP basic works where the system configuration allows it', async t => {
  const { admin, anonymous } = await aRest(t, { configuration: { portal_configuration: { allow_basic_authentication: true } } })
  t.equal((await anonymous.call('GET', '/api/pool', undefined, basic('admin', PASSWORD))).status, 200)
  t.equal((await anonymous.call('POST', '/api/pool', { name: 'x' }, basic('admin', PASSWORD))).status, 201, 'without a CSRF token')
  t.match(await anonymous.call('GET', '/api/pool', undefined, basic('admin', 'wrong')), {
    status: 401,
    headers: { 'www-authenticate': /^Basic/ }
  })
  for (const authorization of ['Basic', 'Basic !!!', 'Bearer x', 'Basic YQ==', `Basic ${'a'.repeat(4_000)}`])
    t.equal((await anonymous.call('GET', '/api/pool', undefined, { authorization })).status, 401, authorization.slice(0, 20))
  await admin.call('PUT', '/api/systemconfiguration', { portal_configuration: { allow_basic_authentication: false } })
  t.match(await anonymous.call('GET', '/api/pool', undefined, basic('admin', PASSWORD)), {
    status: 401,
    body: { code: 'BASIC_NOT_ALLOWED' }
  })
})

t.test('a thousand logins a minute are slowed down', async t => {
  const { anonymous, errors } = await aRest(t, { loginsPerMinute: 5 })
  const counts = new Map<number, number>()
  for (let i = 0; i < 1_000; i++) {
    const { status } = await anonymous.call('POST', '/login', { username: 'nobody', password: 'x' })
    counts.set(status, (counts.get(status) ?? 0) + 1)
  }
  t.same(new Set(counts.keys()), new Set([401, 429]))
  t.ok(counts.get(429)! >= 990, `${counts.get(429)} refused`)
  t.match(await anonymous.call('POST', '/login', {}), {
    status: 429,
    headers: { 'retry-after': /^\d+$/ },
    body: { code: 'TOO_MANY_REQUESTS' }
  })
  t.same(errors, [])
})

t.test('what is open tells little, and everything else wants a sign-in', async t => {
  const { anonymous, admin } = await aRest(t)
  t.match(await anonymous.call('GET', '/healthz'), { status: 200, body: { status: 'ok' } })
  t.match(await anonymous.call('GET', '/readyz'), { status: 200, body: { status: 'ready' } })
  const data = await anonymous.call('GET', '/api/initial-data')
  t.match(data, { status: 200, body: { signed_in: false, version: { Version: /./ } } })
  t.notMatch(data.text, /admin|test/, 'neither users nor our own version')
  t.match(await admin.call('GET', '/api/initial-data?include_name=true'), {
    status: 200,
    body: { signed_in: true, user: { name: 'admin' }, default_tenant: 'admin' }
  })
  t.match((await anonymous.call('GET', '/api/cluster/runtime')).body, { cluster_state: { state: 'CLUSTER_UP_NO_HA' } })
  t.match((await admin.call('GET', '/api/cluster/version')).body, { Version: /./, weir_version: '0.0.0-test' })
  t.match((await admin.call('GET', '/api/user-tenant-list')).body, { tenants: [{ name: 'admin', uuid: 'admin' }] })
  for (const path of [
    '/api/pool',
    '/api/cluster/version',
    '/metrics',
    '/api/openapi.json',
    '/api/revision',
    '/api/user-tenant-list',
    '/api/pool-inventory'
  ])
    t.equal((await anonymous.call('GET', path)).status, 401, path)
  t.match(await admin.call('GET', '/metrics'), { status: 200, text: /^weir_up 1$/m })
})

t.test('a tenant does not see another, on any route', async t => {
  const house = await aRest(t)
  const { admin } = house
  const a = await aTenant(house, 'team-a')
  const b = await aTenant(house, 'team-b')
  const pool = await a.client.call('POST', '/api/pool', { name: 'secret-pool' })
  t.equal(pool.status, 201, pool.text)
  t.match(pool.body, { tenant_ref: new RegExp(`/api/tenant/${a.uuid}$`) })
  const uuid = String(pool.body['uuid'])
  await a.client.call('POST', '/api/vsvip', { name: 'v', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.9', type: 'V4' } }] })
  const service = await a.client.call('POST', '/api/virtualservice', {
    name: 's',
    services: [{ port: 80 }],
    vsvip_ref: '/api/vsvip?name=v',
    pool_ref: uuid
  })
  t.equal(service.status, 201, service.text)
  const serviceUuid = String(service.body['uuid'])

  for (const path of [
    `/api/pool/${uuid}`,
    `/api/pool/${uuid}/runtime`,
    `/api/pool/${uuid}/runtime/detail`,
    `/api/pool-inventory/${uuid}`,
    `/api/analytics/metrics/pool/${uuid}?metric_id=l7_server.avg_complete_responses`,
    `/api/analytics/healthscore/pool/${uuid}`,
    `/api/virtualservice/${serviceUuid}?join_subresources=runtime`,
    `/api/virtualservice/${serviceUuid}/runtime`
  ]) {
    t.equal((await b.client.call('GET', path)).status, 404, path)
    t.equal((await a.client.call('GET', path)).status, 200, path)
  }
  t.equal((await b.client.call('PUT', `/api/pool/${uuid}`, { name: 'mine' })).status, 404)
  t.equal((await b.client.call('PATCH', `/api/pool/${uuid}`, { replace: { name: 'mine' } })).status, 404)
  t.equal((await b.client.call('DELETE', `/api/pool/${uuid}`)).status, 404)
  t.equal((await b.client.call('DELETE', '/api/macro', { model_name: 'Pool', data: { uuid } })).status, 404)
  for (const path of [
    '/api/pool',
    '/api/pool?search=secret',
    '/api/pool-inventory',
    `/api/pool?referred_by=virtualservice:${serviceUuid}`,
    '/api/virtualservice'
  ])
    for (const tenant of [undefined, '*']) {
      const answer = await b.client.call('GET', path, undefined, tenant === undefined ? {} : { 'x-avi-tenant': tenant })
      t.equal(answer.body['count'], 0, `${path} ${tenant ?? ''}`)
    }
  t.equal((await b.client.call('GET', '/api/pool', undefined, { 'x-avi-tenant': 'team-a' })).status, 403)
  t.equal(
    (await b.client.call('GET', '/api/pool', undefined, { 'x-avi-tenant': 'no-such-team' })).status,
    403,
    'like one that does not exist'
  )
  t.equal((await b.client.call('POST', '/api/pool', { name: 'x', tenant_ref: `/api/tenant/${a.uuid}` })).status, 422)
  const steal = await b.client.call('POST', '/api/virtualservice', {
    name: 's2',
    services: [{ port: 81 }],
    vsvip_ref: 'vsvip-none',
    pool_ref: uuid
  })
  t.match(steal, { status: 422, violations: [{ pointer: '/vsvip_ref' }, { pointer: '/pool_ref' }] })
  t.notMatch((await b.client.call('GET', '/api/revision')).text, /secret-pool/)
  t.match((await a.client.call('GET', '/api/revision')).text, /secret-pool/)

  t.equal((await b.client.call('GET', '/api/healthmonitor?name=System-HTTP')).body['count'], 1, 'the shared defaults are seen')
  t.equal(
    (
      await b.client.call(
        'DELETE',
        `/api/healthmonitor/${String((await admin.call('GET', '/api/healthmonitor?name=System-HTTP')).results[0]!['uuid'])}`
      )
    ).status,
    403
  )
  t.equal((await b.client.call('GET', '/api/user')).status, 403)
  t.equal((await b.client.call('POST', '/api/tenant', { name: 'mine' })).status, 403)

  t.equal((await admin.call('GET', '/api/pool')).body['count'], 0, 'the admin tenant is a tenant too')
  t.equal((await admin.call('GET', '/api/pool', undefined, { 'x-weir-tenant': '*' })).body['count'], 1)
  t.equal((await admin.call('GET', '/api/pool', undefined, { 'x-avi-tenant-uuid': a.uuid })).body['count'], 1)
  t.equal((await admin.call('GET', `/api/pool/${uuid}`)).status, 200, 'by uuid, when no tenant is named')
  t.equal((await admin.call('GET', `/api/pool/${uuid}`, undefined, { 'x-avi-tenant': 'team-b' })).status, 404)
  t.equal((await admin.call('POST', '/api/pool', { name: 'x' }, { 'x-avi-tenant': '*' })).status, 400)
})

t.test('a user reads and changes itself, and nothing that gives it power', async t => {
  const house = await aRest(t)
  const { client } = await aTenant(house, 'team-a', 'Read-Only')
  const self = (await client.call('GET', '/api/initial-data')).body['user'] as { readonly uuid: string }
  const other = await house.signIn('team-a-user')
  t.equal((await client.call('GET', `/api/user/${self.uuid}`)).status, 200)
  t.match(await client.call('PATCH', `/api/user/${self.uuid}`, { replace: { is_superuser: true } }), {
    status: 422,
    violations: [{ pointer: '/is_superuser' }]
  })
  t.equal((await client.call('PATCH', `/api/user/${self.uuid}`, { replace: { password: 'another pass phrase' } })).status, 200)
  t.equal((await client.call('GET', '/api/pool')).status, 200, 'its own session goes on')
  t.equal((await other.call('GET', '/api/pool')).status, 401, 'the others end')
  t.equal((await client.call('POST', '/api/pool', { name: 'x' })).status, 403)
})
