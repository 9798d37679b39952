/** From state and score to one of five bands, and the words for them. */
import type { OperState } from '#model/resource/runtime.ts'

export type Band = 'good' | 'fair' | 'poor' | 'down' | 'off'

export const bandWords: Readonly<Record<Band, string>> = { good: 'good', fair: 'fair', poor: 'poor', down: 'down', off: 'not judged' }

export const stateWords: Readonly<Record<OperState, string>> = {
  OPER_UP: 'Up',
  OPER_DOWN: 'Down',
  OPER_PARTITIONED: 'Out of reach',
  OPER_DISABLED: 'Disabled',
  OPER_CREATING: 'Starting',
  OPER_INITIALIZING: 'Starting',
  OPER_UNKNOWN: 'Unknown'
}

/**
 * The band that a thing is drawn in: the state decides first, the score between 1 and 100 after it.
 *
 * Units  score: 0..100; 85 and more is good, 65 and more fair, below that poor, 0 down
 */
export function bandOf(state: OperState, score: number): Band {
  if (state === 'OPER_DOWN') return 'down'
  if (state === 'OPER_PARTITIONED') return 'poor'
  if (state !== 'OPER_UP') return 'off'
  if (score >= 85) return 'good'
  if (score >= 65) return 'fair'
  return score > 0 ? 'poor' : 'down'
}

const severity: Readonly<Record<Band, number>> = { down: 0, poor: 1, fair: 2, off: 3, good: 4 }

/** Worst first: by band, then by score. */
export function worstFirst(
  a: { readonly state: OperState; readonly score: number },
  b: { readonly state: OperState; readonly score: number }
): number {
  return severity[bandOf(a.state, a.score)] - severity[bandOf(b.state, b.score)] || a.score - b.score
}
