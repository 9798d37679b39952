import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { canonicalAddress } from './address.ts'
import { cloudRef, each, flag, inTenant, integer, ipLiteral, list, nested, shape, text } from './common.ts'
import { conflictViolations } from './conflict.ts'
import type { Violation } from './violation.ts'

export const vip = shape(
  'vip',
  {
    vip_id: text('Tells the addresses of one document apart.', { required: true, minLength: 1, maxLength: 64 }),
    enabled: flag('Listened for when true.', { default: true }),
    ip_address: nested(ipLiteral, 'IPv4 address that clients reach.', { first: true }),
    ip6_address: nested(ipLiteral, 'IPv6 address that clients reach.', { first: true }),
    prefix_length: integer('Length of the network prefix of the IPv4 address.', { default: 32, min: 0, max: 32 })
  },
  {
    auto_allocate_floating_ip: false,
    auto_allocate_ip: false,
    auto_allocate_ip_type: 'V4_ONLY',
    availability_zone: '',
    avi_allocated_fip: false,
    avi_allocated_vip: false,
    discovered_networks: [],
    floating_ip: {},
    floating_ip6: {},
    floating_subnet6_uuid: '',
    floating_subnet_uuid: '',
    ipam_network_subnet: {},
    network_ref: '',
    placement_networks: [],
    port_uuid: '',
    subnet: {},
    subnet6: {},
    subnet6_uuid: '',
    subnet_uuid: ''
  }
)

export const vsvip = defineKind({
  kind: 'vsvip',
  title: 'Address',
  titlePlural: 'Addresses',
  description: 'The addresses that clients of a virtual service reach.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    vip: list(each(vip), 'The addresses.', { required: true, minItems: 1, maxItems: 100, first: true }),
    cloud_ref: cloudRef,
    vsvip_cloud_config_cksum: text('Checksum of the tool that made it.', { last: true })
  },
  unsupported: {
    bgp_local_preference: 0,
    bgp_num_as_path_prepend: 0,
    bgp_peer_labels: [],
    dns_info: [],
    east_west_placement: false,
    ipam_selector: {},
    tier1_lr: '',
    use_standard_alb: false,
    vrf_context_ref: ''
  },
  check: (body, context) => {
    const violations: Violation[] = []
    const seen = new Map<string, string>()
    const ids = new Map<string, number>()
    for (const [i, one] of body.vip.entries()) {
      const at = `/vip/${i}`
      if (one.ip_address === undefined && one.ip6_address === undefined)
        violations.push({ pointer: at, message: 'must have ip_address or ip6_address' })
      if (one.ip_address !== undefined && one.ip_address.type !== 'V4')
        violations.push({ pointer: `${at}/ip_address/type`, message: 'must be V4: an IPv6 address goes into ip6_address' })
      if (one.ip6_address !== undefined && one.ip6_address.type !== 'V6')
        violations.push({ pointer: `${at}/ip6_address/type`, message: 'must be V6: an IPv4 address goes into ip_address' })
      const other = ids.get(one.vip_id)
      if (other !== undefined) violations.push({ pointer: `${at}/vip_id`, message: `is the same as that of /vip/${other}` })
      ids.set(one.vip_id, i)
      for (const [name, address] of [
        ['ip_address', one.ip_address],
        ['ip6_address', one.ip6_address]
      ] as const) {
        if (address === undefined) continue
        const text = canonicalAddress(address.addr)
        const where = seen.get(text)
        if (where !== undefined) violations.push({ pointer: `${at}/${name}`, message: `${text} is already at ${where}` })
        seen.set(text, `${at}/${name}`)
      }
    }
    if (violations.length > 0 || context.uuid === undefined) return violations
    return conflictViolations(
      context
        .referrers('virtualservice', context.uuid)
        .flatMap(({ uuid, body: service }) => (service['vsvip_ref'] === context.uuid ? [{ uuid, body: service }] : [])),
      { ...context, resource: (kind, uuid) => (kind === 'vsvip' && uuid === context.uuid ? body : context.resource(kind, uuid)) },
      '/vip'
    )
  }
})
export type VsVip = Written<typeof vsvip.fields>
export type FilledVsVip = Filled<typeof vsvip.fields>
