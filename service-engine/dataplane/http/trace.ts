/**
 * Traces of live requests, for as long as somebody asks for them: each rule in order and why it matched or not, as explain walks
 * them, beside what really became of the request. While nothing is asked for there is no tracer.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Explanation, RequestTrace, TraceOrder } from '#model/message/message.ts'
import type { VirtualServicePart } from '#model/snapshot/snapshot.ts'
import type { AccessRecord } from '#engine/meter/shared.ts'
import { makeExchange, type Exchange } from '../exchange/exchange.ts'
import { algorithmIn } from './explain.ts'
import type { Site, Walked } from './site.ts'
import type { Pool } from '../upstream/pool.ts'

/** An order more is not taken: each costs every request a look. */
const MAX_ORDERS = 8
/** Rules of one trace that are told. */
const MAX_STEPS = 1_000

interface Armed {
  readonly order: TraceOrder
  left: number
  readonly cancel: () => void
}

/** What is known of a traced request before its rules ran. */
export interface Traced {
  readonly tracer: Tracer
  readonly armed: Armed
  readonly walked: Walked
}

/** Where the spine looks whether anything is traced; null: nothing is. */
export interface Tracing {
  tracer: Tracer | null
}

export class Tracer {
  readonly #clock: Clock
  readonly #armed = new Map<string, Armed>()
  readonly #tell: (id: string, trace: RequestTrace) => void
  readonly #tracing: Tracing

  constructor(tracing: Tracing, clock: Clock, tell: (id: string, trace: RequestTrace) => void) {
    this.#tracing = tracing
    this.#clock = clock
    this.#tell = tell
  }

  /** Starts what the order says, or ends it where its count is 0. */
  order(order: TraceOrder): void {
    this.#end(order.id)
    if (order.count <= 0 || order.durationMs <= 0 || this.#armed.size >= MAX_ORDERS) return
    const cancel = this.#clock.after(order.durationMs, () => this.#end(order.id))
    this.#armed.set(order.id, { order, left: order.count, cancel })
    this.#tracing.tracer = this
  }

  #end(id: string): void {
    this.#armed.get(id)?.cancel()
    this.#armed.delete(id)
    if (this.#armed.size === 0) this.#tracing.tracer = null
  }

  /**
   * A request begins, its rules have not run yet.
   *
   * Returns null when nobody asked for it
   */
  began(exchange: Exchange, { part, walk }: Site): Traced | null {
    for (const armed of this.#armed.values()) {
      if (armed.order.virtualServiceId !== part.id || !isWanted(armed.order, exchange)) continue
      armed.left -= 1
      if (armed.left <= 0) this.#end(armed.order.id)
      return { tracer: this, armed, walked: walk(copyOf(exchange, part)) }
    }
    return null
  }

  ended({ armed, walked }: Traced, exchange: Exchange, record: AccessRecord, pool: Pool | undefined): void {
    const { atEpochMs, clientIp, clientPort, method, scheme, host, path, protocol, bytesIn, bytesOut, requestId, fault } = record
    this.#tell(armed.order.id, {
      requestId,
      atEpochMs,
      clientIp,
      clientPort,
      method: method.slice(0, 64),
      scheme,
      host: host.slice(0, 255),
      path: path.slice(0, 4_096),
      protocol,
      attempts: exchange.attempts,
      bytesIn,
      bytesOut,
      ...(record.clientRttUs === undefined || record.clientRttUs === 0 ? {} : { clientRttUs: record.clientRttUs }),
      sentUs: record.sentUs,
      connectUs: record.connectUs,
      firstByteUs: record.firstByteUs,
      totalUs: record.totalUs,
      fault,
      faultReason: (exchange.fault?.message ?? '').slice(0, 1_024),
      explanation: explanationOf(walked, exchange, record.status, pool)
    })
  }
}

function isWanted({ clientIp, method, pathPrefix, requestId }: TraceOrder, { id, downstream, request }: Exchange): boolean {
  return (
    (clientIp === '' || downstream.clientIp === clientIp) &&
    (method === '' || request.method === method) &&
    (pathPrefix === '' || request.path.startsWith(pathPrefix)) &&
    (requestId === '' || id === requestId || headerIs(request.headers, 'x-request-id', requestId))
  )
}

function headerIs(headers: readonly string[], name: string, value: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name && headers[i + 1] === value) return true
  return false
}

/** Rules change what they walk over: the request itself must not know that it was walked twice. */
function copyOf({ id, request, downstream, startedUs, startedEpochMs }: Exchange, part: VirtualServicePart): Exchange {
  return makeExchange(part, downstream, { ...request, headers: [...request.headers] }, { id, startedUs, startedEpochMs })
}

/** The walk as it was before the request, its end as it really was. */
function explanationOf(walked: Walked, exchange: Exchange, status: number, pool: Pool | undefined): Explanation {
  const { fault, serverId, poolId, poolName, rule } = exchange
  const told = walked.steps.slice(0, MAX_STEPS)
  const cut = walked.steps.length > MAX_STEPS ? ` (the first ${MAX_STEPS} of ${walked.steps.length} rules are shown)` : ''
  const { cacheStatus } = exchange
  const isKept = serverId === '' && cacheStatus !== '' && cacheStatus !== 'MISS' && cacheStatus !== 'BYPASS'
  const by = isKept
    ? `the cache has the answer (${cacheStatus})`
    : rule === ''
      ? (walked.end?.reason ?? 'the default pool')
      : `rule ${rule}`
  const hedged =
    exchange.hedge === '' ? '' : `, ${exchange.hedge === 'WON' ? 'asked second and ' : ''}first to answer of two that were asked`
  const tries = hedged !== '' ? hedged : exchange.attempts > 1 ? `, the last of ${exchange.attempts} tries` : ''
  const isClosed = fault !== null && exchange.response === null
  const location = exchange.response?.headers
  return {
    steps: told,
    verdict: serverId !== '' ? 'forward' : isClosed ? 'close' : 'answer',
    status,
    location: location === undefined ? '' : valueOf(location, 'location').slice(0, 4_096),
    poolId,
    poolName,
    serverId,
    reason: `${serverId === '' || pool === undefined ? by : `${by}, ${algorithmIn(pool.part.algorithm)}${tries}`}${cut}`
  }
}

function valueOf(headers: readonly string[], name: string): string {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1] ?? ''
  return ''
}
