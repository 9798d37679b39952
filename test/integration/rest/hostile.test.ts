/** What strangers send: clear refusals, no crash, no 500. */
import t from 'tap'
import { aRest } from '#test/support/rest.ts'

t.test('bodies that are not what they should be', async t => {
  const { admin, rest, errors } = await aRest(t)
  const session = {
    host: 'controller.test:9443',
    cookie: admin.cookie,
    'x-csrftoken': admin.csrfToken,
    referer: 'https://controller.test:9443/'
  }
  const send = async (payload: string | Buffer, type: string | undefined, url = '/api/pool'): Promise<number> =>
    (await rest.inject({ method: 'POST', url, payload, headers: { ...session, ...(type === undefined ? {} : { 'content-type': type }) } }))
      .statusCode
  t.equal(await send('{', 'application/json'), 400)
  t.equal(await send('', 'application/json'), 400)
  t.equal(await send('[]', 'application/json'), 400)
  t.equal(await send('null', 'application/json'), 400)
  t.equal(await send('"x"', 'application/json; charset=utf-8'), 400)
  t.equal(await send(Buffer.from([0xff, 0xfe, 0x7b]), 'application/json'), 400)
  t.equal(await send('{"name":"x","__proto__":{"isSuperuser":true}}', 'application/json'), 400)
  t.equal(await send('{"name":"x","constructor":{"prototype":{"x":1}}}', 'application/json'), 400)
  t.equal(await send('['.repeat(500_000), 'application/json'), 400)
  t.equal(await send(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, 'application/json'), 400)
  t.equal(await send(`{"name":"${'x'.repeat(10_000_000)}"}`, 'application/json'), 413)
  t.equal(await send('name=x', 'application/x-www-form-urlencoded'), 415)
  t.equal(await send('{"name":"x"}', 'text/plain'), 415)
  t.equal(await send('<x/>', 'application/xml'), 415)
  t.equal(await send('{"name":"x"}', 'nonsense'), 415)
  t.equal(await send('{"name":"x"}', undefined), 415)
  t.equal(await send('{}', 'Application/JSON; charset=UTF-8'), 422)
  t.equal(await send('{"name":"x","servers":[null,1,"a",[],{}]}', 'application/json'), 422)
  t.equal(await send('{"name":null}', 'application/json'), 422)
  t.equal(await send('{"model_name":"Pool","data":null}', 'application/json', '/api/macro'), 422)
  t.equal(await send('{"model_name":["Pool"],"data":{}}', 'application/json', '/api/macro'), 422)
  t.same(errors, [])
})

t.test('names that mean something elsewhere are only names here', async t => {
  const { admin, errors } = await aRest(t)
  const names = [
    "'; DROP TABLE resources; --",
    '<script>alert(1)</script>',
    '../../etc/passwd',
    '%00',
    '𝔘𝔫𝔦𝔠𝔬𝔡𝔢',
    '{{7*7}}',
    'a,b',
    'x'.repeat(255),
    '__proto__',
    'constructor',
    'toString',
    '#',
    '?a=b&c'
  ]
  for (const name of names) {
    const made = await admin.call('POST', '/api/pool', { name })
    t.equal(made.status, 201, `${name.slice(0, 30)} ${made.status === 201 ? '' : made.text}`)
    t.equal((await admin.call('GET', `/api/pool?name=${encodeURIComponent(name)}`)).results[0]?.['name'], name)
    const read = await admin.call('GET', `/api/pool/${String(made.body['uuid'])}?include_name`)
    t.equal(read.headers['content-type'], 'application/json; charset=utf-8')
    t.equal((await admin.call('DELETE', `/api/pool/${String(made.body['uuid'])}`)).status, 204)
  }
  for (const name of ['', 'x'.repeat(256), 'a\u0000b', 'a\nb'])
    t.equal((await admin.call('POST', '/api/pool', { name })).status, 422, JSON.stringify(name.slice(0, 9)))
  t.same(errors, [])
})

t.test('paths, queries and headers that are not what they should be', async t => {
  const { admin, errors } = await aRest(t)
  for (const path of [
    '/api/pool/%ff',
    '/api/pool/%',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/install/..%2f..%2fpackage.json',
    '/install/../../package.json',
    '/assets/..%2findex.html',
    '/.env',
    '/install/.secret',
    '//evil.test/api/pool',
    `/api/pool/${'x'.repeat(5_000)}`,
    `/${'a/'.repeat(2_000)}`
  ]) {
    const { status } = await admin.call('GET', path)
    t.ok(status === 400 || status === 404 || status === 503 || status === 414, `${path.slice(0, 40)} ${status}`)
  }
  for (const uuid of ['__proto__', 'constructor', 'toString', 'pool-none', "' OR 1=1 --", '*'])
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE'] as const) {
      const body = method === 'PATCH' ? { replace: { name: 'x' } } : method === 'PUT' ? { name: 'x' } : undefined
      t.equal((await admin.call(method, `/api/pool/${encodeURIComponent(uuid)}`, body)).status, 404, `${method} ${uuid}`)
    }
  const headers = [{ 'x-avi-tenant': '__proto__' }, { 'x-avi-tenant-uuid': 'x'.repeat(5_000) }, { 'x-avi-tenant': "' OR 1=1" }]
  for (const header of headers) t.equal((await admin.call('GET', '/api/pool', undefined, header as Record<string, string>)).status, 403)
  for (const header of [
    { 'x-avi-version': 'nonsense' },
    { host: '' },
    { host: 'evil"><script>' },
    { 'if-match': ',,,"' },
    { cookie: 'sessionid=%%%; csrftoken' }
  ]) {
    const { status } = await admin.call('GET', '/api/pool', undefined, header as Record<string, string>)
    t.ok(status < 500, `${JSON.stringify(header)} ${status}`)
  }
  for (const patch of [{}, { replace: [] }, { set: {} }, { replace: null }, { add: 'x' }])
    t.equal((await admin.call('PATCH', '/api/pool/pool-none', patch)).status, 404)
  const made = await admin.call('POST', '/api/pool', { name: 'p' })
  for (const patch of [{}, { replace: [] }, { set: {} }, { replace: null }, { add: 'x' }])
    t.equal((await admin.call('PATCH', `/api/pool/${String(made.body['uuid'])}`, patch)).status, 400, JSON.stringify(patch))
  t.same(errors, [])
})

t.test('an answer carries the headers that keep a browser out of trouble', async t => {
  const { admin } = await aRest(t)
  for (const path of ['/api/pool', '/api/nothing', '/healthz', '/'])
    t.match((await admin.call('GET', path)).headers, {
      'content-security-policy': /default-src 'self'.*frame-ancestors 'none'.*script-src 'self'/,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'x-request-id': /^[0-9a-f-]{36}$/
    })
  t.equal((await admin.call('GET', '/api/pool')).headers['cache-control'], 'no-store')
})

t.test('a failure of ours tells nothing of itself and can be found in the log', async t => {
  const house = await aRest(t, {
    change: {
      apply: async () => {
        throw new TypeError('cannot read secret of undefined')
      }
    }
  })
  const answer = await house.admin.call('POST', '/api/pool', { name: 'x' })
  t.match(answer, { status: 500, body: { code: 'INTERNAL', status: 500 } })
  t.notMatch(answer.text, /secret/)
  t.match(house.errors.join(''), new RegExp(String(answer.body['instance']).replace('urn:uuid:', '')))
})
