/** What a balancer is: it picks one candidate and knows no sockets. */

import type { TlsSession } from '../exchange/exchange.ts'

/** A server as a balancer sees it. */
export interface Candidate {
  /** Stable over edits. */
  readonly id: string
  /** Relative share; 0 takes no traffic. */
  readonly weight: number
  /** Exchanges and flows in flight, over all workers. */
  readonly inFlight: () => number
  /** Smoothed time to first byte in microseconds; 0 before the first. */
  readonly responseUs: () => number
  /** Time that it has spent on answers lately, in microseconds; what is older than some seconds fades. */
  readonly busyUs: () => number
}

/** What a balancer may know of who asks. */
export interface Question {
  readonly clientIp: string
  readonly clientPort: number
  /** Path and query; '' for a flow. */
  readonly uri: string
  /** A request header's first value; '' when there is none. */
  readonly header: (lowerCaseName: string) => string
  /** Where sessions are followed. */
  readonly tlsSession?: TlsSession | undefined
  /** What a script wants it to be spread by; '' for nothing. */
  readonly spreadBy?: string
  /** Id of the server that was chosen already; '' for none. */
  readonly wantedServer?: string
}

export interface Balancer {
  /**
   * Shapes  candidates: all available; never mutated. The same array object for as long as it has the same members, so
   *         that what is computed from it can be kept
   * Returns one of them; undefined exactly when none has a weight above 0
   */
  readonly pick: <C extends Candidate>(candidates: readonly C[], question: Question) => C | undefined
  /** The one to be asked instead of one that was picked and cannot be; left out: the least loaded. `pick` keeps nothing of these candidates. */
  readonly standIn?: <C extends Candidate>(candidates: readonly C[]) => C | undefined
  /** Where who asks decides who is picked: a number in 0..1 (1 left out) that is always the same for who asks. */
  readonly place?: (question: Question) => number
}
