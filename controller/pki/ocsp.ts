/** OCSP: what is asked of a responder about a certificate, and what of its answer is believed. */
import { createHash, X509Certificate } from 'node:crypto'
import { readLeaf } from '#model/base/crl.ts'
import { DER, derContents, derHex, derInside, derOf, derTime, readDer, type DerNode } from '#model/base/der.ts'
import { readSigned } from './signed.ts'

export interface OcspAnswer {
  readonly status: 'good' | 'revoked' | 'unknown'
  readonly thisUpdateEpochMs: number
  readonly nextUpdateEpochMs: number
  /** Of a revoked one; 0 otherwise. */
  readonly revokedEpochMs: number
}

export type ReadOcsp = { readonly is: 'answer'; readonly answer: OcspAnswer } | { readonly is: 'refused'; readonly reason: string }

/** A responder's clock may be so much ahead. */
const SKEW_MS = 5 * 60_000
const SHA1 = Uint8Array.of(0x2b, 0x0e, 0x03, 0x02, 0x1a)
/** id-pkix-ocsp-basic, id-kp-OCSPSigning. */
const BASIC = '2b0601050507300101'
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'
const [EXPLICIT_0, GOOD, REVOKED] = [0xa0, 0x80, 0xa1]

/** What names a certificate to a responder: RFC 6960 §4.1.1. */
interface CertId {
  readonly nameHash: Buffer
  readonly keyHash: Buffer
  readonly serial: Uint8Array
}

const sha1 = (bytes: Uint8Array): Buffer => createHash('sha1').update(bytes).digest()

function certIdOf(leaf: X509Certificate, issuer: X509Certificate): CertId | undefined {
  const read = readLeaf(leaf.raw)
  const spki = issuer.publicKey.export({ type: 'spki', format: 'der' })
  const whole = readDer(spki)
  const key = whole === undefined ? undefined : derInside(spki, whole)?.[1]
  if (read === undefined || key?.tag !== DER.BIT_STRING) return undefined
  const serial = Buffer.from(read.serial, 'hex')
  return {
    nameHash: sha1(Buffer.from(read.issuer, 'hex')),
    keyHash: sha1(spki.subarray(key.start + 1, key.end)),
    serial: (serial[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), serial]) : serial
  }
}

/** The request for one certificate, in DER; undefined when a certificate cannot be read. */
export function makeOcspRequest(leaf: X509Certificate, issuer: X509Certificate): Buffer | undefined {
  const id = certIdOf(leaf, issuer)
  if (id === undefined) return undefined
  const algorithm = derOf(DER.SEQUENCE, derOf(DER.OID, SHA1), derOf(DER.NULL))
  const certId = derOf(
    DER.SEQUENCE,
    algorithm,
    derOf(DER.OCTET_STRING, id.nameHash),
    derOf(DER.OCTET_STRING, id.keyHash),
    derOf(DER.INTEGER, id.serial)
  )
  const list = derOf(DER.SEQUENCE, derOf(DER.SEQUENCE, certId))
  return Buffer.from(derOf(DER.SEQUENCE, derOf(DER.SEQUENCE, list)))
}

/**
 * Reads a response: signed by the issuer or by whom the issuer names for that, about this certificate, of now.
 *
 * Throws  nothing, whatever the bytes
 * Source  RFC 6960 §4.2, §3.2
 */
