/** A server that has come up gets its share of the traffic little by little. */
import { CELL } from '#engine/meter/layout.ts'

/** To begin with; a server that gets nothing at all cannot warm up. */
const LEAST_SHARE = 0.1

/** From 0.1 to 1 over the time since the server came up. */
export function shareOf(cells: Int32Array, rampS: number, nowEpochMs: number): number {
  const sinceS = Atomics.load(cells, CELL.upSinceS)
  const ageS = nowEpochMs / 1000 - sinceS
  return sinceS === 0 || ageS >= rampS || ageS < 0 ? 1 : Math.max(LEAST_SHARE, ageS / rampS)
}

/**
 * How often each of some servers may be taken when it is picked, beside the one that is up for longest.
 *
 * Returns null when all are alike: then nobody is held back
 */
export function relativeShares<S>(servers: readonly S[], shareOfOne: (server: S) => number): ReadonlyMap<S, number> | null {
  const shares = servers.map(shareOfOne)
  const most = Math.max(...shares)
  return shares.every(share => share === most) ? null : new Map(servers.map((server, i) => [server, shares[i]! / most]))
}
