import type { Filled, FilledShape, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, inTenant, integer, list, nested, oneOf, ref, shape, text } from './common.ts'
import type { Violation } from './violation.ts'

const processDriver = shape('process', {
  workers: integer('Data-plane workers of each engine.', { default: 1, min: 1, max: 64 })
})

const containerDriver = shape('container', {
  image: text('Image of the engine.', {
    default: 'weir-engine',
    maxLength: 255,
    pattern: '^[A-Za-z0-9][A-Za-z0-9._:/@-]*$',
    say: 'must be the name of an image'
  }),
  network: text('Network of the containers: that of the host, or one by name.', {
    default: 'host',
    maxLength: 128,
    pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]*$',
    say: 'must be host, or the name of a network'
  }),
  workers: integer('Data-plane workers of each engine.', { default: 1, min: 1, max: 64 }),
  memory: integer('Memory of each engine.', { default: 0, min: 0, max: 1048576, gap: [1, 127], unit: 'MiB', special: { '0': 'no limit' } })
})

const addressShape = { maxLength: 253, pattern: '^[A-Za-z0-9:][A-Za-z0-9._:-]*$', say: 'must be an address or a name' } as const

const sshHost = shape('host', {
  address: text('Where its SSH server listens.', { required: true, minLength: 1, ...addressShape }),
  port: integer('Port of its SSH server.', { default: 22, min: 1, max: 65535 }),
  user: text('root, or who may sudo without a password.', {
    default: 'root',
    maxLength: 32,
    pattern: '^[a-z_][a-z0-9_-]*$',
    say: 'must be the name of a user'
  }),
  host_key: text('Public key that the host must show: the line of its /etc/ssh/ssh_host_*_key.pub, without the comment.', {
    required: true,
    minLength: 1,
    maxLength: 2048,
    pattern: '^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,3}$',
    say: 'must be a public key such as ssh-ed25519 AAAA...'
  })
})

const sshDriver = shape('ssh', {
  hosts: list(each(sshHost), 'Hosts, each for one engine.', { required: true, minItems: 1, maxItems: 1000 }),
  private_key: text('Key that lets in, in the form of OpenSSH or PEM, without a passphrase.', {
    required: true,
    secret: true,
    maxLength: 16384
  })
})

/** Who makes the engines that the groups of a cloud want, and takes them away. Not a field of Avi. */
export const engineDriver = shape('engine driver', {
  type: oneOf(
    ['PROCESS', 'CONTAINER', 'SSH', 'WEBHOOK'],
    "PROCESS: processes on the controller's own host. CONTAINER: containers of the Docker or Podman at WEIR_CONTAINER_SOCKET. SSH: installed on hosts of a pool. WEBHOOK: whoever answers the webhook, in any way.",
    { required: true, first: true }
  ),
  controller_url: text('Where engines reach the controller; for PROCESS its own port on 127.0.0.1 when left out.', {
    first: true,
    maxLength: 1024
  }),
  max_engines: integer('Engines that it makes at most, over all groups of the cloud.', { default: 16, min: 1, max: 1000, first: true }),
  join_timeout: integer('An engine that did not join, or was away, for so long is given up and made anew.', {
    default: 300,
    min: 10,
    max: 86400,
    unit: 's'
  }),
  process: nested(processDriver, 'Of type PROCESS.', {}),
  container: nested(containerDriver, 'Of type CONTAINER.', {}),
  ssh: nested(sshDriver, 'Of type SSH.', {}),
  webhook_ref: ref('webhook', 'Of type WEBHOOK: who is told to make an engine, and to take it away.', {})
})

/** What belongs to one type says nothing in another. */
const fieldOf = { PROCESS: 'process', CONTAINER: 'container', SSH: 'ssh', WEBHOOK: 'webhook_ref' } as const

function driverViolations(driver: EngineDriverSettings | undefined): Violation[] {
  if (driver === undefined) return []
  const at = (field: string, message: string): Violation => ({ pointer: `/engine_driver/${field}`, message })
  const { type } = driver
  const misplaced = Object.entries(fieldOf).flatMap(([of, field]) =>
    of !== type && driver[field] !== undefined ? [at(field, `is for type ${of}, not ${type}`)] : []
  )
  const missing = [
    ...(type === 'SSH' && driver.ssh === undefined ? [at('ssh', 'is needed for type SSH')] : []),
    ...(type === 'WEBHOOK' && driver.webhook_ref === undefined ? [at('webhook_ref', 'is needed for type WEBHOOK')] : []),
    ...(type !== 'PROCESS' && (driver.controller_url ?? '') === '' ? [at('controller_url', `is needed for type ${type}`)] : [])
  ]
  return [...misplaced, ...missing, ...sshViolations(driver), ...controllerUrlViolations(driver.controller_url)]
}

function sshViolations({ ssh }: EngineDriverSettings): Violation[] {
  if (ssh === undefined) return []
  const seen = new Set<string>()
  const twice = ssh.hosts.flatMap(({ address }, i) => {
    const isKnown = seen.has(address)
    seen.add(address)
    return isKnown ? [{ pointer: `/engine_driver/ssh/hosts/${i}/address`, message: `${address} is in the pool already` }] : []
  })
  const isKey = /^-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[\s\S]+-----END [A-Z ]*PRIVATE KEY-----\s*$/.test(ssh.private_key)
  return [
    ...twice,
    ...(isKey ? [] : [{ pointer: '/engine_driver/ssh/private_key', message: 'must be a private key: -----BEGIN ... PRIVATE KEY-----' }])
  ]
}

/** An https address with nothing but host and port: what engines are told. */
function controllerUrlViolations(url: string | undefined): Violation[] {
  if (url === undefined || url === '') return []
  const parsed = URL.parse(url)
  const isPlain =
    parsed !== null && parsed.protocol === 'https:' && parsed.username === '' && parsed.pathname === '/' && parsed.search === ''
  return isPlain ? [] : [{ pointer: '/engine_driver/controller_url', message: 'must look like https://controller:9443' }]
}

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
    }),
    engine_driver: nested(
      engineDriver,
      'Makes the engines that groups want by min_se, max_se, buffer_se and load, and takes them away; none are made when left out. Only a superuser may change it. Not a field of Avi.',
      {}
    )
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
  },
  check: ({ engine_driver: driver }) => driverViolations(driver)
})
export type Cloud = Written<typeof cloud.fields>
export type EngineDriverSettings = FilledShape<typeof engineDriver>
export type FilledCloud = Filled<typeof cloud.fields>
