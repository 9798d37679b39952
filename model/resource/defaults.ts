/** The objects of the first start, under Avi's names, as an operator would write them: references by name. */
import type { JsonObject, KindName } from './kind.ts'
import { permissionOf, permissions } from './role.ts'
import type { PermissionName } from './role.ts'
import type { WrittenKind } from './catalogue.ts'

type Document = { readonly [K in KindName]: { readonly kind: K; readonly body: WrittenKind[K] } }[KindName]
export interface DefaultObject {
  readonly kind: KindName
  readonly body: JsonObject
}

type Access = 'NO_ACCESS' | 'READ_ACCESS' | 'WRITE_ACCESS'

/** Every permission, so that a role says all that it opens; `access` answers for each. */
function role(name: string, description: string, access: (permission: PermissionName) => Access): Document {
  return {
    kind: 'role',
    body: { name, description, privileges: permissions.map(resource => ({ resource, type: access(resource) })) }
  }
}

const traffic: ReadonlySet<PermissionName> = new Set([
  permissionOf.virtualservice,
  permissionOf.pool,
  permissionOf.poolgroup,
  permissionOf.poolgroupdeploymentpolicy,
  permissionOf.healthmonitor,
  permissionOf.httppolicyset,
  permissionOf.networksecuritypolicy,
  permissionOf.ipaddrgroup,
  permissionOf.stringgroup,
  permissionOf.applicationprofile,
  permissionOf.networkprofile,
  permissionOf.applicationpersistenceprofile,
  permissionOf.analyticsprofile,
  permissionOf.sslprofile,
  permissionOf.sslkeyandcertificate,
  permissionOf.pkiprofile
])
const infrastructure: ReadonlySet<PermissionName> = new Set([
  permissionOf.cloud,
  permissionOf.serviceenginegroup,
  permissionOf.serviceengine,
  permissionOf.jointoken
])
const security: ReadonlySet<PermissionName> = new Set([
  permissionOf.networksecuritypolicy,
  permissionOf.httppolicyset,
  permissionOf.ipaddrgroup,
  permissionOf.stringgroup,
  permissionOf.sslprofile,
  permissionOf.sslkeyandcertificate,
  permissionOf.pkiprofile
])
const accounts: ReadonlySet<PermissionName> = new Set([
  permissionOf.user,
  permissionOf.role,
  permissionOf.tenant,
  permissionOf.systemconfiguration
])

const roles: readonly Document[] = [
  role('System-Admin', 'Everything.', () => 'WRITE_ACCESS'),
  role('Tenant-Admin', 'Everything of a tenant; engines and settings of the system are read.', permission =>
    traffic.has(permission) ? 'WRITE_ACCESS' : infrastructure.has(permission) ? 'READ_ACCESS' : 'NO_ACCESS'
  ),
  role('Application-Admin', 'Virtual services, pools and all that they use.', permission =>
    traffic.has(permission) ? 'WRITE_ACCESS' : infrastructure.has(permission) ? 'READ_ACCESS' : 'NO_ACCESS'
  ),
  role('Application-Operator', 'Reads all that virtual services use.', permission =>
    traffic.has(permission) || infrastructure.has(permission) ? 'READ_ACCESS' : 'NO_ACCESS'
  ),
  role('Security-Admin', 'Policies, TLS and certificates; the rest of the traffic is read.', permission =>
    security.has(permission) ? 'WRITE_ACCESS' : traffic.has(permission) ? 'READ_ACCESS' : 'NO_ACCESS'
  ),
  role('Read-Only', 'Reads everything but accounts.', permission => (accounts.has(permission) ? 'NO_ACCESS' : 'READ_ACCESS'))
]

