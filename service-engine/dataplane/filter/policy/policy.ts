import type { RuleBook } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'

export interface PolicySettings {
  readonly rules: RuleBook
}

/** Runs the operator's rules. */
export function policy(settings: PolicySettings): Filter {
  const { rules } = settings
  return { kind: 'policy', onRequest: rules.decide, onResponse: rules.amend }
}
