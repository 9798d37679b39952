import t from 'tap'
import { checkResource } from '#model/resource/catalogue.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { contextOf, document, minimal } from '#test/support/resources.ts'

const parent = { ...minimal.virtualservice, name: 'parent', type: 'VS_TYPE_VH_PARENT' }
const child = (name: string, more: JsonObject): JsonObject => ({
  name,
  type: 'VS_TYPE_VH_CHILD',
  vh_parent_vs_ref: 'virtualservice-parent',
  ...more
})
const stored = [
  document('virtualservice', parent),
  document('virtualservice', child('first', { vh_domain_name: ['a.test', '*.b.test'] })),
  document('virtualservice', { ...minimal.virtualservice })
]
const said = (body: JsonObject, uuid?: string) =>
  checkResource('virtualservice', body, contextOf([...stored, document('vsvip', { ...minimal.vsvip })], uuid)).violations

t.test('a child has names and a parent, and neither addresses nor ports', async t => {
  t.same(said(child('second', { vh_domain_name: ['c.test', '*.a.test'] })), [])
  const wrong = {
    name: 'x',
    type: 'VS_TYPE_VH_CHILD',
    vsvip_ref: 'vsvip-shop-vip',
    services: [{ port: 81 }],
    vh_domain_name: ['a..b', '*']
  }
  t.same(
    said(wrong).map(({ pointer }) => pointer),
    ['/vsvip_ref', '/services', '/vh_domain_name/0', '/vh_domain_name/1', '/vh_parent_vs_ref']
  )
  t.match(said(child('second', { vh_domain_name: ['c.test'], vh_parent_vs_ref: 'virtualservice-shop' })), [
    { pointer: '/vh_parent_vs_ref' }
  ])
  t.match(said(child('second', { vh_type: 'VS_TYPE_VH_ENHANCED', vh_matches: [{ host: 'c.test' }] })), [{ pointer: '/vh_type' }])
  t.match(said(child('second', {})), [{ pointer: '/vh_domain_name', message: /is required/ }])
  t.match(said({ name: 'x' }), [{ pointer: '/vsvip_ref', message: 'is required' }, { pointer: '/services' }])
})

t.test('a name leads to one child: both owners are told', async t => {
  t.same(said(child('second', { vh_domain_name: ['c.test', 'A.test', '*.b.test'] })), [
    { pointer: '/vh_domain_name/1', message: 'a.test of virtual service second already leads to virtual service first' },
    { pointer: '/vh_domain_name/2', message: '*.b.test of virtual service second already leads to virtual service first' }
  ])
  t.same(said(child('first', { vh_domain_name: ['a.test'] }), 'virtualservice-first'), [], 'its own names are no conflict')
})

t.test('a parent stays one as long as it has children', async t => {
  t.match(said({ ...parent, type: 'VS_TYPE_NORMAL' }, 'virtualservice-parent'), [{ pointer: '/type', message: /first is a child of it/ }])
  t.match(said({ ...parent, vh_type: 'VS_TYPE_VH_ENHANCED' }, 'virtualservice-parent'), [{ pointer: '/vh_type' }])
})
