/**
 * The PROXY protocol, versions 1 and 2: how a proxy before us says who its client is, and how we say it to a server.
 *
 * Source  https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 */
import { isIPv4, isIPv6 } from 'node:net'

/** One end of a connection. */
export interface Endpoint {
  readonly ip: string
  readonly port: number
}

export type ProxyHeader =
  | { readonly is: 'incomplete' }
  | { readonly is: 'bad'; readonly reason: string }
  /** `source` is null when the proxy speaks for itself (`LOCAL`, `UNKNOWN`): the connection's own ends hold. */
  | { readonly is: 'header'; readonly length: number; readonly source: Endpoint | null; readonly destination: Endpoint | null }

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const V1_START = Buffer.from('PROXY ')
const V1_MAX_LENGTH = 107
const V2_FIXED_LENGTH = 16
/** Addresses and additions; the protocol allows 65,535, and nobody sends that much. */
const V2_MAX_LENGTH = 4_096
/** More than any header that is taken; no reader needs to hold more. */
export const MAX_HEADER_LENGTH = V2_FIXED_LENGTH + V2_MAX_LENGTH

const incomplete: ProxyHeader = { is: 'incomplete' }
const bad = (reason: string): ProxyHeader => ({ is: 'bad', reason })

/**
 * Reads the header at the start of a connection.
 *
 * Shapes  bytes: all that came so far; what follows the header is not looked at
 * Returns `bad` as soon as the bytes cannot become a header; nothing is guessed
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return incomplete
  if (startsAs(bytes, V1_START)) return bytes.length < V1_START.length ? incomplete : readVersion1(bytes)
  if (startsAs(bytes, SIGNATURE)) return bytes.length < V2_FIXED_LENGTH ? incomplete : readVersion2(bytes)
  return bad('no PROXY protocol header')
}

/** Whether the bytes are the start of `what`, or begin with it. */
function startsAs(bytes: Buffer, what: Buffer): boolean {
  const length = Math.min(bytes.length, what.length)
  return bytes.compare(what, 0, length, 0, length) === 0
}

function readVersion1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_MAX_LENGTH).indexOf('\r\n')
  if (end < 0) return bytes.length < V1_MAX_LENGTH ? incomplete : bad('a line that does not end')
  const length = end + 2
  const [, family, from = '', to = '', fromPort = '', toPort = '', ...rest] = bytes.toString('latin1', 0, end).split(' ')
  if (family === 'UNKNOWN') return { is: 'header', length, source: null, destination: null }
  if (family !== 'TCP4' && family !== 'TCP6') return bad('an unknown family')
  const isAddress = family === 'TCP4' ? isIPv4 : isPlainIPv6
  if (rest.length > 0 || !isAddress(from) || !isAddress(to)) return bad('addresses that cannot be read')
  const ports = [portOf(fromPort), portOf(toPort)] as const
  if (ports[0] < 0 || ports[1] < 0) return bad('ports that cannot be read')
  return { is: 'header', length, source: { ip: spelled(from), port: ports[0] }, destination: { ip: spelled(to), port: ports[1] } }
}

/** A zone (`fe80::1%eth0`) means nothing to another host. */
const isPlainIPv6 = (text: string): boolean => isIPv6(text) && !text.includes('%')
const portOf = (text: string): number => (/^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535 ? Number(text) : -1)
/** In its one spelling, so that rules and hashes see one text for one address. */
const spelled = (ip: string): string => (isIPv4(ip) ? ip : formatIPv6(bytesOf6(ip)))

