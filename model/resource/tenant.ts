import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, keyValue, list, overTenants } from './common.ts'

export const tenant = defineKind({
  kind: 'tenant',
  title: 'Tenant',
  titlePlural: 'Tenants',
  description: 'A space of its own for the objects of one team; names are unique inside it.',
  scope: 'global',
  fields: {
    ...overTenants,
    local: flag('Made here, not by an identity provider.', { default: true }),
    attrs: list(each(keyValue), 'Attributes; kept, without effect.', { maxItems: 100 })
  },
  unsupported: {
    config_settings: { se_in_provider_context: true, tenant_access_to_provider_se: true },
    enforce_label_group: false,
    label_group_refs: []
  }
})
export type Tenant = Written<typeof tenant.fields>
export type FilledTenant = Filled<typeof tenant.fields>
