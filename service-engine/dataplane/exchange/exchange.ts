/**
 * The types that the data plane turns on. The spine, the filters, the rules and the balancers know an Exchange and a
 * Forwarder; none of them knows which HTTP codec runs.
 */
import type { Fault } from '#engine/base/fault.ts'

/** The request's head as the codec read it: strict, hop-by-hop fields still there until the forwarder strips them. */
export interface RequestHead {
  method: string
  /** Origin-form target as received: path and query. */
  target: string
  /** Lower case, without port; '' for HTTP/1.0 without Host. */
  host: string
  /** '1.0', '1.1' or '2'. */
  readonly version: string
  /** Lower-case names; [name, value, name, value ...] in order received. */
  headers: string[]
}

export interface ResponseHead {
  status: number
  reason: string
  headers: string[]
}

export interface Downstream {
  readonly clientIp: string
  readonly clientPort: number
  readonly localPort: number
  readonly vip: string
  readonly isTls: boolean
  readonly serverName: string | null
}

/** One request and its response, from the first header byte to the last body byte. */
export interface Exchange {
  readonly id: string
  readonly downstream: Downstream
  readonly request: RequestHead
  response: ResponseHead | null
  /** Name of the rule that decided, '' for none. */
  rule: string
  poolId: string
  serverId: string
  /** How many filters were entered: `runEnd` tells exactly these. */
  entered: number
  bytesIn: number
  bytesOut: number
  readonly startedUs: number
  connectedUs: number
  firstByteUs: number
  fault: Fault | null
}

/** What a filter or a rule decided. Named, never a boolean. */
export type Verdict =
  | { readonly is: 'pass' }
  | { readonly is: 'answer'; readonly status: number; readonly reason: string; readonly headers: readonly string[]; readonly body: Buffer }
  | { readonly is: 'close'; readonly reason: string }

export const PASS: Verdict = { is: 'pass' }
