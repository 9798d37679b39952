import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { inTenant, oneOf } from './common.ts'

export const cloud = defineKind({
  kind: 'cloud',
  title: 'Cloud',
  titlePlural: 'Clouds',
  description: 'Where engines and addresses come from; hosts that join by themselves belong to Default-Cloud.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    vtype: oneOf(['CLOUD_NONE'], 'Kind of infrastructure.', {
      default: 'CLOUD_NONE',
      first: true,
      unsupported: [
        'CLOUD_VCENTER',
        'CLOUD_OPENSTACK',
        'CLOUD_AWS',
        'CLOUD_VCA',
        'CLOUD_APIC',
        'CLOUD_MESOS',
        'CLOUD_LINUXSERVER',
        'CLOUD_DOCKER_UCP',
        'CLOUD_RANCHER',
        'CLOUD_OSHIFT_K8S',
        'CLOUD_AZURE',
        'CLOUD_GCP',
        'CLOUD_NSXT'
      ]
    })
  },
  unsupported: {
    autoscale_polling_interval: 60,
    aws_configuration: {},
    azure_configuration: {},
    cloudstack_configuration: {},
    custom_tags: [],
    dhcp_enabled: false,
    dns_provider_ref: '',
    dns_resolution_on_se: false,
    dns_resolvers: [],
    docker_configuration: {},
    east_west_dns_provider_ref: '',
    east_west_ipam_provider_ref: '',
    enable_vip_on_all_interfaces: false,
    enable_vip_static_routes: false,
    gcp_configuration: {},
    ip6_autocfg_enabled: false,
    ipam_provider_ref: '',
    license_tier: '',
    license_type: '',
    linuxserver_configuration: {},
    maintenance_mode: false,
    metrics_polling_interval: 300,
    mgmt_ip_v4_enabled: true,
    mgmt_ip_v6_enabled: true,
    mtu: 1500,
    nsxt_configuration: {},
    ntp_configuration: {},
    obj_name_prefix: '',
    openstack_configuration: {},
    prefer_static_routes: false,
    proxy_configuration: {},
    rancher_configuration: {},
    resolve_fqdn_to_ipv6: false,
    se_group_template_ref: '',
    state_based_dns_registration: true,
    vca_configuration: {},
    vcenter_configuration: {},
    vmc_deployment: false
  }
})
export type Cloud = Written<typeof cloud.fields>
export type FilledCloud = Filled<typeof cloud.fields>
