/**
 * What engines keep of answers: what they tell of it, and orders to take some of it out. An order is written down first: an engine that
 * is away is told of what it missed when it is back.
 */
import type { Clock } from '#model/base/clock.ts'
import type { CachePurge, CachePurged, CacheTotals, Sample } from '#model/message/message.ts'
import type { CachePurgeRuntime, CacheRuntime } from '#model/resource/runtime.ts'
import type { Store, Table } from '#controller/store/store.ts'
import type { Engine } from './roster.ts'

const ANSWER_WITHIN_MS = 3_000
/** Orders that are remembered; an engine that missed more takes out everything. */
const MAX_ORDERS = 1_000
/** Of those, what a page about one virtual service shows. */
const MAX_SHOWN = 20

/** Kept in the store. */
interface OrderRow {
  readonly virtualServiceId: string
  readonly purge: CachePurge
  readonly by: string
  readonly atEpochMs: number
  /** Engines that the virtual service was on. */
  readonly engines: readonly string[]
  /** Engine -> how many objects it took out. */
  readonly answers: Readonly<Record<string, number>>
}

export interface CachesOptions {
  readonly store: Store
  readonly clock: Clock
  /** Uuids of the engines that a virtual service is placed on. */
  readonly placedOn: (virtualServiceId: string) => readonly string[]
  readonly engine: (uuid: string) => Engine | undefined
  readonly nameOf: (uuid: string) => string
}

const keyOf = (sequence: number): string => String(sequence).padStart(12, '0')

export class Caches {
  readonly #options: CachesOptions
  readonly #rows: Table<OrderRow>
  /** The same in memory, oldest first; and which are of a virtual service. */
  readonly #orders = new Map<number, OrderRow>()
  readonly #ofService = new Map<string, number[]>()
  /** Engine -> virtual service -> totals of its newest sample. */
  readonly #totals = new Map<string, ReadonlyMap<string, CacheTotals>>()
  readonly #waiting = new Map<number, () => void>()
  #last: number
  #first: number

