/** DER (X.690), as far as certificates, revocation lists and OCSP need it: a strict reader over bytes, and a writer. */

export interface DerNode {
  readonly tag: number
  /** Of its first byte. */
  readonly from: number
  /** Of its contents. */
  readonly start: number
  /** Behind its last byte. */
  readonly end: number
}

export const DER = {
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  ENUMERATED: 0x0a,
  SEQUENCE: 0x30,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18
} as const

/**
 * The value that begins at `at`.
 *
 * Returns undefined when it is not whole before `limit`, has a tag of more than one byte, or a length that is not the shortest
 * Source  X.690 §8.1, §10.1
 */
export function readDer(bytes: Uint8Array, at = 0, limit = bytes.length): DerNode | undefined {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined || at + 2 > limit || (tag & 0x1f) === 0x1f) return undefined
  let start = at + 2
  let length = first
  if (first >= 0x80) {
    const size = first & 0x7f
    if (size === 0 || size > 4 || start + size > limit) return undefined
    length = 0
    for (let i = 0; i < size; i++) length = length * 256 + bytes[start + i]!
    if (length < 0x80 || bytes[start] === 0) return undefined
    start += size
  }
  const end = start + length
  return end > limit ? undefined : { tag, from: at, start, end }
}

/** What is inside a value, in order; undefined when that is not a row of whole values. */
export function derInside(bytes: Uint8Array, node: DerNode): DerNode[] | undefined {
  const inside: DerNode[] = []
  for (let at = node.start; at < node.end;) {
    const one = readDer(bytes, at, node.end)
    if (one === undefined) return undefined
    inside.push(one)
    at = one.end
  }
  return inside
}

export const derContents = (bytes: Uint8Array, node: DerNode): Uint8Array => bytes.subarray(node.start, node.end)
export const derWhole = (bytes: Uint8Array, node: DerNode): Uint8Array => bytes.subarray(node.from, node.end)
/** Lower-case hex of all of it. */
export const derWholeHex = (bytes: Uint8Array, node: DerNode): string => hexOf(derWhole(bytes, node))

function hexOf(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0')
  return hex
}

/** Lower-case hex of the contents; of an INTEGER without the zeros before it. */
export function derHex(bytes: Uint8Array, node: DerNode): string {
  const hex = hexOf(derContents(bytes, node))
  return node.tag === DER.INTEGER ? hex.replace(/^(?:00)+(?=..)/, '') : hex
}

const timePattern = /^(\d{2,4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/**
 * Epoch milliseconds of a UTCTime or GeneralizedTime; undefined when it is neither.
 *
 * Source  RFC 5280 §4.1.2.5
 */
export function derTime(bytes: Uint8Array, node: DerNode): number | undefined {
  const isUtc = node.tag === DER.UTC_TIME
  if (!isUtc && node.tag !== DER.GENERALIZED_TIME) return undefined
  const text = String.fromCharCode(...derContents(bytes, node).subarray(0, 32))
  const found = timePattern.exec(text)
  if (found === null || text.length !== (isUtc ? 13 : 15)) return undefined
  const [year = 0, month = 0, ...rest] = found.slice(1).map(Number)
  const epochMs = Date.UTC(isUtc ? year + (year < 50 ? 2000 : 1900) : year, month - 1, rest[0], rest[1], rest[2], rest[3])
  return Number.isNaN(epochMs) ? undefined : epochMs
}

/** A value around others. */
export function derOf(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const size: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) size.unshift(rest % 256)
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | size.length, ...size]
  const bytes = new Uint8Array(head.length + length)
  bytes.set(head)
  let at = head.length
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
