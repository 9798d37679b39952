import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, inTenant, ipAddrPrefix, ipAddrRange, ipLiteral, list } from './common.ts'

export const ipaddrgroup = defineKind({
  kind: 'ipaddrgroup',
  title: 'Address group',
  titlePlural: 'Address groups',
  description: 'Addresses and networks under one name, for rules and pools.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    addrs: list(each(ipLiteral), 'Addresses.', { maxItems: 10000, first: true }),
    prefixes: list(each(ipAddrPrefix), 'Networks.', { maxItems: 10000, first: true }),
    ranges: list(each(ipAddrRange), 'Ranges.', { maxItems: 10000, first: true })
  },
  unsupported: {
    country_codes: [],
    ip_ports: [],
    marathon_app_name: '',
    marathon_service_port: 0
  }
})
export type IpAddrGroup = Written<typeof ipaddrgroup.fields>
export type FilledIpAddrGroup = Filled<typeof ipaddrgroup.fields>
