/** Figures of each second, smoothed for the score. */
import type { HostFigures } from '#model/resource/runtime.ts'
import type { Figures } from './figures.ts'
import type { Mood } from './score.ts'
import { AT } from './window.ts'

export interface MoodKeeper {
  /** Called each second with what that second was like. */
  readonly second: (figures: Figures, host: HostFigures | null) => void
  readonly mood: () => Mood
}

/** Weights of the newest second: 1/30 forgets half in 21 s, 1/900 in ten minutes. */
const RECENT = 1 / 30
const LATENCY = 1 / 10
const USUAL = 1 / 900
/** Seconds with traffic before "usual" means anything. */
const USUAL_AFTER = 120

export function makeMoodKeeper(): MoodKeeper {
  let requestsPerS = 0
  let errorsPerS = 0
  let latencyP95Ms: number | null = null
  let usualP95Ms = 0
  let usualCount = 0
  let cpuRatio: number | null = null
  let memoryRatio: number | null = null

  const towards = (before: number | null, now: number, weight: number): number => (before === null ? now : before + (now - before) * weight)

  return {
    second: ({ rates, latencyP95Ms: p95 }, host) => {
      requestsPerS = towards(requestsPerS, rates[AT.requests]!, RECENT)
      errorsPerS = towards(errorsPerS, rates[AT.responses5xx]!, RECENT)
      if (p95 !== null) {
        latencyP95Ms = towards(latencyP95Ms, p95, LATENCY)
        usualCount += 1
        usualP95Ms += (p95 - usualP95Ms) * Math.max(USUAL, 1 / usualCount)
      }
      if (host !== null) {
        cpuRatio = towards(cpuRatio, host.cpu_ratio, RECENT)
        if (host.memory_total_bytes > 0) memoryRatio = Math.min(1, host.memory_used_bytes / host.memory_total_bytes)
      }
    },
    mood: () => ({
      requestsPerS,
      errorRatio: requestsPerS > 0 ? Math.min(1, errorsPerS / requestsPerS) : 0,
      latencyP95Ms,
      usualP95Ms: usualCount >= USUAL_AFTER ? usualP95Ms : null,
      cpuRatio,
      memoryRatio
    })
  }
}
