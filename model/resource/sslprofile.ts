import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, inTenant, integer, list, oneOf, shape, text } from './common.ts'

/** AEAD with forward secrecy only: what System-Standard is, and a profile that says nothing. */
export const standardCiphers = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305'
].join(':')

const cipherText = { maxLength: 4096, pattern: '^[A-Za-z0-9_:+!@=.\\-]*$', say: 'must be cipher names joined by colons' } as const

export const sslVersion = shape('TLS version', {
  type: oneOf(['SSL_VERSION_TLS1', 'SSL_VERSION_TLS1_1', 'SSL_VERSION_TLS1_2', 'SSL_VERSION_TLS1_3'], 'A version.', {
    required: true,
    unsupported: ['SSL_VERSION_SSLV3']
  })
})

const tag = shape('tag', {
  type: oneOf(['AVI_DEFINED', 'USER_DEFINED', 'VCENTER_DEFINED'], 'Who gave it.', { default: 'USER_DEFINED' }),
  value: text('The tag.', { required: true })
})

export const sslprofile = defineKind({
  kind: 'sslprofile',
  title: 'TLS profile',
  titlePlural: 'TLS profiles',
  description: 'TLS versions and ciphers, for clients and for servers.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    accepted_versions: list(each(sslVersion), 'Versions that are accepted; 1.2 and 1.3 when left out.', { maxItems: 4, first: true }),
    accepted_ciphers: text('Ciphers of TLS 1.2 and below, joined by colons. Unlike Avi the default is AEAD with forward secrecy only.', {
      default: standardCiphers,
      minLength: 1,
      ...cipherText,
      first: true
    }),
    ciphersuites: text('Cipher suites of TLS 1.3, joined by colons.', {
      default: 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256',
      ...cipherText,
      first: true
    }),
    prefer_client_cipher_ordering: flag('The order of the client counts, not ours.', { default: false }),
    enable_ssl_session_reuse: flag('A client may resume an earlier session.', { default: true }),
    ssl_session_timeout: integer('How long a session can be resumed.', { default: 86400, min: 1, max: 604800, unit: 's' }),
    type: oneOf(['SSL_PROFILE_TYPE_APPLICATION', 'SSL_PROFILE_TYPE_SYSTEM'], 'What it is for.', {
      default: 'SSL_PROFILE_TYPE_APPLICATION'
    }),
    tags: list(each(tag), 'Tags; kept, without effect.', { maxItems: 100 })
  },
  unsupported: {
    cipher_enums: [],
    dhparam: '',
    ec_named_curve: 'auto',
    enable_early_data: false,
    is_federated: false,
    send_close_notify: true,
    signature_algorithm: 'auto',
    ssl_rating: {}
  },
  check: body => {
    const versions = ['SSL_VERSION_TLS1', 'SSL_VERSION_TLS1_1', 'SSL_VERSION_TLS1_2', 'SSL_VERSION_TLS1_3'] as const
    const named = versions.map(version => (body.accepted_versions ?? []).some(({ type }) => type === version))
    const hole = named.findIndex((isNamed, i) => !isNamed && named.slice(0, i).includes(true) && named.slice(i).includes(true))
    return hole < 0 ? [] : [{ pointer: '/accepted_versions', message: `must be without a hole: ${versions[hole]} is missing` }]
  }
})
export type SslProfile = Written<typeof sslprofile.fields>
export type FilledSslProfile = Filled<typeof sslprofile.fields>
