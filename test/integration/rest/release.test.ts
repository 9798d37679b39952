import t from 'tap'
import { aRest } from '#test/support/rest.ts'

t.test('a release is started, seen, paused, resumed and aborted, by who may change pool groups', async t => {
  const { admin, store, signIn } = await aRest(t)
  const make = async (kind: string, body: object): Promise<string> => {
    const answer = await admin.call('POST', `/api/${kind}`, body)
    t.equal(answer.status, 201, answer.text)
    return String(answer.body['uuid'])
  }
  const [old, fresh] = [await make('pool', { name: 'old' }), await make('pool', { name: 'new' })]
  await make('webhook', { name: 'ops', callback_url: 'https://ops.test/', verification_token: 'a secret' })
  t.match(await admin.call('GET', '/api/webhook?name=ops'), { results: [{ verification_token: '<sensitive>' }] })
  await make('poolgroupdeploymentpolicy', { name: 'slowly', scheme: 'CANARY', steps: [10, 100], webhook_ref: '/api/webhook?name=ops' })
  const group = await make('poolgroup', {
    name: 'web',
    deployment_policy_ref: '/api/poolgroupdeploymentpolicy?name=slowly',
    members: [{ pool_ref: old }, { pool_ref: fresh, ratio: 0 }]
  })
  const at = `/api/poolgroup/${group}/release`
  t.match(await admin.call('GET', at), { status: 404 })
  t.match(await admin.call('GET', '/api/release'), { status: 200, body: { count: 0, results: [] } })
  t.match(await admin.call('POST', `${at}/pause`), { status: 409 })
  t.match(await admin.call('POST', `${at}/start`, {}), { status: 422, violations: [{ pointer: '/pool_ref' }] })
  t.match(await admin.call('POST', `${at}/start`, { pool_ref: '/api/pool?name=none', speed: 1 }), {
    status: 422,
    violations: [{ pointer: '/speed' }, { pointer: '/pool_ref' }]
  })
  t.match(await admin.call('POST', `${at}/start`, { pool_ref: old }), { status: 409 }, 'nothing that it could take over from')

  await make('role', {
    name: 'looks',
    privileges: ['PERMISSION_POOLGROUP', 'PERMISSION_POOL'].map(resource => ({ resource, type: 'READ_ACCESS' }))
  })
  const password = 'correct horse battery'
  await make('user', {
    name: 'eve',
    password,
    access: [{ tenant_ref: '/api/tenant?name=admin', role_ref: '/api/role?name=looks' }]
  })
  const eve = await signIn('eve', password)
  t.match(await eve.call('POST', `${at}/start`, { pool_ref: fresh }), { status: 403 })

  t.match(await admin.call('POST', `${at}/start`, { pool_ref: '/api/pool?name=new' }), {
    status: 200,
    body: { state: 'RUNNING', steps: [10, 100], step: 0, pool_name: 'new', poolgroup_name: 'web', started_by: 'admin' }
  })
  t.match(await admin.call('POST', `${at}/start`, { pool_ref: fresh }), { status: 409 })
  t.match(await eve.call('GET', at), { status: 200, body: { state: 'RUNNING' } })
  for (const action of ['pause', 'resume', 'abort', 'promote']) t.match(await eve.call('POST', `${at}/${action}`), { status: 403 })
  t.match(await admin.call('POST', `${at}/pause`, {}), { status: 200, body: { state: 'PAUSED' } })
  t.match(await admin.call('POST', `${at}/resume`, {}), { status: 200, body: { state: 'RUNNING' } })
  t.match(await admin.call('POST', `${at}/resume`, {}), { status: 409 })
  t.match(await admin.call('POST', `${at}/abort`, {}), { status: 200, body: { state: 'ABORTED', share: 0 } })
  t.match(store.get('poolgroup', group)?.body, {
    members: [
      { ratio: 1, deployment_state: 'IN_SERVICE' },
      { ratio: 0, deployment_state: 'OUT_OF_SERVICE' }
    ]
  })
  t.match(await admin.call('GET', '/api/release'), { body: { count: 1, results: [{ state: 'ABORTED' }] } })
  t.match(await admin.call('DELETE', `/api/poolgroup/${group}`), { status: 204 })
  t.match(await admin.call('GET', at), { status: 404 })
  t.match(await admin.call('GET', '/api/release'), { body: { count: 0 } })
})
