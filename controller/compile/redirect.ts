/** URLs made of pieces. */
import type { FilledShape } from '#model/resource/field.ts'
import type { Matched } from '#model/resource/match.ts'
import { groupMatchOf, type locationAction, type redirectAction, type uriParam } from '#model/resource/redirect.ts'
import type { LocationSpec, PairToken, RuleAction, StringMatch, TokenString } from '#model/snapshot/snapshot.ts'
import { textMatch } from './match.ts'
import { statusNumber } from './pool.ts'
import type { Reader } from './resources.ts'

/** Avi's `to the end`. */
const TO_THE_END = 65_535

/** The rule that pieces come from. */
export interface PieceRule {
  readonly reader: Reader
  readonly match: Matched
}

export function redirectOf(action: FilledShape<typeof redirectAction>, rule?: PieceRule): Extract<RuleAction, { is: 'redirect' }> {
  return {
    is: 'redirect',
    status: statusNumber(action.status_code),
    protocol: action.protocol === 'HTTPS' ? 'https' : 'http',
    port: action.port ?? null,
    host: tokensOf(action.host, '.', rule),
    path: tokensOf(action.path, '/', rule),
    keepsQuery: action.keep_query,
    ...(action.add_string === undefined || action.add_string === '' ? {} : { addsQuery: action.add_string })
  }
}

export function locationOf(action: FilledShape<typeof locationAction>, rule: PieceRule): LocationSpec {
  return {
    protocol: action.protocol === 'HTTPS' ? 'https' : 'http',
    port: action.port ?? null,
    host: tokensOf(action.host, '.', rule),
    path: tokensOf(action.path, '/', rule),
    keepsQuery: action.keep_query
  }
}

/**
 * Pieces of a host are joined by dots and pieces of a path by slashes, unless the text beside has one already.
 *
 * Shapes  rule: left out where no rule has matched; then no piece comes from one
 */
export function tokensOf(param: FilledShape<typeof uriParam> | undefined, separator: '.' | '/', rule?: PieceRule): TokenString | null {
  if (param === undefined) return null
  const tokens: TokenString[number][] = []
  for (const piece of param.tokens) {
    const token = tokenOf(piece, rule)
    const before = tokens.at(-1)
    const isJoined = before === undefined || ('literal' in before && before.literal.endsWith(separator))
    const starts = 'literal' in token && token.literal.startsWith(separator)
    if (!isJoined && !starts) tokens.push({ literal: separator })
    tokens.push(token)
  }
  return tokens
}

function tokenOf(piece: FilledShape<typeof uriParam>['tokens'][number], rule: PieceRule | undefined): TokenString[number] {
  const { type, str_value: literal = '', start_index: start, end_index: end = TO_THE_END } = piece
  switch (type) {
    case 'URI_TOKEN_TYPE_STRING':
      return { literal }
    case 'URI_TOKEN_TYPE_HOST':
      return { from: 'host', start: start ?? 0, end }
    case 'URI_TOKEN_TYPE_PATH':
      return { from: 'path', start: start ?? 0, end }
    case 'URI_TOKEN_TYPE_STRING_GROUP':
      return rule === undefined ? { literal: '' } : pairsOf(rule)
    case 'URI_TOKEN_TYPE_REGEX':
    case 'URI_TOKEN_TYPE_REGEX_QUERY': {
      const of = type === 'URI_TOKEN_TYPE_REGEX' ? 'path' : 'query'
      const part = rule?.match?.[of]
      if (rule === undefined || part === undefined) return { literal: '' }
      const { values: patterns, isCaseSensitive } = textMatch(rule.reader, part)
      return { from: 'caught', of, patterns, isCaseSensitive, start: start ?? 1, end }
    }
  }
}

/** Of several keys that match the shortest counts, or the longest where the first of the groups says so; patterns keep their order. */
function pairsOf({ reader, match }: PieceRule): PairToken | { readonly literal: string } {
  const part = groupMatchOf(match)
  if (part === undefined) return { literal: '' }
  const groups = (part.string_group_refs ?? []).map(ref => reader.need('stringgroup', ref).body)
  const { operator, isCaseSensitive } = textMatch(reader, part)
  if (!isPositive(operator)) return { literal: '' }
  const pairs = groups.flatMap(({ kv = [] }) => kv.map(({ key, value = '' }) => [key, value] as const))
  const sign = groups[0]?.longest_match === true ? -1 : 1
  const sorted = operator === 'regex' ? pairs : pairs.toSorted(([a], [b]) => sign * (a.length - b.length))
  return { from: 'pair', of: part === match?.path ? 'path' : 'query', operator, isCaseSensitive, pairs: sorted }
}

const isPositive = (operator: StringMatch['operator']): operator is PairToken['operator'] =>
  !operator.startsWith('not-') && operator !== 'exists'
