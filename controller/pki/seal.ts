/** Secrets at rest: AES-256-GCM under one key file that only the controller's user may read. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { closeSync, fstatSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Seal } from './port.ts'

const PREFIX = 'sealed:v1:'
const KEY_BYTES = 32
/** NIST SP 800-38D §8.2: 96 random bits are safe for 2^32 messages under one key. */
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** The key file or a sealed text cannot be used; the message says why and what to do. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken'
}

/**
 * Reads the key file, or makes it at the first start. Of two processes that start at once one makes it and both read the same.
 *
 * Throws  SealBroken when others may read the file, or it is not a key
 */
export function openSeal(path: string): Seal {
  return makeSeal(readKey(path) ?? createKey(path))
}

/**
 * A seal under a key that is at hand.
 *
 * Shapes  key: 32 bytes
 */
export function makeSeal(key: Uint8Array): Seal {
  if (key.length !== KEY_BYTES) throw new SealBroken(`a seal key has ${KEY_BYTES} bytes`)
  return {
    seal: plain => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(Buffer.from(PREFIX))
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return PREFIX + Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')
    },
    open: sealed => {
      if (!sealed.startsWith(PREFIX)) throw new SealBroken('not a sealed text')
      const bytes = Buffer.from(sealed.slice(PREFIX.length), 'base64url')
      if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new SealBroken('the sealed text is cut off')
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
      decipher.setAAD(Buffer.from(PREFIX))
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8')
      } catch (cause) {
        throw new SealBroken('the text was sealed under another key or was changed', { cause })
      }
    },
    isSealed: text => text.startsWith(PREFIX),
    derive: purpose => Buffer.from(hkdfSync('sha256', key, '', `weir derived:v1:${purpose}`, KEY_BYTES)).toString('base64')
  }
}

function readKey(path: string): Buffer | undefined {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new SealBroken(`the seal key ${path} cannot be read`, { cause: error })
  }
  try {
    const others = fstatSync(file).mode & 0o077
    if (others !== 0)
      throw new SealBroken(`the seal key ${path} is open to other users: chmod 600 it, and change what it sealed if they read it`)
    const key = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64')
    if (key.length !== KEY_BYTES) throw new SealBroken(`${path} is not a seal key: put the right one back from a backup`)
    return key
  } finally {
    closeSync(file)
  }
}

/** Written whole under another name, then linked: whoever sees the file sees all of it, and an existing one is never replaced. */
function createKey(path: string): Buffer {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  const file = openSync(draft, 'wx', 0o600)
  try {
    writeSync(file, `${randomBytes(KEY_BYTES).toString('base64')}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  try {
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(draft)
  }
  const folder = openSync(dirname(path), 'r')
  fsyncSync(folder)
  closeSync(folder)
  return readKey(path)!
}
