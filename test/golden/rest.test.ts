/** What clients get to read when they are refused: a change of these words is a change of the API. `make golden` rewrites. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { aRest } from '#test/support/rest.ts'

t.test('refusals read as reviewed', async t => {
  const { admin, anonymous, store } = await aRest(t, { loginsPerMinute: 3 })
  const vip = { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] }
  const service = { name: 'shop', services: [{ port: 80 }], vsvip_ref: '/api/vsvip?name=vip', pool_ref: '/api/pool?name=web' }
  await admin.call('POST', '/api/vsvip', vip)
  const pool = await admin.call('POST', '/api/pool', { name: 'web' })
  await admin.call('POST', '/api/virtualservice', service)
  const path = `/api/pool/${String(pool.body['uuid'])}`

  const cases = {
    'not signed in': await anonymous.call('GET', '/api/pool'),
    'wrong password': await anonymous.call('POST', '/login', { username: 'admin', password: 'x' }),
    'too many logins': (await anonymous.call('POST', '/login', {}), await anonymous.call('POST', '/login', {})),
    'no CSRF token': await anonymous.call('POST', '/api/pool', {}, { cookie: admin.cookie, referer: 'https://controller.test:9443/' }),
    'malformed JSON': await admin.call('POST', '/api/pool', '{'),
    'unknown path': await admin.call('GET', '/api/nothing'),
    'unknown object': await admin.call('GET', '/api/pool/pool-none'),
    'unknown tenant': await admin.call('GET', '/api/pool', undefined, { 'x-avi-tenant': 'none' }),
    'wrong query': await admin.call('GET', '/api/pool?page_size=1000'),
    invalid: await admin.call('POST', '/api/pool', {
      name: '',
      servers: [{ ip: { addr: '10.0.0.300', type: 'V4' }, port: 70000 }],
      colour: 'red'
    }),
    'reference to nothing': await admin.call('POST', '/api/virtualservice', { ...service, name: 'other', pool_ref: '/api/pool?name=none' }),
    'name taken': await admin.call('POST', '/api/pool', { name: 'web' }),
    'in use': await admin.call('DELETE', path),
    stale: await admin.call('PUT', path, { name: 'web', _last_modified: '1' }),
    'engine by hand': await admin.call('POST', '/api/serviceengine', { name: 'e' }),
    'not packaged': await anonymous.call('GET', '/install.sh')
  }
  const names = new Map([...store.list('pool'), ...store.list('virtualservice')].map(item => [item.uuid, `<uuid of ${item.name}>`]))
  let text = JSON.stringify(Object.fromEntries(Object.entries(cases).map(([name, { status, body }]) => [name, { status, body }])), null, 2)
  text = `${text.replace(/urn:uuid:[0-9a-f-]{36}/g, 'urn:uuid:<request>').replace(/try again in \d+ s/g, 'try again in <n> s')}\n`
  for (const [uuid, name] of names) text = text.replaceAll(uuid, name)

  const golden = join(import.meta.dirname, 'rest', 'refusals.json')
  if (process.env['WEIR_GOLDEN'] === 'write') writeFileSync(golden, text)
  t.equal(text, readFileSync(golden, 'utf8'))
})
