/** IP addresses as text and as numbers: what a rule, a listener and a range need to agree on what is the same. */

export type Family = 4 | 6
export interface Address {
  readonly family: Family
  readonly value: bigint
}

const decimalByte = /^(0|[1-9]\d{0,2})$/
const hexGroup = /^[0-9a-f]{1,4}$/i

function parseIpv4(text: string): bigint | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0n
  for (const part of parts) {
    if (!decimalByte.test(part) || Number(part) > 255) return undefined
    value = (value << 8n) | BigInt(part)
  }
  return value
}

function groupsOf(text: string, isEnd: boolean): bigint[] | undefined {
  if (text === '') return []
  const groups: bigint[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (isEnd && part.includes('.') && index === parts.length - 1) {
      const tail = parseIpv4(part)
      if (tail === undefined) return undefined
      groups.push(tail >> 16n, tail & 0xffffn)
    } else if (hexGroup.test(part)) groups.push(BigInt(`0x${part}`))
    else return undefined
  }
  return groups
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const head = groupsOf(halves[0]!, halves.length === 1)
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : []
  if (head === undefined || tail === undefined) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  return [...head, ...Array<bigint>(missing).fill(0n), ...tail].reduce((value, group) => (value << 16n) | group, 0n)
}

/**
 * Reads an IPv4 or IPv6 address; no zone, no port, no leading zeros.
 *
 * Returns undefined for anything else
 */
export function parseAddress(text: string): Address | undefined {
  if (text.length > 45) return undefined
  const value = text.includes(':') ? parseIpv6(text) : parseIpv4(text)
  return value === undefined ? undefined : { family: text.includes(':') ? 6 : 4, value }
}

function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn))
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  const words = groups.map(group => group.toString(16))
  if (best.start < 0) return words.join(':')
  return `${words.slice(0, best.start).join(':')}::${words.slice(best.start + best.length).join(':')}`
}

/** The one spelling of an address (RFC 5952 for IPv6). */
export function formatAddress(address: Address): string {
  if (address.family === 6) return formatIpv6(address.value)
  return [24n, 16n, 8n, 0n].map(shift => String((address.value >> shift) & 0xffn)).join('.')
}

const plainIpv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/

/** The one spelling of what may be an address; other text is returned as it is. */
export function canonicalAddress(text: string): string {
  if (plainIpv4.test(text)) return text
  const address = parseAddress(text)
  return address === undefined ? text : formatAddress(address)
}

export const bitsOf = (family: Family): number => (family === 4 ? 32 : 128)

/**
 * The fewest CIDR blocks that are exactly the range.
 *
 * Shapes  first, last: of one family, first <= last
 * Cost    O(bits): at most 2 * bits - 2 blocks
 */
export function rangeToCidrs(first: Address, last: Address): string[] {
  const bits = BigInt(bitsOf(first.family))
  const blocks: string[] = []
  let at = first.value
  while (at <= last.value) {
    let size = 0n
    while (size < bits && (at & ((1n << (size + 1n)) - 1n)) === 0n && at + (1n << (size + 1n)) - 1n <= last.value) size++
    blocks.push(`${formatAddress({ family: first.family, value: at })}/${bits - size}`)
    at += 1n << size
  }
  return blocks
}

const hostLabel = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i

/** A DNS name: labels of letters, digits, hyphens and underscores; a dot at the end is allowed. */
export function isHostname(text: string): boolean {
  const name = text.endsWith('.') ? text.slice(0, -1) : text
  return name.length > 0 && name.length <= 253 && name.split('.').every(label => hostLabel.test(label)) && !/^[\d.]+$/.test(name)
}

/** An address of every host itself: 127.0.0.0/8 and ::1. */
export function isLoopback(address: Address): boolean {
  return address.family === 4 ? address.value >> 24n === 127n : address.value === 1n
}
