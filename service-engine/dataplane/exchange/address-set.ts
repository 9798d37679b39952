/** Sets of client addresses, compiled once. */
import { bitsOf, parseAddress } from '#model/resource/address.ts'
import { atOnce, type Steps } from './build-steps.ts'

/** Between two steps of building. */
const STEP = 1_000
const DOT = 46
const ZERO = 48
const NOTHING = -1

/**
 * Reads addresses, CIDR ranges and `from-to` ranges.
 *
 * Shapes  ranges: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, the same in IPv6
 * Returns whether an address is in one of them; IPv4 in IPv6 (`::ffff:`) must be unwrapped by the caller
 * Throws  RangeError on a range that cannot be read
 * Cost    O(log n) a question
 */
export function compileAddresses(ranges: readonly string[]): (address: string) => boolean {
  return atOnce(addressesInSteps(ranges))
}

/** The same in steps of a thousand ranges. */
export function* addressesInSteps(ranges: readonly string[]): Steps<(address: string) => boolean> {
  const read: Bounds = { from4: [], to4: [], from6: [], to6: [] }
  for (let i = 0; i < ranges.length; i++) {
    if (i % STEP === STEP - 1) yield
    readRange(ranges[i]!.trim(), read)
  }
  yield
  const from4 = Float64Array.from(read.from4).sort()
  yield
  const ipv4 = yield* merged(from4, Float64Array.from(read.to4).sort())
  const starts = Float64Array.from(ipv4.starts)
  const ends = Float64Array.from(ipv4.ends)
  const ipv6 = yield* merged(yield* sorted(read.from6), yield* sorted(read.to6))
  return address => {
    const value = ipv4Of(address)
    if (value !== NOTHING) {
      const at = lastNotAbove(starts, value)
      return at >= 0 && value <= ends[at]!
    }
    if (ipv6.starts.length === 0) return false
    const parsed = parseAddress(address)
    if (parsed?.family !== 6) return false
    const at = lastNotAbove(ipv6.starts, parsed.value)
    return at >= 0 && parsed.value <= ipv6.ends[at]!
  }
}

/** First and last addresses, in no order. */
interface Bounds {
  readonly from4: number[]
  readonly to4: number[]
  readonly from6: bigint[]
  readonly to6: bigint[]
}

function readRange(range: string, bounds: Bounds): void {
  const cut = range.search(/[/-]/)
  const start = cut < 0 ? range : range.slice(0, cut)
  const rest = range.slice(start.length + 1)
  const small = ipv4Of(start)
  if (small !== NOTHING) {
    let to = small
    let from = small
    if (cut >= 0 && range[cut] === '-') {
      to = ipv4Of(rest)
      if (to < from) throw new RangeError(`not a range: ${range}`)
    } else if (cut >= 0) {
      const size = 2 ** (32 - prefixOf(range, rest, 32))
      from -= from % size
      to = from + size - 1
    }
    bounds.from4.push(from)
    bounds.to4.push(to)
    return
  }
  const address = parseAddress(start)
  if (address === undefined) throw new RangeError(`not an address: ${range}`)
  let from = address.value
  let to = from
  if (cut >= 0 && range[cut] === '-') {
    const last = parseAddress(rest)
    if (last?.family !== 6 || last.value < from) throw new RangeError(`not a range: ${range}`)
    to = last.value
  } else if (cut >= 0) {
    const host = BigInt(bitsOf(6) - prefixOf(range, rest, 128))
    from = (from >> host) << host
    to = from + (1n << host) - 1n
  }
  bounds.from6.push(from)
  bounds.to6.push(to)
}

function prefixOf(range: string, text: string, most: number): number {
  const prefix = Number(text)
  if (!/^\d{1,3}$/.test(text) || prefix > most) throw new RangeError(`not a prefix: ${range}`)
  return prefix
}

/** As a number of 32 bits; NOTHING for what is no IPv4 address. */
function ipv4Of(text: string): number {
  let value = 0
  let part = NOTHING
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === DOT) {
      if (part === NOTHING || ++dots > 3) return NOTHING
      value = value * 256 + part
      part = NOTHING
    } else {
      const digit = code - ZERO
      // No leading zeros: some read them as octal.
      if (digit < 0 || digit > 9 || part === 0) return NOTHING
      part = part === NOTHING ? digit : part * 10 + digit
      if (part > 255) return NOTHING
    }
  }
  return dots === 3 && part !== NOTHING ? value * 256 + part : NOTHING
}

/**
 * Ranges that do not meet, which together are those that were given.
 *
 * Shapes  from, to: n firsts and n lasts, each sorted by themselves: how many ranges are open at an address is all that matters
 */
function* merged<N extends number | bigint>(from: ArrayLike<N>, to: ArrayLike<N>): Steps<{ readonly starts: N[]; readonly ends: N[] }> {
  const starts: N[] = []
  const ends: N[] = []
  let open = 0
  let next = 0
  for (let i = 0; i < to.length; i++) {
    if (i % STEP === STEP - 1) yield
    for (; next < from.length && from[next]! <= to[i]!; next++) if (open++ === 0) starts.push(from[next]!)
    if (--open === 0) ends.push(to[i]!)
  }
  return { starts, ends }
}

/** A merge sort that can be interrupted. */
function* sorted(values: readonly bigint[]): Steps<bigint[]> {
  if (values.length <= STEP) return values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  const half = values.length >> 1
  const left = yield* sorted(values.slice(0, half))
  const right = yield* sorted(values.slice(half))
  const out: bigint[] = []
  for (let i = 0, j = 0; i < left.length || j < right.length;) {
    if (out.length % STEP === STEP - 1) yield
    out.push(j === right.length || (i < left.length && left[i]! <= right[j]!) ? left[i++]! : right[j++]!)
  }
  return out
}

/** Index of the last that is not above the value; -1: none. */
function lastNotAbove<N extends number | bigint>(sortedValues: ArrayLike<N>, value: N): number {
  let low = 0
  let high = sortedValues.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sortedValues[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** `::ffff:192.0.2.1`, as a socket that takes both families reports it, is `192.0.2.1`. */
export function unmapAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
