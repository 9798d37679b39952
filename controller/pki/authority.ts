/**
 * The controller's certificate authority: one EC P-256 root of ten years, made at the first start; the server's certificate,
 * renewed at half of its life under a key that stays, so that what was pinned goes on to match; and engine certificates, whose
 * identity is the SPIFFE URI that we write into them. Keys are sealed at rest.
 */
import { createHash, sign, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname as ownHostname, networkInterfaces } from 'node:os'
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import { formatUpgradeOrder } from '#model/message/upgrade.ts'
import type { Store } from '#controller/store/store.ts'
import type { AuthorityPort, Seal } from './port.ts'
import {
  caExtensions,
  certificateToPem,
  DAY_MS,
  endExtensions,
  makeCertificate,
  makeKeyPair,
  namesToSan,
  pemToKeyPair,
  privateKeyToPem,
  readCsr,
  validFrom
} from './x509.ts'
import type { KeyPair } from './x509.ts'

const CA_DAYS = 3_653
const SERVER_DAYS = 90
/** A week without the controller must not matter: engines renew at half of this. */
export const ENGINE_DAYS = 30
const RENEWAL_CHECK_MS = 60 * 60 * 1000

/** What makes a certificate of this CA the controller's; agents check it, names and addresses they do not. */
export const CONTROLLER_URI = 'spiffe://weir/controller'
export const ENGINE_URI_PREFIX = 'spiffe://weir/engine/'

/** A key and its certificate as they are stored. */
interface KeyRow {
  readonly sealedKeyPem: string
  readonly certificatePem: string
}

export interface Authority extends AuthorityPort {
  readonly stop: () => void
}

export interface AuthorityOptions {
  readonly store: Pick<Store, 'table'>
  readonly seal: Seal
  readonly clock: Clock
  readonly log: Log
  /** Names and addresses that the server's certificate carries beside this host's own. */
  readonly hostnames?: readonly string[]
}

