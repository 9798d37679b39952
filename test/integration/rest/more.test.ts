/** Idempotency, revisions, runtime, analytics and the document that describes it all. */
import t from 'tap'
import type { TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { kinds } from '#model/resource/catalogue.ts'
import { kindNames } from '#model/resource/kind.ts'
import { schemaName } from '#controller/rest/openapi.ts'
import { aRest } from '#test/support/rest.ts'
import { aPoolRuntime, aVirtualServiceRuntime } from '#test/support/rest-ports.ts'
import { manualClock } from '#test/support/manual-clock.ts'

t.test('a write sent twice under one key is done once and answered alike', async t => {
  const clock = manualClock()
  const { admin, store } = await aRest(t, { clock })
  const post = (name: string, key: string) => admin.call('POST', '/api/pool', { name }, { 'idempotency-key': key })
  const first = await post('a', 'key-1')
  t.equal(first.status, 201)
  const revision = store.revision()
  const again = await post('a', 'key-1')
  t.match(again, {
    status: 201,
    text: first.text,
    headers: { 'idempotent-replayed': 'true', etag: first.headers['etag'], location: first.headers['location'] }
  })
  t.equal(store.revision(), revision)
  t.match(await post('b', 'key-1'), { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
  t.equal((await post('a', 'key-2')).status, 409, 'another key is another request')
  t.equal((await post('c', 'key-2')).status, 201, 'what was refused is not kept')
  t.equal((await post('d', 'x'.repeat(256))).status, 400)
  const both = await Promise.all([post('e', 'key-3'), post('e', 'key-3')])
  t.ok(both.some(answer => answer.status === 201))
  t.ok(both.every(answer => answer.status === 201 || answer.status === 409))
  t.equal((await admin.call('GET', '/api/pool?name=e')).body['count'], 1)
  const path = `/api/pool/${String(first.body['uuid'])}`
  const gone = await admin.call('DELETE', path, undefined, { 'idempotency-key': 'key-4' })
  t.equal(gone.status, 204)
  t.match(await admin.call('DELETE', path, undefined, { 'idempotency-key': 'key-4' }), { status: 204 })
  clock.advance(30 * 60_000)
  t.match(await post('a', 'key-1'), { status: 201, headers: { 'idempotent-replayed': 'true' } })
  clock.advance(25 * 3_600_000)
  t.same(store.table('idempotency').entries(), [], 'kept for a day')
})

t.test('revisions say who changed what, newest first', async t => {
  const { admin, store } = await aRest(t)
  const made = await admin.call('POST', '/api/pool', { name: 'p' }, { 'x-weir-reason': 'ticket 7' })
  const path = `/api/pool/${String(made.body['uuid'])}`
  for (let i = 0; i < 5; i++) await admin.call('PATCH', path, { replace: { description: `d${i}` } })
  const all = await admin.call('GET', '/api/revision?page_size=4')
  t.match(all, { status: 200, body: { revision: store.revision() } })
  t.equal(all.results.length, 4)
  t.match(all.results[0], {
    revision: store.revision(),
    author: 'admin',
    at: /^\d{4}-/,
    changes: [{ action: 'update', kind: 'pool', name: 'p', diff: [{ pointer: '/description', before: 'd3', after: 'd4' }] }]
  })
  const next = await admin.call('GET', String(all.body['next']).replace(/^http:\/\/[^/]+/, ''))
  t.equal(next.results[0]!['revision'], Number(all.results[3]!['revision']) - 1)
  const own = await admin.call('GET', `/api/revision?uuid=${String(made.body['uuid'])}&page_size=200`)
  t.equal(own.results.length, 6)
  t.match(own.results.at(-1), { reason: 'ticket 7' })
  t.equal(own.body['next'], undefined)
  t.match(await admin.call('GET', `/api/revision/${store.revision()}`), { status: 200, body: { revision: store.revision() } })
  for (const wrong of ['0', '999999', 'x', '-1', '1e3']) t.equal((await admin.call('GET', `/api/revision/${wrong}`)).status, 404, wrong)
  t.equal((await admin.call('GET', '/api/revision?page_size=0')).status, 400)
})

t.test('runtime and inventory say how things are, also of what nobody knows yet', async t => {
  const { admin, fleet } = await aRest(t)
  const pool = await admin.call('POST', '/api/pool', { name: 'p' })
  const uuid = String(pool.body['uuid'])
  t.match(await admin.call('GET', `/api/pool/${uuid}/runtime/`), {
    status: 200,
    body: { oper_status: { state: 'OPER_UNKNOWN', reason: [/./] }, servers: [] }
  })
  fleet.pools.set(uuid, aPoolRuntime())
  t.match(await admin.call('GET', `/api/pool/${uuid}/runtime/detail/`), {
    status: 200,
    body: { oper_status: { state: 'OPER_UP' }, num_servers_up: 1 }
  })
  t.match(await admin.call('GET', `/api/pool/${uuid}?join_subresources=runtime`), {
    body: { name: 'p', runtime: { oper_status: { state: 'OPER_UP' } } }
  })
  t.match((await admin.call('GET', '/api/pool?join_subresources=runtime')).results, [{ name: 'p', runtime: { num_servers: 1 } }])
  t.match(await admin.call('GET', '/api/pool-inventory?name=p'), {
    status: 200,
    body: {
      count: 1,
      results: [{ uuid, config: { name: 'p', url: /./ }, runtime: { num_servers: 1 }, health_score: { score: 100 }, alert: { high: 0 } }]
    }
  })
  t.match(await admin.call('GET', `/api/pool-inventory/${uuid}`), { status: 200, body: { uuid, config: { name: 'p' } } })
  t.match(await admin.call('GET', '/api/virtualservice-inventory/'), { status: 200, body: { count: 0, results: [] } })
  t.match(await admin.call('GET', '/api/serviceengine-inventory'), { status: 200, body: { count: 0, results: [] } })
  t.equal((await admin.call('GET', '/api/healthmonitor/x/runtime')).status, 404)

  fleet.virtualServices.set('x', aVirtualServiceRuntime())
  t.equal((await admin.call('GET', '/api/virtualservice/x/runtime')).status, 404, 'what is not configured is not there')
})

t.test('metrics are asked for in bounds', async t => {
  const clock = manualClock(1_700_000_000_000)
  const { admin, telemetry } = await aRest(t, { clock })
  const uuid = String((await admin.call('POST', '/api/pool', { name: 'p' })).body['uuid'])
  const path = `/api/analytics/metrics/pool/${uuid}/`
  const answer = await admin.call('GET', `${path}?metric_id=l7_server.avg_complete_responses,l4_server.avg_bandwidth&step=5&limit=60`)
  t.match(answer, { status: 200, body: { series: [], step: 5, limit: 60 } })
  t.same(telemetry.asked.at(-1), {
    kind: 'pool',
    uuid,
    metricIds: ['l7_server.avg_complete_responses', 'l4_server.avg_bandwidth'],
    stepS: 5,
    limit: 60,
    startEpochS: 1_700_000_000 - 300,
    stopEpochS: 1_700_000_000
  })
  await admin.call('GET', `${path}?metric_id=a.b&step=1&limit=10&start=2000-01-01T00:00:00Z&stop=1600000000`)
  t.match(telemetry.asked.at(-1), { startEpochS: 1_599_999_990, stopEpochS: 1_600_000_000 }, 'never more than the limit')
  await admin.call('GET', `${path}?metric_id=l7_server.avg_resp_5xx&server=${encodeURIComponent('[::1]:80')}`)
  t.match(telemetry.asked.at(-1), { kind: 'pool', uuid: `${uuid}/[::1]:80` }, 'one server of it')
  await admin.call('POST', '/api/vsvip', { name: 'v', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.9', type: 'V4' } }] })
  const made = await admin.call('POST', '/api/virtualservice', { name: 'v', vsvip_ref: '/api/vsvip?name=v', services: [{ port: 80 }] })
  const service = String(made.body['uuid'])
  await admin.call('GET', `${path}?metric_id=l7_server.avg_resp_5xx&virtualservice=${service}`)
  t.match(telemetry.asked.at(-1), { kind: 'pool', uuid, virtualService: service }, 'one user of it')
  t.equal((await admin.call('GET', `${path}?metric_id=a.b&virtualservice=none`)).status, 404)
  for (const query of [
    '',
    '?metric_id=',
    '?metric_id=x',
    '?metric_id=a.b&step=0',
    '?metric_id=a.b&limit=1000000',
    '?metric_id=a.b&start=yesterday',
    '?metric_id=a.b&start=10&stop=5',
    `?metric_id=${'a.b,'.repeat(60)}`,
    '?metric_id=a.b&server=',
    `?metric_id=a.b&server=x:1&virtualservice=${service}`,
    '?metric_id=a.b&nope=1'
  ])
    t.equal((await admin.call('GET', path + query)).status, 400, query)
  t.match(await admin.call('GET', `/api/analytics/healthscore/pool/${uuid}`), {
    status: 200,
    body: { entity_uuid: uuid, health_score: 0, reasons: [{}] }
  })
  t.equal((await admin.call('GET', '/api/analytics/healthscore/user/x')).status, 404)
})

t.test('the OpenAPI document names every route and its references hold', async t => {
  const { admin } = await aRest(t)
  const answer = await admin.call('GET', '/api/openapi.json')
  t.equal(answer.status, 200)
  const document = answer.body as {
    readonly openapi: string
    readonly paths: Readonly<
      Record<string, Readonly<Record<string, { readonly summary: string; readonly parameters?: readonly { readonly name: string }[] }>>>
    >
    readonly components: { readonly schemas: Readonly<Record<string, object>> }
  }
  t.equal(document.openapi, '3.1.0')
  for (const kind of kindNames) {
    const methods = kind === 'systemconfiguration' ? ['get', 'put', 'patch'] : ['get', ...(kind === 'serviceengine' ? [] : ['post'])]
    for (const method of methods) t.ok(document.paths[`/api/${kind}`]?.[method]?.summary, `${method} ${kind}`)
  }
  for (const path of [
    '/login',
    '/logout',
    '/api/macro',
    '/api/jointoken',
    '/api/enrol',
    '/api/revision/{revision}',
    '/api/pool/{uuid}/runtime',
    '/metrics',
    '/healthz'
  ])
    t.ok(document.paths[path], path)
  t.ok(document.paths['/api/pool']?.['get']?.parameters?.some(parameter => parameter.name === 'name.icontains'))
  const text = JSON.stringify(document)
  const wanted = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(match => match[1]!))
  t.ok(wanted.size >= kindNames.length)
  for (const name of wanted) t.ok(Object.hasOwn(document.components.schemas, name), name)
  t.notMatch(text, /undescribed/)
})

t.test('what the API answers is what the document says', async t => {
  const { admin } = await aRest(t)
  await admin.call('POST', '/api/vsvip', { name: 'v', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.10', type: 'V4' } }] })
  await admin.call('POST', '/api/pool', { name: 'p', servers: [{ ip: { addr: '10.0.0.1', type: 'V4' } }] })
  const made = await admin.call('POST', '/api/virtualservice', {
    name: 's',
    services: [{ port: 80 }],
    vsvip_ref: '/api/vsvip?name=v',
    pool_ref: '/api/pool?name=p'
  })
  t.equal(made.status, 201, made.text)
  await admin.call('POST', '/api/jointoken', {})
  const { components } = (await admin.call('GET', '/api/openapi.json')).body as {
    readonly components: { readonly schemas: Readonly<Record<string, TSchema>> }
  }
  let count = 0
  for (const kind of kindNames) {
    const schema = components.schemas[schemaName(kinds[kind])]!
    const answer = await admin.call(
      'GET',
      `/api/${kind}?join_subresources=runtime${kind === 'systemconfiguration' ? '' : '&page_size=200'}`
    )
    for (const shown of kind === 'systemconfiguration' && answer.status === 200 ? [answer.body] : answer.results) {
      count++
      t.ok(Check(schema, shown), `${kind} ${String(shown['name'])}`)
    }
  }
  t.ok(count > 20, `${count} objects`)
})
