/** Counts for those who ask what happens to one entity between two moments: a release that compares two pools. */
import { addSparse, BUCKETS, toSparse } from '#model/message/histogram.ts'
import type { Measurement } from './port.ts'
import { AT, type Grown, type Window } from './window.ts'

/** Adds what one window brought. Exists only while somebody measures. */
type Taker = (growth: { readonly requests: number; readonly errors: number; readonly window: Window }) => void

export interface Measurements {
  readonly begin: (entity: string) => Measurement
  /** Runs `advance` and hands what it adds to those who measure the entity. */
  readonly around: (entity: string, grown: Grown, window: Window, advance: () => void) => void
  readonly isMeasured: (entity: string) => boolean
}

export function makeMeasurements(): Measurements {
  const takersByEntity = new Map<string, Set<Taker>>()

  const begin = (entity: string): Measurement => {
    let requests = 0
    let errors = 0
    const dense = new Float64Array(BUCKETS)
    const take: Taker = growth => {
      requests += growth.requests
      // An answer of 5xx that breaks off is one error, not two.
      errors += Math.min(growth.requests, growth.errors)
      addSparse(dense, growth.window.latency)
    }
    const takers = takersByEntity.get(entity) ?? new Set()
    takersByEntity.set(entity, takers.add(take))
    return {
      read: () => ({ requests, errors, latency: toSparse(dense) }),
      stop: () => {
        takers.delete(take)
        if (takers.size === 0 && takersByEntity.get(entity) === takers) takersByEntity.delete(entity)
      }
    }
  }

  const failedIn = ({ counts }: Grown): number => counts[AT.responses5xx]! + counts[AT.faultsUpstream]!

  return {
    begin,
    isMeasured: entity => takersByEntity.has(entity),
    around: (entity, grown, window, advance) => {
      const [requests, failed] = [grown.counts[AT.requests]!, failedIn(grown)]
      advance()
      const growth = { requests: grown.counts[AT.requests]! - requests, errors: failedIn(grown) - failed, window }
      for (const take of takersByEntity.get(entity) ?? []) take(growth)
    }
  }
}
