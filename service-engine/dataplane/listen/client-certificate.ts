/** What the certificate says that a client showed. */
import { X509Certificate } from 'node:crypto'
import { readLeaf } from '#model/base/crl.ts'
import type { ClientCertificateText, ClientIdentity } from '../exchange/exchange.ts'

/**
 * A distinguished name on one line, the most particular part first, as a header can carry it.
 *
 * Shapes  lines: as OpenSSL gives them, control characters escaped: one part on each
 * Source  RFC 4514 §2
 */
export function oneLineName(lines: string): string {
  return lines
    .split('\n')
    .toReversed()
    .join(',')
    .replaceAll(/[^\x20-\x7e]/gu, char =>
      [...Buffer.from(char)].map(byte => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')
    )
}

/** Texts are made when they are first asked for: once for a connection. */
export function makeIdentity(authId: string, der: Buffer | null): ClientIdentity {
  if (der === null) return { authId, certificate: null }
  const known = new Map<ClientCertificateText, string>()
  let opened: X509Certificate | undefined
  return {
    authId,
    certificate: {
      text: of => {
        let text = known.get(of)
        if (text === undefined) known.set(of, (text = textOf((opened ??= new X509Certificate(der)), of)))
        return text
      }
    }
  }
}

function textOf(certificate: X509Certificate, of: ClientCertificateText): string {
  switch (of) {
    case 'fingerprint':
      return certificate.fingerprint256.replaceAll(':', '').toLowerCase()
    case 'serial':
      return certificate.serialNumber
    case 'issuer':
      return oneLineName(certificate.issuer ?? '')
    case 'subject':
      return oneLineName(certificate.subject ?? '')
    case 'raw':
      return certificate.raw.toString('base64')
    case 'escaped':
      return encodeURIComponent(certificate.toString())
    case 'version':
      return String(readLeaf(certificate.raw)?.version ?? '')
    case 'sigalg':
      return certificate.signatureAlgorithm ?? ''
    case 'notvalidbefore':
      return certificate.validFrom
    case 'notvalidafter':
      return certificate.validTo
  }
}
