import t from 'tap'
import { checkResource } from '#model/resource/catalogue.ts'
import { conflictsOf, listenersOf } from '#model/resource/conflict.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import { contextOf, document } from '#test/support/resources.ts'
import type { StoredDocument } from '#test/support/resources.ts'

const vsvip = (name: string, ...addresses: string[]): StoredDocument =>
  document('vsvip', {
    name,
    vip: addresses.map((addr, i) => ({
      vip_id: String(i),
      ...(addr.includes(':') ? { ip6_address: { addr, type: 'V6' } } : { ip_address: { addr, type: 'V4' } })
    }))
  })
const service = (name: string, vip: string, ports: readonly number[], more: JsonObject = {}): StoredDocument =>
  document('virtualservice', { name, vsvip_ref: `vsvip-${vip}`, services: ports.map(port => ({ port })), ...more })
const group = document('serviceenginegroup', { name: 'Default-Group' })

const violationsOf = ({ kind, body, uuid }: StoredDocument, others: readonly StoredDocument[], isNew = true): readonly string[] =>
  checkResource(kind, body, contextOf(others, isNew ? undefined : uuid)).violations.map(({ pointer, message }) => `${pointer} ${message}`)

const a = vsvip('a', '10.0.0.1')

t.test('two virtual services may not listen for one address and port; both are named', async t => {
  const shop = service('shop', 'a', [80, 443])
  t.same(violationsOf(service('blog', 'a', [443, 8443]), [group, a, shop]), [
    '/services 10.0.0.1:443 (TCP) of virtual service blog is already listened for by virtual service shop'
  ])
})

t.test('one vsvip with different ports, and one port on different addresses, are no conflict', async t => {
  const shop = service('shop', 'a', [80])
  t.same(violationsOf(service('blog', 'a', [81]), [group, a, shop]), [])
  t.same(violationsOf(service('blog', 'b', [80]), [group, a, vsvip('b', '10.0.0.2'), shop]), [])
})

t.test('one address in two vsvips and two spellings is one address', async t => {
  const shop = service('shop', 'a6', [80])
  const others = [group, vsvip('a6', '2001:db8:0:0::1'), vsvip('b6', '2001:db8::1'), shop]
  t.equal(violationsOf(service('blog', 'b6', [80]), others).length, 1)
  t.match(violationsOf(service('blog', 'b6', [80]), others)[0], /\[2001:db8::1\]:80 \(TCP\)/)
})

t.test('groups that do not overlap, disabled services and oneself are no conflict', async t => {
  const shop = service('shop', 'a', [80])
  t.same(violationsOf(service('blog', 'a', [80], { se_group_ref: 'serviceenginegroup-edge' }), [group, a, shop]), [])
  t.equal(
    violationsOf(service('blog', 'a', [80], { se_group_ref: group.uuid }), [group, a, shop]).length,
    1,
    'the default group by name is the default group'
  )
  t.same(violationsOf(service('blog', 'a', [80], { enabled: false }), [group, a, shop]), [])
  t.same(violationsOf(service('blog', 'a', [80]), [group, a, service('shop', 'a', [80], { enabled: false })]), [])
  t.same(violationsOf(shop, [group, a, shop], false), [])
})

t.test('TCP and UDP on one port are no conflict', async t => {
  const udp = document('networkprofile', { name: 'udp', profile: { type: 'PROTOCOL_TYPE_UDP_PROXY' } })
  const dns = service('dns', 'a', [53], { network_profile_ref: udp.uuid })
  t.same(conflictsOf([{ uuid: undefined, body: service('tcp', 'a', [53]).body }], contextOf([group, a, udp, dns])), [])
})

t.test('an address that moves into a conflict is refused on the vsvip', async t => {
  const b = vsvip('b', '10.0.0.2')
  const stored = [group, a, b, service('shop', 'a', [80]), service('blog', 'b', [80])]
  t.same(violationsOf({ ...b, body: vsvip('b', '10.0.0.1').body }, stored, false), [
    '/vip 10.0.0.1:80 (TCP) of virtual service blog is already listened for by virtual service shop'
  ])
  t.same(violationsOf({ ...b, body: vsvip('b', '10.0.0.3').body }, stored, false), [])
})

t.test('two that are written together are held against each other', async t => {
  const both = [service('shop', 'a', [80]), service('blog', 'a', [80])]
  t.equal(conflictsOf(both, contextOf([group, a])).length, 1)
})

t.test('listenersOf leaves disabled addresses out', async t => {
  const vip = document('vsvip', {
    name: 'v',
    vip: [
      { vip_id: '1', enabled: false, ip_address: { addr: '10.0.0.9', type: 'V4' } },
      { vip_id: '2', ip_address: { addr: '10.0.0.8', type: 'V4' }, ip6_address: { addr: '::1', type: 'V6' } }
    ]
  })
  const { resource } = contextOf([vip])
  t.same(listenersOf(service('s', 'v', [80]).body, { resource }), [
    { address: '10.0.0.8', protocol: 'TCP', port: 80 },
    { address: '::1', protocol: 'TCP', port: 80 }
  ])
})
