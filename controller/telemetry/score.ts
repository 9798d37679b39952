/** How well a thing does, 0..100, as deductions with names. Pure: what it knows is handed in. */
import type { HealthScore } from '#model/resource/runtime.ts'
import type { ScoreFacts } from './port.ts'

/** Smoothed over about half a minute, so that one bad second does not move a score. */
export interface Mood {
  readonly requestsPerS: number
  /** 0..1 of the answers. */
  readonly errorRatio: number
  /** Null: no traffic lately. */
  readonly latencyP95Ms: number | null
  /** What the 95th percentile has been over about the last quarter of an hour; null until it is known. */
  readonly usualP95Ms: number | null
  /** Only of an engine: 0..1. */
  readonly cpuRatio: number | null
  readonly memoryRatio: number | null
}

export const calm: Mood = { requestsPerS: 0, errorRatio: 0, latencyP95Ms: null, usualP95Ms: null, cpuRatio: null, memoryRatio: null }

/** Below this rate a ratio of errors says more about chance than about the service. */
const MIN_REQUESTS_PER_S = 0.1
/** A service that answers within this is not slow, however much faster it was before. */
const MIN_SLOW_MS = 20

interface Deduction {
  readonly reason: string
  readonly points: number
}

const percent = (ratio: number): string => `${Math.max(0.1, Math.round(ratio * 1_000) / 10)} %`

function serversDown({ serversUp, serversEnabled }: ScoreFacts): Deduction | undefined {
  const missing = serversEnabled - serversUp
  if (serversEnabled <= 0 || missing <= 0) return undefined
  return { reason: `${missing} of ${serversEnabled} servers are not up`, points: (40 * missing) / serversEnabled }
}

function enginesMissing({ enginesUp, enginesWanted }: ScoreFacts): Deduction | undefined {
  const missing = enginesWanted - enginesUp
  if (enginesWanted <= 0 || missing <= 0) return undefined
  return { reason: `${missing} of ${enginesWanted} engines are missing`, points: (30 * missing) / enginesWanted }
}

function errors({ requestsPerS, errorRatio }: Mood): Deduction | undefined {
  if (requestsPerS < MIN_REQUESTS_PER_S || errorRatio < 0.001) return undefined
  return { reason: `${percent(errorRatio)} of the answers are errors (5xx)`, points: Math.min(60, 200 * errorRatio) }
}

function slowness({ requestsPerS, latencyP95Ms, usualP95Ms }: Mood): Deduction | undefined {
  if (requestsPerS < MIN_REQUESTS_PER_S || latencyP95Ms === null || usualP95Ms === null || usualP95Ms <= 0) return undefined
  const times = latencyP95Ms / usualP95Ms
  if (times < 2 || latencyP95Ms < MIN_SLOW_MS) return undefined
  return {
    reason: `95 % latency is ${times.toFixed(1)} times its usual ${usualP95Ms.toFixed(1)} ms`,
    points: Math.min(30, 10 * Math.log2(times))
  }
}

function load(name: string, ratio: number | null, from: number): Deduction | undefined {
  if (ratio === null || ratio <= from) return undefined
  return { reason: `${name} is ${Math.round(ratio * 100)} % used`, points: (30 * (ratio - from)) / (1 - from) }
}

/**
 * The score and every deduction, worst first.
 *
 * Formula 100 - min(100, sum of: down 100; servers 40 x share not up; engines 30 x share missing; errors 200 x 5xx ratio, at
 *         most 60; slowness 10 x log2(p95 / usual p95) from twice on, at most 30; processor 30 over 80..100 %, memory 30 over
 *         90..100 %)
 * Returns integer points >= 1 that add up to 100 - score
 */
export function scoreOf(facts: ScoreFacts, mood: Mood): HealthScore {
  if (facts.isDown) return { score: 0, reasons: [{ reason: 'down', points: 100 }] }
  const deductions = [
    serversDown(facts),
    enginesMissing(facts),
    errors(mood),
    slowness(mood),
    load('processor', mood.cpuRatio, 0.8),
    load('memory', mood.memoryRatio, 0.9)
  ]
    .flatMap(deduction =>
      deduction === undefined ? [] : [{ reason: deduction.reason, points: Math.max(1, Math.round(deduction.points)) }]
    )
    .toSorted((a, b) => b.points - a.points)
  let score = 100
  const reasons: Deduction[] = []
  for (const { reason, points } of deductions) {
    const taken = Math.min(points, score)
    if (taken === 0) break
    score -= taken
    reasons.push({ reason, points: taken })
  }
  return { score, reasons }
}
