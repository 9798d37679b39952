/**
 * How fast the bytes of one exchange or flow may go. What has gone is counted against its budgets, and where that is more than
 * they have its turn comes when they have made up for it, in the order in which bytes went: so many connections share a budget
 * fairly, and what is slow is the sender's own doing, whose bytes are not read.
 */
import type { Clock } from '#model/base/clock.ts'
import { bandwidthToCount } from '#model/snapshot/limit.ts'
import type { BandwidthSpec } from '#model/snapshot/snapshot.ts'
import type { Budget, Budgets } from './rates.ts'

/** After so long it is looked whether the budget has become another. */
const MAX_NAP_MS = 100
const NS_PER_MS = 1_000_000
/** What an answer is taken to be long at most before it is known: what is beyond waits while it goes. */
const MAX_EXPECTED_BYTES = 65_536
/** Weight of the newest answer. */
const RECENT = 0.1

interface Share {
  readonly budget: Budget
  readonly key: string
}

/** One direction. Its bytes are either on their way or waited for, never both. */
export class Pacing {
  readonly #shares: readonly Share[]
  readonly #clock: Clock
  /** For each share: bytes that have to be made up for. */
  readonly #behind: number[]
  /** Bytes that are counted already, and may still go. */
  #credit = 0
  #spent = 0
  #cancel: (() => void) | null = null

  constructor(shares: readonly Share[], clock: Clock) {
    this.#shares = shares
    this.#clock = clock
    this.#behind = shares.map(() => 0)
  }

  get spentBytes(): number {
    return this.#spent
  }

  /** So many bytes went. Returns true when more have to wait: to be told by `wait` when they may go. */
  spend(bytes: number): boolean {
    this.#spent += bytes
    const known = Math.min(this.#credit, bytes)
    this.#credit -= known
    return known < bytes && this.#take(bytes - known)
  }

  /** So many are about to go; they are counted now. Returns true when they have to wait. */
  reserve(bytes: number): boolean {
    this.#credit += bytes
    return this.#take(bytes)
  }

  /** Once, when more may go. */
  wait(go: () => void): void {
    this.#cancel?.()
    let waitNs = 0
    for (const [i, { budget, key }] of this.#shares.entries()) waitNs = Math.max(waitNs, this.#behind[i]! * budget.nsPerByte(key))
    const napMs = Math.max(1, Math.min(MAX_NAP_MS, Math.ceil(waitNs / NS_PER_MS)))
    this.#cancel = this.#clock.after(napMs, () => {
      this.#cancel = null
      let isOver = true
      for (const [i, { budget, key }] of this.#shares.entries()) {
        const behind = this.#behind[i]! - (napMs * NS_PER_MS) / budget.nsPerByte(key)
        this.#behind[i] = Math.max(0, behind)
        if (behind > 0) isOver = false
      }
      if (isOver) go()
      else this.wait(go)
    })
  }

  /** Nobody waits any more. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  /** Nothing more goes: what was reserved and did not go is given back. */
  end(): void {
    this.stop()
    if (this.#credit > 0) for (const { budget, key } of this.#shares) budget.take(key, -this.#credit)
    this.#credit = 0
  }

  #take(bytes: number): boolean {
    let isBehind = false
    for (const [i, { budget, key }] of this.#shares.entries()) {
      const behind = budget.take(key, bytes)
      this.#behind[i] = behind
      if (behind > 0) isBehind = true
    }
    return isBehind
  }
}

/** Both directions. */
export interface Pacer {
  readonly down: Pacing
  readonly up: Pacing
}

export interface Bandwidth {
  readonly open: (clientIp: string) => Pacer
  /** How long an answer is likely to be, as those before it were. */
  readonly expectedBytes: () => number
  /** An answer is over. */
  readonly learn: (bytes: number) => void
}

export function compileBandwidth(specs: readonly BandwidthSpec[], rates: Budgets, clock: Clock): Bandwidth {
  const budgets = specs.map(spec => ({ spec, budget: rates.openBudget(bandwidthToCount(spec)) }))
  const sharesOf = (direction: BandwidthSpec['direction'], clientIp: string): Share[] =>
    budgets
      .filter(({ spec }) => spec.direction === direction)
      .map(({ spec, budget }) => ({ budget, key: spec.isPerClient ? clientIp : '' }))
  let expected = 0
  return {
    open: clientIp => ({ down: new Pacing(sharesOf('down', clientIp), clock), up: new Pacing(sharesOf('up', clientIp), clock) }),
    expectedBytes: () => Math.round(Math.min(expected, MAX_EXPECTED_BYTES)),
    learn: bytes => {
      expected += RECENT * (Math.min(bytes, MAX_EXPECTED_BYTES) - expected)
    }
  }
}
