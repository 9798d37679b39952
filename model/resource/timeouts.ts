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
  idle_ms: integer('For a connection on which nothing happens: between requests, and at any time of a WebSocket and at layer 4.', {
    default: 0,
    min: 0,
    max: 86400000,
    unit: 'ms',
    special: { '0': 'as the profiles say' }
  }),
  min_bytes_per_s: integer('The least rate of a body that a client sends, and of a client that reads an answer; slower ones are ended.', {
    default: 240,
    min: 0,
    max: 1000000000,
    unit: 'B/s',
    special: { '0': 'anything is fast enough' }
  }),
  grace_ms: integer('Time that a client may fall behind that rate.', { default: 10000, min: 100, max: 3600000, unit: 'ms' })
})
