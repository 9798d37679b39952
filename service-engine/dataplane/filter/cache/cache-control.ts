/** What the fields of a message say about keeping it. RFC 9111 §5.2, RFC 5861. */
import { headersOf } from '../../exchange/headers.ts'

/** Seconds are whole and not negative; undefined: not said. */
export interface Directives {
  /** Anything was said. */
  isThere: boolean
  noStore: boolean
  noCache: boolean
  isPrivate: boolean
  isPublic: boolean
  mustRevalidate: boolean
  proxyRevalidate: boolean
  mustUnderstand: boolean
  onlyIfCached: boolean
  maxAgeS: number | undefined
  sharedMaxAgeS: number | undefined
  minFreshS: number | undefined
  /** Infinity: however stale. */
  maxStaleS: number | undefined
  staleWhileRevalidateS: number | undefined
  staleIfErrorS: number | undefined
}

/** RFC 9111 §1.2.2: more than that is as good as for ever. */
const MAX_S = 2_147_483_648

const says = (): Directives => ({
  isThere: false,
  noStore: false,
  noCache: false,
  isPrivate: false,
  isPublic: false,
  mustRevalidate: false,
  proxyRevalidate: false,
  mustUnderstand: false,
  onlyIfCached: false,
  maxAgeS: undefined,
  sharedMaxAgeS: undefined,
  minFreshS: undefined,
  maxStaleS: undefined,
  staleWhileRevalidateS: undefined,
  staleIfErrorS: undefined
})

/** Seconds of a directive's argument, quoted or not; undefined for what is none. */
function seconds(argument: string): number | undefined {
  return /^\d+$/.test(argument) ? Math.min(MAX_S, Number(argument)) : undefined
}

/** The stricter of two: a directive that comes twice must not be looser than either. */
const stricter = (before: number | undefined, next: number): number => (before === undefined ? next : Math.min(before, next))

/**
 * Reads the value of Cache-Control, all fields of it joined by commas.
 *
 * Shapes  text: anything; what is not understood says nothing, except that a lifetime that is no number is none at all
 * Returns `private` and `no-cache` that name fields are taken as if they named none, which is the stricter reading
 * Throws  nothing
 * Cost    O(length)
 * Source  RFC 9111 §5.2, RFC 9110 §5.6 for its grammar
 */
export function parseCacheControl(text: string): Directives {
  const found = says()
  let at = 0
  while (at < text.length) {
    const { end, name, argument } = directiveAt(text, at)
    at = end + 1
    if (name === '') continue
    found.isThere = true
    note(found, name, argument)
  }
  return found
}

/** One directive, up to the comma that is in no quotes. */
function directiveAt(text: string, from: number): { readonly end: number; readonly name: string; readonly argument: string } {
  let isQuoted = false
  let end = from
  for (; end < text.length; end++) {
    const character = text[end]
    if (isQuoted && character === '\\') end++
    else if (character === '"') isQuoted = !isQuoted
    else if (character === ',' && !isQuoted) break
  }
  const part = text.slice(from, Math.min(end, text.length))
  const equals = part.indexOf('=')
  const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase()
  const given = equals < 0 ? '' : part.slice(equals + 1).trim()
  const argument = given.length >= 2 && given.startsWith('"') && given.endsWith('"') ? given.slice(1, -1).replace(/\\(.)/g, '$1') : given
  return { end, name, argument }
}

function note(found: Directives, name: string, argument: string): void {
  switch (name) {
    case 'no-store':
      found.noStore = true
      break
    case 'no-cache':
      found.noCache = true
      break
    case 'private':
      found.isPrivate = true
      break
    case 'public':
      found.isPublic = true
      break
    case 'must-revalidate':
      found.mustRevalidate = true
      break
    case 'proxy-revalidate':
      found.proxyRevalidate = true
      break
    case 'must-understand':
      found.mustUnderstand = true
      break
    case 'only-if-cached':
      found.onlyIfCached = true
      break
    case 'max-age':
      found.maxAgeS = stricter(found.maxAgeS, seconds(argument) ?? 0)
      break
    case 's-maxage':
      found.sharedMaxAgeS = stricter(found.sharedMaxAgeS, seconds(argument) ?? 0)
      break
    case 'min-fresh':
      found.minFreshS = Math.max(found.minFreshS ?? 0, seconds(argument) ?? 0)
      break
    case 'max-stale':
      found.maxStaleS = stricter(found.maxStaleS, argument === '' ? Infinity : (seconds(argument) ?? 0))
      break
    case 'stale-while-revalidate':
      found.staleWhileRevalidateS = stricter(found.staleWhileRevalidateS, seconds(argument) ?? 0)
      break
    case 'stale-if-error':
      found.staleIfErrorS = stricter(found.staleIfErrorS, seconds(argument) ?? 0)
      break
  }
}

/** What a head says; Pragma where Cache-Control says nothing (RFC 9111 §5.4). */
export function directivesOf(headers: readonly string[]): Directives {
  const found = parseCacheControl(headersOf(headers, 'cache-control').join(','))
  if (!found.isThere && headersOf(headers, 'pragma').some(value => value.toLowerCase().includes('no-cache'))) found.noCache = true
  return found
}

const imfDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/
const oldDate = /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/
const asctimeDate = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/

/** Milliseconds since the epoch; undefined for what is no date of HTTP (RFC 9110 §5.6.7). */
export function parseDate(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const isAsctime = asctimeDate.test(text)
  if (!isAsctime && !imfDate.test(text) && !oldDate.test(text)) return undefined
  const at = Date.parse(isAsctime ? `${text} GMT` : text)
  return Number.isNaN(at) ? undefined : at
}
