/** The few shapes of certificate that Weir makes, over `@peculiar/x509` and the runtime's web crypto. */
import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import { CsrRefused } from './port.ts'

export const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
export const DAY_MS = 24 * 60 * 60 * 1000
/** A host whose clock is a little behind must not find a new certificate "not yet valid". */
export const CLOCK_SKEW_MS = 5 * 60 * 1000

const CSR_MAX_LENGTH = 8_192

export type KeyPair = webcrypto.CryptoKeyPair

export async function makeKeyPair(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
}

/** PKCS#8 PEM. */
export async function privateKeyToPem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY') + '\n'
}

/** A private key of ours, ready to sign, and its public half. */
export async function pemToKeyPair(keyPem: string, certificatePem: string): Promise<KeyPair> {
  const privateKey = await webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(keyPem), EC, true, ['sign'])
  const spki = new x509.X509Certificate(x509.PemConverter.decodeFirst(certificatePem)).publicKey.rawData
  return { privateKey, publicKey: await webcrypto.subtle.importKey('spki', spki, EC, true, ['verify']) }
}

/** 128 random bits, positive and without a leading zero byte (RFC 5280 §4.1.2.2). */
export function makeSerialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes.toString('hex')
}

/** A subject name; the text is escaped by the library, so that it stays one attribute whatever it holds. */
const commonName = (text: string): x509.JsonName => [{ CN: [text.slice(0, 64)] }]

export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

export function validFrom(nowEpochMs: number, days: number): Validity {
  return { notBefore: new Date(nowEpochMs - CLOCK_SKEW_MS), notAfter: new Date(nowEpochMs + days * DAY_MS) }
}

/** DNS names and addresses as alternative names. */
export function namesToSan(names: readonly string[]): x509.JsonGeneralName[] {
  return names.map(name => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name }))
}

export interface CertificateOrder {
  readonly subject: string
  readonly validity: Validity
  readonly publicKey: webcrypto.CryptoKey
  readonly signer: { readonly issuer: string | x509.JsonName; readonly key: webcrypto.CryptoKey; readonly publicKey: webcrypto.CryptoKey }
  readonly extensions: readonly x509.Extension[]
}

/** Makes one certificate with its serial number and both key identifiers. */
export async function makeCertificate(order: CertificateOrder): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    serialNumber: makeSerialNumber(),
    subject: commonName(order.subject),
    issuer: order.signer.issuer,
    ...order.validity,
    publicKey: order.publicKey,
    signingKey: order.signer.key,
    signingAlgorithm: EC,
    extensions: [
      ...order.extensions,
      await x509.SubjectKeyIdentifierExtension.create(order.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(order.signer.publicKey)
    ]
  })
}

export const caExtensions = (): x509.Extension[] => [
  new x509.BasicConstraintsExtension(true, 0, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true)
]

/** An end certificate that can only be what `usage` says: a server's cannot speak as an engine, nor an engine's as the server. */
export const endExtensions = (usage: 'server' | 'client', names: readonly x509.JsonGeneralName[]): x509.Extension[] => [
  new x509.BasicConstraintsExtension(false, undefined, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
  new x509.ExtendedKeyUsageExtension([usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth], false),
  new x509.SubjectAlternativeNameExtension([...names])
]

export function certificateToPem(certificate: x509.X509Certificate): string {
  return certificate.toString('pem') + '\n'
}

/**
 * The public key of a certificate request, once the request has proved that the sender holds the private one. Nothing else of
 * the request is looked at: names come from us.
 *
 * Shapes  csrPem: at most 8 KiB of PEM; EC P-256 keys only, which is what the agent makes
 * Throws  CsrRefused
 */
export async function readCsr(csrPem: string): Promise<webcrypto.CryptoKey> {
  if (csrPem.length > CSR_MAX_LENGTH) throw new CsrRefused(`the certificate request is longer than ${CSR_MAX_LENGTH} characters`)
  try {
    const request = new x509.Pkcs10CertificateRequest(x509.PemConverter.decodeFirst(csrPem))
    const key = await webcrypto.subtle.importKey('spki', request.publicKey.rawData, EC, true, ['verify'])
    if (await request.verify()) return key
  } catch (cause) {
    throw new CsrRefused('the certificate request cannot be read: it must be PEM of PKCS#10 with an EC P-256 key', { cause })
  }
  throw new CsrRefused('the certificate request is not signed by its own key')
}
