/** The engine's own key: made here, never sent. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** A new key and the request that proves it. The request carries no name: the controller decides who we are. */
export async function makeKeyAndCsr(): Promise<{ readonly keyPem: string; readonly csrPem: string }> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: 'CN=weir engine', keys, signingAlgorithm: EC })
  const keyPem = `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')}\n`
  return { keyPem, csrPem: request.toString('pem') }
}
