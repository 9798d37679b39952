/**
 * Engines that run what this controller never made: its data was restored from an older copy. To push to them would undo,
 * silently, what was committed after the copy; so they are held, as they are, until an operator takes them over.
 *
 *   new --hello, runs nothing newer--> followed
 *    |                                    ^
 *    +--hello, runs something newer--> held --taken over, or the same content is wanted--+
 */
import type { Clock } from '#model/base/clock.ts'
import type { Store } from '#controller/store/store.ts'

/** The store became what it is by a restore, at this revision. */
interface RestoredRow {
  readonly revision: number
  readonly atEpochMs: number
}

export interface Held {
  readonly runningRevision: number
  /** The newest revision that this controller had when it was restored. */
  readonly knownRevision: number
  readonly sinceEpochMs: number
}

type HoldRow = (Held & { readonly is: 'held' }) | { readonly is: 'followed' }

const RESTORED = 'restored'

/** Notes in a store that it was restored: engines that ran newer revisions before are told from those that get them later. */
export function markRestored(store: Pick<Store, 'table' | 'revision'>, nowEpochMs: number): void {
  const holds = store.table<HoldRow>('fleet-hold')
  for (const [uuid] of holds.entries()) holds.delete(uuid)
  store.table<RestoredRow>('fleet-restored').set(RESTORED, { revision: store.revision(), atEpochMs: nowEpochMs })
}

export class Holds {
  readonly #store: Pick<Store, 'table' | 'revision'>
  readonly #clock: Pick<Clock, 'nowEpochMs'>
  readonly #rows
  readonly #restored

  constructor(store: Pick<Store, 'table' | 'revision'>, clock: Pick<Clock, 'nowEpochMs'>) {
    this.#store = store
    this.#clock = clock
    this.#rows = store.table<HoldRow>('fleet-hold')
    this.#restored = store.table<RestoredRow>('fleet-restored')
  }

  /**
   * An engine says what it runs.
   *
   * Shapes  runningRevision: 0 when it runs nothing
   * Returns why it is held; undefined when it may be told
   */
  hello(uuid: string, runningRevision: number): Held | undefined {
    const row = this.#rows.get(uuid)
    const revision = this.#store.revision()
    const restored = this.#restored.get(RESTORED)
    const isNewer = runningRevision > revision || (restored !== undefined && row === undefined && runningRevision > restored.revision)
    if (row?.is !== 'held' && !isNewer) {
      // Only after a restore is it worth a row: from now on its numbers are ours.
      if (restored !== undefined && row === undefined) this.#rows.set(uuid, { is: 'followed' })
      return undefined
    }
    // A file that was put back by hand says nothing of itself: the first engine that knows more does.
    if (restored === undefined) this.#restored.set(RESTORED, { revision, atEpochMs: this.#clock.nowEpochMs() })
    const known = row?.is === 'held' ? row : { knownRevision: restored?.revision ?? revision, sinceEpochMs: this.#clock.nowEpochMs() }
    const held: Held = { runningRevision, knownRevision: Math.min(known.knownRevision, revision), sinceEpochMs: known.sinceEpochMs }
    this.#rows.set(uuid, { is: 'held', ...held })
    return held
  }

  /** As it was before a restart of ours. */
  of(uuid: string): Held | undefined {
    const row = this.#rows.get(uuid)
    if (row?.is !== 'held') return undefined
    const { is: _, ...held } = row
    return held
  }

  release(uuid: string): void {
    this.#rows.set(uuid, { is: 'followed' })
  }

  forget(uuid: string): void {
    this.#rows.delete(uuid)
  }
}
