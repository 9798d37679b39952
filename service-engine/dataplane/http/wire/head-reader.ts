/**
 * Message heads off bytes: validated by table while their parts are found, in one pass, and made strings only once the
 * head is whole. What is not exactly right is refused, never mended. RFC 9112 §2 to §5.
 */
import { Fault } from '#engine/base/fault.ts'
import { makeHostReader } from '../head.ts'
import { COLON, CR, HT, LF, SP, TARGET, TOKEN, VALUE } from './bytes.ts'

/** More bytes are needed. */
export const INCOMPLETE = -1
const BROKEN = -2
const TOO_MANY = -3

/** Names that most fields have: found without making a string of them. */
const commonNames: readonly string[] = `
  accept accept-encoding accept-language accept-ranges access-control-allow-origin age alt-svc authorization cache-control
  connection content-disposition content-encoding content-length content-security-policy content-type cookie date etag expect
  expires host if-modified-since if-none-match keep-alive last-modified link location origin pragma priority range referer
  referrer-policy sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user server
  set-cookie strict-transport-security te traceparent trailer transfer-encoding upgrade user-agent vary upgrade-insecure-requests
  via www-authenticate x-content-type-options x-forwarded-for x-forwarded-host x-forwarded-proto x-frame-options x-powered-by
  x-request-id x-requested-with x-xss-protection
`
  .trim()
  .split(/\s+/)

/** By length, first and last letter, whatever their case. */
const slotOf = (length: number, first: number, last: number): number => (length * 67 + (first | 32) * 5 + (last | 32)) & 1023
const nameSlots: readonly (string | undefined)[] = makeNameSlots()

function makeNameSlots(): (string | undefined)[] {
  const slots: (string | undefined)[] = Array.from({ length: 1024 }, () => undefined)
  for (const name of commonNames) slots[slotOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1))] = name
  return slots
}

/** The name that stands there, in lower case; undefined when it is none of the common ones. */
function knownName(text: string, from: number, to: number): string | undefined {
  const name = nameSlots[slotOf(to - from, text.charCodeAt(from), text.charCodeAt(to - 1))]
  if (name === undefined || name.length !== to - from) return undefined
  for (let i = 0; i < name.length; i++) {
    const code = text.charCodeAt(from + i)
    const isSame = code === name.charCodeAt(i) || (code >= 65 && code <= 90 && (code | 32) === name.charCodeAt(i))
    if (!isSame) return undefined
  }
  return name
}

/** Finds fields up to the empty line behind them. */
export class FieldScanner {
  /** Four offsets a field: name, its end, value, its end. */
  readonly #offsets: Uint32Array
  #count = 0

  constructor(maxCount: number) {
    this.#offsets = new Uint32Array(4 * maxCount)
  }

  /**
   * Returns the offset behind the empty line, or `INCOMPLETE`, or another negative number: a fault
   * Source  RFC 9112 §5; no white space before the colon, no folding, no bare CR or LF
   */
  scan(bytes: Uint8Array, from: number, to: number): number {
    const offsets = this.#offsets
    let used = 0
    let at = from
    for (;;) {
      if (at >= to) return INCOMPLETE
      let byte = bytes[at]!
      if (byte === CR) {
        if (at + 1 >= to) return INCOMPLETE
        if (bytes[at + 1] !== LF) return BROKEN
        this.#count = used
        return at + 2
      }
      const nameAt = at
      while (TOKEN[byte] === 1) {
        if (++at >= to) return INCOMPLETE
        byte = bytes[at]!
      }
      if (byte !== COLON || at === nameAt) return BROKEN
      const nameEnd = at
      do {
        if (++at >= to) return INCOMPLETE
        byte = bytes[at]!
      } while (byte === SP || byte === HT)
      const valueAt = at
      let valueEnd = at
      for (let kind = VALUE[byte]!; kind !== 0; kind = VALUE[byte]!) {
        if (++at >= to) return INCOMPLETE
        if (kind === 1) valueEnd = at
        byte = bytes[at]!
      }
      if (byte !== CR) return BROKEN
      if (at + 1 >= to) return INCOMPLETE
      if (bytes[at + 1] !== LF) return BROKEN
      if (used === offsets.length) return TOO_MANY
      offsets[used] = nameAt
      offsets[used + 1] = nameEnd
      offsets[used + 2] = valueAt
      offsets[used + 3] = valueEnd
      used += 4
      at += 2
    }
  }

