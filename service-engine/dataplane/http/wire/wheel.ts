/**
 * Deadlines of connections, many and coarse: a lane for each delay, in which timers stand in the order in which they
 * fall due, so that setting and clearing one is a few pointers. One tick looks at the front of each lane.
 */
import type { Clock } from '#model/base/clock.ts'

/** How late a deadline may be noticed; never early. */
const TICK_MS = 100
/** Clients that came together end together: thousands at once would keep everybody else waiting. Some, then the rest of the world. */
const ENDS_AT_ONCE = 64

/** One deadline at a time, of one connection. */
export class Timer {
  readonly expired: () => void
  lane: Lane | null = null
  before: Timer | null = null
  behind: Timer | null = null
  dueMs = 0

  constructor(expired: () => void) {
    this.expired = expired
  }

  get isArmed(): boolean {
    return this.lane !== null
  }

  disarm(): void {
    this.lane?.remove(this)
  }
}

/** All deadlines of one delay. */
export class Lane {
  readonly delayMs: number
  first: Timer | null = null
  readonly #wheel: Wheel
  #last: Timer | null = null

  constructor(wheel: Wheel, delayMs: number) {
    this.#wheel = wheel
    this.delayMs = delayMs
  }

  /** Sets the timer's deadline, in place of the one that it may have. */
  arm(timer: Timer): void {
    timer.lane?.remove(timer)
    this.#wheel.added()
    timer.lane = this
    timer.dueMs = this.#wheel.nowMs + this.delayMs + TICK_MS
    timer.before = this.#last
    if (this.#last === null) this.first = timer
    else this.#last.behind = timer
    this.#last = timer
  }

  remove(timer: Timer): void {
    if (timer.before === null) this.first = timer.behind
    else timer.before.behind = timer.behind
    if (timer.behind === null) this.#last = timer.before
    else timer.behind.before = timer.before
    timer.lane = null
    timer.before = null
    timer.behind = null
    this.#wheel.removed()
  }
}

export class Wheel {
  /** As of the last tick. */
  nowMs = 0
  readonly #clock: Clock
  readonly #lanes = new Map<number, Lane>()
  #armed = 0
  #stop: (() => void) | null = null
  #stopRest: (() => void) | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The lane for a delay; longer than a timer can be is never. */
  lane(delayMs: number): Lane {
    let lane = this.#lanes.get(delayMs)
    if (lane === undefined) this.#lanes.set(delayMs, (lane = new Lane(this, delayMs)))
    return lane
  }

  added(): void {
    this.#armed++
    if (this.#stop !== null) return
    this.nowMs = this.#clock.nowMs()
    this.#stop = this.#clock.every(TICK_MS, this.#tick)
  }

  removed(): void {
    this.#armed--
  }

  stop(): void {
    this.#stop?.()
    this.#stopRest?.()
    this.#stop = null
    this.#stopRest = null
  }

  readonly #tick = (): void => {
    this.nowMs = this.#clock.nowMs()
    this.#stopRest?.()
    this.#stopRest = null
    let ends = 0
    for (const lane of this.#lanes.values()) {
      for (let timer = lane.first; timer !== null && timer.dueMs <= this.nowMs; timer = lane.first) {
        if (ends++ === ENDS_AT_ONCE) {
          this.#stopRest = this.#clock.after(0, this.#tick)
          return
        }
        lane.remove(timer)
        timer.expired()
      }
    }
    // What nobody waits for need not tick.
    if (this.#armed === 0) this.stop()
  }
}
