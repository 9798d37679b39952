/** A clock that moves only when a test says so. */
import type { Clock } from '#model/base/clock.ts'

export interface ManualClock extends Clock {
  /** Moves on; calls what falls due, in order of time. */
  readonly advance: (ms: number) => void
  /** Timers that wait. */
  readonly waiting: () => number
}

export function manualClock(startEpochMs = 1_700_000_000_000): ManualClock {
  let nowMs = 0
  let timers: { readonly id: number; readonly atMs: number; readonly call: () => void }[] = []
  let nextId = 0

  const after = (delayMs: number, call: () => void): (() => void) => {
    const id = nextId++
    timers.push({ id, atMs: nowMs + Math.max(0, delayMs), call })
    return () => {
      timers = timers.filter(timer => timer.id !== id)
    }
  }

  const every = (intervalMs: number, call: () => void): (() => void) => {
    let cancel = (): void => undefined
    const arm = (): void => {
      cancel = after(intervalMs, () => {
        arm()
        call()
      })
    }
    arm()
    return () => cancel()
  }

  return {
    nowMs: () => nowMs,
    nowEpochMs: () => startEpochMs + nowMs,
    after,
    every,
    waiting: () => timers.length,
    advance: ms => {
      const until = nowMs + ms
      for (;;) {
        const next = timers.filter(timer => timer.atMs <= until).toSorted((a, b) => a.atMs - b.atMs || a.id - b.id)[0]
        if (next === undefined) break
        timers = timers.filter(timer => timer.id !== next.id)
        nowMs = Math.max(nowMs, next.atMs)
        next.call()
      }
      nowMs = until
    }
  }
}
