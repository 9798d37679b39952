import t from 'tap'
import type { JsonObject } from '#model/resource/kind.ts'
import { withDefaults } from '#model/resource/catalogue.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { Actor } from '#controller/access/actor.ts'
import type { ChangeView } from '#controller/change/order.ts'
import { aChange, admin, aServer, refusalOf } from '#test/support/change.ts'

t.test('a create is stored as it was written, becomes a revision, and is told after it is durable', async t => {
  const { store, apply, committed } = await aChange(t)
  const before = store.revision()
  const { revision, resources, changes, warnings } = await apply(
    [{ op: 'create', kind: 'pool', body: { name: 'web', servers: [aServer('10.0.0.1')] } }],
    {
      reason: 'launch'
    }
  )
  t.equal(revision, before + 1)
  t.same(committed, [revision])
  t.same(warnings, [])
  t.match(resources, [
    { kind: 'pool', name: 'web', tenant: ADMIN_TENANT, uuid: /^pool-/, body: { name: 'web', servers: [aServer('10.0.0.1')] } }
  ])
  t.same(Object.keys(resources[0]!.body), ['name', 'servers'], 'no default is written back')
  t.match(changes, [{ action: 'create', kind: 'pool', name: 'web', diff: [{ pointer: '', after: { name: 'web' } }] }])
  t.match(store.revisions({ limit: 1 }), [{ revision, author: 'ann', reason: 'launch', changes: [{ action: 'create', name: 'web' }] }])
})

t.test('every violation of a document is told at once, and nothing is written', async t => {
  const { store, create, committed } = await aChange(t)
  const before = store.revision()
  const refused = await refusalOf(
    create('pool', {
      name: 'web',
      default_server_port: 70_000,
      colour: 'red',
      health_monitor_refs: ['/api/healthmonitor?name=none', 'pool-x']
    })
  )
  t.equal(refused.code, 'INVALID')
  t.same(refused.violations.map(({ pointer }) => pointer).toSorted(), [
    '/colour',
    '/default_server_port',
    '/health_monitor_refs/0',
    '/health_monitor_refs/1'
  ])
  t.equal(store.revision(), before)
  t.same(committed, [])
})

t.test('names are unique among a kind in a tenant, not over tenants', async t => {
  const { create, apply } = await aChange(t)
  const other = await create('tenant', { name: 'shop' })
  const web = await create('pool', { name: 'web' })
  t.match(await refusalOf(create('pool', { name: 'web' })), { code: 'CONFLICT', violations: [{ pointer: '/name' }] })
  t.match(await create('pool', { name: 'web' }, { tenant: other.uuid }), { tenant: other.uuid })
  t.match(await create('pool', { name: 'web2', tenant_ref: '/api/tenant?name=shop' }), { tenant: other.uuid, body: { name: 'web2' } })
  const second = await create('pool', { name: 'second' })
  t.match(await refusalOf(apply([{ op: 'replace', kind: 'pool', uuid: second.uuid, body: { name: 'web' } }])), { code: 'CONFLICT' })
  const traded = await apply([
    { op: 'replace', kind: 'pool', uuid: second.uuid, body: { name: 'web' } },
    { op: 'replace', kind: 'pool', uuid: web.uuid, body: { name: 'second' } }
  ])
  t.same(
    traded.resources.map(({ name }) => name),
    ['web', 'second']
  )
  t.match(await refusalOf(apply([1, 2].map(() => ({ op: 'create', kind: 'pool', body: { name: 'twice' } }) as const))), {
    code: 'CONFLICT'
  })
})

