/** Sets of client addresses, compiled once. */
import { BlockList, isIP } from 'node:net'

/**
 * Reads addresses, CIDR ranges and `from-to` ranges.
 *
 * Shapes  ranges: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, the same in IPv6
 * Returns whether an address is in one of them; IPv4 in IPv6 (`::ffff:`) must be unwrapped by the caller
 * Throws  RangeError on a range that cannot be read
 * Cost    O(log n) a question
 */
export function compileAddresses(ranges: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const range of ranges) addRange(list, range.trim())
  return address => list.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
}

function addRange(list: BlockList, range: string): void {
  const [start = '', rest] = range.split(/[/-]/, 2)
  const family = isIP(start) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(start) === 0) throw new RangeError(`not an address: ${range}`)
  if (rest === undefined) return list.addAddress(start, family)
  if (range.includes('-')) {
    if (isIP(rest) === 0) throw new RangeError(`not a range: ${range}`)
    return list.addRange(start, rest, family)
  }
  const prefix = Number(rest)
  if (!/^\d{1,3}$/.test(rest) || prefix > (family === 'ipv6' ? 128 : 32)) throw new RangeError(`not a prefix: ${range}`)
  list.addSubnet(start, prefix, family)
}

/** `::ffff:192.0.2.1`, as a socket that takes both families reports it, is `192.0.2.1`. */
export function unmapAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
