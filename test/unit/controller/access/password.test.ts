import t from 'tap'
import { hashPassword, isPasswordHash, verifyPassword } from '#controller/access/password.ts'
import { seededBytes } from '#test/support/change.ts'

t.test('verifyPassword knows the password that was hashed and no other', async t => {
  const bytes = seededBytes()
  const hash = await hashPassword('pässword 😀', bytes)
  t.match(hash, /^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.ok(isPasswordHash(hash))
  t.ok(await verifyPassword('pässword 😀', hash))
  t.notOk(await verifyPassword('password', hash))
  t.notOk(await verifyPassword('', hash))
  t.not(await hashPassword('pässword 😀', bytes), hash, 'every hash has a salt of its own')
})

t.test('verifyPassword reads a hash of another hand, with its own cost', async t => {
  const { argon2Sync } = await import('node:crypto')
  const nonce = Buffer.from('somesalt')
  const tag = argon2Sync('argon2id', { message: 'password', nonce, memory: 1024, passes: 2, parallelism: 1, tagLength: 32 })
  const hash = `$argon2id$v=19$m=1024,t=2,p=1$${nonce.toString('base64').replace(/=+$/, '')}$${tag.toString('base64').replace(/=+$/, '')}`
  t.ok(await verifyPassword('password', hash))
  t.notOk(await verifyPassword('Password', hash))
})

t.test('verifyPassword says no to what is no hash of ours', async t => {
  for (const text of [
    '',
    'password',
    '$argon2i$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$' + 'A'.repeat(43),
    '$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$x',
    '<sensitive>'
  ]) {
    t.notOk(isPasswordHash(text))
    t.notOk(await verifyPassword('password', text))
  }
})
