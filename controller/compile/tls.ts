/** TLS profiles, certificates and roots, as an engine needs them. */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { crlBase64, readCrl } from '#model/base/crl.ts'
import type { FilledKind } from '#model/resource/catalogue.ts'
import { standardCiphers } from '#model/resource/sslprofile.ts'
import type { CertificatePart, ClientAuthSpec, RevocationSpec, StapleSpec, TlsSpec, UpstreamTlsSpec } from '#model/snapshot/snapshot.ts'
import { CannotBuild } from './resources.ts'
import type { Read, Reader } from './resources.ts'

type Version = TlsSpec['minVersion']
const versionOf = {
  SSL_VERSION_TLS1: 'TLSv1',
  SSL_VERSION_TLS1_1: 'TLSv1.1',
  SSL_VERSION_TLS1_2: 'TLSv1.2',
  SSL_VERSION_TLS1_3: 'TLSv1.3'
} as const
const ascending: readonly Version[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']
const standardSuites = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'

interface Suite {
  readonly minVersion: Version
  readonly maxVersion: Version
  readonly ciphers: string
}

/** Versions and ciphers of a profile; without one, TLS 1.2 and 1.3 with AEAD only. */
function suiteOf(profile: FilledKind['sslprofile'] | undefined): Suite {
  const named = (profile?.accepted_versions ?? []).map(({ type }) => versionOf[type])
  const versions = ascending.filter(version => named.includes(version))
  const ciphers = [profile?.ciphersuites ?? standardSuites, profile?.accepted_ciphers ?? standardCiphers].filter(list => list !== '')
  return { minVersion: versions[0] ?? 'TLSv1.2', maxVersion: versions.at(-1) ?? 'TLSv1.3', ciphers: ciphers.join(':') }
}

export function clientTls(reader: Reader, service: FilledKind['virtualservice']): TlsSpec {
  const profile = reader.orSystem('sslprofile', service.ssl_profile_ref, 'System-Standard')?.body
  const certificateIds = (service.ssl_key_and_certificate_refs ?? []).map(uuid => reader.certificatePart(uuid))
  if (certificateIds.length === 0) throw new CannotBuild('TLS needs a certificate')
  const clientAuth = clientAuthOf(reader, service)
  return {
    certificateIds,
    ...suiteOf(profile),
    hasServerPreference: profile?.prefer_client_cipher_ordering !== true,
    isSessionReuseEnabled: profile?.enable_ssl_session_reuse ?? true,
    sessionTimeoutS: profile?.ssl_session_timeout ?? 86400,
    ...(clientAuth === undefined ? {} : { clientAuth })
  }
}

export function upstreamTls(
  reader: Reader,
  settings: {
    readonly sslProfile: string
    readonly pkiProfile: string | undefined
    readonly certificate: string | undefined
    readonly isSniEnabled: boolean
    readonly serverName: string | undefined
    readonly isHostChecked: boolean
  }
): UpstreamTlsSpec {
  const roots = settings.pkiProfile === undefined ? undefined : reader.need('pkiprofile', settings.pkiProfile).body
  return {
    isSniEnabled: settings.isSniEnabled,
    serverName: settings.serverName === undefined || settings.serverName === '' ? null : settings.serverName,
    trustedPem: roots === undefined ? null : pemOf(roots),
    ...(roots === undefined ? {} : revocationOf(roots)),
    isHostChecked: settings.isHostChecked,
    clientCertificateId: settings.certificate === undefined ? null : reader.certificatePart(settings.certificate),
    ...suiteOf(reader.need('sslprofile', settings.sslProfile).body)
  }
}

type Roots = FilledKind['pkiprofile']

const pemOf = (roots: Roots): string => roots.ca_certs.map(({ certificate }) => withLineEnd(certificate ?? '')).join('')

function revocationOf(roots: Roots): RevocationSpec {
  const lists = roots.crl_check ? (roots.crls ?? []) : []
  if (lists.length === 0) return {}
  if (!roots.validate_only_leaf_crl) return { crlPem: lists.map(({ body }) => withLineEnd(body)).join('') }
  const isEverBelieved = roots.allow_pki_errors?.includes('ALLOW_EXPIRED_CRL') === true
  return {
    leafCrls: lists.map(({ body }) => {
      const read = readCrl(Buffer.from(crlBase64(body) ?? '', 'base64'))
      if (read === undefined) throw new CannotBuild('a revocation list cannot be read')
      return {
        issuer: read.issuer,
        serials: read.serials.toSorted(),
        nextUpdateEpochMs: isEverBelieved ? null : read.nextUpdateEpochMs
      }
    })
  }
}

/** How the certificates of clients are asked for and checked; undefined: they are not. */
export function clientAuthOf(reader: Reader, service: FilledKind['virtualservice']): ClientAuthSpec | undefined {
  const profile = reader.orSystem('applicationprofile', service.application_profile_ref, 'System-HTTP')?.body
  const own = profile?.type === 'APPLICATION_PROFILE_TYPE_HTTP' ? profile.http_profile : profile?.tcp_app_profile
  if (own === undefined || own.ssl_client_certificate_mode === 'SSL_CLIENT_CERTIFICATE_NONE') return undefined
  if (own.pki_profile_ref === undefined) throw new CannotBuild('certificates of clients need a PKI profile')
  const roots = reader.need('pkiprofile', own.pki_profile_ref).body
  const isRequired = own.ssl_client_certificate_mode === 'SSL_CLIENT_CERTIFICATE_REQUIRE'
  const settings = {
    isRequired,
    closesOnBad: isRequired || profile?.http_profile?.ssl_client_certificate_action?.close_connection === true,
    trustedPem: pemOf(roots),
    ...revocationOf(roots)
  }
  return { id: createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16), ...settings }
}

