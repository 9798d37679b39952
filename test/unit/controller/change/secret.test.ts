import t from 'tap'
import { systemClock } from '#model/base/clock.ts'
import { withDefaults } from '#model/resource/catalogue.ts'
import { verifyPassword } from '#controller/access/password.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { Actor } from '#controller/access/actor.ts'
import { makeSelfSigned } from '#controller/pki/certificate.ts'
import { aChange, admin, plainSeal, refusalOf } from '#test/support/change.ts'

const { certificatePem: certificate, keyPem: key } = await makeSelfSigned('c.example.com', [], systemClock)
/** The same key in another spelling: another secret, and it still fits the certificate. */
const otherKey = `${key}\n`

t.test('secrets are sealed, kept when they come back hidden, and never told in a diff', async t => {
  const { create, apply, store } = await aChange(t)
  const cert = await create('sslkeyandcertificate', { name: 'c', key, certificate: { certificate } })
  const sealed = cert.body['key'] as string
  t.equal(plainSeal().open(sealed), key)
  const put = (body: { key?: string; description?: string }) =>
    apply([{ op: 'replace', kind: 'sslkeyandcertificate', uuid: cert.uuid, body: { name: 'c', certificate: { certificate }, ...body } }])
  const kept = await put({ key: '<sensitive>', description: 'a' })
  t.equal(kept.resources[0]!.body['key'], sealed)
  t.same(kept.changes[0]!.diff, [{ pointer: '/description', before: '', after: 'a' }])
  const same = await put({ key, description: 'a' })
  t.equal(same.revision, kept.revision, 'the same secret in plain words changes nothing')
  const changed = await put({ key: otherKey, description: 'a' })
  t.same(changed.changes[0]!.diff, [{ pointer: '/key', before: '<sensitive>', after: '<sensitive>' }])
  t.equal(plainSeal().open(changed.resources[0]!.body['key'] as string), otherKey)
  const patched = await apply([{ op: 'patch', kind: 'sslkeyandcertificate', uuid: cert.uuid, patch: { replace: { description: 'b' } } }])
  t.equal(patched.resources[0]!.body['key'], changed.resources[0]!.body['key'])
  t.notMatch(JSON.stringify(store.revisions({ limit: 100 })), /PRIVATE KEY|sealed:/)
  // Whoever has seen a sealed text cannot make it its own by sending it.
  const forged = await create('sslkeyandcertificate', { name: 'd', key: sealed, certificate: { certificate } }).catch(
    (error: unknown) => error
  )
  t.notMatch(forged, { body: { key: sealed } })
})

t.test('a hidden secret that was never told is a violation', async t => {
  const { create } = await aChange(t)
  const refused = await refusalOf(create('sslkeyandcertificate', { name: 'c', key: '<sensitive>', certificate: { certificate } }))
  t.ok(refused.violations.some(({ pointer }) => pointer === '/key'))
  t.match(await refusalOf(create('user', { name: 'bob', password: '<sensitive>' })), { violations: [{ pointer: '/password' }] })
})

t.test('passwords are hashed, long enough, and kept by a PUT without one', async t => {
  const { create, apply } = await aChange(t)
  t.match(await refusalOf(create('user', { name: 'bob', password: 'short' })), {
    violations: [{ pointer: '/password', message: /at least 8/ }]
  })
  const bob = await create('user', { name: 'bob', password: 'correct horse' })
  const hash = bob.body['password'] as string
  t.match(hash, /^\$argon2id\$/)
  t.ok(await verifyPassword('correct horse', hash))
  const put = (body: { password?: string; full_name?: string }) =>
    apply([{ op: 'replace', kind: 'user', uuid: bob.uuid, body: { name: 'bob', ...body } }])
  t.equal((await put({ full_name: 'Bob' })).resources[0]!.body['password'], hash)
  t.equal((await put({ full_name: 'Bob', password: 'correct horse' })).resources[0]!.body['password'], hash)
  const changed = await put({ full_name: 'Bob', password: 'battery staple' })
  t.same(changed.changes[0]!.diff, [{ pointer: '/password', before: '<sensitive>', after: '<sensitive>' }])
  t.ok(await verifyPassword('battery staple', changed.resources[0]!.body['password'] as string))
})

t.test('nobody gives itself power, and somebody keeps it', async t => {
  const { create, apply, store } = await aChange(t)
  const bob = await create('user', { name: 'bob', password: 'correct horse' })
  const asBob: Actor = { ...admin, name: 'bob', userUuid: bob.uuid, isSuperuser: false, may: () => true }
  const self = (fields: Record<string, string | boolean>) =>
    apply([{ op: 'patch', kind: 'user', uuid: bob.uuid, patch: { replace: fields } }], { actor: asBob })
  t.match(await refusalOf(self({ is_superuser: true })), { violations: [{ pointer: '/is_superuser' }] })
  await self({ full_name: 'Bob', password: 'another password' })
  const body = withDefaults('user', store.get('user', bob.uuid)!.body)
  await apply([{ op: 'replace', kind: 'user', uuid: bob.uuid, body: { ...body, password: '<sensitive>', email: 'b@x' } }], { actor: asBob })
  const root = store.findByName('user', ADMIN_TENANT, 'admin')!
  const asRoot = (write: 'delete' | 'patch') =>
    write === 'delete'
      ? ({ op: 'delete', kind: 'user', uuid: root.uuid } as const)
      : ({ op: 'patch', kind: 'user', uuid: root.uuid, patch: { replace: { is_active: false } } } as const)
  t.match(await refusalOf(apply([asRoot('patch')], { actor: asBob })), { code: 'FORBIDDEN' })
  t.match(await refusalOf(create('role', { name: 'all' }, { actor: asBob })), { code: 'FORBIDDEN' })
  t.match(await refusalOf(apply([asRoot('delete')])), { code: 'CONFLICT', message: /last active superuser/ })
  t.match(await refusalOf(apply([asRoot('patch')])), { code: 'CONFLICT' })
  await apply([{ op: 'patch', kind: 'user', uuid: bob.uuid, patch: { replace: { is_superuser: true } } }])
  await apply([asRoot('delete')])
  t.match(await refusalOf(create('user', { name: 'carl', username: 'bob', password: 'long enough' })), {
    violations: [{ pointer: '/username' }]
  })
})

t.test('a certificate sent as PKCS#12 is kept in PEM, or refused at its pointer', async t => {
  const { create } = await aChange(t)
  const refused = await refusalOf(create('sslkeyandcertificate', { name: 'p', format: 'SSL_PKCS12', certificate: { certificate: 'AAAA' } }))
  t.match(refused, { code: 'INVALID', violations: [{ pointer: '/certificate/certificate' }] })
})