  /** The fields of the last scan, flat, with lower-case names. `text` is what the bytes from `base` on say. */
  list(text: string, base: number): string[] {
    const offsets = this.#offsets
    const count = this.#count
    const headers: string[] = []
    for (let i = 0; i < count; i += 4) {
      const nameAt = offsets[i]! - base
      const nameEnd = offsets[i + 1]! - base
      const name = knownName(text, nameAt, nameEnd) ?? text.substring(nameAt, nameEnd).toLowerCase()
      headers.push(name, text.substring(offsets[i + 2]! - base, offsets[i + 3]! - base))
    }
    return headers
  }
}

export interface HeadSize {
  readonly maxHeaderBytes: number
  readonly maxHeaderCount: number
}

const bad = (what: string): Fault => new Fault('DOWNSTREAM_BAD_REQUEST', what)

/** `HTTP/1.1` and `HTTP/1.0` are the same but for the last byte. */
const VERSION = Buffer.from('HTTP/1.')
const DIGIT_0 = 48
const DIGIT_9 = 57

const isDigit = (byte: number): boolean => byte >= DIGIT_0 && byte <= DIGIT_9

/** Request heads, one after another; its fields hold what the last whole one said. */
export class RequestReader {
  method = ''
  target = ''
  version: '1.0' | '1.1' = '1.1'
  /** Flat, lower-case names, values without surrounding white space. */
  headers: string[] = []
  /** Remembers the last one. */
  readonly hostOf = makeHostReader()
  readonly #size: HeadSize
  readonly #fields: FieldScanner

  constructor(size: HeadSize) {
    this.#size = size
    this.#fields = new FieldScanner(size.maxHeaderCount)
  }

