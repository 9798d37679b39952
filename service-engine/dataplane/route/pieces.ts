/** Hosts and paths that rules make of pieces, compiled to closures once per generation. */
import type { CaughtToken, PairToken, TokenString } from '#model/snapshot/snapshot.ts'
import { compileString } from './match.ts'
import { compileGroups } from './pattern.ts'

/** To the end of the host or path, or to the last group. */
const TO_THE_END = 65_535
/** Whatever cannot be in a name of a host: text that a client wrote must not end it (`evil.test/`, `evil.test#`). */
const notInHost = /[^A-Za-z0-9._-]+/g
/** Of a piece that is empty, or that ends as the next one begins. */
const emptyLabels = /^\.+|\.+(?=\.)/g

/** What segments are taken from: the request, or a URL that a server answered with. */
export interface Address {
  readonly host: string
  readonly path: string
}
/** What patterns and text groups are asked about. */
export interface Asked {
  readonly path: string
  readonly query: string
}
export type MakeText = (from: Address, asked: Asked) => string

/**
 * Joins literals, pieces of a host (parts between dots) or path (segments), and what the rule's match found.
 *
 * Shapes  tokens: start and end both inclusive; beyond the last one there is nothing. separator: of what is made: `.` of a
 *         host, whose pieces that clients can choose are joined by dots wherever they have what no host has
 * Throws  SyntaxError on a pattern that cannot be read
 */
export function compilePieces(tokens: TokenString, separator: '.' | '/'): MakeText {
  const pieces = tokens.map((token): string | MakeText => ('literal' in token ? token.literal : compilePiece(token, separator)))
  return (from, asked) => {
    let text = ''
    for (const piece of pieces) text += typeof piece === 'string' ? piece : piece(from, asked)
    return separator === '.' ? text.replace(emptyLabels, '') : text
  }
}

function compilePiece(token: Exclude<TokenString[number], { readonly literal: string }>, separator: '.' | '/'): MakeText {
  if (token.from === 'pair') return compilePairs(token)
  const make = token.from === 'caught' ? compileCaught(token, separator) : segments(token.from, token.start, token.end)
  if (separator === '/' || token.from === 'host') return make
  return (from, asked) => make(from, asked).replace(notInHost, '.')
}

function segments(of: 'host' | 'path', start: number, end: number): MakeText {
  const after = end >= TO_THE_END ? undefined : end + 1
  if (of === 'host') return from => from.host.split('.').slice(start, after).join('.')
  return from => from.path.slice(1).split('/').slice(start, after).join('/')
}

function compileCaught({ of, patterns, isCaseSensitive, start, end }: CaughtToken, separator: '.' | '/'): MakeText {
  const all = patterns.map(pattern => compileGroups(pattern, isCaseSensitive))
  const after = end >= TO_THE_END ? undefined : end + 1
  return (_from, asked) => {
    for (const groupsIn of all) {
      const groups = groupsIn(asked[of])
      if (groups !== null) return groups.slice(start, after).join(separator)
    }
    return ''
  }
}

function compilePairs({ of, operator, isCaseSensitive, pairs }: PairToken): MakeText {
  const fold = (text: string): string => (isCaseSensitive ? text : text.toLowerCase())
  const candidate = candidateOf[operator]
  if (candidate === undefined) {
    const tests = pairs.map(([key, value]) => ({ test: compileString({ operator, values: [key], isCaseSensitive }), value }))
    return (_from, asked) => tests.find(({ test }) => test(asked[of]))?.value ?? ''
  }
  // The first of two that are the same counts.
  const valueByKey = new Map(pairs.toReversed().map(([key, value]) => [fold(key), value]))
  const lengths = [...new Set(pairs.map(([key]) => fold(key).length))]
  return (_from, asked) => {
    const text = fold(asked[of])
    for (const length of lengths) {
      const key = candidate(text, length)
      const found = key === undefined ? undefined : valueByKey.get(key)
      if (found !== undefined) return found
    }
    return ''
  }
}

/** The only text of that length that a key can be: one question for each length that there is, however many keys. */
const candidateOf: { readonly [operator in PairToken['operator']]?: (text: string, length: number) => string | undefined } = {
  equals: (text, length) => (text.length === length ? text : undefined),
  'begins-with': (text, length) => (text.length < length ? undefined : text.slice(0, length)),
  'ends-with': (text, length) => (text.length < length ? undefined : text.slice(text.length - length))
}
