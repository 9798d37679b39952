/**
 * The life of an exchange, step by step:
 * begin -> filters onRequest (rules among them) -> what is kept, where answers are -> choose a pool -> balance: lease a server -> forward, both ways
 * -> filters onResponse -> the response is out -> end: filters onEnd, meter, access record.
 * A fault leads to another try or to `rescue`; whatever happens, `#end` runs exactly once.
 */
import { STATUS_CODES } from 'node:http'
import type { FailAction, StickySpec } from '#model/snapshot/snapshot.ts'
import { Fault, faultIn } from '#engine/base/fault.ts'
import type { AccessRecord, TrafficMeter } from '#engine/meter/shared.ts'
import {
  makeExchange,
  type Answer,
  type BodySource,
  type Downstream,
  type Exchange,
  type RequestHead,
  type Verdict
} from '../exchange/exchange.ts'
import type { ForwardEvents, Progress, Wire } from '../exchange/forwarder.ts'
import { headerBytes, headerOf, removeHeader } from '../exchange/headers.ts'
import { runEnd, runRequest, runResponse } from '../filter/filter.ts'
import { WAIT_MS, type Flight, type HttpCache, type Visit } from '../filter/cache/cache.ts'
import type { Lease, Pool } from '../upstream/pool.ts'
import { backoffOf, isReselected, replayOf } from './forward.ts'
import { Hedge, isHedgeable, lost, type HedgeUser } from './hedge.ts'
import { clientKey, giveSide } from '../upstream/sticky.ts'
import { hasUntried } from '../upstream/targets.ts'
import { questionOf } from './question.ts'
import { refresh } from './refresh.ts'
import { answerTo } from './rescue.ts'
import type { SpineServices } from './services.ts'
import type { Site } from './site.ts'
import type { Traced } from './trace.ts'

export type { SpineServices } from './services.ts'

const TO_US = 1000

/** Only what is kept was asked for, and nothing is: RFC 9111 §5.2.1.7. */
const notKept: Answer = {
  is: 'answer',
  status: 504,
  reason: '',
  headers: ['content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store'],
  body: Buffer.from('504 Gateway Timeout\n'),
  isPlain: true
}

/** Runs one exchange of a virtual service from its head on. */
export function runExchange(services: SpineServices, site: Site, request: RequestHead, downstream: Downstream, wire: Wire): void {
  new ExchangeLife(services, site, request, downstream, wire).begin()
}

/** Accounts for what was refused before it was a request. */
export function recordRefusal(services: SpineServices, site: Site, fault: Fault, downstream: Downstream): void {
  const nothing: RequestHead = {
    method: '',
    target: '',
    path: '',
    query: '',
    host: '',
    authority: '',
    version: '',
    headers: [],
    framing: 'none',
    contentLength: 0,
    isWebSocket: false
  }
  const exchange = openExchange(services, site, nothing, downstream)
  exchange.fault = fault
  site.meter.faulted(fault.origin)
  site.meter.exchangeEnded(fault.status, 0)
  keepRecord(services, site, exchange, fault.status)
}

function openExchange(services: SpineServices, site: Site, request: RequestHead, downstream: Downstream): Exchange {
  const { clock } = services
  const at = { id: services.makeId(), startedUs: clock.nowMs() * TO_US, startedEpochMs: clock.nowEpochMs() }
  return makeExchange(site, downstream, request, at)
}

/** One for each exchange, so it is made of fields and not of closures; it hears itself what becomes of an attempt. */
class ExchangeLife implements ForwardEvents, HedgeUser {
  readonly #services: SpineServices
  readonly #site: Site
  readonly #wire: Wire
  readonly #exchange: Exchange
  #lease: Lease | null = null
  /** A second try beside that of the lease; when one of both ends, the other's lease is the lease. */
  #hedge: Hedge | null = null
  /** Of a second try that may be due. */
  #cancelHedge: (() => void) | null = null
  #traced: Traced | null = null
  #tried: string[] | null = null
  /** Of a try that is limited, or of a retry that waits. */
  #cancelTimer: (() => void) | null = null
  /** Of the exchange as a whole. */
  #cancelDeadline: (() => void) | null = null
  #lastFault: Fault | null = null
  #isOverdue = false
  /** A script was asked what to do without a server. */
  #wasUnserved = false
  #isWaiting = false
  /** Where answers are kept: what this exchange has to do with them. */
  #visit: Visit | null = null
  #standsIn = false
  /** Of a client that is to be kept on a side of its group and has brought nothing that says which; '' for others. */
  #newSide = ''
  #isEnded = false

