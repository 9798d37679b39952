import t from 'tap'
import { claimOf } from '#engine/dataplane/route/claim.ts'

const part = (value: string | Buffer): string => Buffer.from(value).toString('base64url')
const token = (payload: string | Buffer): string => `${part('{"alg":"none"}')}.${part(payload)}.c2ln`
const sub = (authorization: string): string | undefined => claimOf(['host', 'a', 'authorization', authorization], 'sub')

t.test('claimOf reads a claim of a bearer token', async t => {
  t.equal(sub(`Bearer ${token('{"sub":"alice","x":{"sub":"bob"}}')}`), 'alice')
  t.equal(sub(`bearer  ${token('{"sub":"é"}')}`), 'é')
  t.equal(sub(`Bearer ${token('{"sub":42}')}`), '42')
  t.equal(sub(`Bearer ${token('{"sub":true}')}`), 'true')
  t.equal(sub(`Bearer ${part('{}')}.${part('{"sub":"unsigned"}')}.`), 'unsigned')
})

t.test('claimOf takes nothing else for a token', async t => {
  for (const authorization of [
    '',
    'Bearer',
    'Bearer abc',
    `Basic ${token('{"sub":"a"}')}`,
    `Bearer ${token('{"sub":"a"}')}.more`,
    `Bearer ${token('{"sub":"a"}')} `,
    `Bearer ${part('{}')}.${part('{"sub":"a"}')}=.`,
    `Bearer ${part('{}')}.A.`,
    `Bearer ${token('{"sub":"a"')}`,
    `Bearer ${token('["sub"]')}`,
    `Bearer ${token('null')}`,
    `Bearer ${token('"sub"')}`,
    `Bearer ${token('{"sub":null}')}`,
    `Bearer ${token('{"sub":["a"]}')}`,
    `Bearer ${token('{"aud":"a"}')}`,
    `Bearer ${token(Buffer.from([0x7b, 0xff, 0x7d]))}`,
    `Bearer ${token(`{"sub":"${'a'.repeat(8_192)}"}`)}`
  ])
    t.equal(sub(authorization), undefined, authorization.slice(0, 60))
  t.equal(claimOf(['authorization', `Bearer ${token('{}')}`], 'toString'), undefined, 'only what is said')
  const one = `Bearer ${token('{"sub":"a"}')}`
  t.equal(claimOf(['authorization', one, 'authorization', one], 'sub'), undefined, 'two are none')
  t.equal(claimOf([], 'sub'), undefined)
})