const withLineEnd = (pem: string): string => `${pem.trim()}\n`
const pemBlock = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/** Names that a certificate is for: DNS names and addresses of its SAN, or its CN when it has none. */
export function namesOf(certificate: X509Certificate): string[] {
  const alternative = [...(certificate.subjectAltName ?? '').matchAll(/(?:^|, )(?:DNS|IP Address):("(?:[^"\\]|\\.)*"|[^,]*)/g)]
  const names = alternative.map(([, name = '']) => (name.startsWith('"') ? String(JSON.parse(name)) : name).toLowerCase())
  if (names.length > 0) return names
  const common = /^CN=(.*)$/m.exec(certificate.subject)?.[1]
  return common === undefined ? [] : [common.toLowerCase()]
}

/**
 * A certificate with its chain and opened key.
 *
 * Throws  CannotBuild when it cannot be read or does not fit its key; never with a secret in its message
 */
export function certificatePart(
  reader: Reader,
  { uuid, name, body }: Read<'sslkeyandcertificate'>,
  openSecret: (sealed: string) => string,
  staple?: StapleSpec
): CertificatePart {
  const chain = [body.certificate.certificate, ...(body.ca_certs ?? []).map(({ ca_ref: ca }) => caPem(reader, ca))]
  const blocks = chain.flatMap(pem => pem?.match(pemBlock) ?? [])
  const leaf = read(name, () => new X509Certificate(blocks[0] ?? ''))
  const key = read(name, () => {
    const passphrase = body.key_passphrase === undefined ? {} : { passphrase: openSecret(body.key_passphrase) }
    return createPrivateKey({ key: openSecret(body.key ?? ''), ...passphrase })
  })
  if (!leaf.checkPrivateKey(key)) throw new CannotBuild(`certificate ${name} does not belong to its key`)
  return {
    kind: 'certificate',
    id: uuid,
    name,
    certificatePem: blocks.map(withLineEnd).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    names: namesOf(leaf),
    keyType: key.asymmetricKeyType === 'ec' ? 'ec' : 'rsa',
    ...(staple === undefined ? {} : { staple })
  }
}

function caPem(reader: Reader, uuid: string | undefined): string | undefined {
  return uuid === undefined ? undefined : reader.need('sslkeyandcertificate', uuid).body.certificate.certificate
}

function read<T>(name: string, make: () => T): T {
  try {
    return make()
  } catch {
    throw new CannotBuild(`certificate ${name} or its key cannot be read`)
  }
}
