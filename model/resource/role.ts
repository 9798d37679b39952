import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, list, oneOf, overTenants, shape, tenantRef, flag } from './common.ts'
import type { KindName } from './kind.ts'

/** Every permission that Avi names, so that its roles can be taken over; those of kinds that are not here permit nothing. */
export const permissions = [
  'PERMISSION_CONTROLLER',
  'PERMISSION_INTERNAL',
  'PERMISSION_VIRTUALSERVICE',
  'PERMISSION_POOL',
  'PERMISSION_HEALTHMONITOR',
  'PERMISSION_NETWORKPROFILE',
  'PERMISSION_APPLICATIONPROFILE',
  'PERMISSION_HTTPPOLICYSET',
  'PERMISSION_IPADDRGROUP',
  'PERMISSION_STRINGGROUP',
  'PERMISSION_SSLPROFILE',
  'PERMISSION_SSLKEYANDCERTIFICATE',
  'PERMISSION_NETWORKSECURITYPOLICY',
  'PERMISSION_APPLICATIONPERSISTENCEPROFILE',
  'PERMISSION_ANALYTICSPROFILE',
  'PERMISSION_VSDATASCRIPTSET',
  'PERMISSION_TENANT',
  'PERMISSION_PKIPROFILE',
  'PERMISSION_AUTHPROFILE',
  'PERMISSION_CLOUD',
  'PERMISSION_SERVICEENGINE',
  'PERMISSION_SERVICEENGINEGROUP',
  'PERMISSION_NETWORK',
  'PERMISSION_SYSTEMCONFIGURATION',
  'PERMISSION_VRFCONTEXT',
  'PERMISSION_USER',
  'PERMISSION_ROLE',
  'PERMISSION_ALERT',
  'PERMISSION_ALERTCONFIG',
  'PERMISSION_ALERTEMAILCONFIG',
  'PERMISSION_ALERTSYSLOGCONFIG',
  'PERMISSION_ACTIONGROUPCONFIG',
  'PERMISSION_SNMPTRAPPROFILE',
  'PERMISSION_UPGRADE',
  'PERMISSION_REBOOT',
  'PERMISSION_TECHSUPPORT',
  'PERMISSION_EXEMPT',
  'PERMISSION_VIRTUALSERVICE_MAINTENANCE',
  'PERMISSION_POOL_MAINTENANCE',
  'PERMISSION_TRAFFIC_CAPTURE',
  'PERMISSION_MICROSERVICEGROUP',
  'PERMISSION_IPAMDNSPROVIDERPROFILE',
  'PERMISSION_CERTIFICATEMANAGEMENTPROFILE',
  'PERMISSION_POOLGROUP',
  'PERMISSION_PRIORITYLABELS',
  'PERMISSION_POOLGROUPDEPLOYMENTPOLICY',
  'PERMISSION_GSLB',
  'PERMISSION_GSLBSERVICE',
  'PERMISSION_GSLBGEODBPROFILE',
  'PERMISSION_DNSPOLICY',
  'PERMISSION_TRAFFICCLONEPROFILE',
  'PERMISSION_SE_TOKEN',
  'PERMISSION_WAFPOLICY',
  'PERMISSION_WAFPROFILE',
  'PERMISSION_USER_CREDENTIAL',
  'PERMISSION_AUTOSCALE',
  'PERMISSION_CUSTOMIPAMDNSPROFILE',
  'PERMISSION_ERRORPAGEPROFILE',
  'PERMISSION_ERRORPAGEBODY',
  'PERMISSION_L4POLICYSET',
  'PERMISSION_MICROSERVICE',
  'PERMISSION_HARDWARESECURITYMODULEGROUP',
  'PERMISSION_SECURITYPOLICY',
  'PERMISSION_WAFPOLICYPSMGROUP',
  'PERMISSION_PINGACCESSAGENT',
  'PERMISSION_NETWORKSERVICE',
  'PERMISSION_NATPOLICY',
  'PERMISSION_PROTOCOLPARSER',
  'PERMISSION_SSOPOLICY',
  'PERMISSION_CONTROLLERSITE',
  'PERMISSION_IMAGE',
  'PERMISSION_UPGRADE_OPS',
  'PERMISSION_UPGRADE_SEGROUP_OPS',
  'PERMISSION_TESTSEDATASTORELEVEL1',
  'PERMISSION_TESTSEDATASTORELEVEL2',
  'PERMISSION_TESTSEDATASTORELEVEL3',
  'PERMISSION_FILE_OBJECT',
  'PERMISSION_IPREPUTATIONDB',
  'PERMISSION_ICAP',
  'PERMISSION_GSLBSERVICE_GROUP',
  'PERMISSION_JWTSERVERPROFILE',
  'PERMISSION_GEODB',
  'PERMISSION_BOTDETECTIONPOLICY',
  'PERMISSION_JWTPROFILE',
  'PERMISSION_LABELGROUP',
  'PERMISSION_WAFCRS',
  'PERMISSION_AUTHMAPPINGPROFILE',
  'PERMISSION_ALBSERVICESCONFIG',
  'PERMISSION_ALBSERVICESSTATUS',
  'PERMISSION_ALBSERVICESREG',
  'PERMISSION_LICENSING',
  'PERMISSION_ALBSERVICESUSERINFO',
  'PERMISSION_TENANT_SYSTEM_CONFIGURATION',
  'PERMISSION_CSRFPOLICY',
  'PERMISSION_SERVICEAUTHPROFILE',
  'PERMISSION_SYSTEMREPORT'
] as const
export type PermissionName = (typeof permissions)[number]

