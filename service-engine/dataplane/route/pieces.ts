/** Hosts and paths that rules make of pieces, compiled to closures once per generation. */
import type { CaughtToken, PairToken, TokenString } from '#model/snapshot/snapshot.ts'
import type { Steps } from '../exchange/build-steps.ts'
import type { Automata } from './automata.ts'
import { compileGroups, patternsInSteps } from './pattern.ts'

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
export function* piecesInSteps(tokens: TokenString, separator: '.' | '/', automata: Automata): Steps<MakeText> {
  const pieces: (string | MakeText)[] = []
  for (const token of tokens) pieces.push('literal' in token ? token.literal : yield* pieceInSteps(token, separator, automata))
  return (from, asked) => {
    let text = ''
    for (const piece of pieces) text += typeof piece === 'string' ? piece : piece(from, asked)
    return separator === '.' ? text.replace(emptyLabels, '') : text
  }
}

type Piece = Exclude<TokenString[number], { readonly literal: string }>

function* pieceInSteps(token: Piece, separator: '.' | '/', automata: Automata): Steps<MakeText> {
  if (token.from === 'pair') return yield* pairsInSteps(token, automata)
  const make = token.from === 'caught' ? yield* caughtInSteps(token, separator, automata) : segments(token.from, token.start, token.end)
  if (separator === '/' || token.from === 'host') return make
  return (from, asked) => make(from, asked).replace(notInHost, '.')
}

function segments(of: 'host' | 'path', start: number, end: number): MakeText {
  const after = end >= TO_THE_END ? undefined : end + 1
  if (of === 'host') return from => from.host.split('.').slice(start, after).join('.')
  return from => from.path.slice(1).split('/').slice(start, after).join('/')
}

function* caughtInSteps(token: CaughtToken, separator: '.' | '/', automata: Automata): Steps<MakeText> {
  const { of, patterns, isCaseSensitive, start, end } = token
  const all = yield* patternsInSteps(patterns, isCaseSensitive, automata)
  const groupsOf = patterns.map((): ((text: string) => readonly string[] | null) | undefined => undefined)
  const after = end >= TO_THE_END ? undefined : end + 1
  return (_from, asked) => {
    const text = asked[of]
    const first = all.findIndex(test => test(text))
    if (first < 0) return ''
    const groupsIn = (groupsOf[first] ??= compileGroups(patterns[first]!, isCaseSensitive))
    return (groupsIn(text) ?? []).slice(start, after).join(separator)
  }
}

function* pairsInSteps({ of, operator, isCaseSensitive, pairs }: PairToken, automata: Automata): Steps<MakeText> {
  const keys = pairs.map(([key]) => (isCaseSensitive || operator === 'regex' ? key : key.toLowerCase()))
  const fold = (text: string): string => (isCaseSensitive ? text : text.toLowerCase())
  if (operator === 'regex') {
    const tests = yield* patternsInSteps(keys, isCaseSensitive, automata)
    return (_from, asked) => pairs[tests.findIndex(test => test(asked[of]))]?.[1] ?? ''
  }
  if (operator === 'contains')
    return (_from, asked) => {
      const text = fold(asked[of])
      return pairs[keys.findIndex(key => text.includes(key))]?.[1] ?? ''
    }
  const candidate = candidateOf[operator]
  // The first of two that are the same counts.
  const valueByKey = new Map(pairs.map(([, value], i) => [keys[i]!, value] as const).toReversed())
  const lengths = [...new Set(keys.map(key => key.length))]
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
const candidateOf: { readonly [operator in 'begins-with' | 'ends-with' | 'equals']: (text: string, length: number) => string | undefined } =
  {
    equals: (text, length) => (text.length === length ? text : undefined),
    'begins-with': (text, length) => (text.length < length ? undefined : text.slice(0, length)),
    'ends-with': (text, length) => (text.length < length ? undefined : text.slice(text.length - length))
  }
