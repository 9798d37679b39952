/** Chance as an argument: uniform in [0, 1). */
export type Random = () => number

/**
 * A small seeded generator for tests and simulations; not for secrets.
 *
 * Shapes  seed: any 32-bit integer
 * Source  Mulberry32, T. Ettinger, public domain
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** A delay between half of and the whole of an exponentially growing bound ("equal jitter"). */
export function backoffMs(attempt: number, options: { readonly firstMs: number; readonly maxMs: number; readonly random: Random }): number {
  const bound = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempt, 30))
  return bound / 2 + options.random() * (bound / 2)
}
