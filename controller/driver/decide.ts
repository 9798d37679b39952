/** Which engines of a group are made, kept and taken away. Pure. */
import type { EngineMakingState } from '#model/resource/autoscale.ts'

export interface IntentNow {
  readonly name: string
  readonly state: EngineMakingState
  /** It joined, and has been away for longer than a restart takes. */
  readonly isLost: boolean
  readonly services: number
  readonly madeAtEpochMs: number
}

export interface GroupNow {
  /** Engines that there should be. */
  readonly wanted: number
  /** Engines that there may be at most, with those that drain. */
  readonly most: number
  /** Engines that may still be made for the cloud of the group. */
  readonly room: number
  /** Up and taking services, and not made by a driver. */
  readonly others: number
  readonly intents: readonly IntentNow[]
}

export interface Orders {
  readonly create: number
  /** Names of engines that drain and are wanted after all. */
  readonly keep: readonly string[]
  readonly drain: readonly string[]
  /** Not joined yet, or lost: nothing drains. */
  readonly giveUp: readonly string[]
}

/** More than this at once would only stand in each other's way. */
export const CREATED_AT_ONCE = 10

/**
 * Decides for one group.
 *
 * Returns orders after which as many engines are there or on their way as are wanted, or as many as may be; engines that
 *         others made are never touched, and of the driver's own the ones go that cost least: not joined, then fewest services.
 *         The lost are replaced at once, and given up only when enough others are up: they may serve on, unseen from here
 */
export function decide({ wanted, most, room, others, intents }: GroupNow): Orders {
  const of = (...states: readonly EngineMakingState[]): IntentNow[] => intents.filter(({ state }) => states.includes(state))
  const byName = (a: IntentNow, b: IntentNow): number => (a.name < b.name ? -1 : 1)
  const newest = (a: IntentNow, b: IntentNow): number => b.madeAtEpochMs - a.madeAtEpochMs || byName(a, b)
  const coming = of('WANTED', 'JOINING')
  const joined = of('JOINED').filter(({ isLost }) => !isLost)
  const lost = of('JOINED').filter(({ isLost }) => isLost)
  const draining = of('DRAINING').filter(({ isLost }) => !isLost)
  const names = (some: readonly IntentNow[]): string[] => some.map(({ name }) => name)

  const present = others + coming.length + joined.length
  const lostToGiveUp = others + joined.length >= wanted ? names(lost) : []
  if (wanted > present) {
    const kept = draining.toSorted((a, b) => b.services - a.services || newest(b, a)).slice(0, wanted - present)
    const there = others + intents.length - lost.length
    const create = Math.min(wanted - present - kept.length, most - there, room, CREATED_AT_ONCE)
    return { create: Math.max(0, create), keep: names(kept), drain: [], giveUp: lostToGiveUp }
  }
  const surplus = present - wanted
  const givenUp = coming.toSorted(newest).slice(0, surplus)
  const drained = joined.toSorted((a, b) => a.services - b.services || newest(a, b)).slice(0, surplus - givenUp.length)
  return { create: 0, keep: [], drain: names(drained), giveUp: [...names(givenUp), ...lostToGiveUp] }
}
