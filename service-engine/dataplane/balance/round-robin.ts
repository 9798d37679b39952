import type { Balancer, Candidate } from './balancer.ts'

/**
 * In turn, by weight, over all workers: the shared cursor walks one smooth schedule, so that heavy servers are not
 * asked in bursts.
 *
 * Units   nextTurn: counts up by one over all workers, wraps at 2^32
 * Cost    O(1) a pick; O(sum of weights * n) when the candidates change
 * Source  smooth weighted round robin, as in nginx's upstream module
 */
export function roundRobin(nextTurn: () => number): Balancer {
  let known: readonly Candidate[] | undefined
  let schedule: readonly number[] = []
  return {
    pick: candidates => {
      if (candidates !== known) {
        schedule = smoothSchedule(candidates.map(candidate => candidate.weight))
        known = candidates
      }
      return schedule.length === 0 ? undefined : candidates[schedule[nextTurn() % schedule.length]!]
    }
  }
}

/**
 * Indices such that each comes as often as its weight says, spread evenly; weights are divided by their greatest
 * common divisor first.
 *
 * Shapes  weights: integers >= 0
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
