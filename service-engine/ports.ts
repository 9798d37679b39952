/** Ports that a snapshot wants and that this engine does not hold yet: had by somebody else they are a violation, never a silent share. */
import { isIPv6 } from 'node:net'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'

export type ProbePort = (where: Place) => Promise<string | undefined>

export interface Place {
  readonly address: string
  readonly port: number
  readonly protocol?: 'udp'
}

/** How late after its deadline such a socket is closed. */
const CLOSING_MS = 1_000

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** Whether both can be one socket's: a bind without sharing would meet our own listener. */
function meets(a: Place, b: Place): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol || isIPv6(a.address) !== isIPv6(b.address)) return false
  return a.address === b.address || isWildcard(a.address) || isWildcard(b.address)
}

export const placesOf = (snapshot: Snapshot | null): readonly Place[] =>
  snapshot?.virtualServices.flatMap(service => service.listeners) ?? []

/** Ports of datagrams that this engine let go of a moment ago: their sockets may still answer the last sessions. */
export class LeftPorts {
  #left: readonly { readonly place: Place; readonly untilMs: number }[] = []

  /** `next` runs in the place of `before`. */
  swapped(before: Snapshot | null, next: Snapshot, nowMs: number): void {
    const kept = placesOf(next)
    const gone = placesOf(before).filter(place => place.protocol === 'udp' && !kept.some(other => meets(place, other)))
    const untilMs = nowMs + (before?.engine.drainTimeoutS ?? 0) * 1000 + CLOSING_MS
    this.#left = [...this.#left.filter(one => one.untilMs > nowMs), ...gone.map(place => ({ place, untilMs }))]
  }

  places(nowMs: number): readonly Place[] {
    return this.#left.filter(one => one.untilMs > nowMs).map(one => one.place)
  }
}

/**
 * Probes each listener that is new against what runs.
 *
 * Shapes  left: places that are ours although nothing runs there any more
 * Returns a violation for each port that another process has; other trouble with binding is the data plane's to tell
 */
export async function portViolations(
  next: Snapshot,
  running: Snapshot | null,
  probe: ProbePort,
  left: readonly Place[] = []
): Promise<Violation[]> {
  const held = [...placesOf(running), ...left]
  const violations: Violation[] = []
  for (const service of next.virtualServices) {
    for (const [index, { address, port, protocol }] of service.listeners.entries()) {
      const wanted = protocol === undefined ? { address, port } : { address, port, protocol }
      if (port === 0 || held.some(place => meets(place, wanted))) continue
      const code = await probe(wanted)
      if (code !== 'EADDRINUSE') continue
      const pointer = `/virtual-service/${service.id}/listeners/${index}`
      violations.push({
        pointer,
        message: `must be free on this host: ${address} ${protocol === 'udp' ? 'UDP port' : 'port'} ${port} is in use by another program`
      })
    }
  }
  return violations
}
