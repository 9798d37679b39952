/** Whether an answer may be kept, for how long, and whether one that is kept may be used. RFC 9111; nothing here keeps anything. */
import type { CacheSpec } from '#model/snapshot/content.ts'
import type { RequestHead, ResponseHead } from '../../exchange/exchange.ts'
import { headerOf, headersOf } from '../../exchange/headers.ts'
import { directivesOf, parseDate, type Directives } from './cache-control.ts'

/** RFC 9110 §15.1, but for 206, of which parts would have to be put together. */
const heuristicStatuses = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
/** What the status itself means is known: RFC 9111 §3. */
const knownStatuses = new Set([
  ...heuristicStatuses,
  302,
  303,
  307,
  400,
  401,
  403,
  406,
  409,
  411,
  412,
  413,
  415,
  421,
  422,
  429,
  500,
  502,
  503,
  504
])
/** A guess is no longer good after that. */
const MAX_HEURISTIC_S = 86_400
const HEURISTIC_SHARE = 10

/** How long an answer that is kept is fresh, and what it may be used for after that. */
export interface Freshness {
  /** When it was made, by the server's clock. */
  readonly dateMs: number
  /** Its age when it came, in seconds. */
  readonly initialAgeS: number
  readonly arrivedAtMs: number
  readonly lifetimeS: number
  /** Asked for again each time. */
  readonly alwaysValidates: boolean
  /** Never used stale. */
  readonly isStrict: boolean
  readonly staleWhileRevalidateS: number
  readonly staleIfErrorS: number
  /** Also for requests with credentials: RFC 9111 §3.5. */
  readonly isShared: boolean
}

export interface Asking {
  /** When the request was sent, and when its answer came; wall clock. */
  readonly askedAtMs: number
  readonly answeredAtMs: number
  /** The request says who asks: by Authorization, or by a certificate. */
  readonly hasCredentials: boolean
}

/**
 * Whether and for how long an answer may be kept.
 *
 * Returns what is to be known of it; or why it is not kept, in words
 * Source  RFC 9111 §3, §4.2
 */
export function judge(spec: CacheSpec, request: RequestHead, response: ResponseHead, times: Asking): Freshness | string {
  const { status, headers } = response
  const said = directivesOf(headers)
  if (status < 200 || status === 206 || status === 304) return 'a status that is not kept'
  if (said.mustUnderstand && !knownStatuses.has(status)) return 'a status that is not known'
  if (said.noStore && !said.mustUnderstand) return 'no-store'
  if (said.isPrivate) return 'private'
  if (headerOf(headers, 'set-cookie') !== undefined) return 'it sets a cookie'
  if (headersOf(headers, 'vary').some(value => value.split(',').some(name => name.trim() === '*'))) return 'it varies by what is not said'
  if (!spec.ignoresRequests && directivesOf(request.headers).noStore) return 'the client says no-store'
  const isShared = said.isPublic || said.sharedMaxAgeS !== undefined || said.mustRevalidate
  if (times.hasCredentials && !isShared) return 'the request has credentials'
  const dateMs = parseDate(headerOf(headers, 'date')) ?? times.answeredAtMs
  const explicit = explicitLifetime(said, headers, dateMs)
  if (explicit === undefined && headerOf(request.headers, 'cookie') !== undefined && !said.isPublic)
    return 'the request has cookies and the answer says nothing'
  const lifetimeS = explicit ?? (heuristicStatuses.has(status) || said.isPublic ? guess(spec, said, headers, dateMs) : undefined)
  if (lifetimeS === undefined) return 'no lifetime'
  return {
    dateMs,
    initialAgeS: initialAge(headers, dateMs, times),
    arrivedAtMs: times.answeredAtMs,
    lifetimeS,
    alwaysValidates: said.noCache,
    isStrict: said.mustRevalidate || said.proxyRevalidate || said.sharedMaxAgeS !== undefined || said.noCache,
    staleWhileRevalidateS: said.staleWhileRevalidateS ?? 0,
    staleIfErrorS: said.staleIfErrorS ?? 0,
    isShared
  }
}

/** RFC 9111 §4.2.1; seconds. */
function explicitLifetime(said: Directives, headers: readonly string[], dateMs: number): number | undefined {
  if (said.sharedMaxAgeS !== undefined) return said.sharedMaxAgeS
  if (said.maxAgeS !== undefined) return said.maxAgeS
  const expires = headersOf(headers, 'expires')
  if (expires.length === 0) return undefined
  // A date that is none, such as 0, is past (§5.3); so is one of two that do not agree.
  const at = expires.length === 1 ? parseDate(expires[0]) : undefined
  return at === undefined ? 0 : Math.max(0, Math.floor((at - dateMs) / 1000))
}

/** RFC 9111 §4.2.2, as far as the operator lets. */
function guess(spec: CacheSpec, said: Directives, headers: readonly string[], dateMs: number): number | undefined {
  // It is asked for again each time: how long it would be fresh does not matter.
  if (said.noCache) return 0
  const modifiedMs = parseDate(headerOf(headers, 'last-modified'))
  if (spec.isHeuristic && modifiedMs !== undefined && modifiedMs <= dateMs)
    return Math.min(MAX_HEURISTIC_S, Math.floor((dateMs - modifiedMs) / 1000 / HEURISTIC_SHARE))
  return said.isThere || spec.isAggressive ? spec.defaultExpireS : undefined
}

