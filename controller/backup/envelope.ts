/**
 * The encryption of a backup: a stream of chunks, each sealed with its place in the stream and whether it is the last, so that
 * one that was changed, moved, left out or cut off is noticed before anything of it is used.
 *
 *   file  := "WEIRBACKUP" version(1) salt(16) prefix(7) chunk*
 *   chunk := AES-256-GCM of up to 65,536 bytes, then its tag(16); all but the last are full
 *   nonce := prefix(7) counter(4, big-endian) isLast(1)
 *
 * Source  V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
 *         Misuse-Resistance", CRYPTO 2015 (STREAM); NIST SP 800-38D
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto'

const MAGIC = Buffer.from('WEIRBACKUP')
const VERSION = 1
const SALT_BYTES = 16
const PREFIX_BYTES = 7
const HEADER_BYTES = MAGIC.length + 1 + SALT_BYTES + PREFIX_BYTES
const CHUNK_BYTES = 65_536
const TAG_BYTES = 16
/** 256 TiB of file: beyond it the counter would come round. */
const CHUNKS_MAX = 2 ** 32

export const PASSPHRASE_MIN_LENGTH = 12
export const PASSPHRASE_MAX_LENGTH = 1_024

/** A file that is no backup, was changed, or does not open; the message is one line for a person. */
export class BackupBroken extends Error {
  override readonly name = 'BackupBroken'
}

export type DeriveKey = (passphrase: string, salt: Buffer) => Promise<Buffer>

/** scrypt (RFC 7914) at 128 MiB: about half a second of one core for each guess. Part of version 1. */
export const slowKey: DeriveKey = (passphrase, salt) =>
  new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFKC'), salt, 32, { N: 2 ** 17, r: 8, p: 1, maxmem: 2 ** 28 }, (error, key) => {
      if (error === null) resolve(key)
      else reject(error)
    })
  })

function nonceOf(header: Buffer, counter: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  header.copy(nonce, 0, HEADER_BYTES - PREFIX_BYTES)
  nonce.writeUInt32BE(counter, PREFIX_BYTES)
  nonce[11] = isLast ? 1 : 0
  return nonce
}

/**
 * Encrypts a stream.
 *
 * Cost  memory of a few chunks, however long the stream is
 */
export async function* encrypt(
  plain: AsyncIterable<Uint8Array>,
  passphrase: string,
  deriveKey: DeriveKey = slowKey
): AsyncGenerator<Buffer, void, void> {
  const header = Buffer.concat([MAGIC, Buffer.from([VERSION]), randomBytes(SALT_BYTES + PREFIX_BYTES)])
  const key = await deriveKey(passphrase, header.subarray(MAGIC.length + 1, MAGIC.length + 1 + SALT_BYTES))
  yield header
  let counter = 0
  const seal = (chunk: Buffer, isLast: boolean): Buffer => {
    if (counter >= CHUNKS_MAX) throw new RangeError('a backup cannot be so large')
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(header, counter++, isLast), { authTagLength: TAG_BYTES })
    cipher.setAAD(header)
    return Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()])
  }
  let waiting: Buffer = Buffer.alloc(0)
  for await (const piece of plain) {
    waiting = Buffer.concat([waiting, piece])
    let at = 0
    // Only what something follows is known not to be the last.
    for (; waiting.length - at > CHUNK_BYTES; at += CHUNK_BYTES) yield seal(waiting.subarray(at, at + CHUNK_BYTES), false)
    waiting = waiting.subarray(at)
  }
  yield seal(waiting, true)
}

/**
 * Decrypts a stream; what comes out was in it, in this place, and the stream ends only when all of it was there.
 *
 * Throws  BackupBroken
 * Cost    memory of a few chunks, however long the stream is
 */
export async function* decrypt(
  sealed: AsyncIterable<Uint8Array>,
  passphrase: string,
  deriveKey: DeriveKey = slowKey
): AsyncGenerator<Buffer, void, void> {
  let waiting: Buffer = Buffer.alloc(0)
  let header: Buffer | undefined
  let key: Buffer | undefined
  let counter = 0
  const open = (chunk: Buffer, isLast: boolean): Buffer => {
    const cut = 'the backup is cut off'
    if (header === undefined || key === undefined) throw new BackupBroken(counter === 0 ? 'this is not a backup of Weir' : cut)
    if (chunk.length < TAG_BYTES || counter >= CHUNKS_MAX) throw new BackupBroken(cut)
    const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(header, counter, isLast), { authTagLength: TAG_BYTES })
    decipher.setAAD(header)
    decipher.setAuthTag(chunk.subarray(chunk.length - TAG_BYTES))
    try {
      const plain = Buffer.concat([decipher.update(chunk.subarray(0, chunk.length - TAG_BYTES)), decipher.final()])
      counter++
      return plain
    } catch (cause) {
      const what = counter === 0 ? 'the passphrase is wrong, or the backup was changed' : 'the backup was changed or is cut off'
      throw new BackupBroken(what, { cause })
    }
  }
  for await (const piece of sealed) {
    waiting = Buffer.concat([waiting, piece])
    if (header === undefined) {
      if (!MAGIC.subarray(0, waiting.length).equals(waiting.subarray(0, MAGIC.length)))
        throw new BackupBroken('this is not a backup of Weir')
      if (waiting.length < HEADER_BYTES) continue
      const version = waiting[MAGIC.length]!
      if (version !== VERSION)
        throw new BackupBroken(`the backup has format ${version}, this program knows ${VERSION}: restore it with the version that made it`)
      header = Buffer.from(waiting.subarray(0, HEADER_BYTES))
      key = await deriveKey(passphrase, header.subarray(MAGIC.length + 1, MAGIC.length + 1 + SALT_BYTES))
      waiting = waiting.subarray(HEADER_BYTES)
    }
    let at = 0
    const frame = CHUNK_BYTES + TAG_BYTES
    for (; waiting.length - at > frame; at += frame) yield open(waiting.subarray(at, at + frame), false)
    waiting = waiting.subarray(at)
  }
  yield open(waiting, true)
}
