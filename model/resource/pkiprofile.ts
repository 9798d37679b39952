import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, inTenant, list } from './common.ts'
import { pemViolations, sslCertificate } from './sslkeyandcertificate.ts'

export const pkiprofile = defineKind({
  kind: 'pkiprofile',
  title: 'PKI profile',
  titlePlural: 'PKI profiles',
  description: 'Roots that certificates must lead to.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    ca_certs: list(each(sslCertificate), 'The roots, in PEM.', { required: true, minItems: 1, maxItems: 100, first: true })
  },
  unsupported: {
    allow_pki_errors: [],
    crl_check: true,
    crls: [],
    ignore_peer_chain: false,
    is_federated: false,
    validate_only_leaf_crl: true
  },
  check: body => body.ca_certs.flatMap(({ certificate }, i) => pemViolations(certificate, `/ca_certs/${i}/certificate`))
})
export type PkiProfile = Written<typeof pkiprofile.fields>
export type FilledPkiProfile = Filled<typeof pkiprofile.fields>
