/**
 * Time series in blocks: one row holds the values of one series over one span (60 seconds, 60 minutes, 24 hours), so that
 * a point costs ten bytes and a batch writes a few rows a series. The coarser levels are worked out from the finer ones
 * while these still exist, so that a point that comes late, or twice, is right at every level.
 */
import type { SeriesPoint, SeriesStore } from './store.ts'
import { byText } from './resource-index.ts'

type Rollup = SeriesPoint['rollup']

interface Level {
  readonly stepS: number
  readonly cells: number
  readonly spanS: number
  readonly keptS: number
}

const HOUR_S = 3600
const DAY_S = 24 * HOUR_S

export const levels: readonly Level[] = [
  { stepS: 1, cells: 60, spanS: 60, keptS: HOUR_S },
  { stepS: 60, cells: 60, spanS: HOUR_S, keptS: DAY_S },
  { stepS: HOUR_S, cells: 24, spanS: DAY_S, keptS: 365 * DAY_S }
]

/** Where blocks live; bytes in and out, nothing else. Levels are indices into `levels`. */
export interface BlockStorage {
  readonly loadSeries: () => readonly SeriesRow[]
  readonly createSeries: (row: Omit<SeriesRow, 'id' | 'lastAtEpochS'>) => number
  readonly deleteSeries: (id: number) => void
  readonly read: (level: number, id: number, fromAt: number, toAt: number) => readonly { readonly at: number; readonly bytes: Uint8Array }[]
  readonly write: (level: number, id: number, at: number, bytes: Uint8Array) => void
  /** Deletes the blocks that begin before `at`. */
  readonly deleteBefore: (level: number, id: number, at: number) => void
  /** All or nothing. False: the disk did not take it; nothing happened and the same may be tried again. */
  readonly transaction: (work: () => void) => boolean
}

export interface SeriesRow {
  readonly id: number
  readonly entity: string
  readonly metric: string
  readonly rollup: Rollup
  readonly lastAtEpochS: number
}

/** Values of one span; a cell with count 0 is a gap. The count weighs a mean: seconds that had a sample. */
class Block {
  readonly at: number
  readonly bytes: Uint8Array
  readonly values: Float64Array
  readonly counts: Uint16Array
  isDirty = false

  constructor(at: number, cells: number, bytes?: Uint8Array) {
    this.at = at
    this.bytes = new Uint8Array(cells * 10)
    if (bytes?.length === this.bytes.length) this.bytes.set(bytes)
    this.values = new Float64Array(this.bytes.buffer, 0, cells)
    this.counts = new Uint16Array(this.bytes.buffer, cells * 8, cells)
  }

  set(cell: number, value: number, count: number): void {
    if (this.values[cell] === value && this.counts[cell] === count) return
    this.values[cell] = value
    this.counts[cell] = count
    this.isDirty = true
  }
}

interface Series {
  readonly id: number
  readonly entity: string
  readonly metric: string
  readonly rollup: Rollup
  lastAtEpochS: number
  /** Blocks in memory, one map (by start) for each level. */
  readonly blocks: readonly Map<number, Block>[]
}

/** One value out of many: means are weighted by how many seconds stand behind each. */
class Accumulator {
  #value = 0
  #count = 0
  readonly #rollup: Rollup

  constructor(rollup: Rollup) {
    this.#rollup = rollup
  }

