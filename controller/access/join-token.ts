/** Makes join tokens: the secret is told once, its hash is what the controller keeps. */
import { createHash } from 'node:crypto'
import { makeJoinToken } from '#model/message/token.ts'
import type { JsonObject } from '#model/resource/kind.ts'
import type { RandomBytes } from './password.ts'

const SECRET_BYTES = 32

export interface MintedJoinToken {
  /** What a person copies; never stored. */
  readonly token: string
  /** What `change` sets on the `jointoken` resource. */
  readonly serverFields: JsonObject
}

/**
 * The hash under which a join secret is kept and found. A secret of 256 random bits needs no slow hash.
 *
 * Shapes  secret: base64url, as it stands in the token
 */
export const hashJoinSecret = (secret: string): Buffer => createHash('sha256').update(secret).digest()

/** Mints a token that ends at `expiresAtEpochMs`. */
export function mintJoinToken(options: {
  readonly caFingerprint: string
  readonly expiresAtEpochMs: number
  /** How many engines may join with it. */
  readonly uses: number
  readonly randomBytes: RandomBytes
}): MintedJoinToken {
  const secret = Buffer.from(options.randomBytes(SECRET_BYTES)).toString('base64url')
  const token = makeJoinToken({ caFingerprint: options.caFingerprint, secret })
  return { token, serverFields: joinTokenFields({ ...options, secret }) }
}

/** What `change` sets on the `jointoken` resource of a secret. */
export const joinTokenFields = (options: {
  readonly secret: string
  readonly expiresAtEpochMs: number
  readonly uses: number
}): JsonObject => ({
  token_hash: hashJoinSecret(options.secret).toString('base64url'),
  uses_left: options.uses,
  expires_at: new Date(options.expiresAtEpochMs).toISOString()
})