function readVersion2(bytes: Buffer): ProxyHeader {
  const command = bytes[12]!
  const family = bytes[13]!
  const more = bytes.readUInt16BE(14)
  if (command !== 0x20 && command !== 0x21) return bad('an unknown version or command')
  if (more > V2_MAX_LENGTH) return bad('a header that is too long')
  const length = V2_FIXED_LENGTH + more
  if (bytes.length < length) return incomplete
  // A proxy that speaks for itself: whatever it says of addresses is to be passed over.
  if (command === 0x20) return { is: 'header', length, source: null, destination: null }
  const isTcp4 = family === 0x11
  if (!isTcp4 && family !== 0x21) return bad('no addresses of a TCP connection')
  const size = isTcp4 ? 4 : 16
  const additionsAt = V2_FIXED_LENGTH + 2 * size + 4
  if (length < additionsAt) return bad('a header that is too short for its addresses')
  if (!areAdditions(bytes.subarray(additionsAt, length))) return bad('additions that cannot be read')
  const portsAt = V2_FIXED_LENGTH + 2 * size
  const ip = (at: number): string => (isTcp4 ? bytes.subarray(at, at + 4).join('.') : formatIPv6(bytes.subarray(at, at + 16)))
  return {
    is: 'header',
    length,
    source: { ip: ip(V2_FIXED_LENGTH), port: bytes.readUInt16BE(portsAt) },
    destination: { ip: ip(V2_FIXED_LENGTH + size), port: bytes.readUInt16BE(portsAt + 2) }
  }
}

/** Type, length, value, up to the last byte. */
function areAdditions(bytes: Buffer): boolean {
  let at = 0
  while (at < bytes.length) {
    if (at + 3 > bytes.length) return false
    at += 3 + bytes.readUInt16BE(at + 1)
  }
  return at === bytes.length
}

/** Sixteen bytes as RFC 5952 has them; IPv4 in IPv6 as the IPv4 address that it is. */
function formatIPv6(bytes: Buffer): string {
  if (bytes.readUInt32BE(0) === 0 && bytes.readUInt32BE(4) === 0 && bytes.readUInt32BE(8) === 0xffff) {
    return bytes.subarray(12).join('.')
  }
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16))
  let best = { at: -1, length: 1 }
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && groups[end] === '0') end++
    if (end - i > best.length) best = { at: i, length: end - i }
  }
  if (best.at < 0) return groups.join(':')
  return `${groups.slice(0, best.at).join(':')}::${groups.slice(best.at + best.length).join(':')}`
}

/**
 * The header that tells a server who the client is and which address it reached.
 *
 * Returns both ends in one family: an IPv4 end beside an IPv6 one is written as `::ffff:`
 * Throws  RangeError on an address that is none
 */
export function writeProxyHeader(version: 1 | 2, source: Endpoint, destination: Endpoint): Buffer {
  const isV4 = isIPv4(source.ip) && isIPv4(destination.ip)
  if (version === 1) {
    const text = (ip: string): string => (isV4 || !isIPv4(ip) ? ip : `::ffff:${ip}`)
    const family = isV4 ? 'TCP4' : 'TCP6'
    return Buffer.from(`PROXY ${family} ${text(source.ip)} ${text(destination.ip)} ${source.port} ${destination.port}\r\n`, 'latin1')
  }
  const addresses = isV4 ? [bytesOf4(source.ip), bytesOf4(destination.ip)] : [bytesOf6(source.ip), bytesOf6(destination.ip)]
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port, 0)
  ports.writeUInt16BE(destination.port, 2)
  const body = Buffer.concat([...addresses, ports])
  return Buffer.concat([SIGNATURE, Buffer.from([0x21, isV4 ? 0x11 : 0x21, 0, body.length]), body])
}

function bytesOf4(ip: string): Buffer {
  if (!isIPv4(ip)) throw new RangeError(`not an address: ${ip}`)
  return Buffer.from(ip.split('.').map(Number))
}

function bytesOf6(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), bytesOf4(ip)])
  if (!isPlainIPv6(ip)) throw new RangeError(`not an address: ${ip}`)
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(ip)
  const hex = tail === null ? ip : `${tail[1]}${groupsOf4(tail[2]!)}`
  const [left = '', right] = hex.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const head = groups(left)
  const rest = right === undefined ? [] : groups(right)
  const all = [...head, ...Array.from({ length: 8 - head.length - rest.length }, () => '0'), ...rest]
  return Buffer.from(all.map(group => group.padStart(4, '0')).join(''), 'hex')
}

function groupsOf4(ip: string): string {
  const hex = bytesOf4(ip).toString('hex')
  return `${hex.slice(0, 4)}:${hex.slice(4)}`
}
