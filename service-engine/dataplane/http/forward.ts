/** Whether a request may be sent again: the fault says what the failure permits, this what the request permits. */
import type { Random } from '#model/base/random.ts'
import type { ReselectSpec } from '#model/snapshot/resilience.ts'
import type { Fault } from '#engine/base/fault.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Progress } from '../exchange/forwarder.ts'

/** First try included; two servers that die can each cost a kept connection and a refused one. */
export const MAX_ATTEMPTS = 6

/** RFC 9110 §9.2.2. */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

/**
 * Where the same request may go next.
 *
 * Shapes  rules: of the pool; without them only what no server can have answered goes again
 *         retries: how often it went to another server already
 * Returns `never` once the client has some of a response, the body is gone, or a server may have acted on a request
 *         that must not be acted on twice
 */
export function replayOf(exchange: Exchange, fault: Fault, progress: Progress, rules?: ReselectSpec, retries = 0): Fault['replay'] {
  if (progress.isResponseBegun || progress.isBodyConsumed) return 'never'
  const isRepeatable = idempotent.has(exchange.request.method) || rules?.retriesNonIdempotent === true
  if (progress.isRequestSent && !isRepeatable) return 'never'
  if (fault.replay === 'on-fresh-connection') return exchange.attempts >= MAX_ATTEMPTS + retries ? 'never' : fault.replay
  if (rules === undefined) return exchange.attempts >= MAX_ATTEMPTS ? 'never' : fault.replay
  return fault.origin === 'upstream' && retries < rules.maxRetries ? 'on-another-server' : 'never'
}

export function isReselected(rules: ReselectSpec, status: number): boolean {
  return rules.statuses.some(({ from, to }) => status >= from && status <= to)
}

/**
 * How long the next retry waits: anything up to a bound that doubles with each retry, so that the retries of many
 * clients do not come together.
 *
 * Shapes  retries: that went before; 0 for the first
 */
export function backoffOf({ backoff }: ReselectSpec, retries: number, random: Random): number {
  if (backoff === null) return 0
  return random() * Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(retries, 20))
}