  constructor(services: SpineServices, site: Site, request: RequestHead, downstream: Downstream, wire: Wire) {
    this.#services = services
    this.#site = site
    this.#wire = wire
    this.#exchange = openExchange(services, site, request, downstream)
    if (wire.collect !== undefined) this.#exchange.source = wire as BodySource
  }

  begin(): void {
    const { request } = this.#exchange
    const limit = this.#site.part.http.maxBodyBytes
    this.#exchange.bytesIn = request.method.length + request.target.length + 12 + headerBytes(request.headers)
    this.#wire.onGone = fault => this.#gone(fault)
    const { tracer } = this.#services.tracing
    if (tracer !== null) this.#traced = tracer.began(this.#exchange, this.#site)
    if (!this.#site.part.isTrafficEnabled) return this.#refuse(new Fault('DENIED_BY_RULE', 'traffic is not enabled'))
    if (limit !== null && request.contentLength > limit)
      return this.#rescue(new Fault('DOWNSTREAM_BODY_TOO_LARGE', `a body over ${limit} bytes`))
    const { requestTimeoutMs } = this.#site.part
    if (requestTimeoutMs !== undefined)
      this.#cancelDeadline = this.#services.clock.after(requestTimeoutMs, () => this.#guarded(() => this.#overdue(requestTimeoutMs)))
    try {
      const verdict = runRequest(this.#site.filters, this.#exchange)
      if (verdict instanceof Promise) {
        verdict.then(
          decided => this.#guarded(() => this.#decided(decided)),
          (error: unknown) => this.#failed(error)
        )
      } else this.#decided(verdict)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** A filter threw: what the client did wrong is answered, everything else is a break. */
  #failed(error: unknown): void {
    const fault = faultIn(error)
    if (fault?.origin !== 'downstream') return this.#broken(error)
    if (!this.#isEnded && !this.#isOverdue) this.#guarded(() => this.#rescue(fault))
  }

  /** An answer of ours when nothing is out yet; else what is out is cut. */
  #overdue(limitMs: number): void {
    if (this.#isEnded) return
    const fault = new Fault('REQUEST_TIMEOUT', `the exchange was not over within ${limitMs} ms`)
    this.#isOverdue = true
    this.#isWaiting = false
    if (this.#lease !== null) {
      if (this.#hedge !== null) this.#wire.abandonHedge!(fault)
      this.#wire.abandon(fault)
      if (this.#lease === null) return
    } else if (this.#exchange.response === null) {
      this.#stopTimer()
      // A body may be on its way to a script.
      this.#wire.abandon(fault)
      return this.#rescue(fault)
    }
    this.#exchange.fault = fault
    this.#wire.close()
  }

  #decided(verdict: Verdict): void {
    if (this.#isEnded || this.#isOverdue) return
    if (verdict.is === 'pass' && this.#site.cache !== undefined) this.#lookUp(this.#site.cache, true)
    else if (verdict.is === 'pass') this.#balance()
    else if (verdict.is === 'answer') this.#answer(verdict, false)
    else this.#refuse(new Fault('DENIED_BY_RULE', verdict.reason))
  }

  /** Answers from what is kept, waits for another that asks for the same, or goes on to a server. */
  #lookUp(cache: HttpCache, mayWait: boolean): void {
    const step = cache.enter(this.#exchange, mayWait)
    if (step.is === 'pass') return this.#balance()
    if (step.is === 'unavailable') return this.#answer(notKept, false)
    if (step.is === 'wait') return this.#waitFor(cache, step.flight)
    this.#visit = step.visit
    this.#exchange.keeper = step.visit
    if (step.is === 'fetch') return this.#balance()
    this.#serve()
    if (step.refresh !== null) refresh(this.#services, this.#site, this.#exchange, step.refresh)
  }

  #waitFor(cache: HttpCache, flight: Flight): void {
    this.#isWaiting = true
    const go = (): void => {
      leave()
      this.#stopTimer()
      if (this.#isEnded || !this.#isWaiting) return
      this.#isWaiting = false
      this.#guarded(() => this.#lookUp(cache, false))
    }
    const leave = flight.join(go)
    const cancel = this.#services.clock.after(WAIT_MS, go)
    this.#cancelTimer = () => {
      cancel()
      leave()
    }
  }

  /** Sends what is kept; `exchange.response` and the keeper have it. */
  #serve(): void {
    const exchange = this.#exchange
    try {
      runResponse(this.#site.filters, exchange)
    } catch (error) {
      // As below: a script that must not fail did.
      const fault = faultIn(error)
      if (fault?.code !== 'SCRIPT_FAILED') throw error
      exchange.keeper = null
      exchange.fault = fault
      const { answer, closes } = answerTo(fault)
      return this.#answer(answer, closes)
    }
    exchange.bytesOut = 16 + headerBytes(exchange.response!.headers)
    this.#wire.onGone = null
    this.#wire.serve(exchange, sent => this.#end(exchange.fault ?? sent))
  }

  /** What is kept in the place of a failure; false when there is nothing. */
  #servesStale(): boolean {
    if (this.#visit === null || this.#isOverdue || !this.#visit.mayStandIn()) return false
    this.#visit.serve('STALE')
    this.#serve()
    return true
  }

  /** Chooses pool and server; comes back here after a fault that permits another try, and after waiting for a place. */
  #balance(): void {
    const exchange = this.#exchange
    const { targets, poolOf } = this.#services
    const { target } = exchange
    const key = target?.is === 'group' && target.sticky !== undefined ? this.#sideKey(target.sticky) : ''
    const choice = target === null ? undefined : targets.choose(target, poolOf, key, this.#tried)
    if (choice === undefined) {
      const fault = this.#lastFault ?? new Fault('NO_TARGET', 'no rule and no pool for this request')
      return this.#unserved(fault) ? undefined : this.#rescue(fault)
    }
    if (choice.is === 'fail') {
      if (this.#tried === null) exchange.poolName = choice.name
      const fault = this.#lastFault ?? new Fault('NO_AVAILABLE_SERVER', `no server of ${choice.name} is available`)
      return this.#unserved(fault) ? undefined : this.#failAction(choice.action, fault)
    }
    const { pool } = choice
    exchange.poolId = pool.part.id
    exchange.poolName = pool.part.name
    const lease = pool.lease(questionOf(exchange), this.#tried)
    if (lease === 'none') {
      const fault = this.#lastFault ?? new Fault('NO_AVAILABLE_SERVER', `no server of ${pool.part.name} is available`)
      if (!this.#unserved(fault)) this.#failAction(pool.part.failAction, fault)
    } else if (lease === 'full') this.#wait(pool)
    else this.#forward(lease)
  }

  /** True when a script took care of it: once, so that what it chooses cannot lead here again. */
  #unserved(fault: Fault): boolean {
    const { unserved } = this.#site
    if (unserved === undefined || this.#wasUnserved) return false
    this.#wasUnserved = true
    const exchange = this.#exchange
    const before = exchange.target
    const verdict = unserved(exchange, fault)
    if (verdict.is === 'pass' && exchange.target === before) return false
    this.#decided(verdict)
    return true
  }

  /** Who comes without the cookie of its side is given one with the answer. */
  #sideKey(sticky: StickySpec): string {
    const key = clientKey(sticky, questionOf(this.#exchange))
    return key === '' ? (this.#newSide ||= this.#services.makeId()) : key
  }

  #wait(pool: Pool): void {
    this.#isWaiting = true
    const isQueued = pool.wait(isLate => {
      if (this.#isEnded || !this.#isWaiting) return true
      if (isLate) {
        this.#isWaiting = false
        this.#rescue(new Fault('QUEUE_FULL', `no place on a server of ${pool.part.name} in time`))
        return true
      }
      const isSame = this.#services.poolOf(pool.part.id) === pool
      const lease = isSame ? pool.lease(questionOf(this.#exchange), this.#tried) : null
      if (lease === 'full') return false
      this.#isWaiting = false
      if (lease === null || lease === 'none') this.#guarded(() => this.#balance())
      else this.#guarded(() => this.#forward(lease))
      return true
    })
    if (isQueued) return
    this.#isWaiting = false
    this.#rescue(new Fault('QUEUE_FULL', `every server of ${pool.part.name} is at its limit`))
  }

  #forward(lease: Lease): void {
    const exchange = this.#exchange
    this.#hold(lease)
    if (exchange.attempts++ === 0) lease.pool.requestBegan()
    exchange.sentUs = this.#nowUs()
    exchange.connectedUs = 0
    this.#limitTry(lease)
    if (lease.pool.part.hedge !== undefined) this.#armHedge(lease.pool)
    this.#wire.forward(exchange, lease.destination, this)
  }

  #hold(lease: Lease): void {
    this.#lease = lease
    this.#exchange.serverId = lease.serverId
    lease.onCut = () => {
      const fault = withdrawn(lease)
      if (this.#hedge !== null) return this.#wire.abandon(fault)
      this.#exchange.fault = fault
      this.#wire.close()
    }
  }

  connected(): void {
    this.#exchange.connectedUs = this.#nowUs()
  }

  responded(isReplayable: boolean): void {
    try {
      const lease = this.#lease
      if (lease === null) return
      if (this.#hedge !== null) {
        const fault = this.#failureOf(lease)
        if (fault !== null) return this.#wire.abandon(fault)
        this.#wire.abandonHedge!(lost(lease.serverId))
      }
      this.#responded(lease, isReplayable)
    } catch (error) {
      this.#broken(error)
    }
  }

  ended(fault: Fault | null, progress: Progress): void {
    try {
      if (this.#lease !== null) this.#forwarded(this.#lease, fault, progress)
    } catch (error) {
      this.#broken(error)
    }
  }

  // A second try beside the first.

  #armHedge(pool: Pool): void {
    const { hedge, request, wantedServer } = this.#exchange
    if (hedge !== '' || wantedServer !== '' || this.#wire.hedge === undefined || !isHedgeable(request)) return
    const delayMs = pool.hedgeDelayMs()
    if (delayMs !== null) this.#cancelHedge = this.#services.clock.after(delayMs, () => this.#guarded(() => this.#hedgeNow()))
  }

  #hedgeNow(): void {
    this.#cancelHedge = null
    const exchange = this.#exchange
    const first = this.#lease
    if (first === null || exchange.response !== null) return
    const lease = first.pool.leaseHedge(questionOf(exchange), [...(this.#tried ?? []), first.serverId])
    if (lease === undefined) return
    lease.onCut = () => this.#wire.abandonHedge!(withdrawn(lease))
    exchange.hedge = 'LOST'
    exchange.attempts++
    const hedge = new Hedge(this, lease, () => this.#nowUs())
    this.#hedge = hedge
    this.#wire.hedge!(exchange, lease.destination, hedge)
  }

  /** An answer that is a failure by the pool's rules does not end the wait for the other one; null: it counts. */
  #failureOf({ pool, serverId }: Lease): Fault | null {
    const { reselect } = pool.part
    const { status } = this.#exchange.response!
    if (reselect === undefined || !isReselected(reselect, status)) return null
    return new Fault('UPSTREAM_STATUS_RESELECTED', `${serverId} answered ${status}`)
  }

  hedgeResponded(hedge: Hedge): void {
    try {
      if (this.#hedge === hedge) {
        const fault = this.#failureOf(hedge.lease)
        if (fault !== null) return this.#wire.abandonHedge!(fault)
        this.#exchange.hedge = 'WON'
        hedge.lease.pool.hedgeWon()
        this.#wire.abandon(lost(hedge.lease.serverId))
      }
      if (this.#lease === hedge.lease) this.#responded(hedge.lease, true)
    } catch (error) {
      this.#broken(error)
    }
  }

  hedgeEnded(hedge: Hedge, fault: Fault | null, progress: Progress): void {
    try {
      const { lease } = hedge
      if (this.#lease === lease) return this.#forwarded(lease, fault, progress)
      if (this.#hedge !== hedge) return
      this.#hedge = null
      lease.release()
      this.#oneLeft(lease, fault, hedge.sentUs)
    } catch (error) {
      this.#broken(error)
    }
  }

  /** The first try is over: the second is all there is. */
  #goOnWith({ lease, sentUs, connectedUs }: Hedge, ended: Lease, fault: Fault | null): void {
    const exchange = this.#exchange
    this.#hedge = null
    this.#oneLeft(ended, fault, exchange.sentUs)
    this.#hold(lease)
    exchange.sentUs = sentUs
    exchange.connectedUs = connectedUs
    if (exchange.response === null) this.#limitTry(lease)
  }

  /** What one of two tries came to; one that lost has not failed. */
  #oneLeft(ended: Lease, fault: Fault | null, sentUs: number): void {
    const exchange = this.#exchange
    if (fault?.code !== 'HEDGE_LOST') {
      this.#meterServer(ended, fault)
      exchange.response = null
      this.#lastFault = fault
      this.#tried ??= []
      this.#tried.push(ended.serverId)
      return
    }
    const nowUs = this.#nowUs()
    ended.outrun(nowUs - sentUs)
    for (const meter of [this.#site.uses.of(ended.pool), ended.meter]) {
      meter.exchangeEnded(0, nowUs - exchange.startedUs)
      meter.bytesIn(exchange.bytesIn)
    }
  }

  #limitTry({ pool, serverId }: Lease): void {
    const { reselect } = pool.part
    if (reselect === undefined) return
    const limitMs = this.#tried === null ? reselect.tryTimeoutMs : reselect.retryTimeoutMs
    if (limitMs === null) return
    this.#cancelTimer = this.#services.clock.after(limitMs, () =>
      this.#wire.abandon(new Fault('UPSTREAM_RESPONSE_TIMEOUT', `no answer of ${serverId} within ${limitMs} ms`))
    )
  }

  #stopTimer(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#cancelHedge?.()
    this.#cancelHedge = null
  }

  #responded(lease: Lease, isReplayable: boolean): void {
    const exchange = this.#exchange
    const { status } = exchange.response!
    this.#stopTimer()
    // A tunnel lasts as long as its ends want.
    if (status === 101) this.#cancelDeadline?.()
    exchange.firstByteUs = this.#nowUs()
    // A failure that comes fast does not make a server a fast one.
    if (status < 500) lease.responded(exchange.firstByteUs - exchange.sentUs)
    if (this.#isReselected(lease, status, isReplayable))
      return this.#wire.abandon(new Fault('UPSTREAM_STATUS_RESELECTED', `${lease.serverId} answered ${status}`))
    if (this.#visit !== null) {
      const outcome = this.#visit.responded()
      if (outcome === 'failed') {
        this.#standsIn = true
        return this.#wire.abandon(new Fault('UPSTREAM_STATUS_RESELECTED', `${lease.serverId} answered ${status}`))
      }
    } else this.#site.cache?.changed(exchange)
    lease.pool.answered(exchange, lease.serverId)
    if (this.#newSide !== '') giveSide(exchange, exchange.target, this.#newSide)
    try {
      runResponse(this.#site.filters, exchange)
    } catch (error) {
      // A script that must not fail did: nothing of this answer goes out.
      const fault = faultIn(error)
      if (fault?.code !== 'SCRIPT_FAILED') throw error
      return this.#wire.abandon(fault)
    }
    exchange.bytesOut = 16 + headerBytes(exchange.response!.headers)
  }

  /** The answer is one that another server may better; else it is relayed as it is. */
  #isReselected({ pool, serverId }: Lease, status: number, isReplayable: boolean): boolean {
    const { reselect } = pool.part
    if (reselect === undefined || !isReselected(reselect, status)) return false
    const fault = new Fault('UPSTREAM_STATUS_RESELECTED', '')
    const progress = { isRequestSent: true, isBodyConsumed: !isReplayable, isResponseBegun: false }
    if (replayOf(this.#exchange, fault, progress, reselect, this.#tried?.length) === 'never') return false
    const target = this.#exchange.target ?? { is: 'pool', poolId: pool.part.id }
    return hasUntried(target, this.#services.poolOf, [...(this.#tried ?? []), serverId]) && pool.mayRetry()
  }

  #forwarded(lease: Lease, fault: Fault | null, progress: Progress): void {
    const { pool } = lease
    this.#lease = null
    lease.release()
    this.#stopTimer()
    if (this.#hedge !== null) return this.#goOnWith(this.#hedge, lease, fault)
    if (this.#isEnded) return
    this.#meterServer(lease, fault)
    if (fault === null) return this.#end(null)
    if (this.#standsIn && !progress.isResponseBegun && this.#servesStale()) return
    const retries = this.#tried?.length ?? 0
    const replay = replayOf(this.#exchange, fault, progress, pool.part.reselect, retries)
    // An answer that was given up for a retry has paid for it.
    const isPaid = replay !== 'on-another-server' || fault.code === 'UPSTREAM_STATUS_RESELECTED' || pool.mayRetry()
    if (replay === 'never' || !isPaid) {
      if (progress.isResponseBegun || fault.code === 'DOWNSTREAM_RESET') this.#end(fault)
      else this.#rescue(fault)
      return
    }
    this.#lastFault = fault
    this.#exchange.response = null
    if (replay === 'on-another-server') {
      this.#tried ??= []
      this.#tried.push(lease.serverId)
      const delayMs = pool.part.reselect === undefined ? 0 : backoffOf(pool.part.reselect, retries, this.#services.random)
      if (delayMs > 0) {
        this.#cancelTimer = this.#services.clock.after(delayMs, () => this.#guarded(() => this.#balance()))
        return
      }
    }
    this.#balance()
  }

  #meterServer(lease: Lease, fault: Fault | null): void {
    const exchange = this.#exchange
    const tookUs = this.#nowUs() - exchange.startedUs
    lease.ended(exchange.response?.status ?? 0, fault)
    meterAttempt(this.#site.uses.of(lease.pool), exchange, fault, tookUs)
    meterAttempt(lease.meter, exchange, fault, tookUs)
  }

  #failAction(action: FailAction, fault: Fault): void {
    if (this.#servesStale()) return
    this.#exchange.fault = fault
    if (action.is === 'close' || action.is === 'pool') return this.#rescue(fault)
    if (action.is === 'redirect') {
      return this.#answer(
        { is: 'answer', status: action.status, reason: '', headers: ['location', action.location], body: Buffer.alloc(0) },
        false
      )
    }
    const headers = action.contentType === '' ? [] : ['content-type', action.contentType]
    this.#answer({ is: 'answer', status: action.status, reason: '', headers, body: Buffer.from(action.bodyBase64, 'base64') }, false)
  }

  /** A rule closes the connection. */
  #refuse(fault: Fault): void {
    this.#exchange.fault = fault
    this.#wire.close()
    this.#end(fault)
  }

  /** A fault becomes a response. */
  #rescue(fault: Fault): void {
    if (fault.origin !== 'downstream' && this.#servesStale()) return
    this.#exchange.fault = fault
    const { answer, closes } = answerTo(fault)
    this.#answer(answer, closes)
  }

  #answer(given: Answer, closes: boolean): void {
    const exchange = this.#exchange
    const answer = this.#site.errorPage?.(given) ?? given
    const headers = [...answer.headers]
    const isBodyless = answer.status === 204 || answer.status === 304
    exchange.response = { status: answer.status, reason: answer.reason || (STATUS_CODES[answer.status] ?? ''), headers }
    runResponse(this.#site.filters, exchange)
    removeHeader(headers, 'content-length')
    if (!isBodyless) headers.push('content-length', String(answer.body.length))
    exchange.bytesOut = 16 + headerBytes(headers) + answer.body.length
    this.#wire.onGone = null
    this.#wire.answer(exchange, isBodyless || exchange.request.method === 'HEAD' ? Buffer.alloc(0) : answer.body, closes, sent =>
      this.#end(exchange.fault ?? sent)
    )
  }

  /** The client went while nothing was under way with a server. */
  #gone(fault: Fault): void {
    if (this.#lease !== null) return
    this.#isWaiting = false
    this.#end(fault)
  }

  #end(fault: Fault | null): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#stopTimer()
    this.#cancelDeadline?.()
    this.#wire.onGone = null
    const exchange = this.#exchange
    const { meter, filters } = this.#site
    exchange.fault ??= fault
    runEnd(filters, exchange)
    if (this.#site.cache !== undefined) this.#leaveCache(this.#site.cache)
    const status = exchange.response?.status ?? (exchange.fault?.code === 'DOWNSTREAM_RESET' ? exchange.fault.status : 0)
    if (exchange.fault !== null) meter.faulted(exchange.fault.origin)
    meter.exchangeEnded(status, this.#nowUs() - exchange.startedUs)
    meter.bytesIn(exchange.bytesIn)
    meter.bytesOut(exchange.bytesOut)
    if (this.#traced !== null) this.#tellTrace(this.#traced, status)
    keepRecord(this.#services, this.#site, exchange, status)
  }

  #tellTrace(traced: Traced, status: number): void {
    const exchange = this.#exchange
    traced.tracer.ended(traced, exchange, recordOf(this.#services, exchange, status), this.#services.poolOf(exchange.poolId))
  }

  #leaveCache({ settings }: HttpCache): void {
    const { cacheStatus } = this.#exchange
    this.#visit?.left()
    if (cacheStatus !== '') settings.meter.visited(cacheStatus, this.#visit?.savedBytes ?? 0)
  }

  #nowUs(): number {
    return this.#services.clock.nowMs() * TO_US
  }

  /** A throw in one exchange ends that exchange and no other. */
  #guarded(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#broken(error)
    }
  }

  #broken(error: unknown): void {
    const fault = faultIn(error)
    if (fault === undefined) this.#services.bug(error)
    if (this.#isEnded) return
    this.#lease?.release()
    this.#lease = null
    this.#hedge?.lease.release()
    this.#hedge = null
    this.#exchange.fault = fault ?? new Fault('ENGINE_BUG', 'a failure of the engine itself', { cause: error })
    this.#wire.close()
    this.#end(this.#exchange.fault)
  }
}

const withdrawn = ({ serverId }: Lease): Fault => new Fault('SERVER_WITHDRAWN', `${serverId} was taken out and its grace is over`)

function meterAttempt(meter: TrafficMeter, { response, bytesIn, bytesOut }: Exchange, fault: Fault | null, tookUs: number): void {
  if (fault !== null) meter.faulted(fault.origin)
  meter.exchangeEnded(response?.status ?? 0, tookUs)
  meter.bytesIn(bytesIn)
  meter.bytesOut(response === null ? 0 : bytesOut)
}

function keepRecord(services: SpineServices, site: Site, exchange: Exchange, status: number): void {
  const { accessLog } = site.part
  const isSignificant = exchange.fault !== null || status >= 400 || exchange.isLogged
  if (!accessLog.isEnabled || (accessLog.isSignificantOnly && !isSignificant)) return
  services.record(recordOf(services, exchange, status))
}

function recordOf(services: SpineServices, exchange: Exchange, status: number): AccessRecord {
  const { downstream, request } = exchange
  const since = (atUs: number): number => (atUs === 0 ? 0 : Math.max(0, Math.round(atUs - exchange.startedUs)))
  return {
    atEpochMs: exchange.startedEpochMs,
    virtualServiceId: exchange.virtualServiceId,
    virtualServiceName: exchange.virtualServiceName,
    clientIp: downstream.clientIp,
    clientPort: downstream.clientPort,
    method: request.method,
    scheme: downstream.isTls ? 'https' : 'http',
    host: request.host,
    path: request.query === '' ? request.path : `${request.path}?${request.query}`,
    protocol: request.version === '' ? '' : `HTTP/${request.version}`,
    status,
    rule: exchange.rule,
    poolName: exchange.poolName,
    server: exchange.serverId,
    bytesIn: exchange.bytesIn,
    bytesOut: exchange.bytesOut,
    clientRttUs: downstream.handshakeUs ?? 0,
    ...(downstream.fingerprint === undefined ? {} : { fingerprint: downstream.fingerprint }),
    attempts: exchange.attempts,
    ...(exchange.hedge === '' ? {} : { hedge: exchange.hedge }),
    sentUs: since(exchange.sentUs),
    connectUs: since(exchange.connectedUs),
    firstByteUs: since(exchange.firstByteUs),
    totalUs: since(services.clock.nowMs() * TO_US),
    requestId: exchange.id,
    userAgent: headerOf(request.headers, 'user-agent') ?? '',
    fault: exchange.fault?.code ?? '',
    cache: exchange.cacheStatus,
    notes: exchange.notes
  }
}
