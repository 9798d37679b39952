/** What a client asks of an answer that is there: RFC 9110 §13 and §14. */
import type { RequestHead } from '../../exchange/exchange.ts'
import { headerOf, headersOf } from '../../exchange/headers.ts'
import { parseDate } from './cache-control.ts'

/** As it came: what is sent to the server may be something else. */
export interface Conditions {
  readonly ifNoneMatch: string | undefined
  readonly ifModifiedSince: string | undefined
  readonly ifRange: string | undefined
  readonly range: string | undefined
}

export function conditionsOf({ method, headers }: RequestHead): Conditions {
  const tags = headersOf(headers, 'if-none-match')
  return {
    ifNoneMatch: tags.length === 0 ? undefined : tags.join(','),
    ifModifiedSince: headerOf(headers, 'if-modified-since'),
    ifRange: headerOf(headers, 'if-range'),
    // RFC 9110 §14.2: of no other method.
    range: method === 'GET' ? headerOf(headers, 'range') : undefined
  }
}

const opaque = (tag: string): string => (tag.startsWith('W/') ? tag.slice(2) : tag)

/** Whether a list of tags has one, by the weak comparison (RFC 9110 §8.8.3.2). */
export function hasTag(list: string, tag: string): boolean {
  if (list.trim() === '*') return true
  const wanted = opaque(tag)
  for (const [found] of list.matchAll(/(?:W\/)?"[^"]*"/g)) if (opaque(found) === wanted) return true
  return false
}

/**
 * Whether the client has it already.
 *
 * Shapes  dateMs: of an answer that does not say when it was modified
 * Source  RFC 9110 §13.2.2, RFC 9111 §4.3.2
 */
export function isKnown({ ifNoneMatch, ifModifiedSince }: Conditions, headers: readonly string[], dateMs: number): boolean {
  if (ifNoneMatch !== undefined) {
    const tag = headerOf(headers, 'etag')
    return ifNoneMatch.trim() === '*' || (tag !== undefined && hasTag(ifNoneMatch, tag))
  }
  const sinceMs = parseDate(ifModifiedSince)
  if (sinceMs === undefined) return false
  return (parseDate(headerOf(headers, 'last-modified')) ?? dateMs) <= sinceMs
}

/** Bytes `from` to before `to`; `whole` when no part is asked for, or more than one; `none` when there is no such part. */
export type Part = { readonly from: number; readonly to: number } | 'whole' | 'none'

/**
 * The part of a body that is asked for.
 *
 * Shapes  length: of the body, in bytes
 * Returns `whole` also where what the client has of it is of another answer
 * Source  RFC 9110 §14.2, §13.1.5
 */
export function partOf({ range, ifRange }: Conditions, headers: readonly string[], length: number): Part {
  if (range === undefined || length === 0 || headerOf(headers, 'accept-ranges') === 'none') return 'whole'
  if (ifRange !== undefined && !isSame(ifRange.trim(), headers)) return 'whole'
  const found = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(range)
  if (found === null) return 'whole'
  const [, first = '', last = ''] = found
  if (first === '') {
    if (last === '') return 'whole'
    const size = Math.min(length, Number(last))
    return size === 0 ? 'none' : { from: length - size, to: length }
  }
  const from = Number(first)
  if (last !== '' && Number(last) < from) return 'whole'
  if (from >= length) return 'none'
  return { from, to: last === '' ? length : Math.min(length, Number(last) + 1) }
}

/** By the strong comparison: bytes are put together. */
function isSame(ifRange: string, headers: readonly string[]): boolean {
  const tag = headerOf(headers, 'etag')
  if (ifRange.startsWith('"')) return ifRange === tag
  if (ifRange.startsWith('W/')) return false
  const at = parseDate(ifRange)
  const modifiedMs = parseDate(headerOf(headers, 'last-modified'))
  const dateMs = parseDate(headerOf(headers, 'date'))
  // RFC 9110 §8.8.2.2: a second later it cannot have been changed within the same second.
  return at !== undefined && at === modifiedMs && dateMs !== undefined && dateMs - at >= 1000
}
