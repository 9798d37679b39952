/** Certificates that operators bring or ask for (`sslkeyandcertificate`): reading them, and making self-signed ones. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { crlBase64, readCrl } from '#model/base/crl.ts'
import type { Clock } from '#model/base/clock.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import { responderUrls } from './ocsp.ts'
import { readSigned } from './signed.ts'
import type { StapleRow } from './stapling.ts'
import { certificateToPem, endExtensions, makeCertificate, makeKeyPair, namesToSan, privateKeyToPem, validFrom } from './x509.ts'

const PEM_MAX_LENGTH = 256 * 1024
const SELF_SIGNED_DAYS = 3_650

export interface CertificateFacts {
  readonly subject: string
  readonly issuer: string
  readonly serialNumber: string
  /** Names it is for: DNS names and addresses of the SAN, or the CN when there is none. */
  readonly names: readonly string[]
  readonly keyType: 'rsa' | 'ec'
  readonly notBeforeEpochMs: number
  readonly notAfterEpochMs: number
  readonly isSelfSigned: boolean
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** Leaf first. */
  readonly chainLength: number
}

export type ReadCertificate =
  | { readonly is: 'certificate'; readonly facts: CertificateFacts }
  | { readonly is: 'unusable'; readonly reason: string }

/**
 * Reads a certificate with its chain, and checks the key against it when one is given.
 *
 * Shapes  certificatePem: leaf first, then its chain, at most 256 KiB; keyPem: PKCS#8, SEC1 or PKCS#1
 * Returns the leaf's facts, or in words why it cannot be used (lower case, never with the key in it)
 * Throws  nothing, whatever the text
 */
export function readCertificate(certificatePem: string, key?: { readonly keyPem: string; readonly passphrase?: string }): ReadCertificate {
  const unusable = (reason: string): ReadCertificate => ({ is: 'unusable', reason })
  const blocks = certificatePem.length > PEM_MAX_LENGTH ? [] : pemBlocks(certificatePem)
  const chain = blocks.map(parseCertificate)
  const leaf = chain[0]
  if (leaf === undefined || chain.includes(undefined)) return unusable('must be one or more certificates in PEM, the leaf first')
  const keyType = leaf.publicKey.asymmetricKeyType
  if (keyType !== 'rsa' && keyType !== 'ec') return unusable('the key must be RSA or EC')
  if (key !== undefined) {
    const mismatch = keyMismatch(leaf, key.keyPem, key.passphrase)
    if (mismatch !== undefined) return unusable(mismatch)
  }
  return {
    is: 'certificate',
    facts: {
      subject: leaf.subject?.replaceAll('\n', ', ') ?? '',
      issuer: leaf.issuer?.replaceAll('\n', ', ') ?? '',
      serialNumber: leaf.serialNumber,
      names: namesOf(leaf),
      keyType,
      notBeforeEpochMs: leaf.validFromDate.getTime(),
      notAfterEpochMs: leaf.validToDate.getTime(),
      isSelfSigned: leaf.subject === leaf.issuer && leaf.verify(leaf.publicKey),
      fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
      chainLength: chain.length
    }
  }
}

/**
 * What is wrong with the certificates of a document beyond its shape: whether they can be read, and fit their key.
 *
 * Shapes  body: of `sslkeyandcertificate` or `pkiprofile`, secrets in plain words; other kinds have none
 * Returns violations that name no secret
 */
export function certificateViolations(kind: KindName, body: JsonObject): Violation[] {
  if (kind === 'pkiprofile')
    return [
      ...objectsIn(body['ca_certs']).flatMap((ca, i) => unreadable(textIn(ca['certificate']), `/ca_certs/${i}/certificate`)),
      ...crlViolations(body)
    ]
  if (kind !== 'sslkeyandcertificate') return []
  const [certificate] = objectsIn([body['certificate'] ?? null])
  const pem = textIn(certificate?.['certificate'])
  const keyPem = textIn(body['key'])
  const wrong = unreadable(pem, '/certificate/certificate')
  if (wrong.length > 0 || keyPem === '') return wrong
  const passphrase = textIn(body['key_passphrase'])
  const read = readCertificate(pem, passphrase === '' ? { keyPem } : { keyPem, passphrase })
  return read.is === 'unusable' ? [{ pointer: '/key', message: keyMessages[read.reason] ?? read.reason }] : []
}

