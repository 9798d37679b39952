/** Failures made on purpose, to see what clients and services make of them. */
import { integer, nested, shape } from './common.ts'
import { matchTarget } from './match.ts'

const percent = integer('Share of the requests.', { default: 100, min: 0, max: 100, unit: 'percent' })

export const faultInjection = shape('fault injection', {
  match: nested(matchTarget, 'Requests that it is for; all when left out.', {}),
  delay: nested(
    shape('delay', { percent, ms: integer('How long they wait.', { required: true, min: 1, max: 300000, unit: 'ms' }) }),
    'Requests wait before a server gets them.',
    {}
  ),
  abort: nested(
    shape('abort', { percent, status: integer('Status of the answer.', { required: true, min: 400, max: 599 }) }),
    'Requests fail instead of reaching a server.',
    {}
  )
})