export function readOcspResponse(bytes: Buffer, leaf: X509Certificate, issuer: X509Certificate, nowEpochMs: number): ReadOcsp {
  const refused = (reason: string): ReadOcsp => ({ is: 'refused', reason })
  const whole = readDer(bytes)
  const [status, wrapped] = whole?.tag === DER.SEQUENCE && whole.end === bytes.length ? (derInside(bytes, whole) ?? []) : []
  if (status?.tag !== DER.ENUMERATED) return refused('the answer is no OCSP response')
  const code = derHex(bytes, status)
  if (code !== '00') return refused(`the responder refused: ${refusals[code] ?? code}`)
  const inner = wrapped?.tag === EXPLICIT_0 ? readDer(bytes, wrapped.start, wrapped.end) : undefined
  const [type, octets] = inner === undefined ? [] : (derInside(bytes, inner) ?? [])
  if (type === undefined || octets?.tag !== DER.OCTET_STRING || derHex(bytes, type) !== BASIC)
    return refused('the answer is of an unknown type')
  const basic = bytes.subarray(octets.start, octets.end)
  const signed = readSigned(basic)
  if (signed === undefined) return refused('the answer cannot be read')
  const isTrusted =
    signed.isSignedBy(issuer.publicKey) || delegates(basic, signed.rest, issuer, nowEpochMs).some(one => signed.isSignedBy(one.publicKey))
  if (!isTrusted) return refused('the answer is not signed by the issuer, nor by whom it names for that')
  const answer = answerAbout(basic, signed.signedPart, certIdOf(leaf, issuer))
  if (answer === undefined) return refused('the answer is not about this certificate, or does not say until when')
  if (answer.thisUpdateEpochMs > nowEpochMs + SKEW_MS) return refused('the answer is not of now: it begins later')
  if (answer.nextUpdateEpochMs <= nowEpochMs) return refused('the answer is not of now: it has ended')
  return { is: 'answer', answer }
}

const refusals: Readonly<Record<string, string>> = {
  '01': 'malformed request',
  '02': 'internal error',
  '03': 'try later',
  '05': 'signature required',
  '06': 'unauthorized'
}

/** Certificates beside a signature that the issuer made for signing OCSP. */
function delegates(bytes: Buffer, rest: readonly DerNode[], issuer: X509Certificate, nowEpochMs: number): X509Certificate[] {
  const [explicit] = rest
  const list = explicit?.tag === EXPLICIT_0 ? readDer(bytes, explicit.start, explicit.end) : undefined
  const found: X509Certificate[] = []
  for (const node of (list === undefined ? undefined : derInside(bytes, list))?.slice(0, 5) ?? []) {
    try {
      const one = new X509Certificate(bytes.subarray(node.from, node.end))
      const isNow = one.validFromDate.getTime() <= nowEpochMs && nowEpochMs <= one.validToDate.getTime()
      const isFor = (one.keyUsage as readonly string[] | undefined)?.includes(OCSP_SIGNING) === true
      if (isNow && isFor && one.checkIssued(issuer) && one.verify(issuer.publicKey)) found.push(one)
    } catch {
      // Not one that could help.
    }
  }
  return found
}

function answerAbout(bytes: Buffer, data: DerNode, id: CertId | undefined): OcspAnswer | undefined {
  const fields = derInside(bytes, data)
  if (fields === undefined || id === undefined) return undefined
  if (fields[0]?.tag === EXPLICIT_0) fields.shift()
  const [, , responses] = fields
  if (responses?.tag !== DER.SEQUENCE) return undefined
  for (const single of derInside(bytes, responses) ?? []) {
    const [certId, status, thisUpdate, next] = derInside(bytes, single) ?? []
    if (certId === undefined || status === undefined || thisUpdate === undefined || next?.tag !== EXPLICIT_0) continue
    const [, nameHash, keyHash, serial] = derInside(bytes, certId) ?? []
    if (nameHash === undefined || keyHash === undefined || serial === undefined) continue
    const isIt =
      id.nameHash.equals(derContents(bytes, nameHash)) &&
      id.keyHash.equals(derContents(bytes, keyHash)) &&
      Buffer.from(id.serial).equals(derContents(bytes, serial))
    const nextNode = readDer(bytes, next.start, next.end)
    const thisUpdateEpochMs = derTime(bytes, thisUpdate)
    const nextUpdateEpochMs = nextNode === undefined ? undefined : derTime(bytes, nextNode)
    if (!isIt || thisUpdateEpochMs === undefined || nextUpdateEpochMs === undefined) continue
    const [revokedAt] = status.tag === REVOKED ? (derInside(bytes, status) ?? []) : []
    return {
      status: status.tag === GOOD ? 'good' : status.tag === REVOKED ? 'revoked' : 'unknown',
      thisUpdateEpochMs,
      nextUpdateEpochMs,
      revokedEpochMs: revokedAt === undefined ? 0 : (derTime(bytes, revokedAt) ?? 0)
    }
  }
  return undefined
}

/** Responders that a certificate names. */
export function responderUrls(leaf: X509Certificate): string[] {
  return [...(leaf.infoAccess ?? '').matchAll(/^OCSP - URI:(.+)$/gm)].map(([, url = '']) => url.trim()).slice(0, 10)
}
