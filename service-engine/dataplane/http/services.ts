/** What the spine works with, whichever exchange it is. */
import type { Clock } from '#model/base/clock.ts'
import type { Random } from '#model/base/random.ts'
import type { AccessRecord } from '#engine/meter/shared.ts'
import type { Forwarder } from '../exchange/forwarder.ts'
import type { Pool } from '../upstream/pool.ts'
import type { Targets } from '../upstream/targets.ts'
import type { Tracing } from './trace.ts'

export interface SpineServices {
  readonly clock: Clock
  readonly random: Random
  readonly makeId: () => string
  /** The pool as the running generation has it. */
  readonly poolOf: (id: string) => Pool | undefined
  readonly targets: Targets
  readonly record: (record: AccessRecord) => void
  readonly tracing: Tracing
  /** Sends a request that no client waits for, where the codec can. */
  readonly fetch?: Forwarder['fetch']
  /** A bug of ours, met in one exchange; that exchange fails, the others go on. */
  readonly bug: (error: unknown) => void
}
