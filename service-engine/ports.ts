/** Ports that a snapshot wants and that this engine does not hold yet: had by somebody else they are a violation, never a silent share. */
import { isIPv6 } from 'node:net'
import type { Violation } from '#model/resource/violation.ts'
import type { Snapshot } from '#model/snapshot/snapshot.ts'

export type ProbePort = (where: { readonly address: string; readonly port: number }) => Promise<string | undefined>

interface Place {
  readonly address: string
  readonly port: number
}

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** Whether both can be one socket's: a bind without sharing would meet our own listener. */
function meets(a: Place, b: Place): boolean {
  if (a.port !== b.port || isIPv6(a.address) !== isIPv6(b.address)) return false
  return a.address === b.address || isWildcard(a.address) || isWildcard(b.address)
}

const placesOf = (snapshot: Snapshot | null): readonly Place[] => snapshot?.virtualServices.flatMap(service => service.listeners) ?? []

/**
 * Probes each listener that is new against what runs.
 *
 * Returns a violation for each port that another process has; other trouble with binding is the data plane's to tell
 */
export async function portViolations(next: Snapshot, running: Snapshot | null, probe: ProbePort): Promise<Violation[]> {
  const held = placesOf(running)
  const violations: Violation[] = []
  for (const service of next.virtualServices) {
    for (const [index, { address, port }] of service.listeners.entries()) {
      if (port === 0 || held.some(place => meets(place, { address, port }))) continue
      const code = await probe({ address, port })
      if (code !== 'EADDRINUSE') continue
      const pointer = `/virtual-service/${service.id}/listeners/${index}`
      violations.push({ pointer, message: `must be free on this host: ${address} port ${port} is in use by another program` })
    }
  }
  return violations
}
