import type { Balancer, Candidate } from './balancer.ts'

/**
 * The candidate with the fewest exchanges in flight for its weight, over all workers; equals are taken in turn.
 *
 * Cost    O(n), no allocation
 */
export function leastConnections(nextTurn: () => number): Balancer {
  return { pick: candidates => lowest(candidates, nextTurn(), candidate => (candidate.inFlight() + 1) / candidate.weight) }
}

/**
 * The candidate with the lowest cost; the walk starts at a place that moves on, so that equals share.
 *
 * Shapes  weight 0 is passed over
 */
export function lowest<C extends Candidate>(candidates: readonly C[], turn: number, costOf: (candidate: C) => number): C | undefined {
  let best: C | undefined
  let bestCost = Infinity
  const count = candidates.length
  for (let step = 0; step < count; step++) {
    const candidate = candidates[(turn + step) % count]!
    if (candidate.weight <= 0) continue
    const cost = costOf(candidate)
    if (best === undefined || cost < bestCost) {
      best = candidate
      bestCost = cost
    }
  }
  return best
}
