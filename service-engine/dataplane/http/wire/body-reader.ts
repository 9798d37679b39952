/** Bodies off bytes, whatever frames them. RFC 9112 §6 and §7. */
import type { BodyFraming } from '../../exchange/exchange.ts'
import { CR, EMPTY, HEX, LF, SEMICOLON, VALUE } from './bytes.ts'
import { FieldScanner, INCOMPLETE } from './head-reader.ts'

/** `close`: up to the end of the connection. */
export type Framing = BodyFraming | 'close'

/** 2^48 is more than anybody sends and still exact. */
const MAX_SIZE_DIGITS = 12
/** Extensions are of no use here: what is more than a few of them is an attack. */
const MAX_EXTENSION_BYTES = 4_096
const MAX_TRAILER_BYTES = 8_192
const MAX_TRAILER_COUNT = 64

/**
 *   size -> (extension ->) size line feed -> data -> data CR -> data LF -> size ...
 *   a size of 0 leads to the trailer section, and that to done
 */
const SIZE = 0
const EXTENSION = 1
const SIZE_LF = 2
const DATA = 3
const DATA_CR = 4
const DATA_LF = 5
const TRAILERS = 6

export class BodyReader {
  isDone = true
  /** What came is not framed as it should be; where the message ends is not known any more. */
  isBroken = false
  /** The range of data that the last `read` found, contiguous; empty when both are equal. */
  dataAt = 0
  dataEnd = 0
  /** Flat; there when the body is done. */
  trailers: readonly string[] = []
  framing: Framing = 'none'
  #left = 0
  #state = SIZE
  #digits = 0
  #extensionBytes = 0
  #carry: Buffer = EMPTY

  /** Another body begins. */
  begin(framing: Framing, length: number): void {
    this.framing = framing
    this.#left = length
    this.isDone = framing === 'none' || (framing === 'length' && length === 0)
    this.isBroken = false
    this.trailers = []
    this.#state = SIZE
    this.#digits = 0
    this.#extensionBytes = 0
    this.#carry = EMPTY
    if (framing === 'chunked') this.#left = 0
  }

  /**
   * Takes what belongs to the body. Chunks are joined in place, over their own framing: `bytes` must be ours to change.
   *
   * Returns the offset of the first byte that was not taken
   */
  read(bytes: Buffer, from: number, to: number): number {
    if (this.framing === 'chunked') return this.#readChunks(bytes, from, to)
    const size = this.framing === 'close' ? to - from : Math.min(this.#left, to - from)
    this.dataAt = from
    this.dataEnd = from + size
    if (this.framing !== 'close') {
      this.#left -= size
      this.isDone = this.#left === 0
    }
    return this.dataEnd
  }

  #readChunks(bytes: Buffer, from: number, to: number): number {
    let at = from
    let dataAt = from
    let dataEnd = from
    while (at < to && !this.isDone && !this.isBroken) {
      if (this.#state === DATA) {
        const size = Math.min(this.#left, to - at)
        if (dataAt === dataEnd) dataAt = at
        else bytes.copyWithin(dataEnd, at, at + size)
        dataEnd = dataAt === at ? at + size : dataEnd + size
        this.#left -= size
        at += size
        if (this.#left === 0) this.#state = DATA_CR
      } else if (this.#state === TRAILERS) at = this.#readTrailers(bytes, at, to)
      else this.#frame(bytes[at++]!)
    }
    this.dataAt = dataAt
    this.dataEnd = dataEnd
    return at
  }

  /** One byte of what stands around the data. */
  #frame(byte: number): void {
    switch (this.#state) {
      case SIZE: {
        const digit = HEX[byte]!
        if (digit < 16) {
          this.#left = this.#left * 16 + digit
          if (++this.#digits > MAX_SIZE_DIGITS) this.isBroken = true
        } else if (this.#digits === 0) this.isBroken = true
        else if (byte === CR) this.#state = SIZE_LF
        else if (byte === SEMICOLON) this.#state = EXTENSION
        else this.isBroken = true
        return
      }
      case EXTENSION:
        if (byte === CR) this.#state = SIZE_LF
        else if (VALUE[byte] === 0 || ++this.#extensionBytes > MAX_EXTENSION_BYTES) this.isBroken = true
        return
      case SIZE_LF:
        this.#digits = 0
        if (byte !== LF) this.isBroken = true
        else this.#state = this.#left === 0 ? TRAILERS : DATA
        return
      case DATA_CR:
        if (byte === CR) this.#state = DATA_LF
        else this.isBroken = true
        return
      default:
        if (byte === LF) this.#state = SIZE
        else this.isBroken = true
    }
  }

  #readTrailers(bytes: Buffer, from: number, to: number): number {
    // Without any, which is what nearly everybody sends.
    if (this.#carry.length === 0 && to - from >= 2 && bytes[from] === CR && bytes[from + 1] === LF) {
      this.isDone = true
      return from + 2
    }
    const before = this.#carry.length
    const section = Buffer.concat([this.#carry, bytes.subarray(from, Math.min(to, from + MAX_TRAILER_BYTES + 1 - before))])
    const scanner = new FieldScanner(MAX_TRAILER_COUNT)
    const end = scanner.scan(section, 0, section.length)
    if (end === INCOMPLETE && section.length <= MAX_TRAILER_BYTES) {
      this.#carry = section
      return to
    }
    if (end < 0) {
      this.isBroken = true
      return from
    }
    this.trailers = scanner.list(section.toString('latin1', 0, end), 0)
    this.#carry = EMPTY
    this.isDone = true
    return from + end - before
  }
}
