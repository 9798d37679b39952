import type { Balancer } from './balancer.ts'
import { lowest } from './least-connections.ts'

/**
 * The candidate that has worked least for its weight in the last seconds, whatever the number of its connections; what it
 * has in flight counts as long as such work usually takes it.
 *
 * Cost    O(n), no allocation
 */
export function leastLoad(nextTurn: () => number): Balancer {
  return {
    pick: candidates =>
      lowest(
        candidates,
        nextTurn(),
        candidate => (candidate.busyUs() + (candidate.inFlight() + 1) * (candidate.responseUs() + 1)) / candidate.weight
      )
  }
}
