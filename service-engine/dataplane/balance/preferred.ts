import type { Balancer, Candidate, Question } from './balancer.ts'

/**
 * Of the candidates of the lowest order a balancer picks; the others stand by until none of these is left.
 *
 * Cost    O(n) when the candidates change, else that of the balancer
 */
export function preferred(orderOf: (id: string) => number, inner: Balancer): Balancer {
  let known: readonly Candidate[] | undefined
  let first: readonly Candidate[] = []
  return {
    ...inner,
    pick: <C extends Candidate>(candidates: readonly C[], question: Question): C | undefined => {
      if (candidates !== known) {
        first = ofLowestOrder(candidates, orderOf)
        known = candidates
      }
      // They are some of `candidates`.
      return inner.pick(first as readonly C[], question)
    }
  }
}

export function ofLowestOrder<C extends { readonly id: string }>(candidates: readonly C[], orderOf: (id: string) => number): readonly C[] {
  const lowest = candidates.reduce((least, { id }) => Math.min(least, orderOf(id)), Infinity)
  return candidates.filter(({ id }) => orderOf(id) === lowest)
}