/** A list counts only when an authority of the profile has signed it. */
function crlViolations(body: JsonObject): Violation[] {
  const authorities = objectsIn(body['ca_certs']).flatMap(ca => pemBlocks(textIn(ca['certificate'])).map(parseCertificate))
  return objectsIn(body['crls']).flatMap((crl, i) => {
    const bytes = Buffer.from(crlBase64(textIn(crl['body'])) ?? '', 'base64')
    const pointer = `/crls/${i}/body`
    if (readCrl(bytes) === undefined)
      return [{ pointer, message: 'must be a whole revocation list: not one of changes, nor of a part of the certificates' }]
    const signed = readSigned(bytes)
    const isSigned = authorities.some(authority => authority !== undefined && signed?.isSignedBy(authority.publicKey) === true)
    return isSigned ? [] : [{ pointer, message: 'must be signed by one of ca_certs, with SHA-256 or better' }]
  })
}

const keyMessages: Readonly<Record<string, string>> = {
  'the key does not belong to the certificate': 'must be the key of the certificate',
  'the key must be a private key in PEM': 'must be a private key in PEM'
}

function unreadable(pem: string, pointer: string): Violation[] {
  // What is not PEM at all is told by the rules of the shape.
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) return []
  const read = readCertificate(pem)
  return read.is === 'unusable' ? [{ pointer, message: read.reason }] : []
}

/**
 * The document with what its certificates say: for whom they are, by whom, until when. In the words of Avi; times are UTC.
 *
 * Shapes  body: of any kind; those without certificates come back as they are
 */
export function withCertificateFacts(kind: KindName, body: JsonObject, nowEpochMs: number, staple?: StapleRow): JsonObject {
  const [certificate] = objectsIn([body['certificate'] ?? null])
  if (kind === 'sslkeyandcertificate' && certificate !== undefined)
    return { ...body, certificate: described(certificate, nowEpochMs), ...ocspFacts(body, certificate, staple) }
  if (kind !== 'pkiprofile') return body
  const crls = body['crls'] === undefined ? {} : { crls: objectsIn(body['crls']).map(describedCrl) }
  return { ...body, ca_certs: objectsIn(body['ca_certs']).map(ca => described(ca, nowEpochMs)), ...crls }
}

/** A certificate that ends sooner is told. */
const WARNING_DAYS = 30
const DAY_MS = 86_400_000

function expiryOf(leftMs: number): JsonObject {
  const days = Math.max(0, Math.floor(leftMs / DAY_MS))
  const status = leftMs <= 0 ? 'EXPIRED' : days <= WARNING_DAYS ? 'EXPIRY_WARNING' : 'GOOD'
  return { days_until_expire: days, expiry_status: `SSL_CERTIFICATE_${status}` }
}

function ocspFacts(body: JsonObject, certificate: JsonObject, staple: StapleRow | undefined): JsonObject {
  const leaf = pemBlocks(textIn(certificate['certificate'])).slice(0, 1).map(parseCertificate)[0]
  const urls = leaf === undefined ? [] : responderUrls(leaf)
  const from = urls.length === 0 ? {} : { ocsp_responder_url_list_from_certs: urls }
  if (body['enable_ocsp_stapling'] !== true) return { ...from, ocsp_error_status: 'OCSP_ERR_CERTSTATUS_DISABLED' }
  const own = staple?.fingerprint === leaf?.fingerprint256 ? staple : undefined
  if (own === undefined) return { ...from, ocsp_error_status: 'OCSP_ERR_CERTSTATUS_JOBDB' }
  const error = own.error === '' ? own.status.toUpperCase() : own.error
  const info =
    own.status === ''
      ? {}
      : {
          ocsp_response_info: {
            cert_status: `OCSP_CERTSTATUS_${own.status.toUpperCase()}`,
            ocsp_resp_from_responder_url: own.url,
            this_update: timeOf(own.thisUpdateEpochMs),
            next_update: timeOf(own.nextUpdateEpochMs),
            ...(own.revokedEpochMs === 0 ? {} : { revocation_time: timeOf(own.revokedEpochMs) }),
            stapled: own.response !== '',
            ...(own.detail === '' ? {} : { detail: own.detail })
          }
        }
  return {
    ...from,
    ocsp_error_status: `OCSP_ERR_CERTSTATUS_${error}`,
    ...info,
    ...(own.status === '' ? { ocsp_response_info: { detail: own.detail } } : {})
  }
}

