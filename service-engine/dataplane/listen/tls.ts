/** TLS towards clients: which certificate answers which name. */
import { constants } from 'node:crypto'
import type { Socket } from 'node:net'
import { Server as TlsServer, type SecureContextOptions, type TLSSocket } from 'node:tls'
import { compileRevocation } from '#model/base/crl.ts'
import type { CertificatePart, ClientAuthSpec, TlsSpec } from '#model/snapshot/snapshot.ts'
import type { ClientIdentity, TlsFingerprint, TlsSession } from '../exchange/exchange.ts'
import { makeIdentity } from './client-certificate.ts'
import { readServerName, readTicket } from './client-hello.ts'
import { readFingerprint } from './fingerprint.ts'
import { keyOf, SessionFollower } from './tls-sessions.ts'
import { useTickets, type TicketKeys } from './tickets.ts'

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
  /** What all workers of all engines of a group share, so that a session is resumed by any of them. */
  readonly ticketKeys: TicketKeys
  readonly nowEpochMs: () => number
  /** For a handshake from its first byte to its last; left out, and at most: 10 seconds. */
  readonly handshakeTimeoutMs?: number
}

/** A connection that is through its handshake. */
export interface Secured {
  readonly socket: TLSSocket
  /** Who its client is, where it was asked. */
  readonly identity: ClientIdentity | undefined
  readonly session: TlsSession | undefined
  /** Where somebody asks for it. */
  readonly fingerprint: TlsFingerprint | undefined
}

export type OnSecure = (secured: Secured) => void

/**
 * Builds a TLS server for every set of certificates. The first certificate answers names that none is for; an RSA and
 * an EC certificate for one name stand side by side and the client's abilities decide. The name is read from the
 * ClientHello before the TLS library sees it, because `SNICallback` takes only one certificate of a context.
 *
 * Throws  the TLS library's error on a certificate, key or cipher list that it does not take
 */
export function makeTerminator(parts: TerminatorParts, onSecure: OnSecure): Terminator {
  const { certificates, spec, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS } = parts
  const limitMs = Math.min(handshakeTimeoutMs, HANDSHAKE_TIMEOUT_MS)
  // Where the name is looked for, that has one half of the time and what comes after it the other.
  const halfMs = limitMs / 2
  const follower = spec.followsSessions === true ? new SessionFollower() : null
  const fingerprints = spec.readsFingerprint === true ? new Map<string, TlsFingerprint>() : null
  const isNamed = certificates.length > 1 || spec.clientAuthByName !== undefined || follower !== null || fingerprints !== null
  const certificatesByName = new Map<string, readonly CertificatePart[]>()
  for (const certificate of certificates) {
    for (const name of lowerNames(certificate)) {
      if (certificatesByName.has(name)) continue
      const forName = certificates.filter(other => lowerNames(other).includes(name))
      certificatesByName.set(name, sideBySide(forName, certificate))
    }
  }
  for (const [name, ids] of Object.entries(spec.certificateIdsByName ?? {})) {
    const chosen = certificates.filter(certificate => ids.includes(certificate.id))
    if (chosen.length > 0) certificatesByName.set(name, sideBySide(chosen, chosen[0]!))
  }
  const inFirstPlace = sideBySide(certificates, certificates[0]!)
  const authByName = new Map(Object.entries(spec.clientAuthByName ?? {}))
  const servers = new Map<string, TlsServer>()
  const serverFor = (name: string | null): TlsServer => {
    const chosen = (name === null ? undefined : atName(certificatesByName, name)) ?? inFirstPlace
    const own = name === null ? undefined : atName(authByName, name)
    const auth = own === undefined ? (spec.clientAuth ?? null) : own
    const key = `${chosen.map(certificate => certificate.id).join()} ${auth?.id ?? ''}`
    let server = servers.get(key)
    if (server === undefined)
      servers.set(key, (server = openTlsServer(parts, { chosen, auth, key, follower, fingerprints }, isNamed ? halfMs : limitMs, onSecure)))
    return server
  }
  const fallback = serverFor(null)
  const byName = new Map([...certificatesByName.keys(), ...authByName.keys()].map(name => [name, serverFor(name)]))
  const choose = (name: string | null): TlsServer => (name === null ? fallback : (atName(byName, name) ?? fallback))
  return {
    terminate: socket => {
      // An end in the middle of a handshake is the end of it.
      socket.allowHalfOpen = false
      // With one set of certificates there is nothing to choose.
      if (servers.size === 1 && follower === null && fingerprints === null) fallback.emit('connection', socket)
      else
        peekHello(socket, halfMs, (name, hello) => {
          follower?.began(socket, readTicket(hello))
          if (fingerprints !== null) keepFingerprint(fingerprints, socket, hello)
          choose(name).emit('connection', socket)
        })
    }
  }
}

