import t from 'tap'
import type { RequestQuestion } from '#model/message/message.ts'
import { aRest, aTenant } from '#test/support/rest.ts'

t.test('explain asks an engine that runs the virtual service', async t => {
  const house = await aRest(t)
  const { admin, fleet } = house
  const vip = { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] }
  t.equal((await admin.call('POST', '/api/vsvip', vip)).status, 201)
  const made = await admin.call('POST', '/api/virtualservice', { name: 'shop', vsvip_ref: '/api/vsvip?name=vip', services: [{ port: 80 }] })
  t.equal(made.status, 201)
  const uuid = String(made.body['uuid'])
  const question = { virtualservice_ref: '/api/virtualservice?name=shop', host: 'shop.test', path: '/a?b', headers: { 'X-Key': '7' } }
  t.match(await admin.call('POST', '/api/explain', question), { status: 503, body: { code: 'NO_ENGINE' } })

  const asked: RequestQuestion[] = []
  fleet.explanations.set(uuid, given => {
    asked.push(given)
    const steps = [{ rule: 'p/r', isMatched: false, failedOn: 'path', action: 'switch' }]
    return {
      steps,
      verdict: 'forward',
      status: 0,
      location: '',
      poolId: 'pool-1',
      poolName: 'web',
      serverId: '10.0.1.1:80',
      reason: 'the default pool'
    }
  })
  t.match(await admin.call('POST', '/api/explain', { ...question, client_ip: '192.0.2.7' }), {
    status: 200,
    body: {
      virtualservice: uuid,
      serviceengine: 'serviceengine-1',
      steps: [{ rule: 'p/r', matched: false, failed_on: 'path', action: 'switch' }],
      verdict: 'forward',
      pool: 'pool-1',
      pool_name: 'web',
      server: '10.0.1.1:80'
    }
  })
  t.same(asked, [
    { virtualServiceId: uuid, method: 'GET', host: 'shop.test', path: '/a?b', headers: ['X-Key', '7'], clientIp: '192.0.2.7', scheme: '' }
  ])

  const wrong = await admin.call('POST', '/api/explain', {
    virtualservice_ref: 'nobody',
    method: 'get',
    path: 'a',
    client_ip: 'x',
    headers: { a: 1 },
    more: 1,
    scheme: 'ws'
  })
  t.equal(wrong.status, 422)
  t.same(
    wrong.violations.map(({ pointer }) => pointer).toSorted((a, b) => a.localeCompare(b)),
    ['/client_ip', '/headers', '/host', '/method', '/more', '/path', '/scheme', '/virtualservice_ref']
  )
  t.equal((await house.anonymous.call('POST', '/api/explain', question)).status, 401)
  const { client } = await aTenant(house, 'blue')
  t.equal(
    (await client.call('POST', '/api/explain', { ...question, virtualservice_ref: uuid })).status,
    422,
    'another tenant’s is not there'
  )
})
