/** URLs made of pieces. */
import type { FilledShape } from '#model/resource/field.ts'
import type { locationAction, redirectAction, uriParam } from '#model/resource/redirect.ts'
import type { LocationSpec, RuleAction, TokenString } from '#model/snapshot/snapshot.ts'
import { statusNumber } from './pool.ts'

/** Avi's `to the end`. */
const TO_THE_END = 65_535

export function redirectOf(action: FilledShape<typeof redirectAction>): Extract<RuleAction, { is: 'redirect' }> {
  return {
    is: 'redirect',
    status: statusNumber(action.status_code),
    protocol: action.protocol === 'HTTPS' ? 'https' : 'http',
    port: action.port ?? null,
    host: tokensOf(action.host, '.'),
    path: tokensOf(action.path, '/'),
    keepsQuery: action.keep_query,
    ...(action.add_string === undefined || action.add_string === '' ? {} : { addsQuery: action.add_string })
  }
}

export function locationOf(action: FilledShape<typeof locationAction>): LocationSpec {
  return {
    protocol: action.protocol === 'HTTPS' ? 'https' : 'http',
    port: action.port ?? null,
    host: tokensOf(action.host, '.'),
    path: tokensOf(action.path, '/'),
    keepsQuery: action.keep_query
  }
}

/** Pieces of a host are joined by dots and pieces of a path by slashes, unless the text beside has one already. */
export function tokensOf(param: FilledShape<typeof uriParam> | undefined, separator: '.' | '/'): TokenString | null {
  if (param === undefined) return null
  const tokens: TokenString[number][] = []
  for (const { type, str_value: text = '', start_index: start = 0, end_index: end = TO_THE_END } of param.tokens) {
    const before = tokens.at(-1)
    const isJoined = before === undefined || ('literal' in before && before.literal.endsWith(separator))
    const starts = type === 'URI_TOKEN_TYPE_STRING' && text.startsWith(separator)
    if (!isJoined && !starts) tokens.push({ literal: separator })
    tokens.push(
      type === 'URI_TOKEN_TYPE_STRING' ? { literal: text } : { from: type === 'URI_TOKEN_TYPE_HOST' ? 'host' : 'path', start, end }
    )
  }
  return tokens
}
