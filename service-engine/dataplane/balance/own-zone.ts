import { ownZoneShare, type LocalitySpec } from '#model/snapshot/locality.ts'
import type { Random } from '#model/base/random.ts'
import type { Balancer, Candidate, Question } from './balancer.ts'

/** Which servers are of the engine's zone. */
export interface Zones {
  readonly isOwn: (id: string) => boolean
  /** What the servers of one order can take together when all of them are able: those of the zone, and the others. */
  readonly weightsBeside: (id: string) => { readonly own: number; readonly others: number }
}

export interface OwnZoneMake {
  readonly spec: LocalitySpec
  readonly zones: Zones
  readonly random: Random
  /** Of the zone's own servers, and of the others: each keeps what it computes from its candidates. */
  readonly own: Balancer
  readonly others: Balancer
}

/**
 * Prefers candidates, all of one order, of the engine's zone: a balancer of theirs picks, and for a part of the questions that grows as they fail
 * one of the others. Where who asks is always given the same candidate, who has to leave the zone is always the same as well.
 *
 * Cost    O(n) when the candidates change, else that of the balancer that picks
 */
export function ownZone({ spec, zones, random, own, others }: OwnZoneMake): Balancer {
  let known: readonly Candidate[] | undefined
  let near: readonly Candidate[] = []
  let far: readonly Candidate[] = []
  let share = 1
  const place = own.place
  return {
    pick: <C extends Candidate>(candidates: readonly C[], question: Question): C | undefined => {
      if (candidates !== known) {
        near = candidates.filter(({ id }) => zones.isOwn(id))
        far = candidates.filter(({ id }) => !zones.isOwn(id))
        const all = zones.weightsBeside(candidates[0]?.id ?? '')
        share = ownZoneShare({ able: weightOf(near), all: all.own }, { able: weightOf(far), all: all.others }, spec)
        known = candidates
      }
      const isNear = share >= 1 || (share > 0 && (place === undefined ? random() : place(question)) < share)
      // Both lists hold what is in `candidates`.
      return isNear ? own.pick(near as readonly C[], question) : others.pick(far as readonly C[], question)
    },
    ...(place === undefined ? {} : { place }),
    ...(own.standIn === undefined ? {} : { standIn: own.standIn })
  }
}

const weightOf = (candidates: readonly Candidate[]): number => candidates.reduce((sum, { weight }) => sum + weight, 0)
