/** PKCS#12 files (RFC 7292) as operators bring them: opened once, when they are written, and kept as PEM. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import forge from 'node-forge'
import type { JsonObject } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'

/** A leaf, its key and a long chain are far below. */
const FILE_MAX_BYTES = 128 * 1024
/**
 * Key derivation runs on our thread: what OpenSSL writes by itself (2,048) and what browsers write (up to 600,000 in a few)
 * differ much; a file beyond this would hold up everybody else.
 */
const ITERATIONS_MAX = 100_000
const DEPTH_MAX = 32

export type OpenedPkcs12 =
  | { readonly is: 'opened'; readonly certificatePem: string; readonly keyPem: string }
  | { readonly is: 'unusable'; readonly reason: string }

/**
 * Opens a PKCS#12 file.
 *
 * Shapes  base64: the file, at most 128 KiB, white space allowed; passphrase: '' for none
 * Returns leaf first, then the rest of its chain as the file has it, and the key as PKCS#8; or why not, never with a secret
 * Throws  nothing, whatever the bytes
 */
export function openPkcs12(base64: string, passphrase: string): OpenedPkcs12 {
  const unusable = (reason: string): OpenedPkcs12 => ({ is: 'unusable', reason })
  const text = base64.replaceAll(/\s+/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return unusable('must be a PKCS#12 file in base64')
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length > FILE_MAX_BYTES) return unusable(`must be a PKCS#12 file of at most ${FILE_MAX_BYTES / 1024} KiB`)
  let file: forge.asn1.Asn1
  try {
    file = forge.asn1.fromDer(bytes.toString('latin1'))
  } catch {
    return unusable('must be a PKCS#12 file in base64')
  }
  if (largestCount(file) > ITERATIONS_MAX) return unusable(`must be encrypted with at most ${ITERATIONS_MAX} iterations`)
  try {
    return contentOf(forge.pkcs12.pkcs12FromAsn1(file, true, passphrase))
  } catch {
    return unusable('cannot be opened: the passphrase is wrong, or the file is damaged')
  }
}

/**
 * A `sslkeyandcertificate` that was sent as PKCS#12, as it is kept: in PEM, without the passphrase of the file.
 *
 * Shapes  body: `certificate.certificate` is the file in base64, `key_passphrase` opens it; no key beside it
 */
export function pkcs12ToPem(body: JsonObject): { readonly body: JsonObject } | { readonly violation: Violation } {
  const { format: _, key_passphrase: passphrase = '', key = '', certificate, certificate_base64: _flag, key_base64: _flag2, ...rest } = body
  const file =
    certificate !== null && typeof certificate === 'object' && 'certificate' in certificate ? certificate['certificate'] : undefined
  if (typeof file !== 'string') return { violation: { pointer: '/certificate/certificate', message: 'must be a PKCS#12 file in base64' } }
  if (key !== '') return { violation: { pointer: '/key', message: 'must be left out: a PKCS#12 file holds its key' } }
  const opened = openPkcs12(file, typeof passphrase === 'string' ? passphrase : '')
  if (opened.is === 'unusable') return { violation: { pointer: '/certificate/certificate', message: opened.reason } }
  return { body: { ...rest, certificate: { certificate: opened.certificatePem }, key: opened.keyPem } }
}

function contentOf(file: forge.pkcs12.Pkcs12Pfx): OpenedPkcs12 {
  const bags = file.safeContents.flatMap(content => content.safeBags)
  const keyBag = bags.find(bag => bag.type === forge.pki.oids['pkcs8ShroudedKeyBag'] || bag.type === forge.pki.oids['keyBag'])
  if (keyBag === undefined) return { is: 'unusable', reason: 'holds no private key' }
  // Forge knows RSA; of other keys it leaves the PKCS#8 structure, which Node reads.
  const keyAsn1 = keyBag.key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(keyBag.key)) : keyBag.asn1
  const key = createPrivateKey({ key: Buffer.from(forge.asn1.toDer(keyAsn1).getBytes(), 'latin1'), format: 'der', type: 'pkcs8' })
  const certificates = bags
    .filter(bag => bag.type === forge.pki.oids['certBag'])
    .flatMap(bag => {
      const structure = bag.cert ? forge.pki.certificateToAsn1(bag.cert) : bag.asn1
      return [new X509Certificate(Buffer.from(forge.asn1.toDer(structure).getBytes(), 'latin1'))]
    })
  const leaf = certificates.find(certificate => certificate.checkPrivateKey(key))
  if (leaf === undefined) return { is: 'unusable', reason: 'holds no certificate for its key' }
  return {
    is: 'opened',
    certificatePem: [leaf, ...certificates.filter(certificate => certificate !== leaf)].map(certificate => certificate.toString()).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString()
  }
}

/**
 * The largest number of up to 8 bytes anywhere in a structure, in octet strings too: an iteration count is one of them. Serial numbers
 * and keys are longer or stand in what is still encrypted.
 */
function largestCount(node: forge.asn1.Asn1, depth = 0): number {
  if (depth > DEPTH_MAX) return 0
  if (Array.isArray(node.value)) return node.value.reduce((largest, child) => Math.max(largest, largestCount(child, depth + 1)), 0)
  if (node.tagClass !== forge.asn1.Class.UNIVERSAL || typeof node.value !== 'string') return 0
  const type = node.type as unknown
  if (type === forge.asn1.Type.INTEGER && node.value.length <= 8)
    return Number(`0x${Buffer.from(node.value, 'latin1').toString('hex') || '0'}`)
  if (type !== forge.asn1.Type.OCTETSTRING) return 0
  try {
    return largestCount(forge.asn1.fromDer(node.value), depth + 1)
  } catch {
    return 0
  }
}
