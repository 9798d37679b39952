/** The kinds that are reached from Settings. Their forms come from the schema; here is only where one finds them. */

export interface KindTitle {
  readonly kind: string
  readonly plural: string
  readonly what: string
}

export const kindGroups: readonly { readonly title: string; readonly kinds: readonly KindTitle[] }[] = [
  {
    title: 'Traffic',
    kinds: [
      { kind: 'applicationprofile', plural: 'Application profiles', what: 'how HTTP or TCP is handled' },
      { kind: 'networkprofile', plural: 'Network profiles', what: 'how connections are handled' },
      { kind: 'httppolicyset', plural: 'HTTP policy sets', what: 'rules by path, host and header' },
      { kind: 'vsdatascriptset', plural: 'Script sets', what: 'scripts that decide where rules do not reach' },
      { kind: 'errorpageprofile', plural: 'Error pages', what: 'pages instead of plain error answers' },
      { kind: 'errorpagebody', plural: 'Error page bodies', what: 'the text of an error page' },
      { kind: 'networksecuritypolicy', plural: 'Network security policies', what: 'which clients may connect' },
      { kind: 'poolgroup', plural: 'Pool groups', what: 'several pools by weight or priority' },
      { kind: 'poolgroupdeploymentpolicy', plural: 'Release policies', what: 'how a new pool takes over, step by step' },
      { kind: 'serverautoscalepolicy', plural: 'Server scaling policies', what: 'how many servers a pool should have' },
      { kind: 'webhook', plural: 'Webhooks', what: 'who is told what the controller decides' },
      { kind: 'applicationpersistenceprofile', plural: 'Persistence profiles', what: 'keep a client on its server' },
      { kind: 'healthmonitor', plural: 'Health monitors', what: 'how a server shows that it is well' }
    ]
  },
  {
    title: 'TLS',
    kinds: [
      { kind: 'sslkeyandcertificate', plural: 'Certificates', what: 'keys and certificates' },
      { kind: 'sslprofile', plural: 'TLS profiles', what: 'versions and ciphers' },
      { kind: 'pkiprofile', plural: 'Trusted authorities', what: 'roots that others’ certificates lead to' }
    ]
  },
  {
    title: 'Engines',
    kinds: [
      { kind: 'serviceenginegroup', plural: 'Engine groups', what: 'which engines carry which services' },
      { kind: 'jointoken', plural: 'Join tokens', what: 'who may join' },
      { kind: 'cloud', plural: 'Clouds', what: 'where engines are' }
    ]
  },
  {
    title: 'Groups',
    kinds: [
      { kind: 'ipaddrgroup', plural: 'Address groups', what: 'addresses and networks under one name' },
      { kind: 'stringgroup', plural: 'String groups', what: 'texts under one name' }
    ]
  },
  {
    title: 'System',
    kinds: [
      { kind: 'tenant', plural: 'Tenants', what: 'who shares the controller' },
      { kind: 'user', plural: 'Users', what: 'who may sign in' },
      { kind: 'role', plural: 'Roles', what: 'what users may do' },
      { kind: 'analyticsprofile', plural: 'Analytics profiles', what: 'what counts as slow or failed' }
    ]
  }
]

/** The title of a kind; undefined for what Settings does not show. */
export function titleOfKind(kind: string): KindTitle | undefined {
  return kindGroups.flatMap(group => group.kinds).find(one => one.kind === kind)
}
