/** What the rest of the controller may ask of the certificate authority and the seal. */
import type { SignedOrder, UpgradeOrder } from '#model/message/upgrade.ts'

export interface AuthorityPort {
  readonly caPem: string
  /** SHA-256 of the CA certificate's DER, base64url: what a join token carries. */
  readonly caFingerprint: string
  /** `sha256//<base64>` of the server's public key, for `curl --pinnedpubkey`; stays over renewals. */
  readonly serverKeyPin: string
  readonly serverCertificate: () => { readonly keyPem: string; readonly certificatePem: string }
  /** Called when the server's certificate was renewed. Returns the way to stop. */
  readonly onServerRenewed: (listener: () => void) => () => void
  /** By the key of `serverKeyPin`: what hosts were given as they were installed. */
  readonly signOrder: (order: UpgradeOrder) => SignedOrder
  /**
   * Signs an engine's key. The identity comes from us, never from the CSR's names; the CSR must prove its key.
   * Throws CsrRefused.
   */
  readonly signEngine: (csrPem: string, engineUuid: string) => Promise<EngineCertificate>
}

export interface EngineCertificate {
  readonly certificatePem: string
  readonly serialNumber: string
  readonly notAfterEpochMs: number
}

export class CsrRefused extends Error {
  override readonly name = 'CsrRefused'
}

/** Secrets at rest: AES-256-GCM under `$WEIR_DATA/seal.key`. */
export interface Seal {
  /** Answers `sealed:v1:...`. */
  readonly seal: (plain: string) => string
  /** Throws when it was not sealed by this key or was changed. */
  readonly open: (sealed: string) => string
  readonly isSealed: (text: string) => boolean
  /** A secret of 32 bytes in base64, always the same for a purpose; tells nothing of the key, nor of those of other purposes. */
  readonly derive: (purpose: string) => string
}
