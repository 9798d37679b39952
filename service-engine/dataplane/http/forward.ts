/** Whether a request may be sent again: the fault says what the failure permits, this what the request permits. */
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
 * Returns `never` once the client has some of a response, the body is gone, or a server may have acted on a request
 *         that must not be acted on twice
 */
export function replayOf(exchange: Exchange, fault: Fault, progress: Progress): Fault['replay'] {
  if (fault.replay === 'never' || progress.isResponseBegun || progress.isBodyConsumed || exchange.attempts >= MAX_ATTEMPTS) return 'never'
  return progress.isRequestSent && !idempotent.has(exchange.request.method) ? 'never' : fault.replay
}
