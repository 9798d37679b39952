/** The cookie that names a client's server, readable to our engines alone. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Longer is not ours. */
const MAX_LENGTH = 512
/** Cookies that were opened before; what is beyond is opened again. */
const MAX_KNOWN = 4096

export interface Binding {
  readonly serverId: string
  readonly atS: number
}

/**
 * Seals and opens cookies under one key.
 *
 * Shapes  key: 32 bytes. poolId: a cookie of another pool does not open
 */
export class ServerCookie {
  readonly #key: Buffer
  readonly #poolId: Buffer
  readonly #known = new Map<string, Binding>()

  constructor(keyBase64: string, poolId: string) {
    this.#key = Buffer.from(keyBase64, 'base64')
    this.#poolId = Buffer.from(poolId)
  }

  seal({ serverId, atS }: Binding): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(this.#poolId)
    const body = Buffer.concat([cipher.update(`${atS} ${serverId}`, 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')
  }

  /** Undefined for anything that this key has not sealed for this pool. */
  open(value: string): Binding | undefined {
    const known = this.#known.get(value)
    if (known !== undefined) return known
    if (value.length > MAX_LENGTH) return undefined
    const bytes = Buffer.from(value, 'base64url')
    if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    decipher.setAAD(this.#poolId)
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8')
      const space = text.indexOf(' ')
      const binding = { atS: Number(text.slice(0, space)), serverId: text.slice(space + 1) }
      if (this.#known.size >= MAX_KNOWN) this.#known.clear()
      this.#known.set(value, binding)
      return binding
    } catch {
      return undefined
    }
  }
}
