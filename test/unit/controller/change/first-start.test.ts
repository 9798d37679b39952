import t from 'tap'
import type { Test } from 'tap'
import { verifyPassword } from '#controller/access/password.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { makeChange } from '#controller/change/apply.ts'
import { firstStart } from '#controller/change/first-start.ts'
import { openMemoryStore } from '#controller/store/memory/memory.ts'
import { plainSeal, refusalOf, seededBytes } from '#test/support/change.ts'

function fresh(t: Test) {
  const store = openMemoryStore()
  t.teardown(() => store.close())
  const randomBytes = seededBytes()
  const change = makeChange({ store, seal: plainSeal(), clock: { nowEpochMs: () => 1000 }, randomBytes, committed: () => undefined })
  return { store, change, randomBytes }
}

t.test('firstStart makes the defaults and one admin, once', async t => {
  const parts = fresh(t)
  const { store } = parts
  const first = await firstStart(parts)
  t.match(first.generatedPassword, /^[\w-]{20}$/)
  t.ok(first.created.includes('tenant admin') && first.created.includes('user admin'))
  t.equal(store.findByName('tenant', ADMIN_TENANT, 'admin')?.uuid, ADMIN_TENANT)
  const admin = store.list('user')[0]!
  t.match(admin, { name: 'admin', body: { is_superuser: true } })
  t.ok(await verifyPassword(first.generatedPassword!, admin.body['password'] as string))
  for (const [kind, name] of [
    ['cloud', 'Default-Cloud'],
    ['serviceenginegroup', 'Default-Group'],
    ['applicationprofile', 'System-HTTP'],
    ['healthmonitor', 'System-TCP']
  ] as const)
    t.ok(store.findByName(kind, ADMIN_TENANT, name), name)
  const revision = store.revision()
  t.same(await firstStart({ ...parts, adminPassword: 'another password' }), { created: [] })
  t.equal(store.revision(), revision, 'a later start writes nothing')
})

t.test('firstStart takes the given password, refuses a short one, and makes what has to be made', async t => {
  const parts = fresh(t)
  t.match(await refusalOf(firstStart({ ...parts, adminPassword: 'x' })), { code: 'INVALID', violations: [{ pointer: '/password' }] })
  t.equal(parts.store.revision(), 0)
  let made = 0
  const pool = { kind: 'pool', name: 'made', make: async () => ({ name: `made${++made > 1 ? made : ''}` }) } as const
  const started = await firstStart({ ...parts, adminPassword: 'a good password', made: [pool] })
  t.equal(started.generatedPassword, undefined)
  t.ok(await verifyPassword('a good password', parts.store.list('user')[0]!.body['password'] as string))
  t.ok(parts.store.findByName('pool', ADMIN_TENANT, 'made'))
  t.same(await firstStart({ ...parts, made: [pool] }), { created: [] })
  t.equal(made, 1)
})
