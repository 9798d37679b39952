/** Matches, compiled to closures once per generation. */
import type { Match, StringMatch } from '#model/snapshot/snapshot.ts'
import { addressesInSteps } from '../exchange/address-set.ts'
import { atOnce, type Steps } from '../exchange/build-steps.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { headersOf } from '../exchange/headers.ts'
import { withoutParameters } from './path.ts'
import { patternsInSteps } from './pattern.ts'
import type { Automata } from './automata.ts'

export type Test = (exchange: Exchange) => boolean
/** A part of a match, with its name. */
export interface NamedTest {
  readonly name: string
  readonly test: Test
}
type StringTest = (value: string | undefined) => boolean

/**
 * All parts of a match; each must hold.
 *
 * Shapes  deniesAccess: the rule refuses what it matches; then a path is also taken as servers see it that drop its
 *         parameters, so that `/admin;x` is not a way around a rule on `/admin`
 * Returns one test per part, named, cheapest first
 * Throws  RangeError on an address, SyntaxError on a pattern that cannot be read
 */
export function compileMatch(match: Match, deniesAccess: boolean, automata: Automata): NamedTest[] {
  return atOnce(matchInSteps(match, deniesAccess, automata))
}

export function* matchInSteps(match: Match, deniesAccess: boolean, automata: Automata): Steps<NamedTest[]> {
  const parts: NamedTest[] = []
  const {
    port,
    protocol,
    method,
    version,
    host,
    path,
    query,
    headers,
    cookie,
    clientAddress,
    sourceAddress,
    responseHeaders = [],
    fingerprint
  } = match
  if (protocol) {
    const isTls = protocol.protocol === 'https'
    parts.push({ name: 'protocol', test: e => (e.downstream.isTls === isTls) !== protocol.isNegated })
  }
  if (port) {
    const ports = new Set(port.ports)
    parts.push({ name: 'port', test: e => ports.has(e.downstream.localPort) !== port.isNegated })
  }
  if (method) {
    const methods = new Set(method.methods)
    parts.push({ name: 'method', test: e => methods.has(e.request.method) !== method.isNegated })
  }
  if (version) {
    const versions = new Set(version.versions.map(plainVersion))
    parts.push({ name: 'version', test: e => versions.has(e.request.version) !== version.isNegated })
  }
  if (host) {
    const test = yield* stringInSteps({ ...host, isCaseSensitive: false }, automata)
    parts.push({ name: 'host', test: e => test(e.request.host === '' ? undefined : e.request.host) })
  }
  if (path) {
    const test = yield* stringInSteps(path, automata)
    const either: Test = e => test(e.request.path) || (e.request.path.includes(';') && test(withoutParameters(e.request.path)))
    parts.push({ name: 'path', test: deniesAccess ? either : e => test(e.request.path) })
  }
  if (query) {
    const test = yield* stringInSteps(query, automata)
    parts.push({ name: 'query', test: e => test(e.request.query === '' ? undefined : e.request.query) })
  }
  if (clientAddress) {
    const has = yield* addressesInSteps(clientAddress.ranges)
    parts.push({ name: 'client address', test: e => has(e.downstream.clientIp) !== clientAddress.isNegated })
  }
  if (sourceAddress) {
    const has = yield* addressesInSteps(sourceAddress.ranges)
    parts.push({ name: 'source address', test: e => has(e.downstream.sourceIp ?? e.downstream.clientIp) !== sourceAddress.isNegated })
  }
  if (fingerprint) {
    const known = new Set(fingerprint.values)
    parts.push({
      name: 'TLS fingerprint',
      test: ({ downstream: { fingerprint: own } }) =>
        (own !== undefined && (known.has(own.ja3) || known.has(own.ja4))) !== fingerprint.isNegated
    })
  }
  const add = function* (name: string, field: StringMatch, valuesOf: (exchange: Exchange) => readonly string[]): Steps<void> {
    const test = yield* stringInSteps(field, automata)
    parts.push({ name, test: anyOf(test, field.operator, valuesOf) })
  }
  for (const header of headers) yield* add(`header ${header.name}`, header, headersIn(header.name))
  if (cookie) yield* add(`cookie ${cookie.name}`, cookie, e => cookiesOf(e.request.headers, cookie.name))
  for (const header of responseHeaders) {
    const name = header.name.toLowerCase()
    yield* add(`answer header ${header.name}`, header, e => headersOf(e.response?.headers ?? [], name))
  }
  return parts
}

