/** The wire format of DNS (RFC 1035 §4), as much of it as a health monitor asks and reads. */

export const MAX_DNS_BYTES = 65_535

export interface DnsRecord {
  readonly type: number
  /** Its data as a zone file would have it; hex for types that have no form here. */
  readonly text: string
}

export type DnsAnswer =
  | { readonly is: 'malformed'; readonly reason: string }
  | {
      readonly is: 'answer'
      readonly id: number
      readonly rcode: number
      /** Cut off: to be asked for again over TCP. */
      readonly isTruncated: boolean
      readonly records: readonly DnsRecord[]
    }

const HEAD_BYTES = 12
const CLASS_IN = 1
/** Type of a pseudo record that belongs to no name (RFC 6891). */
const OPT = 41
/** No answer that a monitor needs has more. */
const MAX_RECORDS = 512

/**
 * A query for one record with recursion desired.
 *
 * Shapes  name: labels of at most 63 bytes, with or without the last dot
 */
export function formatQuery(id: number, name: string, type: number): Buffer {
  const labels = name.split('.').filter(label => label !== '')
  const encoded = labels.map(label => Buffer.concat([Buffer.from([Buffer.byteLength(label, 'latin1')]), Buffer.from(label, 'latin1')]))
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt16BE(id, 0)
  head.writeUInt16BE(0x0100, 2)
  head.writeUInt16BE(1, 4)
  const tail = Buffer.alloc(5)
  tail.writeUInt16BE(type, 1)
  tail.writeUInt16BE(CLASS_IN, 3)
  return Buffer.concat([head, ...encoded, tail])
}

class Cut extends Error {}

class Reader {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  uint8(): number {
    if (this.at + 1 > this.#bytes.length) throw new Cut()
    return this.#bytes[this.at++]!
  }

  uint16(): number {
    return (this.uint8() << 8) | this.uint8()
  }

  uint32(): number {
    return this.uint16() * 65_536 + this.uint16()
  }

  take(length: number): Buffer {
    if (length < 0 || this.at + length > this.#bytes.length) throw new Cut()
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  /** A domain name; pointers (RFC 1035 §4.1.4) only lead back, so that no answer makes it run in circles. */
  name(): string {
    const labels: string[] = []
    let at = this.at
    let lowest = at
    let isMoved = false
    let length = 0
    for (;;) {
      const size = this.#bytes[at]
      if (size === undefined) throw new Cut()
      if (size >= 0xc0) {
        const target = ((size & 0x3f) << 8) | (this.#bytes[at + 1] ?? 0)
        if (!isMoved) this.at = at + 2
        if (target >= lowest || at + 2 > this.#bytes.length) throw new Cut()
        isMoved = true
        at = target
        lowest = target
        continue
      }
      if (size > 63 || at + 1 + size > this.#bytes.length) throw new Cut()
      at += 1
      if (size === 0) break
      length += size + 1
      if (length > 255) throw new Cut()
      labels.push(this.#bytes.toString('latin1', at, at + size))
      at += size
    }
    if (!isMoved) this.at = at
    return labels.length === 0 ? '.' : labels.join('.')
  }

  string(): string {
    return this.take(this.uint8()).toString('latin1')
  }
}

function formatIpv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16))
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)
}

/** The data of one record as text. Throws Cut when it does not fit its type. */
function formatData(reader: Reader, type: number, length: number): string {
  const end = reader.at + length
  switch (type) {
    case 1:
      return length === 4 ? [...reader.take(4)].join('.') : reader.take(-1).toString()
    case 28:
      return length === 16 ? formatIpv6(reader.take(16)) : reader.take(-1).toString()
    case 2:
    case 5:
    case 12:
      return reader.name()
    case 15:
      return `${reader.uint16()} ${reader.name()}`
    case 33:
      return `${reader.uint16()} ${reader.uint16()} ${reader.uint16()} ${reader.name()}`
    case 6:
      return `${reader.name()} ${reader.name()} ${reader.uint32()} ${reader.uint32()} ${reader.uint32()} ${reader.uint32()} ${reader.uint32()}`
    case 17:
      return `${reader.name()} ${reader.name()}`
    case 13:
    case 16: {
      const texts: string[] = []
      while (reader.at < end) texts.push(reader.string())
      return type === 16 ? texts.join('') : texts.join(' ')
    }
    default:
      return reader.take(length).toString('hex')
  }
}

/** Reads one datagram, or one message of a stream without its length. Never throws. */
export function parseDnsAnswer(bytes: Buffer): DnsAnswer {
  try {
    return read(bytes)
  } catch (error) {
    if (error instanceof Cut) return { is: 'malformed', reason: 'it is no DNS message, or cut off' }
    throw error
  }
}

function read(bytes: Buffer): DnsAnswer {
  const reader = new Reader(bytes, 0)
  const id = reader.uint16()
  const flags = reader.uint16()
  const questions = reader.uint16()
  const answers = reader.uint16()
  reader.take(4)
  if ((flags & 0x8000) === 0) return { is: 'malformed', reason: 'it is a query' }
  const isTruncated = (flags & 0x0200) !== 0
  const rcode = flags & 0x000f
  const records: DnsRecord[] = []
  // A truncated answer may end anywhere: what it holds is not looked at.
  if (isTruncated) return { is: 'answer', id, rcode, isTruncated, records }
  if (questions > 1) return { is: 'malformed', reason: 'it has more than one question' }
  for (let i = 0; i < questions; i++) {
    reader.name()
    reader.take(4)
  }
  for (let i = 0; i < Math.min(answers, MAX_RECORDS); i++) {
    reader.name()
    const type = reader.uint16()
    reader.take(6)
    const length = reader.uint16()
    const end = reader.at + length
    if (end > bytes.length) throw new Cut()
    const text = formatData(reader, type, length)
    if (reader.at !== end) throw new Cut()
    if (type !== OPT) records.push({ type, text })
  }
  return { is: 'answer', id, rcode, isTruncated, records }
}
