/**
 * Where each figure lies in the shared memory. A slot is a head of Int32 cells that all threads touch with Atomics,
 * followed by one row of Float64 for each worker. Offsets are multiples of a cache line, so that two workers never write
 * to one line.
 */
import { BUCKETS } from '#model/message/histogram.ts'

export const CELL = {
  verdict: 0,
  cursor: 1,
  responseUs: 2,
  /** Of a pool: thousandths of retries that it has saved up, and when it was last given some. */
  retryCredit: 3,
  retryPaidAtMs: 4,
  /** Of a pool: retries under way, requests that wait, and when success rates were last compared. */
  retries: 5,
  pending: 6,
  comparedAtS: 7,
  /** Of a server: failures in a row, by what they are. */
  errors: 3,
  gatewayErrors: 4,
  localFailures: 5,
  /** Of a server: until when it is left out, how often it was lately, and why. */
  ejectedUntilS: 6,
  ejections: 7,
  ejectedFor: 8,
  /** Of a server: since success rates were last compared. */
  windowRequests: 9,
  windowSuccesses: 10,
  /** Of a server: when it came, or came back. */
  upSinceS: 11,
  /** Of a server: thousandths of requests that it may get, and when it was last given some. */
  rateCredit: 12,
  ratePaidAtMs: 13,
  /** Of a server: time spent on answers lately, in units of BUSY_UNIT_US. */
  busy: 14,
  /** Of a server: how much of its share its monitors say that it can take, in percent, plus one; 0 for nothing said. */
  weightPercent: 15,
  /** On a line of its own: every exchange writes it. */
  inFlight: 16
} as const
export const CELLS = 32
/** So that a busy server's time fits into a cell. */
export const BUSY_UNIT_US = 64
export const CELL_BYTES = CELLS * Int32Array.BYTES_PER_ELEMENT

export const COUNTER = {
  requests: 0,
  responses1xx: 1,
  responses2xx: 2,
  responses3xx: 3,
  responses4xx: 4,
  responses5xx: 5,
  faultsDownstream: 6,
  faultsEngine: 7,
  faultsUpstream: 8,
  bytesIn: 9,
  bytesOut: 10,
  connections: 11,
  openConnections: 12,
  /** This worker's share of the slot's `inFlight` cell, so that it can be given back when the worker dies. */
  inFlight: 13,
  /** The same of a pool's retries and waiting requests. */
  retries: 14,
  pending: 15,
  /** Of a virtual service that keeps answers; the last two are what this worker keeps now. */
  cacheHits: 16,
  cacheMisses: 17,
  cacheStale: 18,
  cacheRevalidated: 19,
  cacheBypassed: 20,
  cacheSavedBytes: 21,
  cacheObjects: 22,
  cacheBytes: 23,
  /** Of a pool: requests that went to a second server as well, and those that it answered first. */
  hedged: 24,
  hedgesWon: 25,
  /** Of a pool that prefers servers of the engine's zone: what went to those, and to the others. */
  ownZone: 26,
  otherZones: 27
} as const
/** A whole number of cache lines. */
export const COUNTERS = 32
export const ROW_LENGTH = COUNTERS + BUCKETS
export const ROW_BYTES = ROW_LENGTH * Float64Array.BYTES_PER_ELEMENT

/**
 * Ahead of the slots: which client is bound to which server, of all pools. Sets of ways: an entry may lie in any way of the
 * set that its key says. Nothing of it takes memory before it is written to.
 */
export const BINDING = {
  keyHigh: 0,
  keyLow: 1,
  /** Hash of the server's id. */
  server: 2,
  usedAtS: 3,
  /** Hash of the pool's id. */
  pool: 4,
  /** What the client's place among the servers is computed from; 0 where it is not. */
  spread: 5,
  /** Time since the epoch in milliseconds, its lowest 32 bits. */
  boundAtMs: 6,
  /** 1: the other engines are told of it, and of its use. */
  isTold: 7
} as const
export const BINDING_LENGTH = 8
export const BINDING_WAYS = 8
export const BINDING_SETS = 32_768
const BINDING_CELLS = BINDING_SETS * BINDING_WAYS * BINDING_LENGTH
/** Behind the entries: how many changes were written down so far, and (a cache line on) where the last ones are, plus one. */
export const JOURNAL_COUNT = BINDING_CELLS
export const JOURNAL = BINDING_CELLS + 16
export const JOURNAL_LENGTH = 16_384
export const BINDING_BYTES = (JOURNAL + JOURNAL_LENGTH) * Int32Array.BYTES_PER_ELEMENT

export function viewBindings(buffer: SharedArrayBuffer): Int32Array<SharedArrayBuffer> {
  return new Int32Array(buffer, 0, BINDING_BYTES / Int32Array.BYTES_PER_ELEMENT)
}

export interface SlotViews {
  readonly cells: Int32Array<SharedArrayBuffer>
  readonly row: Float64Array<SharedArrayBuffer>
}

/** Bytes of one slot when so many workers write. */
export function slotBytes(workers: number): number {
  return CELL_BYTES + workers * ROW_BYTES
}

/** Views of fixed length: they stay valid and fast when the buffer grows. */
export function viewSlot(buffer: SharedArrayBuffer, slot: number, worker: number, workers: number): SlotViews {
  const at = BINDING_BYTES + slot * slotBytes(workers)
  return {
    cells: new Int32Array(buffer, at, CELLS),
    row: new Float64Array(buffer, at + CELL_BYTES + worker * ROW_BYTES, ROW_LENGTH)
  }
}
