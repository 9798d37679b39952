/** TLS towards clients: which certificate answers which name. */
import { constants, createHmac } from 'node:crypto'
import type { Socket } from 'node:net'
import { createSecureContext, Server as TlsServer, type SecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls'
import type { CertificatePart, TlsSpec } from '#model/snapshot/snapshot.ts'

/** A handshake that takes longer is not one. */
const HANDSHAKE_TIMEOUT_MS = 10_000

export interface Terminator {
  /** Takes an accepted connection through the handshake; it is closed when that fails. */
  readonly terminate: (socket: Socket) => void
}

export interface TerminatorParts {
  readonly virtualServiceId: string
  readonly spec: TlsSpec
  /** In the order of `spec.certificateIds`; at least one. */
  readonly certificates: readonly CertificatePart[]
  readonly protocols: readonly string[]
  /** 48 bytes that all workers share, so that a session is resumed by any of them; null: each worker has its own. */
  readonly ticketKeys: Buffer | null
}

/**
 * Builds the contexts for every name. The first certificate answers names that none is for; an RSA and an EC
 * certificate for one name stand side by side and the client's abilities decide.
 *
 * Throws  the TLS library's error on a certificate, key or cipher list that it does not take
 */
export function makeTerminator(parts: TerminatorParts, onSecure: (socket: TLSSocket) => void): Terminator {
  const contexts = contextsByName(parts)
  const server = new TlsServer({
    ...contextOptions(parts, sideBySide(parts.certificates, parts.certificates[0]!)),
    SNICallback: (name, done) => done(null, contexts(name.toLowerCase())),
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    ALPNProtocols: [...parts.protocols]
  })
  server.on('secureConnection', onSecure)
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return { terminate: socket => void server.emit('connection', socket) }
}

/** exact name, then `*.rest`; undefined takes the default. */
function contextsByName(parts: TerminatorParts): (name: string) => SecureContext | undefined {
  const byCertificates = new Map<string, SecureContext>()
  const byName = new Map<string, SecureContext>()
  for (const certificate of parts.certificates) {
    for (const given of certificate.names) {
      const name = given.toLowerCase()
      if (byName.has(name)) continue
      const chosen = sideBySide(
        parts.certificates.filter(other => other.names.some(otherName => otherName.toLowerCase() === name)),
        certificate
      )
      const key = chosen.map(one => one.id).join()
      let context = byCertificates.get(key)
      if (context === undefined) byCertificates.set(key, (context = createSecureContext(contextOptions(parts, chosen))))
      byName.set(name, context)
    }
  }
  return name => byName.get(name) ?? byName.get(`*.${name.slice(name.indexOf('.') + 1)}`)
}

/** The certificate, and the first of the other kind of key that shares a name with it. */
function sideBySide(certificates: readonly CertificatePart[], first: CertificatePart): CertificatePart[] {
  const names = new Set(first.names)
  const other = certificates.find(one => one.keyType !== first.keyType && one.names.some(name => names.has(name)))
  return other === undefined ? [first] : [first, other]
}

function contextOptions(parts: TerminatorParts, certificates: readonly CertificatePart[]): SecureContextOptions & { ticketKeys?: Buffer } {
  const { spec, ticketKeys, virtualServiceId } = parts
  const isOld = spec.minVersion === 'TLSv1' || spec.minVersion === 'TLSv1.1'
  const options = constants.SSL_OP_NO_RENEGOTIATION | (spec.isSessionReuseEnabled ? 0 : constants.SSL_OP_NO_TICKET)
  return {
    cert: certificates.map(certificate => certificate.certificatePem),
    key: certificates.map(certificate => certificate.keyPem),
    minVersion: spec.minVersion,
    maxVersion: spec.maxVersion,
    // The library offers the old versions at its lowest security level only.
    ...(spec.ciphers === '' ? {} : { ciphers: isOld ? `${spec.ciphers}:@SECLEVEL=0` : spec.ciphers }),
    honorCipherOrder: spec.hasServerPreference,
    secureOptions: options,
    sessionTimeout: Math.max(1, spec.sessionTimeoutS),
    sessionIdContext: virtualServiceId.slice(-32),
    // Of its own for each virtual service: a session of one is none of another.
    ...(ticketKeys === null ? {} : { ticketKeys: createHmac('sha384', ticketKeys).update(virtualServiceId).digest() })
  }
}
