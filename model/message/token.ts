/**
 * What a person copies to a host that shall become an engine: the fingerprint of the authority to trust, and a secret
 * that proves the permission to join. The secret is 256 random bits; the controller keeps its SHA-256 only.
 */

const VERSION = 'weir1'
/** 32 bytes in base64url without padding. */
const part = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

export interface JoinToken {
  /** SHA-256 of the CA certificate's DER, base64url. */
  readonly caFingerprint: string
  /** 32 random bytes, base64url. */
  readonly secret: string
}

/**
 * Writes a token down as `weir1.<caFingerprint>.<secret>`.
 *
 * Shapes  both parts: 32 bytes in base64url, 43 characters
 * Throws  RangeError when a part is anything else
 */
export function makeJoinToken(token: JoinToken): string {
  if (!part.test(token.caFingerprint) || !part.test(token.secret)) throw new RangeError('both parts must be 32 bytes in base64url')
  return `${VERSION}.${token.caFingerprint}.${token.secret}`
}

/**
 * Reads a token as a person pasted it; white space around it does not matter.
 *
 * Returns `undefined` when it is not a token of this version
 * Cost    O(1): what is longer than a token can be is not looked at
 */
export function parseJoinToken(text: string): JoinToken | undefined {
  if (text.length > 256) return undefined
  const [version, caFingerprint, secret, ...rest] = text.trim().split('.')
  if (version !== VERSION || rest.length > 0) return undefined
  if (caFingerprint === undefined || secret === undefined || !part.test(caFingerprint) || !part.test(secret)) return undefined
  return { caFingerprint, secret }
}
