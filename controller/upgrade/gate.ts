/** Is an engine as good as it was before it was replaced? Pure: figures of two windows in, a verdict and its reasons out. */
import type { Measured } from '#controller/telemetry/port.ts'
import { differenceOf, proportion } from '#controller/telemetry/proportion.ts'

/** What an engine did in a window, and the health scores of the services that it carries at its end. */
export interface Side extends Pick<Measured, 'requests' | 'errors'> {
  /** By uuid of the service; 0..100. */
  readonly scores: Readonly<Record<string, { readonly name: string; readonly score: number }>>
  /** Why it does not run all that it should, in words. */
  readonly refuses: readonly string[]
}

export interface Limits {
  /** 0..1 */
  readonly maxErrorIncrease: number
  /** Points. */
  readonly maxHealthDrop: number
}

/** `worse`: it may yet recover; `fail`: errors, nearly certainly. */
export type Verdict = 'pass' | 'wait' | 'worse' | 'fail'

/** One-sided 99.95 % at each of many looks, 95 % at the last. */
const EARLY_Z = 3.3
const LAST_Z = 1.645
/** With fewer requests nothing is said of errors. */
const REQUESTS_MIN = 20

const percent = (ratio: number): string => `${Math.round(ratio * 10_000) / 100} %`

/**
 * Judges one engine.
 *
 * Shapes  isOver: it was watched for as long as it should be
 * Returns `fail` also before that, for errors that are nearly certain and for what it refuses since
 */
export function gate(
  before: Side,
  now: Side,
  limits: Limits,
  isOver: boolean
): { readonly verdict: Verdict; readonly reasons: readonly string[] } {
  const refused = now.refuses.filter(message => !before.refuses.includes(message))
  if (refused.length > 0) return { verdict: 'fail', reasons: [`it refuses what it should run: ${refused[0]}`] }
  const z = isOver ? LAST_Z : EARLY_Z
  const [old, fresh] = [proportion(before.errors, before.requests, z), proportion(now.errors, now.requests, z)]
  // Who had no traffic before is compared with no errors.
  const increase = before.requests === 0 ? fresh.low : differenceOf(fresh, old).low
  if (now.requests >= REQUESTS_MIN && increase > limits.maxErrorIncrease)
    return {
      verdict: 'fail',
      reasons: [
        `errors: ${percent(fresh.estimate)} of ${now.requests} requests, ${percent(before.requests === 0 ? 0 : old.estimate)} of ${before.requests} before`
      ]
    }
  if (!isOver) return { verdict: 'wait', reasons: [] }
  const dropped = Object.entries(before.scores).flatMap(([uuid, { name, score }]) => {
    const since = now.scores[uuid]?.score
    // What it no longer carries was moved or removed meanwhile: that is not of the build.
    return since === undefined || since >= score - limits.maxHealthDrop ? [] : [`health of ${name}: ${since}, ${score} before`]
  })
  return dropped.length > 0
    ? { verdict: 'worse', reasons: dropped }
    : { verdict: 'pass', reasons: [`${now.errors} errors of ${now.requests} requests`] }
}
