import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { described, flag, integer, nested, served, shape, text } from './common.ts'

export const portalConfiguration = shape(
  'portal configuration',
  {
    allow_basic_authentication: flag('Tools may sign in with HTTP basic authentication.', { default: false, first: true }),
    minimum_password_length: integer('Characters that a password must have.', { default: 8, min: 6, max: 32, first: true }),
    api_force_timeout: integer('A session ends after this time.', { default: 24, min: 1, max: 24, unit: 'hours', first: true })
  },
  {
    disable_remote_cli_shell: false,
    disable_swagger: false,
    enable_clickjacking_protection: true,
    enable_http: true,
    enable_https: true,
    http_port: 0,
    https_port: 0,
    password_strength_check: false,
    pkiprofile_ref: '',
    redirect_to_https: true,
    sslkeyandcertificate_refs: [],
    sslprofile_ref: '',
    use_uuid_from_input: false
  }
)

export const systemconfiguration = defineKind({
  kind: 'systemconfiguration',
  title: 'System configuration',
  titlePlural: 'System configuration',
  description: 'Settings of the controller itself.',
  scope: 'single',
  fields: {
    ...served,
    name: text('Always default.', { readOnly: true }),
    configpb_attributes: described.configpb_attributes,
    portal_configuration: nested(portalConfiguration, 'Signing in.', { default: {}, first: true }),
    welcome_workflow_complete: flag('The first steps are done; kept, without effect.', { default: false })
  },
  unsupported: {
    admin_auth_configuration: { allow_local_user_login: true },
    common_criteria_mode: false,
    controller_analytics_policy: {},
    default_license_tier: 'ENTERPRISE_WITH_CLOUD_SERVICES',
    dns_configuration: {},
    dns_virtualservice_refs: [],
    docker_mode: false,
    email_configuration: {
      from_email: 'admin@avicontroller.net',
      mail_server_name: 'localhost',
      mail_server_port: 25,
      smtp_type: 'SMTP_LOCAL_HOST'
    },
    enable_cors: false,
    fips_mode: false,
    global_tenant_config: { se_in_provider_context: true, tenant_access_to_provider_se: true },
    host_key_algorithm_exclude: '',
    kex_algorithm_exclude: '',
    linux_configuration: {},
    mgmt_ip_access_control: {},
    ntp_configuration: {},
    proxy_configuration: {},
    rekey_time_limit: 'none',
    rekey_volume_limit: 'default',
    secure_channel_configuration: {},
    snmp_configuration: {},
    ssh_ciphers: [],
    ssh_hmacs: []
  }
})
export type SystemConfiguration = Written<typeof systemconfiguration.fields>
export type FilledSystemConfiguration = Filled<typeof systemconfiguration.fields>
