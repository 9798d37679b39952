/** The one place that turns a fault into a response. */
import { STATUS_CODES } from 'node:http'
import type { Fault } from '#engine/base/fault.ts'
import type { Answer } from '../exchange/exchange.ts'

/**
 * The response for a fault: the status of its row, and nothing about our insides.
 *
 * Returns also whether the connection has to close: after what the client did wrong, its framing is not trusted
 */
export function answerTo(fault: Fault): { readonly answer: Answer; readonly closes: boolean } {
  const reason = STATUS_CODES[fault.status] ?? ''
  const body = Buffer.from(`${fault.status} ${reason}\n`)
  const headers = ['content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store']
  if (fault.status === 503) headers.push('retry-after', '1')
  return {
    answer: { is: 'answer', status: fault.status, reason, headers, body, isPlain: true },
    closes: fault.origin === 'downstream'
  }
}
