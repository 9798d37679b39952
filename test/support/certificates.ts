/** Certificates of tests: any names, RSA or EC, signed by themselves. */
import { webcrypto } from 'node:crypto'
import 'reflect-metadata'
import { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
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