  constructor(options: CachesOptions) {
    this.#options = options
    this.#rows = options.store.table<OrderRow>('cache-purge')
    for (const [key, row] of this.#rows.entries()) this.#remember(Number(key), row)
    const sequences = [...this.#orders.keys()]
    this.#first = sequences[0] ?? 1
    this.#last = sequences.at(-1) ?? 0
  }

  sampled(engineUuid: string, { virtualServices }: Sample): void {
    const told = new Map<string, CacheTotals>()
    for (const { id, cache } of virtualServices) if (cache !== undefined) told.set(id, cache)
    if (told.size > 0) this.#totals.set(engineUuid, told)
    else this.#totals.delete(engineUuid)
  }

  gone(engineUuid: string): void {
    this.#totals.delete(engineUuid)
  }

  /**
   * Takes out what is named, on all engines that the virtual service is on.
   *
   * Returns when all have answered, or those that are connected had their time
   */
  async purge(virtualServiceId: string, purge: CachePurge, by: string): Promise<CachePurgeRuntime> {
    const { clock, placedOn, engine } = this.#options
    const engines = placedOn(virtualServiceId)
    const sequence = ++this.#last
    const row = { virtualServiceId, purge, by, atEpochMs: clock.nowEpochMs(), engines, answers: {} }
    this.#rows.set(keyOf(sequence), row)
    this.#remember(sequence, row)
    while (this.#last - this.#first >= MAX_ORDERS) this.#forget(this.#first++)
    const live = engines.filter(uuid => engine(uuid)?.isLive === true)
    if (live.length > 0) {
      await new Promise<void>(resolve => {
        const done = (): void => {
          cancel()
          this.#waiting.delete(sequence)
          resolve()
        }
        const cancel = clock.after(ANSWER_WITHIN_MS, done)
        this.#waiting.set(sequence, () => {
          const answers = this.#orders.get(sequence)?.answers ?? {}
          if (live.every(uuid => Object.hasOwn(answers, uuid))) done()
        })
        for (const uuid of live) engine(uuid)?.session?.send({ type: 'PurgeCache', sequence, virtualServiceId, purge })
      })
    }
    return this.#told(this.#orders.get(sequence) ?? row)
  }

  purged(engineUuid: string, { sequence, objects }: CachePurged): void {
    const row = this.#orders.get(sequence)
    if (row === undefined || !row.engines.includes(engineUuid)) return
    const next = { ...row, answers: { ...row.answers, [engineUuid]: objects } }
    this.#orders.set(sequence, next)
    this.#rows.set(keyOf(sequence), next)
    this.#waiting.get(sequence)?.()
  }

  /** An engine is back: what was ordered since it was told last. */
  connected(engine: Engine, purgedSequence: number | undefined): void {
    // One that does not say so keeps nothing.
    if (purgedSequence === undefined || purgedSequence >= this.#last) return
    if (purgedSequence > 0 && purgedSequence < this.#first - 1) {
      for (const { uuid } of this.#options.store.list('virtualservice'))
        engine.session?.send({ type: 'PurgeCache', sequence: this.#last, virtualServiceId: uuid, purge: { by: 'all' } })
      return
    }
    for (const [sequence, { virtualServiceId, purge, answers }] of this.#orders) {
      if (sequence > purgedSequence && !(purgedSequence === 0 && Object.hasOwn(answers, engine.uuid)))
        engine.session?.send({ type: 'PurgeCache', sequence, virtualServiceId, purge })
    }
  }

  /** Of one virtual service; undefined where no engine keeps anything and nothing was ordered. */
  runtime(virtualServiceId: string): CacheRuntime | undefined {
    const sequences = (this.#ofService.get(virtualServiceId) ?? []).slice(-MAX_SHOWN).toReversed()
    const purges = sequences.map(sequence => this.#told(this.#orders.get(sequence)!))
    const totals = [...this.#totals.values()].flatMap(told => told.get(virtualServiceId) ?? [])
    if (totals.length === 0 && purges.length === 0) return undefined
    const sum = (pick: (of: CacheTotals) => number): number => totals.reduce((all, one) => all + pick(one), 0)
    const [hits, stale, revalidated, misses] = [
      sum(one => one.hits),
      sum(one => one.stale),
      sum(one => one.revalidated),
      sum(one => one.misses)
    ]
    const answered = hits + stale + revalidated
    return {
      hits,
      misses,
      stale,
      revalidated,
      bypassed: sum(one => one.bypassed),
      hit_ratio: answered + misses === 0 ? null : answered / (answered + misses),
      saved_bytes: sum(one => one.savedBytes),
      objects: sum(one => one.objects),
      bytes: sum(one => one.bytes),
      purges
    }
  }

  #remember(sequence: number, row: OrderRow): void {
    this.#orders.set(sequence, row)
    const known = this.#ofService.get(row.virtualServiceId)
    if (known === undefined) this.#ofService.set(row.virtualServiceId, [sequence])
    else known.push(sequence)
  }

  #forget(sequence: number): void {
    const row = this.#orders.get(sequence)
    this.#orders.delete(sequence)
    this.#rows.delete(keyOf(sequence))
    if (row === undefined) return
    const left = (this.#ofService.get(row.virtualServiceId) ?? []).filter(other => other !== sequence)
    if (left.length > 0) this.#ofService.set(row.virtualServiceId, left)
    else this.#ofService.delete(row.virtualServiceId)
  }

  #told({ purge, by, atEpochMs, engines, answers }: OrderRow): CachePurgeRuntime {
    return {
      what: purge.by,
      value: purge.by === 'all' ? '' : purge.value,
      by,
      at: atEpochMs,
      objects: Object.values(answers).reduce((all, one) => all + one, 0),
      engines: engines.map(uuid => ({
        engine_uuid: uuid,
        engine_name: this.#options.nameOf(uuid),
        state: Object.hasOwn(answers, uuid) ? 'PURGED' : 'WAITING',
        objects: answers[uuid] ?? 0
      }))
    }
  }
}
