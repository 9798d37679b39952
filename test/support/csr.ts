/** A certificate request with its key, as an agent would make it. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

export async function aCsr(
  subject = 'CN=engine',
  algorithm: { readonly name: string; readonly namedCurve: string; readonly hash: string } = {
    name: 'ECDSA',
    namedCurve: 'P-256',
    hash: 'SHA-256'
  }
): Promise<{ readonly csrPem: string; readonly keyPem: string }> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: subject, keys, signingAlgorithm: algorithm })
  const keyPem = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { csrPem: request.toString('pem'), keyPem }
}
