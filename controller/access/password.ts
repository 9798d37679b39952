/** Passwords at rest: argon2id in PHC string format, computed off the event loop, a few at once. */
import { argon2, timingSafeEqual } from 'node:crypto'
import type { Argon2Parameters } from 'node:crypto'

export type RandomBytes = (size: number) => Uint8Array

export interface PasswordCost {
  readonly memoryKib: number
  readonly passes: number
}

/** OWASP Password Storage Cheat Sheet (2024): argon2id with 19 MiB, two passes, one lane. */
export const passwordCost: PasswordCost = { memoryKib: 19_456, passes: 2 }
const LANES = 1
const TAG_BYTES = 32
const SALT_BYTES = 16
/** Longer ones are refused before they cost anything. */
export const PASSWORD_MAX_LENGTH = 1024

const derive = (parameters: Argon2Parameters): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, tag) => (error === null ? resolve(tag) : reject(error)))
  })

const plainBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

/** Hashes a password with a salt of its own. */
export async function hashPassword(password: string, randomBytes: RandomBytes, cost: PasswordCost = passwordCost): Promise<string> {
  const { memoryKib, passes } = cost
  const nonce = randomBytes(SALT_BYTES)
  const tag = await derive({ message: password, nonce, parallelism: LANES, tagLength: TAG_BYTES, memory: memoryKib, passes })
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${LANES}$${plainBase64(nonce)}$${plainBase64(tag)}`
}

const phc = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/

/** Is the text such a hash, and not a password? */
export const isPasswordHash = (text: string): boolean => phc.test(text)

/**
 * Is this the password that was hashed?
 *
 * Returns false for a hash that is not one of ours
 * Cost    as much as hashing; compares in constant time
 */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const [, memory, passes, parallelism, salt, tag] = phc.exec(hash) ?? []
  if (memory === undefined || salt === undefined || tag === undefined || password.length > PASSWORD_MAX_LENGTH) return false
  const expected = Buffer.from(tag, 'base64')
  const parameters = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) }
  const actual = await derive({ message: password, nonce: Buffer.from(salt, 'base64'), tagLength: expected.length, ...parameters })
  return timingSafeEqual(actual, expected)
}
