import type { BalanceSpec } from '#model/snapshot/snapshot.ts'
import { cookieOf } from '../exchange/headers.ts'
import type { Balancer, Candidate, Question } from './balancer.ts'

type HashSpec = Omit<Extract<BalanceSpec, { is: 'consistent-hash' }>, 'is'>

/** Places on the table; a server's share is exact to about 1/sqrt(places per server). */
const SLOTS = 65_536
const EMPTY = -1

/**
 * The same candidate for the same key, whatever the worker or engine. Weighted rendezvous hashing decides each of a
 * fixed number of slots: when a candidate goes, its keys move and no other; when one comes, it takes its share.
 *
 * Cost    O(1) a pick; O(n) the first time that a slot is asked for after the candidates changed
 * Source  D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM ToN 6(1), 1998; weights
 *         by -w / ln(u)
 */
export function consistentHash(spec: HashSpec): Balancer {
  const keyOf = keyFor(spec)
  /** A quarter of a megabyte: made by the first pick, which most pools never ask for. */
  let table: Int32Array | undefined
  let known: readonly Candidate[] | undefined
  let seeds: readonly number[] = []
  return {
    pick: <C extends Candidate>(candidates: readonly C[], question: Question): C | undefined => {
      if (table === undefined || candidates !== known) {
        table = (table ?? new Int32Array(SLOTS)).fill(EMPTY)
        seeds = candidates.map(candidate => hashText(candidate.id))
        known = candidates
      }
      const slot = slotOf(keyOf(question))
      if (table[slot] === EMPTY) table[slot] = heaviest(candidates, seeds, slot)
      return candidates[table[slot]!]
    },
    // The slot is made of the lower bits.
    place: question => (hashText(keyOf(question)) >>> 16) / 65_536
  }
}

/** The slot that who asks with `key` is in. */
export function slotOf(key: string): number {
  return hashText(key) % SLOTS
}

/** Without what it goes by there is nothing to stick to but the client. */
function keyFor({ by, header: given, cookie = '' }: HashSpec): (question: Question) => string {
  const header = given?.toLowerCase() ?? ''
  switch (by) {
    case 'source-address':
      return question => question.clientIp
    case 'source-address-and-port':
      return question => `${question.clientIp}|${question.clientPort}`
    case 'uri':
      return question => question.uri
    case 'header':
      return question => question.header(header) || question.clientIp
    case 'cookie':
      return question => cookieOf(question.header('cookie'), cookie) || question.clientIp
    case 'text':
      return question => question.spreadBy || question.clientIp
  }
}

/**
 * Index of the candidate that wins the slot; -2 when all weights are 0. A weight that grows takes slots and gives none up.
 *
 * Units   slot: 32 bits; a hash of who asks
 */
export function heaviest(candidates: readonly Pick<Candidate, 'weight'>[], seeds: readonly number[], slot: number): number {
  let best = -2
  let bestScore = -Infinity
  for (let i = 0; i < candidates.length; i++) {
    const { weight } = candidates[i]!
    if (weight <= 0) continue
    const uniform = (mix(seeds[i]! ^ Math.imul(slot + 1, 0x9e3779b1)) + 0.5) / 4_294_967_296
    const score = -weight / Math.log(uniform)
    if (score > bestScore) {
      best = i
      bestScore = score
    }
  }
  return best
}

/** FNV-1a over UTF-16 units, finished by a mixer: all bits of short keys count. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

/** The 32-bit finaliser of MurmurHash3 (A. Appleby, public domain). */
function mix(value: number): number {
  let mixed = value >>> 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
