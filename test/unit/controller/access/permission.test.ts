import t from 'tap'
import type { JsonObject } from '#model/resource/kind.ts'
import { actorOfUser, ADMIN_TENANT } from '#controller/access/permission.ts'
import type { StoredResource } from '#controller/store/store.ts'

const role = (...privileges: readonly (readonly [string, string])[]): JsonObject => ({
  privileges: privileges.map(([resource, type]) => ({ resource: `PERMISSION_${resource}`, type: `${type}_ACCESS` }))
})

function actorWith(roles: Readonly<Record<string, JsonObject>>, access: readonly JsonObject[]) {
  const get = (_kind: string, uuid: string) => (roles[uuid] === undefined ? undefined : ({ body: roles[uuid] } as StoredResource))
  return actorOfUser({ get }, 'user-1', 'bob', { access })
}

t.test('actorOfUser reads with READ, writes with WRITE, and nothing with what is not listed', async t => {
  const actor = actorWith({ r: role(['POOL', 'READ'], ['VIRTUALSERVICE', 'WRITE'], ['USER', 'NO']) }, [
    { role_ref: 'r', tenant_ref: 'one' }
  ])
  t.ok(actor.may('read', 'pool', 'one'))
  t.notOk(actor.may('write', 'pool', 'one'))
  t.ok(actor.may('read', 'virtualservice', 'one'))
  t.ok(actor.may('write', 'virtualservice', 'one'))
  t.ok(actor.may('write', 'vsvip', 'one'), 'addresses go with services')
  for (const kind of ['user', 'role', 'poolgroup', 'sslkeyandcertificate'] as const) t.notOk(actor.may('read', kind, 'one'))
  t.notOk(actor.may('read', 'pool', 'two'))
  t.same(actor.tenants, ['one'])
  t.notOk(actor.isSuperuser)
})

t.test('actorOfUser adds roles up and keeps tenants apart', async t => {
  const roles = { r: role(['POOL', 'READ']), w: role(['POOL', 'WRITE']), n: role(['POOL', 'NO']) }
  const actor = actorWith(roles, [
    { role_ref: 'w', tenant_ref: 'one' },
    { role_ref: 'n', tenant_ref: 'one' },
    { role_ref: 'r', tenant_ref: 'one' },
    { role_ref: 'r', tenant_ref: 'two' }
  ])
  t.ok(actor.may('write', 'pool', 'one'))
  t.notOk(actor.may('write', 'pool', 'two'))
})

t.test('actorOfUser lets a role hold in every tenant', async t => {
  const actor = actorWith({ r: role(['POOL', 'WRITE']) }, [{ role_ref: 'r', all_tenants: true }])
  t.equal(actor.tenants, '*')
  t.ok(actor.may('write', 'pool', 'any'))
  t.notOk(actor.may('read', 'user', 'any'))
})

t.test('actorOfUser shows the shared defaults of the admin tenant, and only these', async t => {
  const actor = actorWith({ r: role(['POOL', 'WRITE'], ['APPLICATIONPROFILE', 'WRITE'], ['SSLKEYANDCERTIFICATE', 'READ']) }, [
    { role_ref: 'r', tenant_ref: 'one' }
  ])
  t.ok(actor.may('read', 'applicationprofile', ADMIN_TENANT))
  t.notOk(actor.may('write', 'applicationprofile', ADMIN_TENANT))
  t.notOk(actor.may('read', 'pool', ADMIN_TENANT))
  t.notOk(actor.may('read', 'sslkeyandcertificate', ADMIN_TENANT))
  t.notOk(actor.may('read', 'healthmonitor', ADMIN_TENANT), 'a kind that one may not see anywhere')
})

t.test('actorOfUser takes nothing from what is broken', async t => {
  const actor = actorWith({ r: { privileges: 'all' } }, [
    { role_ref: 'r', tenant_ref: 'one' },
    { role_ref: 'gone', tenant_ref: 'two' },
    {},
    { role_ref: 5 }
  ])
  t.notOk(actor.may('read', 'pool', 'one'))
  t.notOk(actor.may('read', 'pool', 'two'))
  t.ok(actorOfUser({ get: () => undefined }, 'u', 'root', { is_superuser: true }).may('write', 'role', 'any'))
  t.notOk(actorOfUser({ get: () => undefined }, 'u', 'root', { is_superuser: 'yes' }).isSuperuser)
})
