import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { each, flag, inTenant, integer, list, nested, oneOf, ref, shape, text } from './common.ts'
import type { Field } from './field.ts'
import type { Violation } from './violation.ts'

const computed = { readOnly: true } as const
/** What the server read from a certificate, in whatever shape. */
const object = (description: string): Field<Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>, 'optional'> => ({
  schema: { type: 'object', additionalProperties: true, readOnly: true, description },
  presence: 'optional'
})
const textItem: Field<string, string, 'optional'> = { schema: { type: 'string' }, presence: 'optional' }

/** A certificate; what is read from it is the server's to say. */
export const sslCertificate = shape('certificate', {
  certificate: text('The certificate in PEM, its chain after it.', { maxLength: 262144, first: true }),
  subject: object('Subject.'),
  issuer: object('Issuer.'),
  subject_alt_names: list(textItem, 'Names that it is for.', computed),
  not_before: text('Begin of its validity.', computed),
  not_after: text('End of its validity.', computed),
  serial_number: text('Serial number.', computed),
  fingerprint: text('SHA-256 fingerprint.', computed),
  signature: text('Signature.', computed),
  signature_algorithm: text('Signature algorithm.', computed),
  key_params: object('Kind of key.'),
  public_key: text('Public key.', computed),
  self_signed: flag('Signed by itself.', computed),
  chain_verified: flag('Its chain was verified.', computed),
  days_until_expire: integer('Days that it is still valid.', computed),
  expiry_status: text('Whether it ends soon.', computed),
  certificate_signing_request: text('Request that it was made from.', computed),
  text: text('All of it in words.', computed),
  version: text('Version.', computed)
})

const certificatePem = '-----BEGIN CERTIFICATE-----'

/** Says what is plainly not PEM; whether it can be read, and fits its key, is for those who can open it. */
export function pemViolations(pem: string | undefined, pointer: string): Violation[] {
  if (pem === undefined || pem === '') return [{ pointer, message: 'is required' }]
  return pem.includes(certificatePem) ? [] : [{ pointer, message: `must be PEM, beginning with ${certificatePem}` }]
}

export const sslkeyandcertificate = defineKind({
  kind: 'sslkeyandcertificate',
  title: 'Certificate',
  titlePlural: 'Certificates',
  description: 'A certificate with its chain and, sealed, its key.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    type: oneOf(['SSL_CERTIFICATE_TYPE_VIRTUALSERVICE', 'SSL_CERTIFICATE_TYPE_SYSTEM', 'SSL_CERTIFICATE_TYPE_CA'], 'What it is for.', {
      default: 'SSL_CERTIFICATE_TYPE_VIRTUALSERVICE',
      first: true
    }),
    certificate: nested(sslCertificate, 'The certificate.', { required: true, first: true }),
    key: text('Private key in PEM.', { secret: true, maxLength: 65536, first: true }),
    key_passphrase: text('Passphrase of the key.', { secret: true }),
    ca_certs: list(
      each(
        shape('chain certificate', {
          ca_ref: ref('sslkeyandcertificate', 'A certificate of type SSL_CERTIFICATE_TYPE_CA.', {}),
          name: text('Its name.', {})
        })
      ),
      'Certificates sent after this one, in order.',
      { maxItems: 10 }
    ),
    key_params: object('Kind of key; read from it.'),
    status: oneOf(['SSL_CERTIFICATE_FINISHED'], 'Whether it is ready.', {
      default: 'SSL_CERTIFICATE_FINISHED',
      unsupported: ['SSL_CERTIFICATE_PENDING']
    }),
    format: oneOf(['SSL_PEM', 'SSL_PKCS12'], 'How it is sent; a PKCS#12 file (base64, opened by key_passphrase) is kept as PEM.', {
      default: 'SSL_PEM'
    })
  },
  unsupported: {
    certificate_base64: false,
    certificate_management_profile_ref: '',
    dynamic_params: [],
    enable_ocsp_stapling: false,
    enckey_base64: '',
    enckey_name: '',
    hardwaresecuritymodulegroup_ref: '',
    import_key_to_hsm: false,
    is_federated: false,
    key_base64: false,
    ocsp_config: {},
    ocsp_error_status: 'OCSP_ERR_CERTSTATUS_DISABLED',
    ocsp_responder_url_list_from_certs: [],
    ocsp_response_info: {}
  },
  check: body => {
    if (body.format === 'SSL_PKCS12') return [{ pointer: '/format', message: 'must be sent with the whole file, by POST or PUT' }]
    const violations = pemViolations(body.certificate.certificate, '/certificate/certificate')
    if (body.type !== 'SSL_CERTIFICATE_TYPE_CA' && (body.key ?? '') === '')
      violations.push({ pointer: '/key', message: `is required, because type is ${body.type}` })
    for (const [i, { ca_ref: ca }] of (body.ca_certs ?? []).entries())
      if (ca === undefined) violations.push({ pointer: `/ca_certs/${i}/ca_ref`, message: 'is required' })
    return violations
  }
})
export type SslKeyAndCertificate = Written<typeof sslkeyandcertificate.fields>
export type FilledSslKeyAndCertificate = Filled<typeof sslkeyandcertificate.fields>
