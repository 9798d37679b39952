import type { DecisionKind } from '#model/resource/release.ts'

const words: Readonly<Record<DecisionKind, string>> = {
  STARTED: 'started',
  PASSED: 'passed',
  EXTENDED: 'measured for longer',
  PAUSED: 'paused',
  RESUMED: 'resumed',
  PROMOTED: 'promoted',
  ROLLED_BACK: 'rolled back',
  ABORTED: 'aborted'
}

/** `25 % passed`: what was decided at which share. */
export function decisionWords(decision: { readonly kind: DecisionKind; readonly share: number }): string {
  return `${decision.share} % ${words[decision.kind]}`
}
