import t from 'tap'
import { noFigures } from '#model/resource/runtime.ts'
import { aRest } from '#test/support/rest.ts'

t.test('an upgrade is started, seen, paused, resumed, aborted and rolled back, by who may change engine groups', async t => {
  const { admin, store, fleet, signIn } = await aRest(t)
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await admin.call('POST', `/api/${kind}`, body)
    t.equal(answer.status, 201, answer.text)
    return String(answer.body['uuid'])
  }
  const group = await make('serviceenginegroup', { name: 'edge' })
  const uuid = 'serviceengine-11111111-2222-4333-8444-555555555555'
  const engine = {
    kind: 'serviceengine',
    uuid,
    tenant: 'tenant-admin',
    name: 'one',
    body: { name: 'one', se_group_ref: group },
    references: []
  } as const
  await store.commit({ author: 'test', reason: '', atEpochMs: 0, puts: [engine], deletes: [], changes: [] })
  const at = `/api/serviceenginegroup/${group}/upgrade`
  t.match(await admin.call('GET', at), { status: 404 })
  t.match(await admin.call('GET', '/api/upgrade'), { status: 200, body: { count: 0, results: [], given_out: { version: '2.0.0' } } })
  t.match(await admin.call('POST', `${at}/pause`), { status: 409 })
  t.match(await admin.call('POST', `${at}/start`), { status: 409, body: { detail: /its host does not say which build it runs/ } })
  t.match(await admin.call('POST', `${at}/start`, { max_parallel: 0, deadline: 'long', speed: 1, webhook_ref: '/api/webhook?name=none' }), {
    status: 422,
    violations: [
      { pointer: '/speed' },
      { pointer: '/max_parallel', message: 'must be an integer from 1 to 100' },
      { pointer: '/deadline' },
      { pointer: '/webhook_ref' }
    ]
  })
  t.match(await admin.call('POST', `${at}/start`, { deadline: 60, evaluation_duration: 60 }), {
    status: 422,
    violations: [{ pointer: '/deadline' }]
  })

  fleet.engines.set(uuid, {
    oper_status: { state: 'OPER_UP', reason: [], last_changed_time: 0 },
    connected: true,
    last_seen: 0,
    wanted_revision: 1,
    running_revision: 1,
    violations: [],
    version: '1.0.0',
    build: 'ab'.repeat(32),
    platform: 'linux-x64',
    upgrade_ended: null,
    hostname: 'one',
    addresses: [],
    workers: 1,
    abilities: ['upgrade'],
    host: null,
    live: noFigures,
    health_score: { score: 100, reasons: [] },
    virtualservices: [],
    certificate_not_after: null
  })
  await make('role', { name: 'looks', privileges: [{ resource: 'PERMISSION_SERVICEENGINEGROUP', type: 'READ_ACCESS' }] })
  const password = 'correct horse battery'
  await make('user', { name: 'eve', password, access: [{ tenant_ref: '/api/tenant?name=admin', role_ref: '/api/role?name=looks' }] })
  const eve = await signIn('eve', password)
  t.match(await eve.call('POST', `${at}/start`), { status: 403 })

  await make('webhook', { name: 'ops', callback_url: 'https://ops.test/', verification_token: 'a secret' })
  t.match(await admin.call('POST', `${at}/start`, { max_parallel: 2, webhook_ref: '/api/webhook?name=ops' }), {
    status: 200,
    body: {
      state: 'RUNNING',
      direction: 'FORWARD',
      version: '2.0.0',
      max_parallel: 2,
      deadline: 180,
      started_by: 'admin',
      engines: [{ name: 'one', state: 'MEASURING', from: 'ab'.repeat(32), to: 'cd'.repeat(32) }],
      events: [{ kind: 'STARTED', by: 'admin', engine: null }]
    }
  })
  t.match(await admin.call('POST', `${at}/start`), { status: 409 })
  t.match(await eve.call('GET', at), { status: 200, body: { state: 'RUNNING' } })
  for (const action of ['pause', 'resume', 'abort', 'rollback']) t.match(await eve.call('POST', `${at}/${action}`), { status: 403 })
  t.match(await admin.call('POST', `${at}/pause`, {}), { status: 200, body: { state: 'PAUSED', reason: 'asked for by admin' } })
  t.match(await admin.call('POST', `${at}/resume`, {}), { status: 200, body: { state: 'RUNNING' } })
  t.match(await admin.call('POST', `${at}/resume`, {}), { status: 409 })
  t.match(await admin.call('POST', `${at}/abort`, {}), { status: 200, body: { state: 'ABORTED', engines: [{ state: 'SKIPPED' }] } })
  t.match(await admin.call('POST', `${at}/rollback`, {}), { status: 409 })
  t.match(await admin.call('POST', `${at}/promote`, {}), { status: 404 })
  t.match(await admin.call('GET', '/api/upgrade'), { body: { count: 1, results: [{ state: 'ABORTED' }] } })
  t.match(
    (await admin.call('GET', `/api/analytics/logs?type=2&obj_uuid=${group}`)).results.map(event => event['event_id']),
    ['SE_GROUP_UPGRADE_UPDATE']
  )
})
