/**
 * The memory that the agent thread and all workers share: one growable SharedArrayBuffer, laid out in slots.
 * A slot is the place of one virtual service, pool or server; the agent thread alone hands out slots and keeps them over
 * generations, so that totals go on. In each slot every worker has a row of its own (one writer, no contention); what
 * must be exact over workers (connections per server, round-robin cursors, verdicts) is a shared cell used with Atomics.
 */
import type { Verdict } from '#model/message/message.ts'

/** id -> slot number, per kind; made by the agent thread, sent to workers with each generation. */
export interface Slots {
  readonly virtualServices: Readonly<Record<string, number>>
  readonly pools: Readonly<Record<string, number>>
  /** `<pool id>/<server id>`. */
  readonly servers: Readonly<Record<string, number>>
}

/** What the data plane adds to while traffic runs; bound to one worker and one slot. No allocation, no waiting. */
export interface TrafficMeter {
  connectionOpened(): void
  connectionClosed(): void
  /** Response complete or failed; status 0 = no response was sent (TCP flows, connection gone). */
  exchangeEnded(status: number, latencyUs: number): void
  faulted(origin: 'downstream' | 'engine' | 'upstream'): void
  bytesIn(count: number): void
  bytesOut(count: number): void
}

/** Shared state of one server over all workers. */
export interface ServerCell {
  /** Exchanges and flows in flight, over all workers. */
  readonly inFlight: () => number
  /** Adds one; returns the count before. Refuse and `release` when it is over the limit. */
  readonly acquire: () => number
  readonly release: () => void
  readonly verdict: () => Verdict
  /** Smoothed time to first byte in microseconds, 0 before the first; any worker may write. */
  readonly responseUs: () => number
  readonly responded: (firstByteUs: number) => void
}

/** Shared state of one pool: the cursor of round robin over all workers. */
export interface PoolCell {
  /** Adds one and returns the count before, wrapping at 2^32. */
  readonly nextTurn: () => number
}

/** A worker's view of the shared memory. */
export interface WorkerMemory {
  readonly virtualServiceMeter: (id: string) => TrafficMeter
  readonly poolMeter: (id: string) => TrafficMeter
  readonly serverMeter: (poolId: string, serverId: string) => TrafficMeter
  readonly serverCell: (poolId: string, serverId: string) => ServerCell
  readonly poolCell: (poolId: string) => PoolCell
}

/** One finished exchange or flow, for the access log; the data plane hands it over and goes on. */
export interface AccessRecord {
  readonly atEpochMs: number
  readonly virtualServiceId: string
  readonly virtualServiceName: string
  readonly clientIp: string
  readonly clientPort: number
  readonly method: string
  readonly scheme: 'http' | 'https' | 'tcp' | 'tls'
  readonly host: string
  readonly path: string
  readonly protocol: string
  readonly status: number
  readonly rule: string
  readonly poolName: string
  readonly server: string
  readonly bytesIn: number
  readonly bytesOut: number
  readonly connectUs: number
  readonly firstByteUs: number
  readonly totalUs: number
  readonly requestId: string
  readonly userAgent: string
  /** A FaultCode, or '' when all went well. */
  readonly fault: string
}
