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

const responderUrl = text('An http or https URL.', {
  maxLength: 1024,
  pattern: '^https?://[\\u0021-\\u007e]+$',
  say: 'must be an http or https URL'
})

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

const ocspConfig = shape('ocsp config', {
  ocsp_req_interval: integer('Time between requests; half of what a response lasts is the most.', {
    default: 86400,
    min: 60,
    max: 31536000,
    unit: 's'
  }),
  failed_ocsp_jobs_retry_interval: integer('Time until the next try after one that failed.', {
    default: 3600,
    min: 60,
    max: 86400,
    unit: 's'
  }),
  max_tries: integer('So many tries in a row; then a pause of ocsp_req_interval.', { default: 10, min: 1, max: 1000 }),
  ocsp_resp_timeout: integer('Time in which a responder must answer.', { default: 10, min: 1, max: 60, unit: 's' }),
  responder_url_lists: list(responderUrl, 'Responders beside those that the certificate names.', { maxItems: 10 }),
  url_action: oneOf(
    ['OCSP_RESPONDER_URL_FAILOVER', 'OCSP_RESPONDER_URL_OVERRIDE'],
    'FAILOVER: asked after those of the certificate; OVERRIDE: instead of them.',
    { default: 'OCSP_RESPONDER_URL_FAILOVER' }
  )
})

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
    enable_ocsp_stapling: flag('Clients are shown what the authority says of the certificate now (OCSP), as the controller fetched it.', {
      default: false
    }),
    ocsp_config: nested(ocspConfig, 'How that is fetched; defaults when left out.', {}),
    ocsp_error_status: text('Why there is no newer answer; OCSP_ERR_CERTSTATUS_DISABLED without stapling.', computed),
    ocsp_responder_url_list_from_certs: list(textItem, 'Responders that the certificate names.', computed),
    ocsp_response_info: object('The last answer: status, from when, until when, by whom.'),
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
    enckey_base64: '',
    enckey_name: '',
    hardwaresecuritymodulegroup_ref: '',
    import_key_to_hsm: false,
    is_federated: false,
    key_base64: false
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
