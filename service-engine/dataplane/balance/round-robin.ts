import type { Balancer, Candidate } from './balancer.ts'

/**
 * In turn, by weight, over all workers: the shared cursor walks one order, in which heavy servers are not asked in bursts.
 *
 * Units   nextTurn: counts up by one over all workers, wraps at 2^32
 * Cost    that of `turnsOf`
 */
export function roundRobin(nextTurn: () => number): Balancer {
  let known: readonly Candidate[] | undefined
  let at: Turns = turnsOf([])
  return {
    pick: candidates => {
      if (candidates !== known) {
        at = turnsOf(candidates.map(candidate => candidate.weight))
        known = candidates
      }
      return candidates[at(nextTurn())]
    }
  }
}

/** Whose turn it is: an index; -1 when nobody has a weight. */
export type Turns = (turn: number) => number

/** Steps that make a schedule; what would take more is done without. About a millisecond. */
const MAX_STEPS = 50_000
/** Of 2^32: the golden ratio, whose multiples lie as evenly as any. */
const GOLDEN = 0x9e3779b1

/**
 * Turns by weight.
 *
 * Shapes  weights: integers >= 0
 * Units   turn: counts up by one, wraps at 2^32, over which each has its share exactly
 * Cost    O(n) to make, or 50,000 steps; O(1) a turn, O(log n) where the weights are many and differ
 */
export function turnsOf(weights: readonly number[]): Turns {
  const able = weights.flatMap((weight, i) => (weight > 0 ? i : []))
  const first = weights[able[0] ?? -1]
  if (first === undefined) return () => -1
  if (able.every(i => weights[i] === first)) return turn => able[turn % able.length]!
  const divisor = weights.reduce(greatestCommonDivisor, 0)
  const total = weights.reduce((sum, weight) => sum + weight / divisor, 0)
  if (total * weights.length > MAX_STEPS) return spreadTurns(weights, able)
  const schedule = smoothSchedule(weights)
  return turn => schedule[turn % schedule.length]!
}

/** Places on a line by weight, and steps of the golden ratio along it. */
function spreadTurns(weights: readonly number[], able: readonly number[]): Turns {
  let total = 0
  const bounds = able.map(i => (total += weights[i]!))
  return turn => able[indexBelow(bounds, ((Math.imul(turn, GOLDEN) >>> 0) / 0x1_0000_0000) * total)]!
}

/**
 * The first index whose bound lies above a place.
 *
 * Shapes  bounds: ascending, at least one; at: below the last of them
 * Cost    O(log n)
 */
export function indexBelow(bounds: readonly number[], at: number): number {
  let [low, high] = [0, bounds.length - 1]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (bounds[middle]! > at) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * Indices such that each comes as often as its weight says, spread evenly; weights are divided by their greatest
 * common divisor first.
 *
 * Shapes  weights: integers >= 0
 * Cost    O(sum of weights * n)
 * Source  smooth weighted round robin, as in nginx's upstream module
 */
export function smoothSchedule(weights: readonly number[]): number[] {
  const divisor = weights.reduce(greatestCommonDivisor, 0)
  if (divisor === 0) return []
  const shares = weights.map(weight => weight / divisor)
  const total = shares.reduce((sum, share) => sum + share, 0)
  const credit = shares.map(() => 0)
  const schedule: number[] = []
  while (schedule.length < total) {
    let best = -1
    for (let i = 0; i < shares.length; i++) {
      credit[i]! += shares[i]!
      if (shares[i]! > 0 && (best < 0 || credit[i]! > credit[best]!)) best = i
    }
    credit[best]! -= total
    schedule.push(best)
  }
  return schedule
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
