import { checkServerIdentity, type ConnectionOptions } from 'node:tls'
import type { DestinationTls } from '../exchange/forwarder.ts'

/** How TLS to a server is spoken and verified, as `node:tls` wants to be told. */
export function upstreamTlsOptions({ spec, serverName, certificatePem, keyPem, refusal }: DestinationTls): ConnectionOptions {
  return {
    // '' sends no name; undefined would make one from the Host header.
    servername: serverName ?? '',
    rejectUnauthorized: spec.trustedPem !== null,
    minVersion: spec.minVersion,
    maxVersion: spec.maxVersion,
    ...(spec.trustedPem === null ? {} : { ca: spec.trustedPem }),
    ...(spec.crlPem === undefined ? {} : { crl: spec.crlPem }),
    ...identityCheck(spec.isHostChecked, refusal),
    ...(spec.ciphers === '' ? {} : { ciphers: spec.ciphers }),
    ...(certificatePem === null || keyPem === null ? {} : { cert: certificatePem, key: keyPem })
  }
}

function identityCheck(isHostChecked: boolean, refusal: DestinationTls['refusal']): ConnectionOptions {
  if (refusal === undefined) return isHostChecked ? {} : { checkServerIdentity: () => undefined }
  return {
    checkServerIdentity: (host, certificate) => {
      const reason = refusal(certificate.raw, Date.now())
      if (reason !== undefined) return new Error(`the certificate of the server ${reason}`)
      return isHostChecked ? checkServerIdentity(host, certificate) : undefined
    }
  }
}
