/** Time as an argument, so that what depends on it can be tested without waiting. */
export interface Clock {
  /** Wall clock, epoch milliseconds: for what people read and certificates. */
  readonly nowEpochMs: () => number
  /** Monotonic milliseconds with fractions: for durations and deadlines. */
  readonly nowMs: () => number
  /** Calls once after `delayMs`; returns the way to cancel. Never keeps the process alive by itself. */
  readonly after: (delayMs: number, call: () => void) => () => void
  /** Calls each `intervalMs`; returns the way to stop. Never keeps the process alive by itself. */
  readonly every: (intervalMs: number, call: () => void) => () => void
}

interface HostTimer {
  unref?: () => void
}

function letGo(timer: HostTimer | number): void {
  if (typeof timer === 'object') timer.unref?.()
}

export const systemClock: Clock = {
  nowEpochMs: () => Date.now(),
  nowMs: () => performance.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs)
    letGo(timer)
    return () => clearTimeout(timer)
  },
  every: (intervalMs, call) => {
    const timer = setInterval(call, intervalMs)
    letGo(timer)
    return () => clearInterval(timer)
  }
}
