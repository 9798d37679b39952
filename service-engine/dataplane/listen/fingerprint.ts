/**
 * Which program a client is, by how it says hello: JA3 (Salesforce, 2017) and JA4 (FoxIO, 2023) of a TLS ClientHello.
 * Both leave out the values that clients draw to be ignored (GREASE, RFC 8701).
 */
import { createHash } from 'node:crypto'
import type { TlsFingerprint } from '../exchange/exchange.ts'
import { helloIn, number } from './client-hello.ts'

const SERVER_NAME = 0
const SUPPORTED_GROUPS = 10
const POINT_FORMATS = 11
const SIGNATURE_ALGORITHMS = 13
const ALPN = 16
const SUPPORTED_VERSIONS = 43
const MOST = 99
const HASH_LETTERS = 12
const NO_HASH = '0'.repeat(HASH_LETTERS)

const versionNames: { readonly [version: number]: string } = { 0x0304: '13', 0x0303: '12', 0x0302: '11', 0x0301: '10', 0x0300: 's3' }

interface Hello {
  readonly version: number
  readonly ciphers: readonly number[]
  /** In order. */
  readonly extensions: ReadonlyMap<number, Uint8Array>
}

/**
 * Fingerprints of a client.
 *
 * Shapes  bytes: what came from the beginning of the connection; a whole ClientHello
 * Returns undefined for what is not one
 */
export function readFingerprint(bytes: Uint8Array): TlsFingerprint | undefined {
  const message = helloIn(bytes)
  const hello = message instanceof Uint8Array ? readHello(message) : undefined
  return hello === undefined ? undefined : { ja3: ja3Of(hello), ja4: ja4Of(hello) }
}

function readHello(message: Uint8Array): Hello | undefined {
  // legacy_version, random, session id
  let at = 35 + number(message, 34, 1)
  const ciphers = numbersIn(message, at, 2)
  at += 2 + number(message, at, 2)
  at += 1 + number(message, at, 1)
  const extensions = new Map<number, Uint8Array>()
  const end = at === message.length ? at : at + 2 + number(message, at, 2)
  if (!(end <= message.length)) return undefined
  for (at += 2; at < end;) {
    const size = number(message, at + 2, 2)
    if (!(at + 4 + size <= end)) return undefined
    const kind = number(message, at, 2)
    if (!isGrease(kind)) extensions.set(kind, message.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  return { version: number(message, 0, 2), ciphers, extensions }
}

const isGrease = (value: number): boolean => (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff)

/** Numbers of two bytes behind their length, which takes `lengthBytes`. */
function numbersIn(bytes: Uint8Array | undefined, from: number, lengthBytes: number): number[] {
  if (bytes === undefined) return []
  const end = Math.min(from + lengthBytes + number(bytes, from, lengthBytes), bytes.length)
  const values: number[] = []
  for (let at = from + lengthBytes; at + 2 <= end; at += 2) values.push(number(bytes, at, 2))
  return values.filter(value => !isGrease(value))
}

function ja3Of({ version, ciphers, extensions }: Hello): string {
  const formats = [...(extensions.get(POINT_FORMATS)?.subarray(1) ?? [])]
  const lists = [ciphers, [...extensions.keys()], numbersIn(extensions.get(SUPPORTED_GROUPS), 0, 2), formats]
  return createHash('md5')
    .update([version, ...lists.map(list => list.join('-'))].join(','))
    .digest('hex')
}

function ja4Of({ version: said, ciphers, extensions }: Hello): string {
  const version = Math.max(0, ...numbersIn(extensions.get(SUPPORTED_VERSIONS), 0, 1)) || said
  const kinds = [...extensions.keys()]
  const algorithms = numbersIn(extensions.get(SIGNATURE_ALGORITHMS), 0, 2).map(hex).join()
  const listed = sorted(kinds.filter(kind => kind !== SERVER_NAME && kind !== ALPN))
  return [
    `t${versionNames[version] ?? '00'}${extensions.has(SERVER_NAME) ? 'd' : 'i'}${count(ciphers)}${count(kinds)}${protocolIn(extensions.get(ALPN))}`,
    ciphers.length === 0 ? NO_HASH : shortHash(sorted(ciphers)),
    kinds.length === 0 ? NO_HASH : shortHash(algorithms === '' ? listed : `${listed}_${algorithms}`)
  ].join('_')
}

const hex = (value: number): string => value.toString(16).padStart(4, '0')
const sorted = (values: readonly number[]): string => values.map(hex).toSorted().join()
const count = (values: readonly number[]): string => String(Math.min(MOST, values.length)).padStart(2, '0')
const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, HASH_LETTERS)

/** The first and the last character of the protocol that the client likes best; of their bytes, where they are no letters. */
function protocolIn(alpn: Uint8Array | undefined): string {
  const size = alpn === undefined ? 0 : number(alpn, 2, 1)
  const name = alpn === undefined || !(size > 0) ? undefined : Buffer.from(alpn.subarray(3, 3 + size))
  if (name === undefined || name.length === 0) return '00'
  const [first, last] = [name.subarray(0, 1), name.subarray(-1)]
  const ends = first.toString('latin1') + last.toString('latin1')
  return /^[A-Za-z0-9]{2}$/.test(ends) ? ends : first.toString('hex')[0]! + last.toString('hex')[1]!
}
