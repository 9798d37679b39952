/** Servers of the engine's own zone first: what an engine is told, and how much of its traffic stays in its zone. */

export interface LocalitySpec {
  /** Servers of the zone are taken to bear so many times their share; >= 1. */
  readonly overprovisioning: number
}

/** Weights of some servers: of those that can take requests now, and of all. */
export interface Capacity {
  readonly able: number
  readonly all: number
}

/**
 * The part of its traffic that an engine sends to servers of its own zone. All of it as long as the able share of them, times the
 * overprovisioning, is 1 or more; below that as much as this says, and the rest goes to the others. Where those are short as well
 * both get what they can bear, in proportion.
 *
 * Returns 0..1; 0 when no server of the zone is able, 1 when no other is
 * Source  Envoy's priority load: a level gets its health times the overprovisioning factor, and what is left goes to the next one
 */
export function ownZoneShare(own: Capacity, others: Capacity, { overprovisioning }: LocalitySpec): number {
  if (own.able <= 0) return 0
  if (others.able <= 0) return 1
  const healthOf = ({ able, all }: Capacity): number => Math.min(1, (able / Math.max(able, all)) * overprovisioning)
  const [health, rest] = [healthOf(own), healthOf(others)]
  return health + rest >= 1 ? health : health / (health + rest)
}
