/** TLS towards clients: which certificate answers which name. */
import { constants, createHmac } from 'node:crypto'
import type { Socket } from 'node:net'
import { Server as TlsServer, type SecureContextOptions, type TLSSocket } from 'node:tls'
import type { CertificatePart, TlsSpec } from '#model/snapshot/snapshot.ts'
import { readServerName } from './client-hello.ts'

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
  /** For a handshake from its first byte to its last; left out, and at most: 10 seconds. */
  readonly handshakeTimeoutMs?: number
}

/**
 * Builds a TLS server for every set of certificates. The first certificate answers names that none is for; an RSA and
 * an EC certificate for one name stand side by side and the client's abilities decide. The name is read from the
 * ClientHello before the TLS library sees it, because `SNICallback` takes only one certificate of a context.
 *
 * Throws  the TLS library's error on a certificate, key or cipher list that it does not take
 */
export function makeTerminator(parts: TerminatorParts, onSecure: (socket: TLSSocket) => void): Terminator {
  const { certificates, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS } = parts
  const limitMs = Math.min(handshakeTimeoutMs, HANDSHAKE_TIMEOUT_MS)
  // Where the name is looked for, that has one half of the time and what comes after it the other.
  const halfMs = limitMs / 2
  const isNamed = certificates.length > 1
  const servers = new Map<string, TlsServer>()
  const serverFor = (chosen: readonly CertificatePart[]): TlsServer => {
    const key = chosen.map(certificate => certificate.id).join()
    let server = servers.get(key)
    if (server === undefined) servers.set(key, (server = openTlsServer(parts, chosen, isNamed ? halfMs : limitMs, onSecure)))
    return server
  }
  const fallback = serverFor(sideBySide(certificates, certificates[0]!))
  const byName = new Map<string, TlsServer>()
  for (const certificate of certificates) {
    for (const name of lowerNames(certificate)) {
      if (byName.has(name)) continue
      const forName = certificates.filter(other => lowerNames(other).includes(name))
      byName.set(name, serverFor(sideBySide(forName, certificate)))
    }
  }
  for (const [name, ids] of Object.entries(parts.spec.certificateIdsByName ?? {})) {
    const chosen = certificates.filter(certificate => ids.includes(certificate.id))
    if (chosen.length > 0) byName.set(name, serverFor(sideBySide(chosen, chosen[0]!)))
  }
  const choose = (name: string | null): TlsServer =>
    name === null ? fallback : (byName.get(name) ?? byName.get(`*.${name.slice(name.indexOf('.') + 1)}`) ?? fallback)
  return {
    terminate: socket => {
      // An end in the middle of a handshake is the end of it.
      socket.allowHalfOpen = false
      // With one set of certificates there is nothing to choose.
      if (servers.size === 1) fallback.emit('connection', socket)
      else peekServerName(socket, halfMs, name => choose(name).emit('connection', socket))
    }
  }
}

const lowerNames = (certificate: CertificatePart): string[] => certificate.names.map(name => name.toLowerCase())

function openTlsServer(
  parts: TerminatorParts,
  chosen: readonly CertificatePart[],
  timeoutMs: number,
  onSecure: (socket: TLSSocket) => void
): TlsServer {
  const server = new TlsServer({
    ...contextOptions(parts, chosen),
    handshakeTimeout: timeoutMs,
    ALPNProtocols: [...parts.protocols]
  })
  server.on('secureConnection', onSecure)
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return server
}

/** Reads the ClientHello and puts it back; who does not send one in time is let go. */
function peekServerName(socket: Socket, timeoutMs: number, onName: (name: string | null) => void): void {
  let seen: Buffer = Buffer.alloc(0)
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  const stop = (): void => {
    clearTimeout(timer)
    socket.removeListener('readable', look)
    socket.removeListener('close', stop)
  }
  const look = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    }
    if (socket.readableEnded || socket.destroyed) return void socket.destroy()
    const found = readServerName(seen)
    if (found.is === 'incomplete') return
    stop()
    socket.unshift(seen)
    onName(found.is === 'name' ? found.name : null)
  }
  socket.on('readable', look)
  socket.on('end', () => socket.destroy())
  socket.once('close', stop)
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
