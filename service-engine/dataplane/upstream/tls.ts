import type { ConnectionOptions } from 'node:tls'
import type { DestinationTls } from '../exchange/forwarder.ts'

/** How TLS to a server is spoken and verified, as `node:tls` wants to be told. */
export function upstreamTlsOptions({ spec, serverName, certificatePem, keyPem }: DestinationTls): ConnectionOptions {
  return {
    // '' sends no name; undefined would make one from the Host header.
    servername: serverName ?? '',
    rejectUnauthorized: spec.trustedPem !== null,
    minVersion: spec.minVersion,
    maxVersion: spec.maxVersion,
    ...(spec.trustedPem === null ? {} : { ca: spec.trustedPem }),
    ...(spec.isHostChecked ? {} : { checkServerIdentity: () => undefined }),
    ...(spec.ciphers === '' ? {} : { ciphers: spec.ciphers }),
    ...(certificatePem === null || keyPem === null ? {} : { cert: certificatePem, key: keyPem })
  }
}