/** `HTTP/1.1`, `1.1` and `2.0` alike. */
function plainVersion(version: string): string {
  const bare = version.replace(/^HTTP\//i, '')
  return bare === '2.0' ? '2' : bare
}

function headersIn(name: string): (exchange: Exchange) => readonly string[] {
  const lower = name.toLowerCase()
  if (lower === 'host') return e => [e.request.authority]
  return e => headersOf(e.request.headers, lower)
}

/** A field that came more than once matches when one of its values does; a negated operator, when none does. */
function anyOf(test: StringTest, operator: StringMatch['operator'], valuesOf: (exchange: Exchange) => readonly string[]): Test {
  const isNegated = operator.startsWith('not-')
  return exchange => {
    const values = valuesOf(exchange)
    if (values.length === 0) return test(undefined)
    return isNegated ? values.every(test) : values.some(test)
  }
}

/** The values of the cookies of that name. */
export function cookiesOf(headers: readonly string[], name: string): string[] {
  const found: string[] = []
  for (const field of headersOf(headers, 'cookie')) {
    for (const pair of field.split(';')) {
      const equals = pair.indexOf('=')
      if (equals > 0 && pair.slice(0, equals).trim() === name) found.push(pair.slice(equals + 1).trim())
    }
  }
  return found
}

/**
 * One of the operators over one string.
 *
 * Shapes  value: undefined when the thing is not there at all; then only the negated operators (and `not-exists`) hold
 */
export function compileString(match: StringMatch, automata: Automata): StringTest {
  return atOnce(stringInSteps(match, automata))
}

/** The same, pattern by pattern. */
function* stringInSteps(match: StringMatch, automata: Automata): Steps<StringTest> {
  const { operator, isCaseSensitive } = match
  if (operator === 'exists') return value => value !== undefined
  if (operator === 'not-exists') return value => value === undefined
  const isNegated = operator.startsWith('not-')
  const bare = (isNegated ? operator.slice(4) : operator) as Positive
  const positive = bare === 'regex' ? yield* anyInSteps(match, automata) : positiveTest(bare, match.values, isCaseSensitive)
  const fold = isCaseSensitive || operator.endsWith('regex') ? (value: string) => value : (value: string) => value.toLowerCase()
  return value => (value === undefined ? isNegated : positive(fold(value)) !== isNegated)
}

type Positive = 'begins-with' | 'contains' | 'ends-with' | 'equals' | 'regex'

function* anyInSteps({ values, isCaseSensitive }: StringMatch, automata: Automata): Steps<(value: string) => boolean> {
  const patterns = yield* patternsInSteps(values, isCaseSensitive, automata)
  if (patterns.length === 1) return patterns[0]!
  return value => patterns.some(matches => matches(value))
}

function positiveTest(
  operator: Exclude<Positive, 'regex'>,
  given: readonly string[],
  isCaseSensitive: boolean
): (value: string) => boolean {
  const values = isCaseSensitive ? given : given.map(value => value.toLowerCase())
  const only = values.length === 1 ? values[0] : undefined
  switch (operator) {
    case 'equals': {
      const all = new Set(values)
      return only === undefined ? value => all.has(value) : value => value === only
    }
    case 'begins-with':
      return only === undefined ? oneOf(values, (value, length) => value.slice(0, length)) : value => value.startsWith(only)
    case 'ends-with':
      return only === undefined ? oneOf(values, (value, length) => value.slice(value.length - length)) : value => value.endsWith(only)
    case 'contains':
      return value => values.some(part => value.includes(part))
  }
}

/** Whether a piece of a text is among many: one question for each length that they have, however many they are. */
function oneOf(values: readonly string[], piece: (value: string, length: number) => string): (value: string) => boolean {
  const all = new Set(values)
  const lengths = [...new Set(values.map(value => value.length))]
  return value => lengths.some(length => length <= value.length && all.has(piece(value, length)))
}
