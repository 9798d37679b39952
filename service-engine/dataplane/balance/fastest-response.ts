import type { Balancer } from './balancer.ts'
import { lowest } from './least-connections.ts'

/**
 * The candidate that is expected to answer first: its smoothed time to first byte times what it already has to do, over
 * its weight. One that has not answered yet counts as instant, so that it is tried.
 *
 * Cost    O(n), no allocation
 * Source  "peak EWMA" of Finagle, without its decay by age: the smoothing is in the shared cell
 */
export function fastestResponse(nextTurn: () => number): Balancer {
  return {
    pick: candidates =>
      lowest(candidates, nextTurn(), candidate => ((candidate.responseUs() + 1) * (candidate.inFlight() + 1)) / candidate.weight)
  }
}
