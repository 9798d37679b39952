/** How long a virtual service waits for what. */
import { integer, shape } from './common.ts'

export const timeouts = shape('timeouts', {
  request_ms: integer('For a request as a whole, from its head to the last byte of the answer; it is answered with 504, or cut.', {
    default: 0,
    min: 0,
    max: 86400000,
    unit: 'ms',
    special: { '0': 'unlimited' }
  }),
  idle_ms: integer('For a connection on which nothing happens: between requests, and at any time at layer 4.', {
    default: 0,
    min: 0,
    max: 86400000,
    unit: 'ms',
    special: { '0': 'as the profiles say' }
  })
})
