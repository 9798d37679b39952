import t from 'tap'
import { patched } from '#controller/change/patch.ts'

t.test('patched merges objects, appends to lists and sets values on add', async t => {
  const body = { a: 1, list: [1, { x: 1 }], deep: { inner: { list: ['a'], keep: true } } }
  t.same(patched(body, { add: { a: 2, list: [3, { x: 1 }], deep: { inner: { list: ['b'] } }, more: 'm' } }), {
    a: 2,
    list: [1, { x: 1 }, 3],
    deep: { inner: { list: ['a', 'b'], keep: true } },
    more: 'm'
  })
  t.same(body.list, [1, { x: 1 }], 'the document itself is not changed')
})

t.test('patched sets lists and values on replace, inside objects too', async t => {
  t.same(patched({ list: [1, 2], deep: { a: 1, b: 2 } }, { replace: { list: [3], deep: { b: 3 } } }), { list: [3], deep: { a: 1, b: 3 } })
  t.same(patched({ a: { b: 1 } }, { replace: { a: 5 } }), { a: 5 })
})

t.test('patched takes out whole elements, values and objects on delete', async t => {
  const body = { a: 1, list: [{ x: 1, y: 2 }, { x: 2 }], last: [1], deep: { b: 2, c: 3 }, whole: { z: 1 } }
  t.same(patched(body, { delete: { a: 'whatever', list: [{ x: 1 }, { x: 2 }], last: [1], deep: { b: null }, whole: {}, none: 1 } }), {
    list: [{ x: 1, y: 2 }],
    deep: { c: 3 }
  })
  t.same(patched(body, {}), body)
  t.same(patched(body, { delete: {} }), body)
})

t.test('patched does delete, replace and add in that order', async t => {
  t.same(patched({ list: [1, 2] }, { add: { list: [3] }, delete: { list: [1] } }), { list: [2, 3] })
  t.same(patched({ list: [1, 2] }, { replace: { list: [] }, add: { list: [3] } }), { list: [3] })
})