/** What is there for a name, or for all names that differ from it in the first label. */
const atName = <T>(byName: ReadonlyMap<string, T>, name: string): T | undefined =>
  byName.get(name) ?? byName.get(`*.${name.slice(name.indexOf('.') + 1)}`)

interface Choice {
  readonly chosen: readonly CertificatePart[]
  readonly auth: ClientAuthSpec | null
  /** A session of one choice is none of another. */
  readonly key: string
  /** Null where nobody wants to know of sessions. */
  readonly follower: SessionFollower | null
  /** By connection; null where nobody asks for them. */
  readonly fingerprints: Map<string, TlsFingerprint> | null
}

/** Until the connection is gone. */
function keepFingerprint(fingerprints: Map<string, TlsFingerprint>, socket: Socket, hello: Buffer): void {
  const fingerprint = readFingerprint(hello)
  if (fingerprint === undefined) return
  const key = keyOf(socket)
  fingerprints.set(key, fingerprint)
  socket.once('close', () => fingerprints.delete(key))
}

const lowerNames = (certificate: CertificatePart): string[] => certificate.names.map(name => name.toLowerCase())

function openTlsServer(parts: TerminatorParts, choice: Choice, timeoutMs: number, onSecure: OnSecure): TlsServer {
  const { auth, follower, fingerprints } = choice
  const fingerprintOf = (socket: TLSSocket): TlsFingerprint | undefined => fingerprints?.get(keyOf(socket))
  const server = new TlsServer({
    ...contextOptions(parts, choice.chosen),
    ...(auth === null
      ? {}
      : {
          requestCert: true,
          rejectUnauthorized: false,
          ca: auth.trustedPem,
          ...(auth.crlPem === undefined ? {} : { crl: auth.crlPem })
        }),
    handshakeTimeout: timeoutMs,
    ALPNProtocols: [...parts.protocols]
  })
  useTickets(server, parts.ticketKeys, `${parts.virtualServiceId} ${choice.key}`, follower)
  useStaple(server, choice.chosen, parts.nowEpochMs)
  if (auth === null) {
    server.on('secureConnection', socket =>
      onSecure({ socket, identity: undefined, session: follower?.secured(socket), fingerprint: fingerprintOf(socket) })
    )
  } else {
    const identify = makeIdentifier(auth, parts.nowEpochMs)
    server.on('secureConnection', socket => {
      const session = follower?.secured(socket)
      const identity = identify(socket)
      if (identity === undefined) socket.destroy()
      else onSecure({ socket, identity, session, fingerprint: fingerprintOf(socket) })
    })
  }
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return server
}

/**
 * Shows what the authority says of the certificate to clients that ask. Of two kinds side by side the library does not tell which a client
 * will get, and the wrong answer is worse than none.
 */
function useStaple(server: TlsServer, chosen: readonly CertificatePart[], nowEpochMs: () => number): void {
  const staple = chosen.length === 1 ? chosen[0]?.staple : undefined
  if (staple === undefined) return
  const response = Buffer.from(staple.response, 'base64')
  server.on('OCSPRequest', (_certificate, _issuer, answer) => {
    if (nowEpochMs() < staple.untilEpochMs) answer(null, response)
    else answer(null, null as unknown as Buffer)
  })
}

/**
 * Who the client of a connection is; undefined: it may not stay. Of a resumed session the library only says that its handshake ended,
 * which it may have done without a certificate, or with one that ended meanwhile: so everything is looked at each time.
 */
function makeIdentifier(auth: ClientAuthSpec, nowEpochMs: () => number): (socket: TLSSocket) => ClientIdentity | undefined {
  const refusal = auth.leafCrls === undefined ? () => undefined : compileRevocation(auth.leafCrls)
  return socket => {
    const shown = socket.getPeerX509Certificate()
    if (shown === undefined) return auth.isRequired ? undefined : makeIdentity(auth.id, null)
    const isNow = nowEpochMs() >= shown.validFromDate.getTime() && nowEpochMs() <= shown.validToDate.getTime()
    if (socket.authorized && isNow && refusal(shown.raw, nowEpochMs()) === undefined) return makeIdentity(auth.id, shown.raw)
    return auth.closesOnBad ? undefined : makeIdentity(auth.id, null)
  }
}

/** Reads the ClientHello and puts it back; who does not send one in time is let go. */
function peekHello(socket: Socket, timeoutMs: number, onHello: (name: string | null, hello: Buffer) => void): void {
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
    onHello(found.is === 'name' ? found.name : null, seen)
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

function contextOptions(parts: TerminatorParts, certificates: readonly CertificatePart[]): SecureContextOptions {
  const { spec, virtualServiceId } = parts
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
    sessionIdContext: virtualServiceId.slice(-32)
  }
}