/**
 * Opens the authority; makes what is missing.
 *
 * Throws  SealBroken when the stored keys were sealed under another key
 */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { seal, clock, log } = options
  const table = options.store.table<KeyRow>('pki')
  const nowEpochMs = clock.nowEpochMs

  const ca = await openCa()
  const caCertificate = new X509Certificate(ca.certificatePem)
  const issuer = { issuer: [{ CN: ['Weir CA'] }], key: ca.keys.privateKey, publicKey: ca.keys.publicKey }
  let server = await openServer()
  const listeners = new Set<() => void>()

  const stopRenewal = clock.every(RENEWAL_CHECK_MS, () => {
    void renewServer().catch((error: unknown) => log.error('the server certificate was not renewed', { error }))
  })

  async function openCa(): Promise<{ readonly keys: KeyPair; readonly certificatePem: string }> {
    const row = table.get('ca')
    if (row) return { keys: await pemToKeyPair(seal.open(row.sealedKeyPem), row.certificatePem), certificatePem: row.certificatePem }
    const keys = await makeKeyPair()
    const certificate = await makeCertificate({
      subject: 'Weir CA',
      validity: validFrom(nowEpochMs(), CA_DAYS),
      publicKey: keys.publicKey,
      signer: { issuer: [{ CN: ['Weir CA'] }], key: keys.privateKey, publicKey: keys.publicKey },
      extensions: caExtensions()
    })
    const certificatePem = certificateToPem(certificate)
    table.set('ca', { sealedKeyPem: seal.seal(await privateKeyToPem(keys.privateKey)), certificatePem })
    log.info('made the certificate authority', { notAfter: certificate.notAfter.toISOString() })
    return { keys, certificatePem }
  }

  async function openServer(): Promise<{ readonly keys: KeyPair; readonly keyPem: string; readonly leafPem: string }> {
    const row = table.get('server')
    if (row) {
      const keyPem = seal.open(row.sealedKeyPem)
      const keys = await pemToKeyPair(keyPem, row.certificatePem)
      const isCurrent = !isServerRenewalDue(row.certificatePem)
      return { keys, keyPem, leafPem: isCurrent ? row.certificatePem : await issueServer(keys, row.sealedKeyPem) }
    }
    const keys = await makeKeyPair()
    const keyPem = await privateKeyToPem(keys.privateKey)
    return { keys, keyPem, leafPem: await issueServer(keys, seal.seal(keyPem)) }
  }

  async function issueServer(keys: KeyPair, sealedKeyPem: string): Promise<string> {
    const names = serverNames(options.hostnames ?? [])
    const certificate = await makeCertificate({
      subject: 'Weir controller',
      validity: validFrom(nowEpochMs(), SERVER_DAYS),
      publicKey: keys.publicKey,
      signer: issuer,
      extensions: endExtensions('server', [...namesToSan(names), { type: 'url', value: CONTROLLER_URI }])
    })
    const certificatePem = certificateToPem(certificate)
    table.set('server', { sealedKeyPem, certificatePem })
    log.info('issued the server certificate', { names, notAfter: certificate.notAfter.toISOString() })
    return certificatePem
  }

  /** At half of its life, when this host got a name or address that it lacks, or when the clock went back before its start. */
  function isServerRenewalDue(leafPem: string): boolean {
    const leaf = new X509Certificate(leafPem)
    const now = nowEpochMs()
    if (now > leaf.validToDate.getTime() - (SERVER_DAYS / 2) * DAY_MS || now < leaf.validFromDate.getTime()) return true
    const covered = sanOf(leaf)
    return serverNames(options.hostnames ?? []).some(name => !covered.has(canonicalName(name)))
  }

  async function renewServer(): Promise<void> {
    if (!isServerRenewalDue(server.leafPem)) return
    server = { ...server, leafPem: await issueServer(server.keys, table.get('server')!.sealedKeyPem) }
    for (const listener of listeners) listener()
  }

  const serverKey = new X509Certificate(server.leafPem).publicKey.export({ type: 'spki', format: 'der' })

  return {
    caPem: ca.certificatePem,
    caFingerprint: createHash('sha256').update(caCertificate.raw).digest('base64url'),
    serverKeyPin: `sha256//${createHash('sha256').update(serverKey).digest('base64')}`,
    // The root goes with the leaf: a host that knows only its fingerprint finds it in the handshake.
    serverCertificate: () => ({ keyPem: server.keyPem, certificatePem: server.leafPem + ca.certificatePem }),
    onServerRenewed: listener => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    signOrder: wanted => {
      const order = formatUpgradeOrder(wanted)
      const signature = sign('sha256', Buffer.from(order), server.keyPem).toString('base64')
      return { order, signature, publicKey: serverKey.toString('base64') }
    },
    signEngine: async (csrPem, engineUuid) => {
      const publicKey = await readCsr(csrPem)
      const certificate = await makeCertificate({
        subject: engineUuid,
        validity: validFrom(nowEpochMs(), ENGINE_DAYS),
        publicKey,
        signer: issuer,
        extensions: endExtensions('client', [{ type: 'url', value: ENGINE_URI_PREFIX + engineUuid }])
      })
      return {
        certificatePem: certificateToPem(certificate),
        serialNumber: certificate.serialNumber,
        notAfterEpochMs: certificate.notAfter.getTime()
      }
    },
    stop: stopRenewal
  }
}

/** Every name that a browser or an agent may reach this host by. */
function serverNames(more: readonly string[]): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  // Link-local addresses need a zone to be reached by, which no certificate can carry.
  const usable = addresses.map(item => item.address).filter(address => !address.toLowerCase().startsWith('fe80:'))
  const isName = (name: string): boolean => isIP(name) !== 0 || /^[A-Za-z0-9*._-]{1,253}$/.test(name)
  return [...new Set(['localhost', ownHostname(), '127.0.0.1', '::1', ...usable, ...more])].filter(isName)
}

function sanOf(certificate: X509Certificate): ReadonlySet<string> {
  const entries = (certificate.subjectAltName ?? '').split(', ')
  return new Set(entries.map(entry => canonicalName(entry.slice(entry.indexOf(':') + 1))))
}

/** One spelling for an address, whoever wrote it: OpenSSL prints IPv6 in full and in upper case. */
function canonicalName(name: string): string {
  if (isIP(name) !== 6) return name.toLowerCase()
  return new URL(`http://[${name}]`).hostname
}