/** RFC 9111 §4.2.3; seconds. */
function initialAge(headers: readonly string[], dateMs: number, { askedAtMs, answeredAtMs }: Asking): number {
  const given = headerOf(headers, 'age')?.split(',', 1)[0]!.trim() ?? ''
  const ageS = /^\d+$/.test(given) ? Math.min(2_147_483_648, Number(given)) : 0
  const delayS = Math.max(0, answeredAtMs - askedAtMs) / 1000
  return Math.max(0, (answeredAtMs - dateMs) / 1000, ageS + delayS)
}

/** Seconds since it was made or last found valid. */
export function ageOf(freshness: Freshness, nowMs: number): number {
  return freshness.initialAgeS + Math.max(0, nowMs - freshness.arrivedAtMs) / 1000
}

/** `stale`: used, though it is, because the client takes it so; `refresh`: used, and asked for again behind its back. */
export type Use = 'fresh' | 'stale' | 'refresh' | 'validate'

/**
 * How an answer that is kept may be used for a request now.
 *
 * Shapes  asked: what the client says; null where it is not heard
 * Source  RFC 9111 §4.2.4, §5.2.1; RFC 5861 §3
 */
export function useOf(freshness: Freshness, asked: Directives | null, nowMs: number): Use {
  const ageS = ageOf(freshness, nowMs)
  const { lifetimeS, isStrict } = freshness
  if (freshness.alwaysValidates || asked?.noCache === true) return 'validate'
  if (asked?.maxAgeS !== undefined && ageS > asked.maxAgeS) {
    if (asked.maxStaleS === undefined || ageS <= lifetimeS) return 'validate'
  }
  const left = lifetimeS - ageS
  if (left > (asked?.minFreshS ?? 0)) return 'fresh'
  // Fresh, but not for long enough.
  if (left > 0) return 'validate'
  if (isStrict) return 'validate'
  if (asked?.maxStaleS !== undefined && -left <= asked.maxStaleS) return 'stale'
  // Who asks for one that is fresh does not want the other.
  if (asked?.minFreshS !== undefined) return 'validate'
  return -left < freshness.staleWhileRevalidateS ? 'refresh' : 'validate'
}

/** Whether it may stand in for a server that fails: RFC 5861 §4. */
export function mayStandIn(freshness: Freshness, asked: Directives | null, nowMs: number): boolean {
  if (freshness.isStrict || asked?.noCache === true) return false
  const overS = ageOf(freshness, nowMs) - freshness.lifetimeS
  return overS < Math.max(freshness.staleIfErrorS, asked?.staleIfErrorS ?? 0, asked?.maxStaleS ?? 0)
}

/** What an answer depends on, as RFC 9111 §4.1 compares it: names in lower case, sorted. */
export function varyOf(headers: readonly string[]): readonly string[] {
  const names = headersOf(headers, 'vary').flatMap(value => value.split(',').map(name => name.trim().toLowerCase()))
  return [...new Set(names.filter(name => name !== ''))].toSorted()
}

/** What a request says in those fields. */
export function variantOf(names: readonly string[], headers: readonly string[]): string {
  if (names.length === 0) return ''
  return names.map(name => `${name}:${settled(name, headersOf(headers, name))}`).join('\n')
}

/** White space, and in codings also case and order where they mean nothing, make no second variant. */
function settled(name: string, values: readonly string[]): string {
  const parts = values
    .join(',')
    .split(',')
    .map(part => part.trim())
  if (name !== 'accept-encoding') return parts.join(',')
  const codings = parts.map(part => part.toLowerCase().replaceAll(/[ \t]/g, '')).filter(part => part !== '' && !/;q=0(?:\.0*)?$/.test(part))
  return [...new Set(codings)].toSorted().join(',')
}

/** What names those that reach them by one path, and is not kept from others that do not say it. */
const keyedHeaders = [
  'forwarded',
  'origin-host',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-proto',
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'x-host'
] as const
const keyed: ReadonlySet<string> = new Set(keyedHeaders)
/** What makes another request of one, for some servers: such a request has nothing to do with what is kept. */
const overriding: ReadonlySet<string> = new Set([
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-original-uri',
  'x-rewrite-url'
])

/**
 * Whether a request can be answered from what is kept, or its answer be kept.
 *
 * Returns the fields that are a part of its key, in one order; undefined when it goes past the cache
 */
export function keyedFields(request: RequestHead): string | undefined {
  const { method, headers, framing, isWebSocket } = request
  if ((method !== 'GET' && method !== 'HEAD') || framing !== 'none' || isWebSocket || request.target === '*') return undefined
  let found: string[] | null = null
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name === 'if-match' || name === 'if-unmodified-since' || overriding.has(name)) return undefined
    if (keyed.has(name)) (found ??= []).push(`${name}:${headers[i + 1]!}`)
  }
  return found === null ? '' : found.toSorted().join('\n')
}

/** RFC 9110 §9.2.1: what they name may be another thing afterwards. */
export const isUnsafe = (method: string): boolean => method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS' && method !== 'TRACE'
