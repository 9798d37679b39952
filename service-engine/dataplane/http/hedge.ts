/** A second try of a request that the first server has not answered in time: which requests have one, and what it tells. */
import { Fault } from '#engine/base/fault.ts'
import type { RequestHead } from '../exchange/exchange.ts'
import type { ForwardEvents, Progress } from '../exchange/forwarder.ts'
import type { Lease } from '../upstream/pool.ts'

/** RFC 9110 §9.2.1, but for TRACE: of two servers that act on it neither changes what the other answers. */
const safe: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Whether two servers may be asked at once: nothing is changed by it, and nothing has to be sent twice as it comes. */
export function isHedgeable({ method, contentLength, isWebSocket }: RequestHead): boolean {
  return contentLength === 0 && !isWebSocket && safe.has(method)
}

export const lost = (by: string): Fault => new Fault('HEDGE_LOST', `${by} was the first to answer`)

/** Who hears what becomes of a second try. */
export interface HedgeUser {
  readonly hedgeResponded: (hedge: Hedge) => void
  readonly hedgeEnded: (hedge: Hedge, fault: Fault | null, progress: Progress) => void
}

/** The second try: made only when there is one. */
export class Hedge implements ForwardEvents {
  readonly lease: Lease
  readonly sentUs: number
  connectedUs = 0
  readonly #user: HedgeUser
  readonly #nowUs: () => number

  constructor(user: HedgeUser, lease: Lease, nowUs: () => number) {
    this.lease = lease
    this.sentUs = nowUs()
    this.#user = user
    this.#nowUs = nowUs
  }

  connected(): void {
    this.connectedUs = this.#nowUs()
  }

  responded(): void {
    this.#user.hedgeResponded(this)
  }

  ended(fault: Fault | null, progress: Progress): void {
    this.#user.hedgeEnded(this, fault, progress)
  }
}
