import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { flag, headerName, inTenant, integer, nested, oneOf, shape, text } from './common.ts'

export const ipPersistence = shape('ip persistence profile', {
  ip_persistent_timeout: integer('Time without connections after which a client is forgotten.', {
    default: 5,
    min: 1,
    max: 720,
    unit: 'min'
  }),
  ip_mask: integer('Clients of one network of this prefix length go to one server.', { default: 0, min: 0, max: 128 })
})
export const headerPersistence = shape('header persistence profile', {
  prst_hdr_name: text('Header that names the client.', headerName)
})
export const cookiePersistence = shape(
  'cookie persistence profile',
  {
    cookie_name: text('Name of the cookie.', headerName),
    timeout: integer('Time after which a client may be given another server.', {
      default: 0,
      min: 0,
      max: 14400,
      unit: 'min',
      special: { '0': 'without end' }
    }),
    http_only: flag('Scripts in the page cannot read it. Unlike in Avi this is the default.', { default: true }),
    always_send_cookie: flag('Sent with every answer, not only with the first.', { default: false }),
    is_persistent_cookie: flag('The browser keeps it for its timeout, even when it is closed.', { default: false }),
    encryption_key: text('What the key is made from that the cookie is encrypted with; the controller makes one when left out.', {
      secret: true
    })
  },
  {
    key: []
  }
)
export const appCookiePersistence = shape(
  'application cookie persistence profile',
  {
    prst_hdr_name: text('Cookie of the application that names the session.', { required: true, minLength: 1, ...headerName }),
    timeout: integer('Time without requests after which a session is forgotten.', { default: 20, min: 1, max: 720, unit: 'min' })
  },
  {
    encryption_key: ''
  }
)

export const applicationpersistenceprofile = defineKind({
  kind: 'applicationpersistenceprofile',
  title: 'Persistence profile',
  titlePlural: 'Persistence profiles',
  description: 'How the requests of one client stay with one server.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    persistence_type: oneOf(
      [
        'PERSISTENCE_TYPE_CLIENT_IP_ADDRESS',
        'PERSISTENCE_TYPE_HTTP_COOKIE',
        'PERSISTENCE_TYPE_TLS',
        'PERSISTENCE_TYPE_CLIENT_IPV6_ADDRESS',
        'PERSISTENCE_TYPE_CUSTOM_HTTP_HEADER',
        'PERSISTENCE_TYPE_APP_COOKIE'
      ],
      'What a client is known by.',
      { required: true, first: true, unsupported: ['PERSISTENCE_TYPE_GSLB_SITE'] }
    ),
    ip_persistence_profile: nested(ipPersistence, 'For CLIENT_IP_ADDRESS.', {}),
    hdr_persistence_profile: nested(headerPersistence, 'For CUSTOM_HTTP_HEADER.', {}),
    http_cookie_persistence_profile: nested(cookiePersistence, 'For HTTP_COOKIE.', {}),
    app_cookie_persistence_profile: nested(appCookiePersistence, 'For APP_COOKIE.', {}),
    server_hm_down_recovery: oneOf(
      ['HM_DOWN_PICK_NEW_SERVER', 'HM_DOWN_ABORT_CONNECTION', 'HM_DOWN_CONTINUE_PERSISTENT_SERVER'],
      'What becomes of a client whose server is down: another server, the fail action of the pool, or the same server.',
      { default: 'HM_DOWN_PICK_NEW_SERVER' }
    )
  },
  unsupported: {
    is_federated: false
  },
  check: body =>
    body.persistence_type === 'PERSISTENCE_TYPE_APP_COOKIE' && body.app_cookie_persistence_profile === undefined
      ? [{ pointer: '/app_cookie_persistence_profile', message: 'is required, because persistence_type is PERSISTENCE_TYPE_APP_COOKIE' }]
      : []
})
export type ApplicationPersistenceProfile = Written<typeof applicationpersistenceprofile.fields>
export type FilledApplicationPersistenceProfile = Filled<typeof applicationpersistenceprofile.fields>