const documents: readonly Document[] = [
  { kind: 'tenant', body: { name: 'admin', description: 'The first tenant; its default objects are seen by all.' } },
  { kind: 'cloud', body: { name: 'Default-Cloud', vtype: 'CLOUD_NONE' } },
  // Avi's limit for a group that says nothing is 10; here the engines that join are all there is, so nothing is held back.
  { kind: 'serviceenginegroup', body: { name: 'Default-Group', cloud_ref: '/api/cloud/?name=Default-Cloud', max_vs_per_se: 1000 } },
  ...roles,
  { kind: 'systemconfiguration', body: { portal_configuration: { allow_basic_authentication: false } } },

  { kind: 'applicationprofile', body: { name: 'System-HTTP', type: 'APPLICATION_PROFILE_TYPE_HTTP', http_profile: {} } },
  {
    kind: 'applicationprofile',
    body: {
      name: 'System-Secure-HTTP',
      type: 'APPLICATION_PROFILE_TYPE_HTTP',
      http_profile: { x_forwarded_proto_enabled: true, http_to_https: true, hsts_enabled: true }
    }
  },
  { kind: 'applicationprofile', body: { name: 'System-L4-Application', type: 'APPLICATION_PROFILE_TYPE_L4' } },
  { kind: 'applicationprofile', body: { name: 'System-SSL-Application', type: 'APPLICATION_PROFILE_TYPE_SSL' } },

  { kind: 'networkprofile', body: { name: 'System-TCP-Proxy', profile: { type: 'PROTOCOL_TYPE_TCP_PROXY', tcp_proxy_profile: {} } } },
  {
    kind: 'networkprofile',
    body: { name: 'System-TCP-Fast-Path', profile: { type: 'PROTOCOL_TYPE_TCP_FAST_PATH', tcp_fast_path_profile: {} } }
  },
  {
    kind: 'networkprofile',
    body: { name: 'System-UDP-Fast-Path', profile: { type: 'PROTOCOL_TYPE_UDP_FAST_PATH', udp_fast_path_profile: {} } }
  },

  {
    kind: 'sslprofile',
    body: {
      name: 'System-Standard',
      description: 'TLS 1.2 and 1.3 with AEAD ciphers and forward secrecy.',
      accepted_versions: [{ type: 'SSL_VERSION_TLS1_2' }, { type: 'SSL_VERSION_TLS1_3' }]
    }
  },

  {
    kind: 'healthmonitor',
    body: {
      name: 'System-HTTP',
      type: 'HEALTH_MONITOR_HTTP',
      failed_checks: 3,
      successful_checks: 3,
      http_monitor: { http_request: 'HEAD / HTTP/1.0', http_response_code: ['HTTP_2XX', 'HTTP_3XX'] }
    }
  },
  {
    kind: 'healthmonitor',
    body: {
      name: 'System-HTTPS',
      type: 'HEALTH_MONITOR_HTTPS',
      failed_checks: 3,
      successful_checks: 3,
      https_monitor: { http_request: 'HEAD / HTTP/1.0', http_response_code: ['HTTP_2XX', 'HTTP_3XX'] }
    }
  },
  {
    kind: 'healthmonitor',
    body: { name: 'System-TCP', type: 'HEALTH_MONITOR_TCP', failed_checks: 3, successful_checks: 3, tcp_monitor: {} }
  },
  {
    kind: 'healthmonitor',
    body: { name: 'System-UDP', type: 'HEALTH_MONITOR_UDP', failed_checks: 3, successful_checks: 3, udp_monitor: {} }
  },
  { kind: 'healthmonitor', body: { name: 'System-Ping', type: 'HEALTH_MONITOR_PING', failed_checks: 3, successful_checks: 3 } },

  {
    kind: 'applicationpersistenceprofile',
    body: { name: 'System-Persistence-Client-IP', persistence_type: 'PERSISTENCE_TYPE_CLIENT_IP_ADDRESS', ip_persistence_profile: {} }
  },
  {
    kind: 'applicationpersistenceprofile',
    body: { name: 'System-Persistence-Http-Cookie', persistence_type: 'PERSISTENCE_TYPE_HTTP_COOKIE', http_cookie_persistence_profile: {} }
  },
  {
    kind: 'applicationpersistenceprofile',
    body: {
      name: 'System-Persistence-Custom-Http-Header',
      persistence_type: 'PERSISTENCE_TYPE_CUSTOM_HTTP_HEADER',
      hdr_persistence_profile: {}
    }
  },
  {
    kind: 'applicationpersistenceprofile',
    body: {
      name: 'System-Persistence-App-Cookie',
      persistence_type: 'PERSISTENCE_TYPE_APP_COOKIE',
      app_cookie_persistence_profile: { prst_hdr_name: 'JSESSIONID' }
    }
  },
  { kind: 'applicationpersistenceprofile', body: { name: 'System-Persistence-TLS', persistence_type: 'PERSISTENCE_TYPE_TLS' } },

  { kind: 'analyticsprofile', body: { name: 'System-Analytics-Profile' } }
]

/** In the order in which they can be written: what is referred to comes first. System-Default-Cert is made by the controller. */
export const defaultObjects: readonly DefaultObject[] = documents.map(({ kind, body }) => ({ kind, body: body as JsonObject }))
