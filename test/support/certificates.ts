/** Certificates of tests: any names, RSA or EC, signed by themselves. */
import { webcrypto } from 'node:crypto'
import 'reflect-metadata'
import {
  AuthorityInfoAccessExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  X509CrlGenerator
} from '@peculiar/x509'
import type { CertificatePart } from '#model/snapshot/snapshot.ts'

const ec = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]), modulusLength: 2048 }

export async function aCertificate(id: string, names: readonly string[], keyType: 'rsa' | 'ec' = 'ec'): Promise<CertificatePart> {
  const algorithm = keyType === 'ec' ? ec : rsa
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: `CN=${id}`,
      notBefore: new Date(Date.now() - 3_600_000),
      notAfter: new Date(Date.now() + 86_400_000),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new SubjectAlternativeNameExtension(names.map(value => ({ type: 'dns', value })))
      ]
    },
    webcrypto as Crypto
  )
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return {
    kind: 'certificate',
    id,
    name: id,
    certificatePem: certificate.toString('pem'),
    keyPem: `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
    names,
    keyType
  }
}

/** What an authority of tests has signed. */
export interface Issued {
  readonly certificatePem: string
  readonly keyPem: string
}

export interface TestAuthority {
  readonly certificatePem: string
  readonly keys: webcrypto.CryptoKeyPair
  readonly issue: (order: {
    readonly subject: string
    readonly serial?: string
    readonly names?: readonly string[]
    readonly notAfter?: Date
    readonly notBefore?: Date
    readonly ocspUrl?: string
    readonly isAuthority?: boolean
  }) => Promise<Issued>
  /** A revocation list. */
  readonly revoke: (serials: readonly string[], nextUpdate?: Date) => Promise<string>
}

export async function keyToPem(key: webcrypto.CryptoKey): Promise<string> {
  const base64 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`
}

/** An authority of its own. */
export async function anAuthority(name: string): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(ec, true, ['sign', 'verify'])
  const root = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: ec,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true)
    ]
  })
  return {
    certificatePem: `${root.toString('pem')}\n`,
    keys,
    issue: async order => {
      const own = await webcrypto.subtle.generateKey(ec, true, ['sign', 'verify'])
      const certificate = await X509CertificateGenerator.create({
        serialNumber: order.serial ?? '10',
        subject: order.subject,
        issuer: root.subject,
        notBefore: order.notBefore ?? new Date(Date.now() - 3_600_000),
        notAfter: order.notAfter ?? new Date(Date.now() + 86_400_000),
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ec,
        extensions: [
          new BasicConstraintsExtension(order.isAuthority ?? false, undefined, true),
          ...(order.names === undefined
            ? []
            : [new SubjectAlternativeNameExtension(order.names.map(value => ({ type: 'dns' as const, value })))]),
          ...(order.ocspUrl === undefined ? [] : [new AuthorityInfoAccessExtension({ ocsp: order.ocspUrl })])
        ]
      })
      return { certificatePem: `${certificate.toString('pem')}\n`, keyPem: await keyToPem(own.privateKey) }
    },
    revoke: async (serials, nextUpdate = new Date(Date.now() + 3_600_000)) => {
      const crl = await X509CrlGenerator.create({
        issuer: root.subject,
        thisUpdate: new Date(Date.now() - 3_600_000),
        nextUpdate,
        entries: serials.map(serialNumber => ({ serialNumber, revocationDate: new Date(Date.now() - 1_800_000) })),
        signingAlgorithm: ec,
        signingKey: keys.privateKey
      })
      const base64 = Buffer.from(crl.rawData).toString('base64').replace(/.{64}/g, '$&\n')
      return `-----BEGIN X509 CRL-----\n${base64}\n-----END X509 CRL-----\n`
    }
  }
}
