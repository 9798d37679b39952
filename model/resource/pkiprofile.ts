import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, inTenant, list, oneOf, shape, text } from './common.ts'
import { crlBase64 } from '#model/base/crl.ts'
import { pemViolations, sslCertificate } from './sslkeyandcertificate.ts'

const computed = { readOnly: true } as const

/** What of a list is read from it is the server's to say. */
const crl = shape(
  'revocation list',
  {
    body: text('The list in PEM.', { required: true, minLength: 1, maxLength: 1048576, first: true }),
    last_update: text('When it was made.', computed),
    next_update: text('When the next one is due; then this one is no longer believed.', computed)
  },
  {
    common_name: '',
    distinguished_name: '',
    etag: '',
    file_ref: '',
    fingerprint: '',
    last_refreshed: '',
    server_url: '',
    text: '',
    update_interval: 1440
  }
)

export const pkiprofile = defineKind({
  kind: 'pkiprofile',
  title: 'PKI profile',
  titlePlural: 'PKI profiles',
  description: 'Roots that certificates must lead to.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    ca_certs: list(each(sslCertificate), 'The roots, in PEM.', { required: true, minItems: 1, maxItems: 100, first: true }),
    crl_check: flag('Certificates that a list of crls revokes are not accepted; without lists there is nothing to check.', {
      default: true,
      first: true
    }),
    crls: list(each(crl), 'Revocation lists, each signed by one of ca_certs; with any, an authority without one is not believed.', {
      maxItems: 100
    }),
    validate_only_leaf_crl: flag('Only the certificate itself is looked up; otherwise all of its chain, root included.', { default: true }),
    allow_pki_errors: list(
      oneOf(['ALLOW_EXPIRED_CRL'], 'What is overlooked.', { unsupported: ['ALLOW_ALL_ERRORS'] }),
      'What is overlooked: lists whose next one is due; needs validate_only_leaf_crl.',
      { maxItems: 2 }
    )
  },
  unsupported: {
    ignore_peer_chain: false,
    is_federated: false
  },
  check: body => [
    ...body.ca_certs.flatMap(({ certificate }, i) => pemViolations(certificate, `/ca_certs/${i}/certificate`)),
    ...(body.crls ?? []).flatMap(({ body: pem }, i) =>
      crlBase64(pem) === undefined
        ? [{ pointer: `/crls/${i}/body`, message: 'must be one list in PEM, beginning with -----BEGIN X509 CRL-----' }]
        : []
    ),
    ...((body.allow_pki_errors ?? []).length > 0 && !body.validate_only_leaf_crl
      ? [{ pointer: '/allow_pki_errors', message: 'must be empty, because validate_only_leaf_crl is false' }]
      : [])
  ]
})
export type PkiProfile = Written<typeof pkiprofile.fields>
export type FilledPkiProfile = Filled<typeof pkiprofile.fields>