const timeOf = (epochMs: number): string => new Date(epochMs).toISOString().slice(0, 19).replace('T', ' ')

function describedCrl(crl: JsonObject): JsonObject {
  const read = readCrl(Buffer.from(crlBase64(textIn(crl['body'])) ?? '', 'base64'))
  if (read === undefined) return crl
  return {
    ...crl,
    last_update: timeOf(read.thisUpdateEpochMs),
    ...(read.nextUpdateEpochMs === null ? {} : { next_update: timeOf(read.nextUpdateEpochMs) })
  }
}

function described(certificate: JsonObject, nowEpochMs: number): JsonObject {
  const read = readCertificate(textIn(certificate['certificate']))
  if (read.is === 'unusable') return certificate
  const { facts } = read
  const nameOf = (name: string): JsonObject => {
    const common = /(?:^|, )CN=([^,]*)/.exec(name)?.[1]
    return { ...(common === undefined ? {} : { common_name: common }), distinguished_name: name }
  }
  return {
    ...certificate,
    subject: nameOf(facts.subject),
    issuer: nameOf(facts.issuer),
    subject_alt_names: facts.names,
    not_before: timeOf(facts.notBeforeEpochMs),
    not_after: timeOf(facts.notAfterEpochMs),
    serial_number: facts.serialNumber,
    fingerprint: facts.fingerprint,
    self_signed: facts.isSelfSigned,
    ...expiryOf(facts.notAfterEpochMs - nowEpochMs),
    key_params: { algorithm: facts.keyType === 'rsa' ? 'SSL_KEY_ALGORITHM_RSA' : 'SSL_KEY_ALGORITHM_EC' }
  }
}

const textIn = (value: unknown): string => (typeof value === 'string' ? value : '')
const objectsIn = (value: unknown): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter((item): item is JsonObject => item !== null && typeof item === 'object' && !Array.isArray(item)) : []

/** A self-signed server certificate, EC P-256, ten years. */
export async function makeSelfSigned(
  commonName: string,
  names: readonly string[],
  clock: Clock
): Promise<{ readonly certificatePem: string; readonly keyPem: string }> {
  const keys = await makeKeyPair()
  const certificate = await makeCertificate({
    subject: commonName,
    validity: validFrom(clock.nowEpochMs(), SELF_SIGNED_DAYS),
    publicKey: keys.publicKey,
    signer: { issuer: [{ CN: [commonName.slice(0, 64)] }], key: keys.privateKey, publicKey: keys.publicKey },
    extensions: endExtensions('server', namesToSan(names.length > 0 ? names : [commonName]))
  })
  return { certificatePem: certificateToPem(certificate), keyPem: await privateKeyToPem(keys.privateKey) }
}

function pemBlocks(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function keyMismatch(leaf: X509Certificate, keyPem: string, passphrase: string | undefined): string | undefined {
  let key: KeyObject
  try {
    key = createPrivateKey(passphrase === undefined ? { key: keyPem } : { key: keyPem, passphrase })
  } catch {
    const isEncrypted = keyPem.includes('ENCRYPTED')
    return isEncrypted ? 'the key is encrypted and the passphrase is missing or wrong' : 'the key must be a private key in PEM'
  }
  return leaf.checkPrivateKey(key) ? undefined : 'the key does not belong to the certificate'
}

function namesOf(leaf: X509Certificate): string[] {
  const entries = (leaf.subjectAltName ?? '').split(', ')
  const names = entries.flatMap(entry => {
    if (entry.startsWith('DNS:')) return [entry.slice(4).toLowerCase()]
    return entry.startsWith('IP Address:') ? [entry.slice(11).toLowerCase()] : []
  })
  if (names.length > 0) return names
  const common = /^CN=(.+)$/m.exec(leaf.subject ?? '')?.[1]
  return common === undefined ? [] : [common.toLowerCase()]
}
