import type { Balancer, Candidate } from './balancer.ts'
import { lowest } from './least-connections.ts'

/**
 * The first candidate that is not full, in the order of the pool: as few servers as the load needs are used, and the others
 * are left in peace. When all are full they share. Weights have no part in it, but that of 0.
 *
 * Shapes  capacity: exchanges and flows in flight that fill a candidate
 * Cost    O(n), no allocation
 */
export function fewestServers(capacity: number, nextTurn: () => number): Balancer {
  const pick = <C extends Candidate>(candidates: readonly C[]): C | undefined => {
    for (const candidate of candidates) if (candidate.weight > 0 && candidate.inFlight() < capacity) return candidate
    return lowest(candidates, nextTurn(), candidate => (candidate.inFlight() + 1) / candidate.weight)
  }
  return { pick, standIn: pick }
}
