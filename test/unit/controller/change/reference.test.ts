import fc from 'fast-check'
import t from 'tap'
import { parseReference } from '#controller/change/reference.ts'

t.test('parseReference reads every spelling', async t => {
  for (const text of [
    '/api/pool/pool-1',
    'api/pool/pool-1',
    '/api/pool/pool-1#web',
    'https://h:1/api/pool/pool-1',
    'HTTP://[::1]/api/pool/pool-1/#x'
  ])
    t.same(parseReference(text), { is: 'uuid', kind: 'pool', uuid: 'pool-1' }, text)
  for (const text of ['/api/pool?name=a%20b', '/api/pool/?name=a+b', 'https://h/api/pool?cloud_ref.name=c&name=a%20b#a b'])
    t.same(parseReference(text), { is: 'name', kind: 'pool', name: 'a b' }, text)
  t.same(parseReference('pool-1#web'), { is: 'uuid', kind: undefined, uuid: 'pool-1' })
})

t.test('parseReference takes nothing else', async t => {
  for (const text of [
    '',
    '#',
    '/api/pool',
    '/api/none/x',
    '/api/pool/a/b',
    '/api/pool/%2e%2e',
    'javascript:alert(1)//api/pool/x',
    'a/b',
    'x y',
    '/pool/x'
  ])
    t.same(parseReference(text), { is: 'nonsense' }, text)
})

t.test('parseReference never throws', async t => {
  const piece = fc.constantFrom('/', 'api', 'pool', '?', 'name=', '%', '#', 'https://', '..', '__proto__', '&', 'é', '\u0000', '%zz')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece, { maxLength: 12 }).map(parts => parts.join(''))
      ),
      text => ['uuid', 'name', 'nonsense'].includes(parseReference(text).is)
    ),
    { numRuns: 2000, seed: 7 }
  )
  t.pass('2000 texts, seed 7')
})
