/** Header compression: blocks of fields in and out. RFC 7541. */
import { decodeHuffman } from './huffman.ts'

/** RFC 7541, Appendix A; the first has index 1. */
const staticFields: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', '']
]
const STATIC = staticFields.length
const FIELD_OVERHEAD = 32
/** What we let a peer keep with us; the protocol's own value, which needs no saying. */
const TABLE_BYTES = 4_096

/** What a block was: fields; more than the limit, though understood; or not a block at all, after which nothing can be read. */
export type BlockResult = 'fields' | 'too-large' | 'broken'

/** Decodes the blocks of one direction of a connection, each whole. */
export class HpackDecoder {
  /** Of the last block: [name, value ...] in order. */
  fields: string[] = []
  readonly #maxListBytes: number
  readonly #scratch: Buffer
  /** Newest first is from the end. */
  readonly #names: string[] = []
  readonly #values: string[] = []
  #first = 0
  #tableBytes = 0
  #maxTableBytes = TABLE_BYTES
  #at = 0
  #listBytes = 0
  #text = ''

  /**
   * Shapes  maxListBytes: of names and values; what is beyond is understood, so that the next block can be, but not kept.
   *         scratch: as large as a block may be, times 8/5; may be shared by all decoders of a thread
   */
  constructor(maxListBytes: number, scratch: Buffer) {
    this.#maxListBytes = maxListBytes
    this.#scratch = scratch
  }

  decode(bytes: Buffer, from: number, to: number): BlockResult {
    this.#at = from
    this.#listBytes = 0
    this.fields = []
    let mayResize = true
    while (this.#at < to) {
      const byte = bytes[this.#at]!
      if (byte >= 0x80) {
        const index = this.#integer(bytes, to, 7)
        if (index <= 0 || !this.#has(index)) return 'broken'
        this.#keep(this.#nameAt(index), this.#valueAt(index))
        mayResize = false
      } else if ((byte & 0xe0) === 0x20) {
        const size = this.#integer(bytes, to, 5)
        if (!mayResize || size < 0 || size > TABLE_BYTES) return 'broken'
        this.#maxTableBytes = size
        this.#evict(0)
      } else {
        mayResize = false
        const isKept = (byte & 0xc0) === 0x40
        const index = this.#integer(bytes, to, isKept ? 6 : 4)
        if (index < 0 || (index > 0 && !this.#has(index))) return 'broken'
        let name: string
        if (index > 0) name = this.#nameAt(index)
        else {
          if (!this.#string(bytes, to)) return 'broken'
          name = this.#text
        }
        if (!this.#string(bytes, to)) return 'broken'
        if (isKept) this.#insert(name, this.#text)
        this.#keep(name, this.#text)
      }
    }
    return this.#listBytes > this.#maxListBytes ? 'too-large' : 'fields'
  }

  #keep(name: string, value: string): void {
    this.#listBytes += name.length + value.length
    if (this.#listBytes <= this.#maxListBytes) this.fields.push(name, value)
  }

  #has(index: number): boolean {
    return index <= STATIC + this.#names.length - this.#first
  }

  #nameAt(index: number): string {
    return index <= STATIC ? staticFields[index - 1]![0] : this.#names[this.#names.length - (index - STATIC)]!
  }

  #valueAt(index: number): string {
    return index <= STATIC ? staticFields[index - 1]![1] : this.#values[this.#values.length - (index - STATIC)]!
  }

  #insert(name: string, value: string): void {
    const size = name.length + value.length + FIELD_OVERHEAD
    this.#evict(size)
    if (size > this.#maxTableBytes) return
    this.#names.push(name)
    this.#values.push(value)
    this.#tableBytes += size
  }

  /** Makes room for so many bytes. */
  #evict(room: number): void {
    while (this.#first < this.#names.length && this.#tableBytes + room > this.#maxTableBytes) {
      this.#tableBytes -= this.#names[this.#first]!.length + this.#values[this.#first]!.length + FIELD_OVERHEAD
      this.#names[this.#first] = ''
      this.#values[this.#first] = ''
      this.#first++
    }
    if (this.#first < 64) return
    this.#names.splice(0, this.#first)
    this.#values.splice(0, this.#first)
    this.#first = 0
  }

  /** -1 for one that does not end, or is larger than anything here. */
  #integer(bytes: Buffer, to: number, bits: number): number {
    const limit = (1 << bits) - 1
    let value = bytes[this.#at++]! & limit
    if (value < limit) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= to) return -1
      const byte = bytes[this.#at++]!
      value += (byte & 127) << shift
      if (byte < 128) return value
    }
    return -1
  }

  #string(bytes: Buffer, to: number): boolean {
    if (this.#at >= to) return false
    const isCoded = bytes[this.#at]! >= 0x80
    const length = this.#integer(bytes, to, 7)
    const from = this.#at
    if (length < 0 || from + length > to) return false
    this.#at = from + length
    if (!isCoded) {
      this.#text = bytes.toString('latin1', from, from + length)
      return true
    }
    const size = decodeHuffman(bytes, from, from + length, this.#scratch)
    if (size < 0) return false
    this.#text = this.#scratch.toString('latin1', 0, size)
    return true
  }
}

const indexOfName = new Map<string, number>()
const indexOfField = new Map<string, number>()
for (const [i, [name, value]] of staticFields.entries()) {
  if (!indexOfName.has(name)) indexOfName.set(name, i + 1)
  if (value !== '') indexOfField.set(`${name} ${value}`, i + 1)
}

/** The most bytes that a block of these fields takes. */
export function blockRoom(fields: readonly string[]): number {
  let room = 1
  for (let i = 0; i < fields.length; i++) room += fields[i]!.length + 5
  return room
}

/** As `putBlock`, into a buffer of its own. */
export function encodeBlock(fields: readonly string[], isFirst: boolean): Buffer {
  const out = Buffer.allocUnsafe(blockRoom(fields))
  return out.subarray(0, putBlock(out, 0, fields, isFirst))
}

/**
 * A block of fields that asks its reader to keep nothing: static names, values as they are.
 *
 * Shapes  out: has `blockRoom` behind `from`. fields: flat, well formed, latin1. isFirst: of the connection; says that no
 *         table is used, whatever its size
 * Returns the offset behind the block
 */
export function putBlock(out: Buffer, from: number, fields: readonly string[], isFirst: boolean): number {
  let at = from
  if (isFirst) out[at++] = 0x20
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    const known = indexOfName.get(name)
    const whole = known === undefined || known > 16 ? undefined : indexOfField.get(`${name} ${value}`)
    if (whole !== undefined) {
      out[at++] = 0x80 | whole
      continue
    }
    if (known === undefined) {
      out[at++] = 0
      at = putString(out, at, name)
    } else at = putInteger(out, at, known, 4)
    at = putString(out, at, value)
  }
  return at
}

/** Up to so many bytes a loop is faster than the way into the runtime. */
const SHORT = 24

function putString(out: Buffer, from: number, text: string): number {
  const { length } = text
  const at = putInteger(out, from, length, 7)
  if (length > SHORT) return at + out.write(text, at, 'latin1')
  for (let i = 0; i < length; i++) out[at + i] = text.charCodeAt(i)
  return at + length
}

function putInteger(out: Buffer, from: number, value: number, bits: number): number {
  let at = from
  const limit = (1 << bits) - 1
  if (value < limit) {
    out[at++] = value
    return at
  }
  out[at++] = limit
  let rest = value - limit
  for (; rest >= 128; rest >>>= 7) out[at++] = (rest & 127) | 128
  out[at++] = rest
  return at
}
