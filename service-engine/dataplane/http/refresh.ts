/** Asks for what was answered stale, behind the back of whoever was answered. One try; what fails leaves things as they were. */
import type { Fault } from '#engine/base/fault.ts'
import { makeExchange, type Exchange } from '../exchange/exchange.ts'
import type { ForwardEvents } from '../exchange/forwarder.ts'
import type { Visit } from '../filter/cache/cache.ts'
import type { Lease } from '../upstream/pool.ts'
import { questionOf } from './question.ts'
import type { SpineServices } from './services.ts'
import type { Site } from './site.ts'

const TO_US = 1000

/** Goes by the same target, without what the client said of itself. */
export function refresh(services: SpineServices, site: Site, of: Exchange, visit: Visit): void {
  const { fetch, targets, poolOf, clock, makeId } = services
  const request = { ...of.request, method: 'GET', headers: visit.headersToRefresh() }
  const at = { id: makeId(), startedUs: clock.nowMs() * TO_US, startedEpochMs: clock.nowEpochMs() }
  const exchange = makeExchange(site, of.downstream, request, at)
  const choice = of.target === null ? undefined : targets.choose(of.target, poolOf)
  const lease = choice?.is === 'pool' ? choice.pool.lease(questionOf(exchange), null) : 'none'
  if (fetch === undefined || lease === 'none' || lease === 'full') return visit.left()
  exchange.keeper = visit
  visit.refreshes(exchange)
  lease.pool.requestBegan()
  try {
    fetch(exchange, lease.destination, new Refresh(exchange, site, lease, visit, services))
  } catch (error) {
    services.bug(error)
    lease.release()
    visit.left()
  }
}

class Refresh implements ForwardEvents {
  readonly #exchange: Exchange
  readonly #site: Site
  readonly #lease: Lease
  readonly #visit: Visit
  readonly #services: SpineServices

  constructor(exchange: Exchange, site: Site, lease: Lease, visit: Visit, services: SpineServices) {
    this.#exchange = exchange
    this.#site = site
    this.#lease = lease
    this.#visit = visit
    this.#services = services
  }

  connected(): void {
    // Nobody waits for it.
  }

  responded(): void {
    try {
      this.#visit.responded()
    } catch (error) {
      this.#services.bug(error)
    }
  }

  ended(fault: Fault | null): void {
    const { pool, meter } = this.#lease
    const status = this.#exchange.response?.status ?? 0
    this.#lease.release()
    this.#lease.ended(status, fault)
    for (const each of [this.#site.uses.of(pool), meter]) {
      if (fault !== null) each.faulted(fault.origin)
      each.exchangeEnded(status, this.#services.clock.nowMs() * TO_US - this.#exchange.startedUs)
    }
    this.#visit.left()
  }
}
