import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, list, overTenants, ref, shape, text } from './common.ts'
import type { Violation } from './violation.ts'

export const userRole = shape('access', {
  role_ref: ref('role', 'What they may do.', { required: true }),
  tenant_ref: ref('tenant', 'Where; not beside all_tenants.', {}),
  all_tenants: flag('In every tenant.', { default: false })
})

export const user = defineKind({
  kind: 'user',
  title: 'User',
  titlePlural: 'Users',
  description: 'A person or a tool that signs in.',
  scope: 'global',
  fields: {
    ...overTenants,
    username: text('Name to sign in with; the name when left out.', { minLength: 1, maxLength: 255, first: true }),
    full_name: text('Full name.', { maxLength: 255, first: true }),
    email: text('Address for mail.', { maxLength: 255, first: true }),
    password: text('Password; never shown again.', { secret: true, maxLength: 1024, first: true }),
    is_active: flag('May sign in.', { default: true }),
    is_superuser: flag('May do everything in every tenant.', { default: false }),
    access: list(each(userRole), 'What they may do, and where.', { maxItems: 100, first: true }),
    default_tenant_ref: ref('tenant', 'Tenant they are in after signing in.', {}),
    local: flag('Made here, not by an identity provider.', { default: true }),
    date_joined: text('When it was made.', { readOnly: true }),
    logged_in: flag('Has signed in.', { readOnly: true }),
    uid: text('Number.', { readOnly: true }),
    ui_property: text('Settings of the dashboard; kept as they are.', { maxLength: 65536 })
  },
  unsupported: {
    anonymous_user: false,
    is_internal_user: false,
    is_staff: false,
    passwordless: false,
    recovery_token: '',
    service_user: false,
    token_expiration_date: '',
    unix_crypt_password: '',
    user_profile_ref: ''
  },
  check: body => {
    const violations: Violation[] = []
    for (const [i, one] of (body.access ?? []).entries()) {
      if (one.all_tenants && one.tenant_ref !== undefined)
        violations.push({ pointer: `/access/${i}/tenant_ref`, message: 'must not be there beside all_tenants' })
      if (!one.all_tenants && one.tenant_ref === undefined)
        violations.push({ pointer: `/access/${i}/tenant_ref`, message: 'is required, or all_tenants' })
    }
    return violations
  }
})
export type User = Written<typeof user.fields>
export type FilledUser = Filled<typeof user.fields>
