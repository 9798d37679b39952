import t from 'tap'
import { canonicalJson, manifestText } from '#model/snapshot/canonical.ts'

t.test('canonicalJson spells equal content alike, whatever the order of keys', async t => {
  t.equal(canonicalJson({ b: [{ z: 1, a: null }], a: 'x' }), '{"a":"x","b":[{"a":null,"z":1}]}')
  t.equal(canonicalJson({ a: 1, b: 2 }), canonicalJson({ b: 2, a: 1 }))
  t.not(canonicalJson({ a: [1, 2] }), canonicalJson({ a: [2, 1] }), 'the order of a list is content')
  t.equal(canonicalJson({ a: undefined, b: 1 }), '{"b":1}')
  t.equal(canonicalJson(JSON.parse('{"__proto__":{"x":1}}')), '{"__proto__":{"x":1}}', 'a key like any other')
})

t.test('manifestText does not depend on the order of entries and tells entries apart', async t => {
  const one = { kind: 'pool', id: 'a', hash: '1' } as const
  const two = { kind: 'pool', id: 'b', hash: '2' } as const
  t.equal(manifestText([one, two]), manifestText([two, one]))
  t.not(manifestText([one]), manifestText([{ ...one, hash: '3' }]))
})