  /**
   * Reads a head that begins at `from`. Nothing is kept of one that is incomplete: it is read from its beginning again.
   *
   * Returns the offset behind the head, `INCOMPLETE`, or why it is refused
   * Source  RFC 9112 §2.2 (one empty line before it is passed over), §3
   */
  read(bytes: Buffer, from: number, to: number): number | Fault {
    let at = from
    if (bytes[at] === CR && at < to) {
      if (at + 1 >= to) return INCOMPLETE
      if (bytes[at + 1] !== LF) return bad('a line that ends without a line feed')
      at += 2
    }
    const start = at
    while (at < to && TOKEN[bytes[at]!] === 1) at++
    const methodEnd = at
    if (at - from > this.#size.maxHeaderBytes) return this.overflow(Infinity, true)!
    if (at < to && (bytes[at] !== SP || at === start)) return bad('a method that is no token')
    const targetAt = at + 1
    at = targetAt
    while (at < to && TARGET[bytes[at]!] === 1) at++
    const targetEnd = at
    if (at - from > this.#size.maxHeaderBytes) return this.overflow(Infinity, true)!
    if (at >= to) return INCOMPLETE
    if (bytes[at] !== SP || at === targetAt) return bad('a request line that is none')
    const versionAt = at + 1
    const lineEnd = versionAt + 8
    for (let i = 0; i < 10; i++) {
      if (versionAt + i >= to) return INCOMPLETE
      const byte = bytes[versionAt + i]!
      if (i === 8 ? byte !== CR : i === 9 ? byte !== LF : i === 5 || i === 7 ? !isDigit(byte) : byte !== (i === 6 ? 46 : VERSION[i]))
        return bad('a request line that is none')
    }
    const minor = bytes[lineEnd - 1]!
    if (bytes[lineEnd - 3] !== 49 || minor > 49) return new Fault('DOWNSTREAM_VERSION_REFUSED', 'a version that is not spoken here')
    if (lineEnd + 2 - from > this.#size.maxHeaderBytes) return this.overflow(Infinity, true)!

    const end = this.#fields.scan(bytes, lineEnd + 2, to)
    if (end === INCOMPLETE) return this.overflow(to - from, false) ?? INCOMPLETE
    if (end === TOO_MANY) return new Fault('DOWNSTREAM_HEADERS_TOO_LARGE', 'too many header fields')
    if (end < 0) return bad('a header field that is not well formed')
    if (end - from > this.#size.maxHeaderBytes) return this.overflow(Infinity, false)!
    const text = bytes.toString('latin1', start, end)
    this.method = text.substring(0, methodEnd - start)
    this.target = text.substring(targetAt - start, targetEnd - start)
    this.version = minor === 49 ? '1.1' : '1.0'
    this.headers = this.#fields.list(text, start)
    return end
  }

  /** What a head of so many bytes that is not whole yet is refused for; undefined while it may go on. */
  overflow(size: number, isInLine: boolean): Fault | undefined {
    if (size <= this.#size.maxHeaderBytes) return undefined
    return isInLine
      ? new Fault('DOWNSTREAM_TARGET_TOO_LONG', `a request line over ${this.#size.maxHeaderBytes} bytes`)
      : new Fault('DOWNSTREAM_HEADERS_TOO_LARGE', `a header over ${this.#size.maxHeaderBytes} bytes`)
  }
}

const garbled = (what: string): Fault => new Fault('UPSTREAM_BAD_RESPONSE', what)

/** Response heads; its fields hold what the last whole one said. */
export class ResponseReader {
  status = 0
  reason = ''
  version: '1.0' | '1.1' = '1.1'
  headers: string[] = []
  readonly #size: HeadSize
  readonly #fields: FieldScanner

  constructor(size: HeadSize) {
    this.#size = size
    this.#fields = new FieldScanner(size.maxHeaderCount)
  }

  /**
   * Reads a head that begins at `from`, or begins again with it.
   *
   * Returns the offset behind the head, `INCOMPLETE`, or why it is refused
   * Source  RFC 9112 §4; a missing reason may lack its space too, as many servers have it
   */
  read(bytes: Buffer, from: number, to: number): number | Fault {
    let at = from
    for (let i = 0; i < 12; i++, at++) {
      if (at >= to) return INCOMPLETE
      const byte = bytes[at]!
      const isRight = i < 7 ? byte === VERSION[i] : i === 7 ? byte === 48 || byte === 49 : i === 8 ? byte === SP : isDigit(byte)
      if (!isRight) return garbled('a status line that is none')
    }
    const reasonAt = bytes[at] === SP ? at + 1 : at
    at = reasonAt
    while (at < to && VALUE[bytes[at]!] !== 0) at++
    if (at - from > this.#size.maxHeaderBytes) return this.#overflow()
    if (at + 1 >= to) return at < to && bytes[at] !== CR ? garbled('a status line that does not end') : INCOMPLETE
    if (bytes[at] !== CR || bytes[at + 1] !== LF || (reasonAt === from + 12 && at > reasonAt)) return garbled('a status line that is none')
    const end = this.#fields.scan(bytes, at + 2, to)
    if (end === INCOMPLETE) return to - from > this.#size.maxHeaderBytes ? this.#overflow() : INCOMPLETE
    if (end === TOO_MANY || end - from > this.#size.maxHeaderBytes) return this.#overflow()
    if (end < 0) return garbled('a header field that is not well formed')
    const text = bytes.toString('latin1', from, end)
    this.status = (bytes[from + 9]! - DIGIT_0) * 100 + (bytes[from + 10]! - DIGIT_0) * 10 + bytes[from + 11]! - DIGIT_0
    if (this.status < 100 || this.status > 599) return garbled('a status that is none')
    this.reason = text.substring(reasonAt - from, at - from)
    this.version = bytes[from + 7] === 49 ? '1.1' : '1.0'
    this.headers = this.#fields.list(text, from)
    return end
  }

  #overflow(): Fault {
    return garbled(`a header over ${this.#size.maxHeaderBytes} bytes`)
  }
}
