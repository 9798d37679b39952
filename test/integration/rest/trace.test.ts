import t from 'tap'
import { aTrace } from '#test/support/message.ts'
import { aRest, aTenant } from '#test/support/rest.ts'

t.test('trace asks for live requests, shows what was found with its times, and ends', async t => {
  const house = await aRest(t)
  const { admin, fleet } = house
  const vip = { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] }
  t.equal((await admin.call('POST', '/api/vsvip', vip)).status, 201)
  const made = await admin.call('POST', '/api/virtualservice', { name: 'shop', vsvip_ref: '/api/vsvip?name=vip', services: [{ port: 80 }] })
  const uuid = String(made.body['uuid'])
  const wanted = { virtualservice_ref: '/api/virtualservice?name=shop', path: '/a', client_ip: '192.0.2.1', max_requests: 5, duration: 30 }
  t.match(await admin.call('POST', '/api/trace', wanted), { status: 503, body: { code: 'NO_ENGINE' } })
  const explanation = { ...aTrace.explanation, steps: [{ rule: 'p / r', isMatched: false, failedOn: 'path', action: 'close' }] }
  const refused = { ...aTrace, requestId: 'r-2', sentUs: 0, connectUs: 0, firstByteUs: 0, totalUs: 50, fault: 'DENIED_BY_RULE' }
  fleet.traced.set(uuid, [
    { ...aTrace, explanation, engineUuid: 'serviceengine-1' },
    { ...refused, engineUuid: 'serviceengine-1' }
  ])
  const started = await admin.call('POST', '/api/trace', wanted)
  t.match(started, { status: 201, body: { id: 'trace-0', virtualservice: uuid, running: true } })
  t.match(fleet.startedTraces[0]?.wanted, {
    virtualServiceId: uuid,
    clientIp: '192.0.2.1',
    method: '',
    pathPrefix: '/a',
    requestId: '',
    count: 5,
    durationMs: 30_000
  })
  t.match(await admin.call('GET', '/api/trace/trace-0'), {
    status: 200,
    body: {
      requests: [
        {
          request_id: 'r-1',
          times: { client_rtt_estimate_us: 0, before_us: 100, connect_us: 1_000, server_us: 3_000, transfer_us: 900, total_us: 5_000 },
          explanation: { serviceengine: 'serviceengine-1', steps: [{ rule: 'p / r', matched: false, failed_on: 'path' }], server: 's' }
        },
        { request_id: 'r-2', fault: 'DENIED_BY_RULE', times: { before_us: 50, connect_us: 0, server_us: 0, transfer_us: 0, total_us: 50 } }
      ]
    }
  })
  t.match(await admin.call('GET', '/api/trace/request/r-1'), {
    status: 200,
    body: { request_id: 'r-1', explanation: { pool_name: 'web' } }
  })
  t.equal((await admin.call('GET', '/api/trace/request/r-9')).status, 404)
  t.equal((await admin.call('GET', '/api/trace/trace-9')).status, 404)
  const { client } = await aTenant(house, 'blue')
  t.equal((await client.call('GET', '/api/trace/trace-0')).status, 404, 'another tenant\u2019s is not there')
  t.equal((await client.call('GET', '/api/trace/request/r-1')).status, 404)
  t.equal((await client.call('DELETE', '/api/trace/trace-0')).status, 404)
  t.equal((await house.anonymous.call('POST', '/api/trace', wanted)).status, 401)
  t.equal((await admin.call('DELETE', '/api/trace/trace-0')).status, 204)
  t.match(await admin.call('GET', '/api/trace/trace-0'), { body: { running: false } })

  const wrong = await admin.call('POST', '/api/trace', {
    virtualservice_ref: 'nobody',
    client_ip: 'x',
    method: 'get',
    path: 'a',
    request_id: 7,
    max_requests: 101,
    duration: 0,
    more: 1
  })
  t.equal(wrong.status, 422)
  t.same(
    wrong.violations.map(({ pointer }) => pointer).toSorted((a, b) => a.localeCompare(b)),
    ['/client_ip', '/duration', '/max_requests', '/method', '/more', '/path', '/request_id', '/virtualservice_ref']
  )
})
