/** What is made, written down before it is made: one row for each engine, so that a controller that dies half-way goes on where it was. */
import type { EngineMaking, EngineMakingState } from '#model/resource/autoscale.ts'
import type { Store } from '#controller/store/store.ts'

export interface Intent {
  readonly name: string
  /** Uuids. */
  readonly group: string
  readonly cloud: string
  /** Of the driver that made it. */
  readonly type: string
  readonly state: EngineMakingState
  readonly sinceEpochMs: number
  readonly madeAtEpochMs: number
  readonly failures: number
  readonly nextTryEpochMs: number
  readonly lastFailure: { readonly atEpochMs: number; readonly reason: string } | null
  /** The token that it joins with: the uuid of its resource, and the secret under the seal. Null before and after. */
  readonly token: { readonly uuid: string; readonly sealed: string; readonly expiresAtEpochMs: number } | null
  readonly host: string | null
  /** Its engine was disabled to drain: should it stay after all, it is enabled again. */
  readonly isDrained: boolean
}

/** Before the second try; doubled for each further one. */
const BACKOFF_MS = 5_000
const BACKOFF_MAX_MS = 10 * 60_000

/** How long nothing is tried after so many failures in a row. */
export const backoffMs = (failures: number): number => (failures <= 0 ? 0 : Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** (failures - 1)))

export class Intents {
  readonly #table
  readonly #rows: Map<string, Intent>

  constructor(store: Store) {
    this.#table = store.table<Intent>('driver-intent')
    this.#rows = new Map(this.#table.entries())
  }

  get all(): readonly Intent[] {
    return [...this.#rows.values()]
  }

  get(name: string): Intent | undefined {
    return this.#rows.get(name)
  }

  /** Durable when it returns. */
  set(intent: Intent): Intent {
    this.#table.set(intent.name, intent)
    this.#rows.set(intent.name, intent)
    return intent
  }

  delete(name: string): void {
    this.#table.delete(name)
    this.#rows.delete(name)
  }
}

export const intentView = (intent: Intent, engineUuid: string | undefined, nowEpochMs: number): EngineMaking => ({
  name: intent.name,
  state: intent.state,
  since: intent.sinceEpochMs,
  failures: intent.failures,
  next_try: intent.nextTryEpochMs > nowEpochMs ? intent.nextTryEpochMs : null,
  last_failure: intent.lastFailure === null ? null : { at: intent.lastFailure.atEpochMs, reason: intent.lastFailure.reason },
  engine_uuid: engineUuid ?? null,
  host: intent.host
})
