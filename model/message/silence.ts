/**
 * How long the peer has been silent, counted in ticks of our own: a tick that comes late because this process stood still
 * counts once, so that our own stall is never taken for the peer's silence.
 */
import { HEARTBEAT_TIMEOUT_MS } from './message.ts'

/** Silence is noticed at most this much late. */
export const SILENCE_TICK_MS = 250

export interface Silence {
  /** Bytes or a message arrived. */
  readonly heard: () => void
  /** To be called each SILENCE_TICK_MS. Returns true once the peer counts as gone. */
  readonly tick: () => boolean
}

/**
 * Units   timeoutMs: milliseconds of silence that count as gone, rounded up to whole ticks
 */
export function makeSilence(timeoutMs: number = HEARTBEAT_TIMEOUT_MS): Silence {
  const limit = Math.ceil(timeoutMs / SILENCE_TICK_MS)
  let ticks = 0
  return {
    heard: () => {
      ticks = 0
    },
    tick: () => ++ticks >= limit
  }
}
