/** Whether this process stood still: what happened meanwhile says nothing of the engines. */
import type { Clock } from '#model/base/clock.ts'
import { SILENCE_TICK_MS } from '#model/message/silence.ts'

/** Agents leave a controller that says nothing for 2 s; their last word from us may be 0.5 s old when we stand still. */
const STALL_MS = 1_000
/** What agents did meanwhile is heard of within so long. */
const AFTERWARDS_MS = 2_000

export interface Stalls {
  /** It stood still, or did so a moment ago. */
  readonly lately: () => boolean
  readonly stop: () => void
}

export function watchStalls(clock: Clock): Stalls {
  let tickAtMs = clock.nowMs()
  let stalledAtMs = -Infinity
  const look = (): void => {
    const now = clock.nowMs()
    if (now - tickAtMs > STALL_MS) stalledAtMs = now
    tickAtMs = now
  }
  return {
    lately: () => {
      look()
      return clock.nowMs() - stalledAtMs <= AFTERWARDS_MS
    },
    stop: clock.every(SILENCE_TICK_MS, look)
  }
}
