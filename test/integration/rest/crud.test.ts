import t from 'tap'
import { aCertificate } from '#test/support/certificates.ts'
import { aRest } from '#test/support/rest.ts'

const vip = { name: 'web-vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] }
const pool = { name: 'web-pool', servers: [{ ip: { addr: '10.0.0.1', type: 'V4' }, port: 8080 }] }
const service = {
  name: 'web',
  services: [{ port: 80 }],
  vsvip_ref: '/api/vsvip/?name=web-vip',
  pool_ref: '/api/pool?name=web-pool'
}

t.test('a virtual service in the JSON of Avi is made, read, changed and deleted', async t => {
  const { admin, errors } = await aRest(t)
  t.equal((await admin.call('POST', '/api/vsvip', vip)).status, 201)
  const madePool = await admin.call('POST', '/api/pool/', pool)
  t.equal(madePool.status, 201)
  const made = await admin.call('POST', '/api/virtualservice', service)
  t.equal(made.status, 201, made.text)
  t.match(made.body, {
    uuid: /^virtualservice-[0-9a-f-]{36}$/,
    url: /^http:\/\/controller\.test:9443\/api\/virtualservice\/virtualservice-/,
    pool_ref: `http://controller.test:9443/api/pool/${String(madePool.body['uuid'])}`,
    tenant_ref: 'http://controller.test:9443/api/tenant/admin',
    enabled: true,
    _last_modified: /^\d{16}$/
  })
  t.equal(made.headers['etag'], `"${String(made.body['_last_modified'])}"`)
  t.equal(made.headers['location'], made.body['url'])

  const path = `/api/virtualservice/${String(made.body['uuid'])}`
  const plain = await admin.call('GET', `${path}/?skip_default&include_name=true`)
  t.equal(plain.status, 200)
  t.equal(plain.body['enabled'], undefined, 'what was not written is not there')
  t.match(plain.body, { pool_ref: /#web-pool$/, url: /#web$/ })

  const read = await admin.call('GET', path)
  const put = await admin.call('PUT', path, { ...read.body, enabled: false })
  t.match(put, { status: 200, body: { enabled: false } })
  t.match(await admin.call('PUT', path, { ...read.body, enabled: true }), { status: 412, body: { code: 'STALE', status: 412 } })
  t.match(await admin.call('PATCH', path, { replace: { enabled: true } }), { status: 200, body: { enabled: true } })
  t.match(await admin.call('PATCH', path, { add: { services: [{ port: 8081 }] } }), {
    status: 200,
    body: { services: [{ port: 80 }, { port: 8081 }] }
  })

  const inUse = await admin.call('DELETE', `/api/pool/${String(madePool.body['uuid'])}`)
  t.match(inUse, { status: 409, body: { code: 'IN_USE', error: /virtualservice web/, violations: [{ message: /virtualservice web/ }] } })
  const gone = await admin.call('DELETE', path)
  t.match(gone, { status: 204, text: '' })
  t.equal((await admin.call('GET', path)).status, 404)
  t.equal((await admin.call('DELETE', `/api/pool/${String(madePool.body['uuid'])}`)).status, 204)
  t.same(errors, [])
})

t.test('every violation is told at once, with its pointer', async t => {
  const { admin } = await aRest(t)
  const answer = await admin.call('POST', '/api/pool', {
    name: 'x',
    lb_algorithm: 'NO',
    servers: [{ ip: { addr: 'x', type: 'V4' }, port: 70000 }],
    colour: 1
  })
  t.equal(answer.status, 422)
  t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
  const pointers = answer.violations.map(violation => violation.pointer)
  t.same(pointers.toSorted(), ['/colour', '/lb_algorithm', '/servers/0/ip/addr', '/servers/0/port'])
  t.match(answer.body, {
    type: 'urn:weir:problem:invalid',
    title: 'Invalid',
    status: 422,
    instance: /^urn:uuid:/,
    error: /\/lb_algorithm must.*; .*\/colour is not/s
  })
})

t.test('If-Match guards a write, and * any', async t => {
  const { admin } = await aRest(t)
  const made = await admin.call('POST', '/api/pool', pool)
  const path = `/api/pool/${String(made.body['uuid'])}`
  const etag = String(made.headers['etag'])
  t.equal((await admin.call('PATCH', path, { replace: { description: 'a' } }, { 'if-match': etag })).status, 200)
  t.equal((await admin.call('PATCH', path, { replace: { description: 'b' } }, { 'if-match': etag })).status, 412)
  t.equal((await admin.call('PATCH', path, { replace: { description: 'b' } }, { 'if-match': '*' })).status, 200)
  t.equal((await admin.call('DELETE', path, undefined, { 'if-match': etag })).status, 412)
  const now = String((await admin.call('GET', path)).headers['etag'])
  t.equal((await admin.call('DELETE', path, undefined, { 'if-match': `"1", W/${now}` })).status, 204)
})

t.test('a dry run answers as if and writes nothing', async t => {
  const { admin, store } = await aRest(t)
  const before = store.revision()
  const made = await admin.call('POST', '/api/pool?dry_run=true', pool)
  t.match(made, { status: 200, body: { name: 'web-pool', _changes: [{ action: 'create', kind: 'pool' }] } })
  t.equal((await admin.call('POST', '/api/pool?dry_run', { name: '' })).status, 422)
  t.equal(store.revision(), before)
})

t.test('unsupported fields are refused, or left out and listed when asked so', async t => {
  const { admin } = await aRest(t)
  const body = { ...pool, gslb_sp_enabled: true }
  t.match(await admin.call('POST', '/api/pool', body), { status: 422, body: { violations: [{ pointer: '/gslb_sp_enabled' }] } })
  const made = await admin.call('POST', '/api/pool?ignore_unsupported=true', body)
  t.match(made, { status: 201, body: { _warnings: [{ pointer: '/gslb_sp_enabled' }] } })
  t.equal((await admin.call('PUT', `/api/pool/${String(made.body['uuid'])}`, made.body)).status, 200, 'the answer is taken back')
})

t.test('lists are filtered, sorted and paged', async t => {
  const { admin } = await aRest(t)
  for (let i = 0; i < 30; i++)
    await admin.call('POST', '/api/pool', {
      name: `pool-${String(i).padStart(2, '0')}`,
      description: i % 2 ? 'Odd one' : 'even',
      default_server_port: 8000 + (i % 5)
    })
  const namesOf = async (query: string): Promise<readonly string[]> => {
    const answer = await admin.call('GET', `/api/pool?${query}`)
    t.equal(answer.status, 200, `${query} ${answer.text.slice(0, 200)}`)
    return answer.results.map(item => String(item['name']))
  }
  const first = await admin.call('GET', '/api/pool')
  t.match(first.body, { count: 30, next: 'http://controller.test:9443/api/pool?page=2' })
  t.equal(first.results.length, 25)
  t.equal((await namesOf('page=2')).length, 5)
  t.same(await namesOf('page=7'), [])
  t.same(await namesOf('sort=-name&page_size=2'), ['pool-29', 'pool-28'])
  t.same(await namesOf('sort=-default_server_port,-name&page_size=2'), ['pool-29', 'pool-24'])
  t.same(await namesOf('name=pool-07'), ['pool-07'])
  t.same(await namesOf('name.in=pool-07,pool-01,none'), ['pool-01', 'pool-07'])
  t.equal((await namesOf('name.icontains=POOL-1&page_size=200')).length, 10)
  t.same(await namesOf('name.contains=POOL-1'), [])
  t.equal((await namesOf('isearch=odd&page_size=200')).length, 15)
  t.same(await namesOf('search=odd'), [])
  t.equal((await namesOf('search=(description,Odd)&page_size=200')).length, 15)
  t.equal((await namesOf('default_server_port=8003&page_size=200')).length, 6)
  t.equal((await namesOf('cloud_ref.name=Default-Cloud&page_size=200')).length + (await namesOf('cloud_ref.name=Other')).length, 30)
  const one = await admin.call('GET', '/api/pool?name=pool-07&fields=description&skip_default')
  t.same(Object.keys(one.results[0]!).toSorted(), ['description', 'name', 'url', 'uuid'])
  const less = await admin.call('GET', '/api/pool?name=pool-07&exclude=description')
  t.equal(less.results[0]!['description'], undefined)
})

t.test('relations are asked for both ways', async t => {
  const { admin } = await aRest(t)
  await admin.call('POST', '/api/vsvip', vip)
  const madePool = await admin.call('POST', '/api/pool', pool)
  const made = await admin.call('POST', '/api/virtualservice', service)
  const namesOf = async (path: string): Promise<unknown> => (await admin.call('GET', path)).results.map(item => item['name'])
  t.same(await namesOf(`/api/virtualservice?refers_to=pool:${String(madePool.body['uuid'])}`), ['web'])
  t.same(await namesOf('/api/virtualservice?refers_to=pool:pool-none'), [])
  t.same(await namesOf(`/api/pool?referred_by=virtualservice:${String(made.body['uuid'])}`), ['web-pool'])
  t.same(await namesOf('/api/virtualservice?pool_ref.name=web-pool'), ['web'])
  t.same(await namesOf('/api/virtualservice?pool_ref.name=other'), [])
})

t.test('a wrong query is refused in words', async t => {
  const { admin } = await aRest(t)
  const wrong = [
    'page=0',
    'page=x',
    'page_size=0',
    'page_size=201',
    'page_size=-1',
    'sort=colour',
    'fields=colour',
    'colour=red',
    'name.like=x',
    'refers_to=pool',
    'refers_to=nothing:x',
    'include_name=maybe',
    'join_subresources=faults',
    'name=a&name=b',
    'search=(colour,x)',
    '__proto__=1',
    'constructor.name=Object'
  ]
  for (const query of wrong) t.match(await admin.call('GET', `/api/pool?${query}`), { status: 400, body: { code: 'BAD_QUERY' } }, query)
  t.match(await admin.call('POST', '/api/pool?dryrun=true', pool), { status: 400, body: { error: /dryrun/ } })
})

t.test('the system configuration is one', async t => {
  const { admin } = await aRest(t, { configuration: { portal_configuration: { allow_basic_authentication: true } } })
  const read = await admin.call('GET', '/api/systemconfiguration')
  t.match(read, { status: 200, body: { portal_configuration: { allow_basic_authentication: true } } })
  const put = await admin.call('PUT', '/api/systemconfiguration', {
    ...read.body,
    portal_configuration: { allow_basic_authentication: false }
  })
  t.match(put, { status: 200, body: { portal_configuration: { allow_basic_authentication: false } } })
  t.equal((await admin.call('GET', '/api/systemconfiguration/other')).status, 404)
  t.equal((await admin.call('POST', '/api/systemconfiguration', {})).status, 404)
})

t.test('secrets are never answered, searched or sorted by', async t => {
  const { admin } = await aRest(t)
  const made = await admin.call('POST', '/api/user', { name: 'tool', password: 'very-secret-1' })
  t.match(made, { status: 201, body: { password: '<sensitive>' } })
  const all = await admin.call('GET', '/api/user?search=argon2id')
  t.equal(all.body['count'], 0)
  t.equal((await admin.call('GET', '/api/user?password.contains=argon2id')).body['count'], 0)
  t.notMatch((await admin.call('GET', '/api/user')).text, /argon2|very-secret/)
  t.notMatch((await admin.call('GET', '/api/revision')).text, /argon2|very-secret/)
  const put = await admin.call('PUT', `/api/user/${String(made.body['uuid'])}`, { ...made.body, full_name: 'A tool' })
  t.match(put, { status: 200, body: { password: '<sensitive>', full_name: 'A tool' } })
})

t.test('a default object cannot be deleted while it is needed, and a kind that is not known is not there', async t => {
  const { admin } = await aRest(t)
  const profile = (await admin.call('GET', '/api/applicationprofile?name=System-HTTP')).results[0]!
  t.ok(String(profile['url']).includes('/api/applicationprofile/'))
  for (const path of ['/api/nothing', '/api/nothing/x', '/api/Pool', '/api/pool/x/y/z', '/api', '/api/plan', '/api/watch'])
    t.match(await admin.call('GET', path), { status: 404, body: { code: 'NOT_FOUND' } }, path)
  for (const path of ['/api/plan', '/api/apply']) t.equal((await admin.call('POST', path, {})).status, 404, path)
})

t.test('a certificate says for whom it is and until when, and comes back unchanged', async t => {
  const { admin } = await aRest(t)
  const { certificatePem, keyPem } = await aCertificate('shop', ['shop.test', '*.shop.test'])
  const body = { name: 'shop', key: keyPem, certificate: { certificate: certificatePem } }
  const { body: made, status } = await admin.call('POST', '/api/sslkeyandcertificate', body)
  t.equal(status, 201)
  t.match(made['certificate'], {
    certificate: certificatePem,
    subject_alt_names: ['shop.test', '*.shop.test'],
    not_after: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/,
    fingerprint: /^[0-9a-f]{64}$/,
    key_params: { algorithm: 'SSL_KEY_ALGORITHM_EC' }
  })
  const path = `/api/sslkeyandcertificate/${String(made['uuid'])}`
  const again = await admin.call('PUT', path, (await admin.call('GET', path)).body)
  t.match(again, { status: 200, body: { certificate: made['certificate'], _last_modified: made['_last_modified'] } })
  const root = await admin.call('POST', '/api/pkiprofile', { name: 'root', ca_certs: [{ certificate: certificatePem }] })
  t.match(root.body['ca_certs'], [{ subject_alt_names: ['shop.test', '*.shop.test'] }])
})

t.test('what GET gave is no change when it comes back, whatever GET added to it', async t => {
  const { admin } = await aRest(t)
  await admin.call('POST', '/api/vsvip', vip)
  await admin.call('POST', '/api/pool', pool)
  const { uuid } = (await admin.call('POST', '/api/virtualservice', service)).body
  const path = `/api/virtualservice/${String(uuid)}`
  for (const query of ['', '?include_name']) {
    const { body } = await admin.call('GET', path + query)
    t.type(body['application_profile_ref'], 'string', 'GET says what an unset reference means')
    t.match(await admin.call('PUT', path, body), { status: 200, body: { _last_modified: body['_last_modified'] } })
  }
  const { body } = await admin.call('GET', path)
  const secure = { ...body, application_profile_ref: '/api/applicationprofile?name=System-Secure-HTTP' }
  await admin.call('PUT', path, secure)
  t.match((await admin.call('GET', `${path}?include_name`)).body['application_profile_ref'], /#System-Secure-HTTP$/)
  await admin.call('PUT', path, { ...(await admin.call('GET', path)).body, application_profile_ref: body['application_profile_ref'] })
  t.match(
    (await admin.call('GET', `${path}?include_name&skip_default`)).body['application_profile_ref'],
    /#System-HTTP$/,
    'a change back is one'
  )
})
