/** How engines divide the budget of a limit among them. Pure. */

/** What is kept back from the demand, for all engines together: whoever gets the next request has something for it. */
const FLOOR = 0.02
/** Of the way to where it should be, so much at once. */
const PACE = 0.9
/** Demand below it, in tokens of an interval, is none. */
const NO_DEMAND = 0.01

export interface Holder {
  /** 0..1 of the budget, that it has now. */
  readonly share: number
  /** Tokens asked of it in an interval; >= 0, smoothed by the caller. */
  readonly demand: number
  /** Until its bucket is full again; 0 when it is. */
  readonly owedMs: number
}

export interface Portion {
  readonly share: number
  /** How empty the part of the bucket is that comes with a larger share: until it would be full. */
  readonly owedMs: number
}

/**
 * Moves a budget towards demand: a holder gets what it is asked for of all that is asked for, and nobody less than its part
 * of the floor. Without demand all become equal.
 *
 * Tokens move with shares: who gives a part of the budget gives that part of its bucket, as full or empty as it is, so that
 * buckets together hold after it what they held before.
 *
 * Shapes  holders: n >= 1
 * Returns for each holder its portion, in order; shares add up to 1
 * Source  proportional fairness as one bucket would have it: every request has the same chance, whichever engine it meets
 */
export function divide(holders: readonly Holder[]): Portion[] {
  const n = holders.length
  const held = holders.reduce((sum, { share }) => sum + share, 0)
  const demand = holders.reduce((sum, holder) => sum + holder.demand, 0)
  const moves = holders.map(holder => {
    // What an engine left behind, or too many of them have, is everybody's in proportion.
    const before = held > 0 ? holder.share / held : 1 / n
    const wanted = demand < NO_DEMAND ? 1 / n : FLOOR / n + ((1 - FLOOR) * holder.demand) / demand
    return { holder, before, after: before + PACE * (wanted - before) }
  })
  let given = 0
  let givenOwed = 0
  for (const { holder, before, after } of moves) {
    if (after >= before) continue
    given += before - after
    givenOwed += (before - after) * holder.owedMs
  }
  const owedOfGiven = given === 0 ? 0 : givenOwed / given
  return moves.map(({ holder, before, after }) => {
    const gained = after - holder.share
    if (gained <= 0) return { share: after, owedMs: holder.owedMs }
    // What nobody had comes as empty as its own bucket is: tokens of an engine that is gone are gone.
    const found = Math.min(gained, Math.max(0, before - holder.share))
    return { share: after, owedMs: (found * holder.owedMs + (gained - found) * owedOfGiven) / gained }
  })
}
