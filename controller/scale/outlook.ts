/**
 * What the load of a service or a pool will be. Its demand is written down as a series like any other, so that a controller that was restarted has
 * learnt what the one before it had: 13 days from hours, the last one from minutes.
 */
import type { Clock } from '#model/base/clock.ts'
import type { AutoscaleForecast } from '#model/resource/autoscale.ts'
import type { SeriesStore } from '#controller/store/store.ts'
import { learn, stepsOf, type Learnt } from './forecast.ts'

export const DEMAND = 'autoscale.demand'
const STEP_S = 600
const DAY_S = 86_400
const DAYS = 14
/** Above what telemetry leaves of the series store there is no room: the rest has no forecast. */
const SUBJECTS_MAX = 1_500
/** Each look teaches at most so many: a restart with a thousand subjects spreads over minutes. */
const LEARN_PER_LOOK = 4

interface Known {
  readonly learnt: Learnt | undefined
  /** End of the last step that it was learnt from. */
  readonly untilEpochS: number
}

export class Outlook {
  readonly #series: SeriesStore
  readonly #clock: Clock
  readonly #known = new Map<string, Known>()
  #left = LEARN_PER_LOOK

  constructor(series: SeriesStore, clock: Clock) {
    this.#series = series
    this.#clock = clock
  }

  /** A look begins. */
  begin(): void {
    this.#left = LEARN_PER_LOOK
  }

  /** Writes down what the load is. */
  note(uuid: string, demand: number): void {
    if (!this.#known.has(uuid)) {
      if (this.#known.size >= SUBJECTS_MAX) return
      this.#known.set(uuid, { learnt: undefined, untilEpochS: 0 })
    }
    const atEpochS = Math.floor(this.#clock.nowEpochMs() / 1_000)
    this.#series.append([{ entity: uuid, metric: DEMAND, atEpochS, value: demand, rollup: 'mean' }])
  }

  forget(uuid: string): void {
    this.#known.delete(uuid)
  }

  /** The most that is expected within `aheadMs`; undefined when nothing is known, or a forecast would err as much as none. */
  within(uuid: string, aheadMs: number): number | undefined {
    const known = this.#refresh(uuid, aheadMs)
    if (known?.learnt?.isUsable !== true) return undefined
    const nowS = this.#clock.nowEpochMs() / 1_000
    const from = Math.max(0, Math.floor((nowS - known.untilEpochS) / STEP_S))
    const to = Math.floor((nowS + aheadMs / 1_000 - known.untilEpochS) / STEP_S)
    const ahead = known.learnt.ahead.slice(from, to + 1)
    return ahead.length === 0 ? undefined : Math.max(...ahead)
  }

  view(uuid: string): AutoscaleForecast | null {
    const known = this.#known.get(uuid)
    if (known?.learnt === undefined) return null
    const { ahead, isUsable, error, errorOfNow, seasons } = known.learnt
    const round = (value: number): number => Math.round(value * 1_000) / 1_000
    return {
      step_s: STEP_S,
      from: known.untilEpochS * 1_000,
      ahead: ahead.map(round),
      is_usable: isUsable,
      error: round(error),
      error_of_now: round(errorOfNow),
      days: seasons
    }
  }

  #refresh(uuid: string, aheadMs: number): Known | undefined {
    const known = this.#known.get(uuid)
    const nowS = Math.floor(this.#clock.nowEpochMs() / 1_000)
    const untilEpochS = nowS - (nowS % STEP_S)
    if (known === undefined || known.untilEpochS === untilEpochS || this.#left <= 0) return known
    this.#left -= 1
    const read = (startEpochS: number, stepS: number) =>
      this.#series.query({ entity: uuid, metric: DEMAND, startEpochS, stopEpochS: untilEpochS - 1, stepS })
    const history = { coarse: read(untilEpochS - DAYS * DAY_S, 3_600), fine: read(untilEpochS - DAY_S + 60, 60) }
    const all = stepsOf(history, { stepS: STEP_S, count: (DAYS * DAY_S) / STEP_S, untilEpochS })
    const first = all.findIndex(value => value !== null)
    // Two steps more than are asked for: the newest is of the past when it is used.
    const horizon = Math.ceil(aheadMs / 1_000 / STEP_S) + 2
    const next = { untilEpochS, learnt: first < 0 ? undefined : learn(all.slice(first), DAY_S / STEP_S, horizon) }
    this.#known.set(uuid, next)
    return next
  }
}
