/** Rules of a policy as sentences. */

export interface RuleText {
  readonly phase: string
  readonly index: number
  readonly name: string
  readonly isEnabled: boolean
  readonly match: string
  readonly action: string
}

import { isRecord, textIn } from '../json.ts'

type Fields = Readonly<Record<string, unknown>>

const phases: readonly (readonly [key: string, title: string])[] = [
  ['http_security_policy', 'security'],
  ['http_request_policy', 'request'],
  ['http_response_policy', 'response']
]

/** A value in few words: enums without their prefix, references by name, nested fields in brackets. */
export function wordsOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(wordsOf).join(' or ')
  if (isRecord(value))
    return Object.entries(value)
      .map(([name, inner]) =>
        name === 'type' || name === 'match_criteria' || name === 'match_str' || name === 'addr'
          ? wordsOf(inner)
          : `${name.replaceAll('_', ' ')} ${wordsOf(inner)}`
      )
      .join(', ')
  if (typeof value === 'string') {
    const named = /#(.+)$/u.exec(value)
    if (named) return named[1]!
    return /^[A-Z][A-Z0-9_]+$/u.test(value) ? value.toLowerCase().replaceAll('_', ' ') : value
  }
  return String(value)
}

function ruleText(phase: string, rule: Fields): RuleText {
  const { name, index, enable, enabled, match, rule_id: _id, ...actions } = rule
  return {
    phase,
    index: typeof index === 'number' ? index : 0,
    name: textIn(name),
    isEnabled: (enable ?? enabled) !== false,
    match: isRecord(match) && Object.keys(match).length > 0 ? wordsOf(match) : 'always',
    action: Object.keys(actions).length > 0 ? wordsOf(actions) : 'nothing'
  }
}

/** The rules of an httppolicyset (by phase) or of a networksecuritypolicy, each phase in order of index. */
export function rulesOf(policy: Fields): readonly RuleText[] {
  const lists: (readonly [phase: string, rules: unknown])[] = phases.map(([key, title]) => {
    const part = policy[key]
    return [title, isRecord(part) ? part['rules'] : undefined]
  })
  lists.push(['network', policy['rules']])
  return lists.flatMap(([phase, rules]) =>
    Array.isArray(rules)
      ? rules.flatMap((rule: unknown) => (isRecord(rule) ? [ruleText(phase, rule)] : [])).toSorted((a, b) => a.index - b.index)
      : []
  )
}
