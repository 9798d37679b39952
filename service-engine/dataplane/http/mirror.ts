/** Copies of requests on their way to a pool that only listens in. Whatever becomes of one, its original never learns of it. */
import type { Clock } from '#model/base/clock.ts'
import { Fault } from '#engine/base/fault.ts'
import { makeExchange, type Exchange, type RequestCopy } from '../exchange/exchange.ts'
import type { Fetched, ForwardEvents, Forwarder } from '../exchange/forwarder.ts'
import type { Lease, Pool } from '../upstream/pool.ts'
import type { UseMeters } from '../upstream/use-meters.ts'
import { questionOf } from './question.ts'

/** Copies under way at once, for one virtual service in one worker; more are not begun. */
const MAX_COPIES = 256
/** A copy whose server takes no more than so much less than the original's is given up. */
const MAX_WAITING_BYTES = 1_048_576
const TIMEOUT_MS = 10_000
const TO_US = 1000

export interface MirrorServices {
  readonly poolOf: (id: string) => Pool | undefined
  readonly uses: UseMeters
  /** Left out where the codec cannot send what no client waits for: then nothing is copied. */
  readonly fetch?: Forwarder['fetch'] | undefined
  readonly clock: Clock
}

/**
 * Begins copies for one pool.
 *
 * Returns null for a copy where no server is available, all are at their limit, or too many copies are under way
 */
export function makeMirror(poolId: string, { poolOf, uses, fetch, clock }: MirrorServices): (exchange: Exchange) => RequestCopy | null {
  let underWay = 0
  return exchange => {
    if (fetch === undefined || underWay >= MAX_COPIES) return null
    const lease = poolOf(poolId)?.lease(questionOf(exchange), null)
    if (lease === undefined || lease === 'full' || lease === 'none') return null
    underWay++
    return new Copy(exchange, lease, { uses, fetch, clock, over: () => void underWay-- })
  }
}

interface CopyServices extends Pick<MirrorServices, 'uses' | 'clock'> {
  readonly fetch: NonNullable<Forwarder['fetch']>
  readonly over: () => void
}

/** Of the head as it is now; asked of its server when the original is asked of one. */
class Copy implements RequestCopy, ForwardEvents {
  readonly #exchange: Exchange
  readonly #lease: Lease
  readonly #services: CopyServices
  #fetched: Fetched | null = null
  #cancelTimer: (() => void) | null = null
  #attempts = 0
  #hasBody = false
  #isWhole = false
  /** By us, which is no fault of its server. */
  #isLetGo = false
  #isOver = false

  constructor({ request, downstream, virtualServiceId: id, virtualServiceName: name }: Exchange, lease: Lease, services: CopyServices) {
    const at = { id: '', startedUs: services.clock.nowMs() * TO_US, startedEpochMs: 0 }
    this.#exchange = makeExchange({ id, name, target: null }, downstream, { ...request, headers: [...request.headers] }, at)
    this.#lease = lease
    this.#services = services
    lease.onCut = () => this.#letGo()
  }

  /** What was sent cannot be taken back: a body that comes again would be there twice. */
  attempt(): void {
    if (++this.#attempts > 1) {
      if (this.#hasBody) this.#letGo()
      return
    }
    const { fetch, clock } = this.#services
    this.#cancelTimer = clock.after(TIMEOUT_MS, () =>
      this.#fetched?.abandon(new Fault('UPSTREAM_RESPONSE_TIMEOUT', `a copy that took longer than ${TIMEOUT_MS} ms`))
    )
    this.#fetched = fetch(this.#exchange, this.#lease.destination, this)
  }

  write(bytes: Buffer, from: number, to: number): void {
    this.#hasBody = true
    if (!this.#isOver && this.#fetched !== null && this.#fetched.write(bytes, from, to) > MAX_WAITING_BYTES) this.#letGo()
  }

  end(): void {
    this.#isWhole = true
    if (!this.#isOver) this.#fetched?.end()
  }

  drop(): void {
    if (!this.#isWhole) this.#letGo()
  }

  connected(): void {
    // Nobody waits for it.
  }

  responded(): void {
    // Nobody reads it.
  }

  ended(fault: Fault | null): void {
    this.#over(fault)
  }

  #letGo(): void {
    if (this.#isOver) return
    this.#isLetGo = true
    if (this.#fetched === null) this.#over(null)
    else this.#fetched.abandon(new Fault('DOWNSTREAM_RESET', 'a copy that is not wanted any more'))
  }

  #over(fault: Fault | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelTimer?.()
    if (this.#fetched === null && this.#attempts === 0) this.#lease.withdraw()
    else this.#lease.release()
    this.#services.over()
    if (this.#isLetGo) return
    const tookUs = this.#services.clock.nowMs() * TO_US - this.#exchange.startedUs
    for (const meter of [this.#services.uses.of(this.#lease.pool), this.#lease.meter]) {
      if (fault !== null) meter.faulted(fault.origin)
      meter.exchangeEnded(this.#exchange.response?.status ?? 0, tookUs)
    }
  }
}