/** Which permission opens a kind. Avi has none of its own for some; the nearest stands in. */
export const permissionOf: Readonly<Record<KindName, PermissionName>> = {
  tenant: 'PERMISSION_TENANT',
  cloud: 'PERMISSION_CLOUD',
  serviceenginegroup: 'PERMISSION_SERVICEENGINEGROUP',
  serviceengine: 'PERMISSION_SERVICEENGINE',
  jointoken: 'PERMISSION_SE_TOKEN',
  vsvip: 'PERMISSION_VIRTUALSERVICE',
  virtualservice: 'PERMISSION_VIRTUALSERVICE',
  pool: 'PERMISSION_POOL',
  poolgroup: 'PERMISSION_POOLGROUP',
  poolgroupdeploymentpolicy: 'PERMISSION_POOLGROUPDEPLOYMENTPOLICY',
  webhook: 'PERMISSION_POOLGROUPDEPLOYMENTPOLICY',
  serverautoscalepolicy: 'PERMISSION_AUTOSCALE',
  healthmonitor: 'PERMISSION_HEALTHMONITOR',
  applicationprofile: 'PERMISSION_APPLICATIONPROFILE',
  networkprofile: 'PERMISSION_NETWORKPROFILE',
  applicationpersistenceprofile: 'PERMISSION_APPLICATIONPERSISTENCEPROFILE',
  sslprofile: 'PERMISSION_SSLPROFILE',
  sslkeyandcertificate: 'PERMISSION_SSLKEYANDCERTIFICATE',
  pkiprofile: 'PERMISSION_PKIPROFILE',
  httppolicyset: 'PERMISSION_HTTPPOLICYSET',
  networksecuritypolicy: 'PERMISSION_NETWORKSECURITYPOLICY',
  errorpageprofile: 'PERMISSION_ERRORPAGEPROFILE',
  errorpagebody: 'PERMISSION_ERRORPAGEBODY',
  ipaddrgroup: 'PERMISSION_IPADDRGROUP',
  stringgroup: 'PERMISSION_STRINGGROUP',
  vsdatascriptset: 'PERMISSION_VSDATASCRIPTSET',
  analyticsprofile: 'PERMISSION_ANALYTICSPROFILE',
  systemconfiguration: 'PERMISSION_SYSTEMCONFIGURATION',
  user: 'PERMISSION_USER',
  role: 'PERMISSION_ROLE'
}

export const permission = shape(
  'privilege',
  {
    resource: oneOf(permissions, 'What it opens.', { required: true }),
    type: oneOf(['NO_ACCESS', 'READ_ACCESS', 'WRITE_ACCESS'], 'How far.', { required: true })
  },
  { subresource: {} }
)

export const role = defineKind({
  kind: 'role',
  title: 'Role',
  titlePlural: 'Roles',
  description: 'What users who have it may read and write.',
  scope: 'global',
  fields: {
    ...overTenants,
    tenant_ref: tenantRef,
    privileges: list(each(permission), 'What it opens; what is not listed stays closed.', { maxItems: 200, first: true }),
    allow_unlabelled_access: flag('Opens objects without labels.', { default: true })
  },
  unsupported: {
    filters: []
  },
  check: body => {
    const seen = new Map<string, number>()
    return (body.privileges ?? []).flatMap(({ resource }, i) => {
      const other = seen.get(resource)
      seen.set(resource, i)
      return other === undefined ? [] : [{ pointer: `/privileges/${i}/resource`, message: `is the same as that of /privileges/${other}` }]
    })
  }
})
export type Role = Written<typeof role.fields>
export type FilledRole = Filled<typeof role.fields>
