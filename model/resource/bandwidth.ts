/** How fast bytes may go. */
import { integer, shape } from './common.ts'

const rate = { min: 1_000, max: 100_000_000_000, unit: 'B/s' } as const

export const bandwidth = shape('bandwidth', {
  down_bytes_per_s: integer('To all clients together; unlimited when left out.', rate),
  up_bytes_per_s: integer('From all clients together; unlimited when left out.', rate),
  client_down_bytes_per_s: integer('To each client, by its address; unlimited when left out.', rate),
  client_up_bytes_per_s: integer('From each client, by its address; unlimited when left out.', rate)
})
