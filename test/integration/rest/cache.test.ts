import t from 'tap'
import type { CachePurge } from '#model/message/message.ts'
import { aRest, aTenant } from '#test/support/rest.ts'

t.test('purge says what is to go, by whom, and is refused where it says too much or too little', async t => {
  const house = await aRest(t)
  const { admin, fleet } = house
  const vip = { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] }
  await admin.call('POST', '/api/vsvip', vip)
  const made = await admin.call('POST', '/api/virtualservice', { name: 'shop', vsvip_ref: '/api/vsvip?name=vip', services: [{ port: 80 }] })
  const uuid = String(made.body['uuid'])
  const path = `/api/virtualservice/${uuid}/cache/purge`
  const ordered: [string, CachePurge, string][] = []
  fleet.purgeCache = (virtualServiceUuid, purge, by) => {
    ordered.push([virtualServiceUuid, purge, by])
    return Promise.resolve({ what: purge.by, value: '', by, at: 1, objects: 2, engines: [] })
  }
  for (const body of [
    { url: 'HTTPS://Shop.test:8443/a?B=c' },
    { url: 'http://shop.test' },
    { prefix: 'https://shop.test/a/' },
    { tag: 'Red' },
    { all: true }
  ])
    t.match(await admin.call('POST', path, body), { status: 200, body: { objects: 2, by: 'admin' } })
  t.same(
    ordered.map(([, purge]) => purge),
    [
      { by: 'url', value: 'https://shop.test/a?B=c' },
      { by: 'url', value: 'http://shop.test/' },
      { by: 'prefix', value: 'https://shop.test/a/' },
      { by: 'tag', value: 'Red' },
      { by: 'all' }
    ]
  )
  t.ok(ordered.every(([service, , by]) => service === uuid && by === 'admin'))
  for (const [body, pointer] of [
    [{}, ''],
    [{ all: true, tag: 'a' }, ''],
    [{ all: false }, '/all'],
    [{ url: '/a' }, '/url'],
    [{ url: 'ftp://a/' }, '/url'],
    [{ prefix: 'https://u@a/' }, '/prefix'],
    [{ tag: 7 }, '/tag'],
    [{ tag: '' }, '/tag'],
    [{ all: true, more: 1 }, '/more']
  ] as const) {
    const refused = await admin.call('POST', path, body)
    t.equal(refused.status, 422)
    t.same(
      refused.violations.map(violation => violation.pointer),
      [pointer]
    )
  }
  t.equal((await house.anonymous.call('POST', path, { all: true })).status, 401)
  const { client } = await aTenant(house, 'blue')
  t.equal((await client.call('POST', path, { all: true })).status, 404, 'another tenant’s is not there')
  t.equal(ordered.length, 5)
})
