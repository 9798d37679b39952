import t from 'tap'
import { diffOf } from '#controller/change/diff.ts'
import type { Json } from '#model/resource/kind.ts'

const plain = (value: Json | undefined) => ({ real: value, shown: value })

t.test('diffOf names what changed, by field and by position', async t => {
  const before = { a: 1, b: { c: [1, 2], d: 'x' }, 'e/~': true }
  const after = { a: 1, b: { c: [1, 3, 4] }, 'e/~': false, f: null }
  t.same(diffOf(plain(before), plain(after)), [
    { pointer: '/b/c/1', before: 2, after: 3 },
    { pointer: '/b/c/2', after: 4 },
    { pointer: '/b/d', before: 'x' },
    { pointer: '/e~1~0', before: true, after: false },
    { pointer: '/f', after: null }
  ])
  t.same(diffOf(plain({ a: 1, b: 2 }), plain({ b: 2, a: 1 })), [], 'the order of fields says nothing')
  t.same(diffOf(plain(undefined), plain({ a: 1 })), [{ pointer: '', after: { a: 1 } }])
  t.same(diffOf(plain([1]), plain({ 0: 1 })), [{ pointer: '', before: [1], after: { 0: 1 } }])
})

t.test('diffOf compares what is and tells what may be told', async t => {
  const side = (secret: string) => ({ real: { list: [{ key: secret }] }, shown: { list: [{ key: '***' }] } })
  t.same(diffOf(side('a'), side('b')), [{ pointer: '/list/0/key', before: '***', after: '***' }])
  t.same(diffOf(side('a'), side('a')), [])
})