  add(value: number, count: number): void {
    if (this.#rollup === 'mean') this.#value += value * count
    else if (this.#rollup === 'sum') this.#value += value
    else this.#value = this.#count === 0 ? value : Math.max(this.#value, value)
    this.#count += count
  }

  get count(): number {
    return this.#count
  }
  get value(): number {
    return this.#rollup === 'mean' && this.#count > 0 ? this.#value / this.#count : this.#value
  }
}

const floorTo = (at: number, span: number): number => Math.floor(at / span) * span

/** More than this is queued only when nobody flushes: then it goes into the blocks at once. */
const QUEUE_MAX = 100_000

/**
 * The series store over any block storage.
 *
 * Shapes  seriesMax: distinct (entity, metric); beyond it the ones that were silent longest are dropped
 * Cost    append O(1); flush O(points + touched blocks); memory about 2 kB a series that is being written
 */
export function makeSeries(storage: BlockStorage, options: { readonly seriesMax?: number } = {}): SeriesStore {
  const seriesMax = options.seriesMax ?? 20_000
  const byEntity = new Map<string, Map<string, Series>>()
  let count = 0
  let newestEpochS = 0
  let queue: SeriesPoint[] = []
  const unwritten = new Set<Series>()

  const remember = (row: SeriesRow): Series => {
    const series: Series = { ...row, blocks: levels.map(() => new Map<number, Block>()) }
    let metrics = byEntity.get(row.entity)
    if (metrics === undefined) byEntity.set(row.entity, (metrics = new Map()))
    metrics.set(row.metric, series)
    count += 1
    newestEpochS = Math.max(newestEpochS, row.lastAtEpochS)
    return series
  }
  for (const row of storage.loadSeries()) remember(row)

  const every = (): Series[] => [...byEntity.values()].flatMap(metrics => [...metrics.values()])

  const drop = (series: Series): void => {
    storage.deleteSeries(series.id)
    unwritten.delete(series)
    const metrics = byEntity.get(series.entity)
    metrics?.delete(series.metric)
    if (metrics?.size === 0) byEntity.delete(series.entity)
    count -= 1
  }

  const makeRoom = (): void => {
    const silent = every().toSorted((a, b) => a.lastAtEpochS - b.lastAtEpochS || byText(a.entity, b.entity))
    storage.transaction(() => {
      for (const series of silent.slice(0, Math.max(1, Math.ceil(seriesMax / 100)))) drop(series)
    })
  }

  const seriesOf = (point: SeriesPoint): Series => {
    const known = byEntity.get(point.entity)?.get(point.metric)
    if (known !== undefined) return known
    if (count >= seriesMax) makeRoom()
    const { entity, metric, rollup } = point
    const id = storage.createSeries({ entity, metric, rollup })
    return remember({ id, entity, metric, rollup, lastAtEpochS: point.atEpochS })
  }

  /** None when the storage has no room for a new one: a lost point loses resolution, a throw here would lose the batch. */
  const seriesOrNone = (point: SeriesPoint): Series | undefined => {
    try {
      return seriesOf(point)
    } catch {
      return undefined
    }
  }

  const blockOf = (series: Series, level: number, at: number): Block => {
    const { spanS, cells } = levels[level]!
    const start = floorTo(at, spanS)
    const blocks = series.blocks[level]!
    let block = blocks.get(start)
    if (block === undefined) {
      block = new Block(start, cells, storage.read(level, series.id, start, start)[0]?.bytes)
      blocks.set(start, block)
    }
    return block
  }

  /** The coarser cell over one finer block. */
  const rollUp = (series: Series, level: number, at: number): void => {
    const fine = blockOf(series, level, at)
    const total = new Accumulator(series.rollup)
    for (let cell = 0; cell < fine.values.length; cell++) {
      if (fine.counts[cell]! > 0) total.add(fine.values[cell]!, fine.counts[cell]!)
    }
    const coarse = blockOf(series, level + 1, fine.at)
    coarse.set((fine.at - coarse.at) / levels[level + 1]!.stepS, total.value, total.count)
  }

  /** Takes the queue into the blocks in memory; nothing is written yet. */
  const absorb = (): void => {
    const points = queue
    queue = []
    const touched = new Map<Series, Set<number>>()
    for (const point of points) newestEpochS = Math.max(newestEpochS, point.atEpochS)
    for (const point of points) {
      // Its minute may be gone from the finest level: rolling up would forget the rest of that minute.
      if (point.atEpochS < newestEpochS - levels[0]!.keptS) continue
      const series = seriesOrNone(point)
      if (series === undefined) continue
      const block = blockOf(series, 0, point.atEpochS)
      block.set(point.atEpochS - block.at, point.value, 1)
      series.lastAtEpochS = Math.max(series.lastAtEpochS, point.atEpochS)
      let minutes = touched.get(series)
      if (minutes === undefined) touched.set(series, (minutes = new Set()))
      minutes.add(block.at)
    }
    for (const [series, minutes] of touched) {
      for (const at of minutes) rollUp(series, 0, at)
      for (const hour of new Set([...minutes].map(at => floorTo(at, HOUR_S)))) rollUp(series, 1, hour)
      unwritten.add(series)
    }
  }

  const letGo = (series: Series): void => {
    for (const [level, blocks] of series.blocks.entries()) {
      const newest = floorTo(series.lastAtEpochS, levels[level]!.spanS)
      for (const at of blocks.keys()) if (at !== newest) blocks.delete(at)
    }
  }

  const flush = (): void => {
    absorb()
    if (unwritten.size === 0) return
    const written: Block[] = []
    const isDone = storage.transaction(() => {
      for (const series of unwritten) {
        for (const [level, blocks] of series.blocks.entries()) {
          for (const block of blocks.values()) {
            if (!block.isDirty) continue
            storage.write(level, series.id, block.at, block.bytes)
            written.push(block)
          }
        }
      }
    })
    // Also when nothing could be written: what waits in memory stays bounded at one block for each level.
    for (const series of unwritten) letGo(series)
    if (!isDone) return
    for (const block of written) block.isDirty = false
    unwritten.clear()
  }

  const append = (points: readonly SeriesPoint[]): void => {
    for (const point of points)
      if (Number.isFinite(point.value) && Number.isSafeInteger(point.atEpochS) && point.atEpochS >= 0) queue.push(point)
    if (queue.length > QUEUE_MAX) absorb()
  }

  const levelFor = (startEpochS: number, stepS: number): number => {
    const covering = levels.findIndex(level => startEpochS >= newestEpochS - level.keptS)
    let level = covering < 0 ? levels.length - 1 : covering
    // A coarser level whose step divides the asked one says the same with fewer cells.
    while (level + 1 < levels.length && stepS % levels[level + 1]!.stepS === 0) level += 1
    return level
  }

  const query: SeriesStore['query'] = ({ entity, metric, startEpochS, stopEpochS, stepS }) => {
    absorb()
    const series = byEntity.get(entity)?.get(metric)
    if (series === undefined || !(stopEpochS >= startEpochS)) return []
    const level = levelFor(startEpochS, stepS)
    const { stepS: resolutionS, spanS, cells } = levels[level]!
    const bucketS = Math.max(resolutionS, Math.floor(stepS) || resolutionS)
    const fromAt = floorTo(startEpochS, resolutionS)
    const blocks = new Map<number, Block>()
    for (const { at, bytes } of storage.read(level, series.id, floorTo(fromAt, spanS), floorTo(stopEpochS, spanS))) {
      blocks.set(at, new Block(at, cells, bytes))
    }
    for (const [at, block] of series.blocks[level]!) blocks.set(at, block)
    const buckets = new Map<number, Accumulator>()
    for (const block of blocks.values()) {
      for (let cell = 0; cell < cells; cell++) {
        const at = block.at + cell * resolutionS
        if (block.counts[cell] === 0 || at < fromAt || at > stopEpochS) continue
        const bucketAt = floorTo(at, bucketS)
        let bucket = buckets.get(bucketAt)
        if (bucket === undefined) buckets.set(bucketAt, (bucket = new Accumulator(series.rollup)))
        bucket.add(block.values[cell]!, block.counts[cell]!)
      }
    }
    return [...buckets].map(([atEpochS, bucket]) => ({ atEpochS, value: bucket.value })).sort((a, b) => a.atEpochS - b.atEpochS)
  }

  const prune = (nowEpochS: number): void => {
    flush()
    newestEpochS = nowEpochS
    storage.transaction(() => {
      for (const series of every()) {
        if (series.lastAtEpochS < nowEpochS - levels.at(-1)!.keptS - DAY_S) {
          drop(series)
          continue
        }
        for (const [level, { keptS, spanS }] of levels.entries()) {
          const before = floorTo(nowEpochS - keptS, spanS)
          storage.deleteBefore(level, series.id, before)
          for (const at of series.blocks[level]!.keys()) if (at < before) series.blocks[level]!.delete(at)
        }
      }
    })
  }

  return { append, query, flush, prune }
}

/** Blocks in memory: for tests and for a store that keeps nothing. */
export function makeMemoryBlocks(): BlockStorage {
  let lastId = 0
  const blocks = new Map<string, Map<number, Uint8Array>>()
  return {
    loadSeries: () => [],
    createSeries: () => ++lastId,
    deleteSeries: id => {
      for (const level of levels.keys()) blocks.delete(`${level}/${id}`)
    },
    read: (level, id, fromAt, toAt) => {
      const rows = [...(blocks.get(`${level}/${id}`) ?? [])].filter(([at]) => at >= fromAt && at <= toAt)
      return rows.map(([at, bytes]) => ({ at, bytes }))
    },
    write: (level, id, at, bytes) => {
      let rows = blocks.get(`${level}/${id}`)
      if (rows === undefined) blocks.set(`${level}/${id}`, (rows = new Map()))
      rows.set(at, bytes.slice())
    },
    deleteBefore: (level, id, before) => {
      const rows = blocks.get(`${level}/${id}`)
      for (const at of rows?.keys() ?? []) if (at < before) rows!.delete(at)
    },
    transaction: work => {
      work()
      return true
    }
  }
}
