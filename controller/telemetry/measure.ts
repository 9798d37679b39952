/** Counts for those who ask what happens to a pool, or on an engine, between two moments: releases and upgrades that compare. */
import { addSparse, BUCKETS, toSparse } from '#model/message/histogram.ts'
import type { Measurement } from './port.ts'
import { AT, type Grown, type Window } from './window.ts'

/** Adds what one window brought. Exists only while somebody measures. */
interface Taker {
  /** Whose traffic counts; undefined: everybody's. */
  readonly of: ReadonlySet<string> | undefined
  readonly take: (growth: { readonly requests: number; readonly errors: number; readonly window: Window }) => void
}

/** A part of what an engine tells, what it is of, and who counts it. */
export interface Told {
  readonly entity: string
  readonly counts: (of: ReadonlySet<string> | undefined) => boolean
}

export interface Measurements {
  readonly begin: (entity: string, of?: readonly string[]) => Measurement
  /** Runs `advance` and hands what it adds to those who measure the entity and count what is told. */
  readonly around: (told: Told, grown: Grown, window: Window, advance: () => void) => void
  readonly isMeasured: (entity: string) => boolean
}

export function makeMeasurements(): Measurements {
  const takersByEntity = new Map<string, Set<Taker>>()

  const begin: Measurements['begin'] = (entity, of) => {
    let requests = 0
    let errors = 0
    const dense = new Float64Array(BUCKETS)
    const taker: Taker = {
      of: of === undefined ? undefined : new Set(of),
      take: growth => {
        requests += growth.requests
        // An answer of 5xx that breaks off is one error, not two.
        errors += Math.min(growth.requests, growth.errors)
        addSparse(dense, growth.window.latency)
      }
    }
    const takers = takersByEntity.get(entity) ?? new Set()
    takersByEntity.set(entity, takers.add(taker))
    return {
      read: () => ({ requests, errors, latency: toSparse(dense) }),
      stop: () => {
        takers.delete(taker)
        if (takers.size === 0 && takersByEntity.get(entity) === takers) takersByEntity.delete(entity)
      }
    }
  }

  const failedIn = ({ counts }: Grown): number => counts[AT.responses5xx]! + counts[AT.faultsUpstream]!

  return {
    begin,
    isMeasured: entity => takersByEntity.has(entity),
    around: ({ entity, counts }, grown, window, advance) => {
      const [requests, failed] = [grown.counts[AT.requests]!, failedIn(grown)]
      advance()
      const growth = { requests: grown.counts[AT.requests]! - requests, errors: failedIn(grown) - failed, window }
      for (const { of, take } of takersByEntity.get(entity) ?? []) if (counts(of)) take(growth)
    }
  }
}
