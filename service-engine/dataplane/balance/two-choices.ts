import type { Random } from '#model/base/random.ts'
import type { Balancer, Candidate } from './balancer.ts'
import { indexBelow } from './round-robin.ts'

/**
 * The less loaded of two distinct candidates drawn at random by weight.
 *
 * Units   load is what is in flight for the weight
 * Cost    O(n) when the candidates change, else O(log n)
 * Source  M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001
 */
export function twoChoices(random: Random): Balancer {
  let known: readonly Candidate[] | undefined
  let bounds: readonly number[] = []
  return {
    pick: candidates => {
      if (candidates !== known) {
        let sum = 0
        bounds = candidates.map(candidate => (sum += candidate.weight))
        known = candidates
      }
      const total = bounds.at(-1) ?? 0
      if (total <= 0) return undefined
      const first = indexBelow(bounds, random() * total)
      const rest = total - candidates[first]!.weight
      if (rest <= 0) return candidates[first]
      // Drawn from what is left when the first is cut out of the line.
      const start = bounds[first]! - candidates[first]!.weight
      const at = random() * rest
      const second = indexBelow(bounds, at < start ? at : at + candidates[first]!.weight)
      const [a, b] = [candidates[first]!, candidates[second]!]
      return (b.inFlight() + 1) / b.weight < (a.inFlight() + 1) / a.weight ? b : a
    }
  }
}