t.test('references are taken in every spelling and stored as uuids', async t => {
  const { create } = await aChange(t)
  const pool = await create('pool', { name: 'a pool & more' })
  const vip = await create('vsvip', { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.9', type: 'V4' } }] })
  const encoded = encodeURIComponent(pool.name)
  const spellings = [
    pool.uuid,
    `${pool.uuid}#a pool`,
    `/api/pool/${pool.uuid}`,
    `/api/pool/${pool.uuid}#a pool & more`,
    `/api/pool/?name=${encoded}`,
    `/api/pool?name=${encoded}`,
    `https://127.0.0.1:9443/api/pool/${pool.uuid}`,
    `https://[::1]:9443/api/pool/${pool.uuid}/`,
    `https://weir.example/api/pool/?name=${encoded}`,
    `https://weir.example/api/pool?name=${encoded}`,
    '/api/pool?name=a+pool+%26+more'
  ]
  for (const [at, pool_ref] of spellings.entries()) {
    const { body } = await create('virtualservice', { name: `vs-${at}`, services: [{ port: 1000 + at }], vsvip_ref: vip.uuid, pool_ref })
    t.equal(body['pool_ref'], pool.uuid, pool_ref)
  }
  for (const pool_ref of [
    '/api/vsvip?name=vip',
    '/api/pool/',
    '/api/pool?name=',
    'ftp://x/api/pool/y',
    'a b',
    '/api/pool/../x/y',
    vip.uuid,
    '__proto__',
    '/api/__proto__/x'
  ]) {
    const refused = await refusalOf(create('virtualservice', { name: 'bad', services: [{ port: 9 }], vsvip_ref: vip.uuid, pool_ref }))
    t.match(refused, { code: 'INVALID', violations: [{ pointer: '/pool_ref' }] }, pool_ref)
    t.equal(refused.violations.length, 1)
  }
})

t.test('a reference reaches the own tenant and the shared defaults, nothing else', async t => {
  const { create, store } = await aChange(t)
  const one = await create('tenant', { name: 'one' })
  const two = await create('tenant', { name: 'two' })
  const inOne = { tenant: one.uuid }
  const monitor = await create('healthmonitor', { name: 'own', type: 'HEALTH_MONITOR_TCP', tcp_monitor: {} }, inOne)
  const shared = store.findByName('healthmonitor', ADMIN_TENANT, 'System-HTTP')!
  const { body } = await create(
    'pool',
    { name: 'p', health_monitor_refs: ['/api/healthmonitor?name=own', '/api/healthmonitor?name=System-HTTP'] },
    inOne
  )
  t.same(body['health_monitor_refs'], [monitor.uuid, shared.uuid])
  const own = await create('healthmonitor', { name: 'System-HTTP', type: 'HEALTH_MONITOR_TCP', tcp_monitor: {} }, inOne)
  t.same(
    (await create('pool', { name: 'q', health_monitor_refs: ['/api/healthmonitor?name=System-HTTP'] }, inOne)).body['health_monitor_refs'],
    [own.uuid]
  )
  for (const reference of [monitor.uuid, '/api/healthmonitor?name=own']) {
    const refused = await refusalOf(create('pool', { name: 'r', health_monitor_refs: [reference] }, { tenant: two.uuid }))
    t.match(refused.violations, [{ pointer: '/health_monitor_refs/0', message: /there is none/ }])
  }
  const pool = await create('pool', { name: 'of-admin' })
  const group = { name: 'g', members: [{ pool_ref: pool.uuid }] }
  t.match(await refusalOf(create('poolgroup', group, inOne)), { code: 'INVALID' }, 'a pool of the admin tenant serves nobody else')
})

t.test('later writes of an order refer to earlier ones, all or nothing', async t => {
  const { apply, store } = await aChange(t)
  const vsvip: JsonObject = { name: 'vip', vip: [{ vip_id: '1', ip_address: { addr: '10.0.0.9', type: 'V4' } }] }
  const service = (pool_ref: string): JsonObject => ({ name: 'shop', services: [{ port: 80 }], pool_ref, vsvip_ref: '/api/vsvip?name=vip' })
  const order = (pool_ref: string) =>
    apply([
      { op: 'create', kind: 'pool', body: { name: 'web' } },
      { op: 'create', kind: 'vsvip', body: vsvip },
      { op: 'create', kind: 'virtualservice', body: service(pool_ref) }
    ])
  const refused = await refusalOf(order('/api/pool?name=wrong'))
  t.match(refused.violations, [{ write: 2, pointer: '/pool_ref' }])
  t.same(store.list('pool'), [])
  const { resources } = await order('/api/pool?name=web')
  t.same(
    resources.map(({ kind }) => kind),
    ['pool', 'vsvip', 'virtualservice']
  )
  t.equal(resources[2]!.body['pool_ref'], resources[0]!.uuid)
  t.equal(new Set(resources.map(({ revision }) => revision)).size, 1, 'one revision')
  const gone = await apply(resources.map(({ kind, uuid }) => ({ op: 'delete', kind, uuid }) as const))
  t.same(
    gone.resources.map(({ name }) => name),
    ['web', 'vip', 'shop'],
    'what was removed is told as it was'
  )
  t.same(store.list('virtualservice'), [])
})

t.test('what the server owns is taken back and never taken over', async t => {
  const { create, apply } = await aChange(t)
  const pool = await create('pool', { name: 'web', uuid: 'pool-chosen', url: 'https://x/api/pool/pool-chosen', _last_modified: '1' })
  t.not(pool.uuid, 'pool-chosen')
  t.same(pool.body, { name: 'web' })
  const again = {
    ...pool.body,
    uuid: pool.uuid,
    url: `https://x/api/pool/${pool.uuid}`,
    _last_modified: pool.lastModified,
    tenant_ref: '/api/tenant/admin#admin'
  }
  const { resources, revision } = await apply([{ op: 'replace', kind: 'pool', uuid: pool.uuid, body: again }])
  t.equal(revision, pool.revision, 'nothing changed: no revision')
  t.same(resources, [pool])
  t.match(await refusalOf(apply([{ op: 'replace', kind: 'pool', uuid: pool.uuid, body: { name: 'web', uuid: 'pool-other' } }])), {
    violations: [{ pointer: '/uuid' }]
  })
  const tenant = await create('tenant', { name: 'other' })
  t.match(await refusalOf(apply([{ op: 'replace', kind: 'pool', uuid: pool.uuid, body: { name: 'web', tenant_ref: tenant.uuid } }])), {
    violations: [{ pointer: '/tenant_ref' }]
  })
})

t.test('a stale expectation is refused', async t => {
  const { create, apply } = await aChange(t)
  const pool = await create('pool', { name: 'web' })
  const put = (expect: { lastModified?: string; etag?: string }, name = 'web') =>
    apply([{ op: 'replace', kind: 'pool', uuid: pool.uuid, body: { name, description: name }, expect }])
  t.match(await refusalOf(put({ lastModified: '1' })), { code: 'STALE', message: /pool web was changed/ })
  t.match(await refusalOf(put({ etag: 'other' })), { code: 'STALE' })
  const { resources } = await put({ lastModified: pool.lastModified, etag: pool.lastModified }, 'new')
  t.match(await refusalOf(put({ lastModified: pool.lastModified })), { code: 'STALE' })
  t.match(await refusalOf(apply([{ op: 'delete', kind: 'pool', uuid: pool.uuid, expect: { etag: pool.lastModified } }])), { code: 'STALE' })
  await put({ etag: '*' }, 'any')
  t.ok(BigInt(resources[0]!.lastModified) > BigInt(pool.lastModified))
})

t.test('what is in use is not deleted, and every user is named', async t => {
  const { create, apply } = await aChange(t)
  const pool = await create('pool', { name: 'web' })
  const groups = [
    await create('poolgroup', { name: 'g1', members: [{ pool_ref: pool.uuid }] }),
    await create('poolgroup', { name: 'g2', members: [{ pool_ref: pool.uuid }] })
  ]
  const remove = { op: 'delete', kind: 'pool', uuid: pool.uuid } as const
  const refused = await refusalOf(apply([remove]))
  t.match(refused, { code: 'IN_USE', message: /poolgroup g1, poolgroup g2/ })
  t.equal(refused.violations.length, 2)
  t.match(refused.violations[0]!.message, /\/members\/0\/pool_ref/)
  t.match(
    await refusalOf(apply([remove, { op: 'delete', kind: 'poolgroup', uuid: groups[0]!.uuid }])),
    { code: 'IN_USE', message: /in use by poolgroup g2$/ },
    'only who would be left counts'
  )
  await apply([
    remove,
    { op: 'delete', kind: 'poolgroup', uuid: groups[0]!.uuid },
    { op: 'replace', kind: 'poolgroup', uuid: groups[1]!.uuid, body: { name: 'g2' } }
  ])
  t.match(await refusalOf(apply([remove])), { code: 'NOT_FOUND' })
  const tenant = await create('tenant', { name: 'one' })
  await create('pool', { name: 'inside' }, { tenant: tenant.uuid })
  t.match(await refusalOf(apply([{ op: 'delete', kind: 'tenant', uuid: tenant.uuid }])), { code: 'IN_USE', message: /pool inside/ })
})

t.test('PATCH adds, replaces and deletes at any depth', async t => {
  const { create, apply, store } = await aChange(t)
  const monitor = store.findByName('healthmonitor', ADMIN_TENANT, 'System-HTTP')!
  const pool = await create('pool', {
    name: 'web',
    servers: [aServer('10.0.0.1'), aServer('10.0.0.2')],
    health_monitor_refs: [monitor.uuid]
  })
  const patch = async (parts: { add?: JsonObject; replace?: JsonObject; delete?: JsonObject }) =>
    (await apply([{ op: 'patch', kind: 'pool', uuid: pool.uuid, patch: parts }])).resources[0]!.body
  t.match(await patch({ add: { servers: [aServer('10.0.0.3')] } }), { servers: { length: 3 } })
  t.match(await patch({ add: { servers: [aServer('10.0.0.3')] } }), { servers: { length: 3 } }, 'what is there is not added twice')
  t.same(
    (await patch({ delete: { servers: [aServer('10.0.0.1', { ratio: 1, enabled: true }), { ip: { addr: '10.0.0.2' } }] } }))['servers'],
    [aServer('10.0.0.2'), aServer('10.0.0.3')]
  )
  t.match(await patch({ replace: { default_server_port: 81, servers: [aServer('10.0.0.4')] } }), {
    default_server_port: 81,
    servers: [aServer('10.0.0.4')]
  })
  const without = await patch({ delete: { default_server_port: 5, health_monitor_refs: ['/api/healthmonitor?name=System-HTTP'] } })
  t.notOk('default_server_port' in without)
  t.notOk('health_monitor_refs' in without)
  t.match(await refusalOf(patch({ replace: { default_server_port: 'x' } })), {
    code: 'INVALID',
    violations: [{ pointer: '/default_server_port' }]
  })
  t.match(await refusalOf(patch({ replace: { uuid: 'pool-x' } })), { violations: [{ pointer: '/uuid' }] })
})

t.test('a dry run says what would be, and writes nothing', async t => {
  const { store, apply, committed, create } = await aChange(t)
  const pool = await create('pool', { name: 'web' })
  committed.length = 0
  const before = store.revision()
  const { revision, resources, changes } = await apply(
    [
      { op: 'patch', kind: 'pool', uuid: pool.uuid, patch: { replace: { description: 'new' } } },
      { op: 'create', kind: 'user', body: { name: 'bob', password: 'secret password' } }
    ],
    { isDryRun: true }
  )
  t.equal(revision, before)
  t.equal(store.revision(), before)
  t.same(committed, [])
  t.equal(resources[0]!.body['description'], 'new')
  t.notMatch(JSON.stringify([resources, changes]), /secret password/)
  t.match(changes[0], { action: 'update', diff: [{ pointer: '/description', after: 'new' }] })
  t.same(store.get('pool', pool.uuid), pool)
  t.match(await refusalOf(apply([{ op: 'create', kind: 'pool', body: { name: 5 } }], { isDryRun: true })), { code: 'INVALID' })
})

t.test('unsupported fields are refused, or ignored with a warning', async t => {
  const { create, apply } = await aChange(t)
  const body = { name: 'web', nsx_securitygroup: ['x'] }
  const refused = await refusalOf(create('pool', body))
  t.match(refused.violations, [{ pointer: /nsx_securitygroup/ }])
  const { resources, warnings } = await apply([{ op: 'create', kind: 'pool', body }], { isUnsupportedIgnored: true })
  t.same(resources[0]!.body, { name: 'web' })
  t.match(warnings, [{ pointer: /nsx_securitygroup/ }])
})

t.test('names of the prototype and text of SQL are harmless', async t => {
  const { create, apply, store } = await aChange(t)
  for (const text of ['{"name": "x", "__proto__": {"isAdmin": true}}', '{"name": "x", "servers": [{"constructor": {"prototype": {}}}]}']) {
    const refused = await refusalOf(create('pool', JSON.parse(text) as JsonObject))
    t.match(refused.violations, [{ message: 'is not an allowed name' }])
  }
  const pool = await create('pool', { name: "'; DROP TABLE resource; --" })
  t.equal(store.get('pool', pool.uuid)?.name, "'; DROP TABLE resource; --")
  const bad = JSON.parse('{"__proto__": {"isAdmin": true}}') as JsonObject
  for (const part of ['add', 'replace', 'delete'] as const)
    t.match(await refusalOf(apply([{ op: 'patch', kind: 'pool', uuid: pool.uuid, patch: { [part]: bad } }])), { code: 'INVALID' })
  t.equal(({} as { isAdmin?: boolean }).isAdmin, undefined)
  let deep: JsonObject = {}
  for (let at = 0; at < 5000; at++) deep = { deep }
  t.match(await refusalOf(create('pool', { name: 'deep', ...deep })), { code: 'INVALID' })
  for (const uuid of ['__proto__', '', "x' OR 1=1"])
    t.match(await refusalOf(apply([{ op: 'delete', kind: 'pool', uuid }])), { code: 'NOT_FOUND' })
})

t.test('orders are carried out one at a time, in order', async t => {
  const { apply, store } = await aChange(t)
  const all = await Promise.allSettled([
    apply([{ op: 'create', kind: 'user', body: { name: 'slow', password: 'a long password' } }]),
    apply([{ op: 'create', kind: 'pool', body: { name: 'a' } }]),
    apply([{ op: 'create', kind: 'pool', body: { name: 'a' } }]),
    apply([{ op: 'create', kind: 'pool', body: { name: 'b' } }])
  ])
  t.same(
    all.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled']
  )
  t.same(
    store.revisions({ limit: 3 }).map(({ changes }) => changes[0]!.name),
    ['b', 'a', 'slow']
  )
})

t.test('rules over the whole see the order as if it were done', async t => {
  const seen: ChangeView[] = []
  const { create } = await aChange(t, {
    conflicts: view => {
      seen.push(view)
      return view.written.some(({ name }) => name === 'bad') ? [{ pointer: '/name', message: 'is taken elsewhere' }] : []
    }
  })
  await create('pool', { name: 'good' })
  t.match(seen.at(-1)!.written, [{ name: 'good' }])
  t.ok(seen.at(-1)!.findByName('pool', ADMIN_TENANT, 'good'))
  t.match(await refusalOf(create('pool', { name: 'bad' })), {
    code: 'INVALID',
    violations: [{ pointer: '/name', message: 'is taken elsewhere' }]
  })
})

t.test('default objects are changed and neither deleted nor renamed', async t => {
  const { store, apply } = await aChange(t)
  for (const [kind, name] of [
    ['applicationprofile', 'System-HTTP'],
    ['tenant', 'admin']
  ] as const) {
    const { uuid, body } = store.findByName(kind, ADMIN_TENANT, name)!
    t.match(await refusalOf(apply([{ op: 'delete', kind, uuid }])), { code: 'CONFLICT' })
    t.match(await refusalOf(apply([{ op: 'replace', kind, uuid, body: { ...body, name: 'mine' } }])), {
      violations: [{ pointer: '/name' }]
    })
    await apply([{ op: 'patch', kind, uuid, patch: { replace: { description: 'ours' } } }])
  }
  const system = store.list('systemconfiguration')[0]!
  t.match(await refusalOf(apply([{ op: 'delete', kind: 'systemconfiguration', uuid: system.uuid }])), { code: 'CONFLICT' })
  t.match(await refusalOf(apply([{ op: 'create', kind: 'systemconfiguration', body: {} }])), { code: 'CONFLICT' })
})

t.test('an actor writes only what it may; what it may not see is not there', async t => {
  const { store, create, apply } = await aChange(t)
  const pool = await create('pool', { name: 'web' })
  const actor = (may: Actor['may']): Actor => ({ ...admin, isSuperuser: false, tenants: [ADMIN_TENANT], may })
  const patch = [{ op: 'patch', kind: 'pool', uuid: pool.uuid, patch: { replace: { description: 'x' } } }] as const
  t.match(await refusalOf(apply(patch, { actor: actor(() => false) })), { code: 'NOT_FOUND' })
  const reader = actor(action => action === 'read')
  t.match(await refusalOf(apply(patch, { actor: reader })), { code: 'FORBIDDEN' })
  t.match(await refusalOf(create('pool', { name: 'b' }, { actor: reader })), { code: 'FORBIDDEN' })
  t.match(await refusalOf(apply([{ op: 'delete', kind: 'pool', uuid: pool.uuid }], { actor: reader })), { code: 'FORBIDDEN' })
  const writer = actor((_, kind, tenant) => kind === 'pool' && tenant === ADMIN_TENANT)
  await apply(patch, { actor: writer })
  const other = await create('tenant', { name: 'other' })
  t.match(await refusalOf(create('pool', { name: 'c', tenant_ref: other.uuid }, { actor: writer })), { code: 'FORBIDDEN' })
  t.equal(store.get('pool', pool.uuid)?.body['description'], 'x')
})

t.test('what only the controller says comes by serverFields, stays, and is never taken from a client', async t => {
  const { apply, create } = await aChange(t)
  const { resources } = await apply([
    { op: 'create', kind: 'jointoken', body: { uses: 3, token_hash: 'forged' }, serverFields: { token_hash: 'abc', uses_left: 3, uses: 9 } }
  ])
  const token = resources[0]!
  t.match(token, { name: /^jointoken-\w{8}$/, body: { uses: 3, uses_left: 3, token_hash: 'abc' } })
  const put = await apply([
    { op: 'replace', kind: 'jointoken', uuid: token.uuid, body: { uses: 3, description: 'x', token_hash: '<sensitive>', uses_left: 99 } }
  ])
  t.match(put.resources[0]!.body, { uses_left: 3, token_hash: 'abc', description: 'x' })
  const used = await apply([
    { op: 'patch', kind: 'jointoken', uuid: token.uuid, patch: {}, serverFields: { uses_left: 2, expires_at: null } }
  ])
  t.match(used.resources[0]!.body, { uses_left: 2, token_hash: 'abc' })
  t.notMatch(JSON.stringify(used.changes), /abc/)
  const pool = await create('pool', { name: 'web' })
  t.match(await apply([{ op: 'patch', kind: 'pool', uuid: pool.uuid, patch: {}, serverFields: { name: 'other' } }]), {
    revision: pool.revision
  })
})

t.test('a document that comes back with its defaults spelled out is no change, and none of them is in a diff', async t => {
  const { create, apply } = await aChange(t)
  const pool = await create('pool', { name: 'web', servers: [aServer('10.0.0.1')] })
  const put = (more: JsonObject) =>
    apply([{ op: 'replace', kind: 'pool', uuid: pool.uuid, body: { ...withDefaults('pool', pool.body), ...more } }])
  const same = await put({})
  t.equal(same.revision, pool.revision)
  t.same(same.resources, [pool])
  const { changes } = await put({ default_server_port: 8080 })
  t.same(changes[0]!.diff, [{ pointer: '/default_server_port', before: 80, after: 8080 }])
})
