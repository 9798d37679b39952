/**
 * Answers that are kept, as one worker does it for one virtual service. The spine asks for each request where its answer is to
 * come from, and shows it what servers answer; `decide` says what the RFC lets, `store` keeps.
 *
 *   enter -> pass (goes past) | serve (kept) | answer (504) | wait (another asks for the same) | fetch (asks a server)
 *   fetch -> responded: relayed, and perhaps kept; or what was kept is sent, because it is still valid or the server failed
 */
import type { CacheSpec } from '#model/snapshot/content.ts'
import type { Clock } from '#model/base/clock.ts'
import type { BodyKeeper, CacheStatus, Exchange, RequestHead, ResponseHead, StoredBody } from '../../exchange/exchange.ts'
import { headerOf, headersOf, removeHeader, setHeader } from '../../exchange/headers.ts'
import { directivesOf, type Directives } from './cache-control.ts'
import { conditionsOf, isKnown, partOf, type Conditions } from './conditions.ts'
import { ageOf, isUnsafe, judge, keyedFields, mayStandIn, useOf, variantOf, varyOf, type Asking, type Freshness } from './decide.ts'
import type { CacheStore, Entry, Pending } from './store.ts'

/** Where it is counted. */
export interface CacheMeter {
  readonly visited: (status: Exclude<CacheStatus, ''>, savedBytes: number) => void
  /** What is kept now. */
  readonly keeps: (objects: number, bytes: number) => void
}

export interface CacheSettings {
  readonly spec: CacheSpec
  readonly clock: Clock
  readonly store: CacheStore
  readonly meter: CacheMeter
  readonly isExcluded: (path: string) => boolean
  /** Others that keep answers of the same virtual service hear of it. */
  readonly invalidated: (url: string) => void
  /** Of this worker. */
  readonly maxBytes: number
}

/** How long a request waits for another one that asks for the same. */
export const WAIT_MS = 3_000
/** Requests of one worker that wait so, for one virtual service; more ask themselves. */
const MAX_WAITING = 1_024
/** For how long nobody waits for an answer that was not kept the last time. */
const UNKEPT_MS = 10_000
const MAX_UNKEPT = 1_024
/** Tags of one answer; more are not looked at. */
const MAX_TAGS = 64
/** How often a piece of unknown length is taken from the store's room. */
const GROWTH_BYTES = 65_536

export type Step =
  | { readonly is: 'pass' }
  | { readonly is: 'serve'; readonly visit: Visit; readonly refresh: Visit | null }
  | { readonly is: 'fetch'; readonly visit: Visit }
  /** Nothing that is kept will do, and the client wants nothing else. */
  | { readonly is: 'unavailable' }
  | { readonly is: 'wait'; readonly flight: Flight }

const PASSES: Step = { is: 'pass' }
const EMPTY = Buffer.alloc(0)

/** Who waits for what is being asked for. */
export interface Flight {
  /** Calls back once, when there is something to see. Returns the way to wait no more. */
  readonly join: (call: () => void) => () => void
}

class OpenFlight implements Flight {
  /** When it was begun. */
  readonly sinceMs: number
  readonly #waiting = new Set<() => void>()
  readonly #count: (change: number) => void

  constructor(sinceMs: number, count: (change: number) => void) {
    this.sinceMs = sinceMs
    this.#count = count
  }

  join(call: () => void): () => void {
    this.#count(1)
    this.#waiting.add(call)
    return () => {
      if (this.#waiting.delete(call)) this.#count(-1)
    }
  }

  land(): void {
    for (const call of this.#waiting) {
      if (this.#waiting.delete(call)) this.#count(-1)
      call()
    }
  }
}

export class HttpCache {
  readonly settings: CacheSettings
  readonly maxBytes: number
  readonly #flights = new Map<string, OpenFlight>()
  /** Key -> until when nobody waits for it. */
  readonly #unkept = new Map<string, number>()
  readonly isType: (contentType: string) => boolean
  #waiting = 0

  constructor(settings: CacheSettings) {
    this.settings = settings
    this.maxBytes = settings.maxBytes
    const isListed = compileTypes(settings.spec.contentTypes)
    const isBlocked = compileTypes(settings.spec.blockedContentTypes)
    const takesAll = settings.spec.contentTypes.length === 0
    this.isType = type => (takesAll || isListed(type)) && !isBlocked(type)
  }

  /**
   * Where the answer to a request is to come from.
   *
   * Shapes  mayWait: false for one that has waited
   */
  enter(exchange: Exchange, mayWait: boolean): Step {
    const { request } = exchange
    const { spec, clock, store, isExcluded } = this.settings
    const fields = keyedFields(request)
    if (fields === undefined || (!spec.keepsQueries && request.query !== '') || isExcluded(request.path)) {
      exchange.cacheStatus = 'BYPASS'
      return PASSES
    }
    const nowMs = clock.nowEpochMs()
    const asked = spec.ignoresRequests ? null : directivesOf(request.headers)
    const key = keyOf(exchange, fields)
    const visit = new Visit(this, exchange, key, asked, conditionsOf(request))
    const entry = this.#find(key, exchange)
    exchange.cacheStatus = 'MISS'
    if (entry === undefined) {
      if (asked?.onlyIfCached === true) return { is: 'unavailable' }
      return this.#fetch(visit, request, mayWait)
    }
    store.looked(entry)
    visit.found(entry)
    const use = useOf(entry.freshness, asked, nowMs)
    if (use === 'fresh' || use === 'stale' || use === 'refresh') {
      visit.serve(use === 'fresh' ? 'HIT' : 'STALE')
      return { is: 'serve', visit, refresh: use === 'refresh' ? this.#refresh(exchange, key, entry) : null }
    }
    if (asked?.onlyIfCached === true) {
      visit.left()
      return { is: 'unavailable' }
    }
    return this.#fetch(visit, request, mayWait)
  }

  /** A request that may have changed what is kept was answered well: RFC 9111 §4.4. */
  changed({ request, downstream, response }: Exchange): void {
    if (!isUnsafe(request.method) || response === null || response.status >= 400) return
    const origin = originOf(request, downstream.isTls)
    this.#invalidate(origin + pathOf(request))
    for (const name of ['location', 'content-location']) {
      const named = headerOf(response.headers, name)
      const url = named === undefined ? undefined : sameOrigin(named, origin, request)
      if (url !== undefined) this.#invalidate(url)
    }
  }

  #invalidate(url: string): void {
    this.settings.store.invalidate(url)
    this.counted()
    this.settings.invalidated(url)
  }

  counted(): void {
    const { store, meter } = this.settings
    meter.keeps(store.objects, store.usedBytes)
  }

  /** The newest of those that fit: RFC 9111 §4.1. */
  #find(key: string, exchange: Exchange): Entry | undefined {
    const { headers } = exchange.request
    const entries = this.settings.store.under(key)
    const isKnownClient = entries.length > 0 && hasCredentials(exchange, headers)
    let found: Entry | undefined
    for (const entry of entries) {
      if (isKnownClient && !entry.freshness.isShared) continue
      if (entry.variant !== variantOf(entry.varyNames, headers)) continue
      if (found === undefined || entry.freshness.dateMs >= found.freshness.dateMs) found = entry
    }
    return found
  }

  #fetch(visit: Visit, request: RequestHead, mayWait: boolean): Step {
    if (request.method === 'HEAD' || !visit.isPlain || visit.forces) return { is: 'fetch', visit: visit.conditional() }
    const key = this.#flightKey(visit.key, request)
    const flight = this.#inFlight(key)
    if (flight === undefined) return { is: 'fetch', visit: visit.conditional().lead(this.#takeOff(key)) }
    if (!mayWait || this.#waiting >= MAX_WAITING || this.#isUnkept(visit.key)) return { is: 'fetch', visit: visit.conditional() }
    visit.left()
    return { is: 'wait', flight }
  }

  /** What is asked for behind the back of one that was answered; null when somebody does already. */
  #refresh(exchange: Exchange, key: string, entry: Entry): Visit | null {
    const flightKey = this.#flightKey(key, exchange.request)
    if (this.#inFlight(flightKey) !== undefined) return null
    const visit = new Visit(this, exchange, key, null, nothingAsked)
    visit.found(entry)
    return visit.lead(this.#takeOff(flightKey))
  }

  #flightKey(key: string, { headers }: RequestHead): string {
    const newest = this.settings.store.under(key).at(-1)
    return newest === undefined ? key : `${key}\n\n${variantOf(newest.varyNames, headers)}`
  }

  /** One that takes longer than anybody waits is taken for lost: nobody joins it, and the next one goes in its place. */
  #inFlight(key: string): OpenFlight | undefined {
    const flight = this.#flights.get(key)
    return flight !== undefined && this.settings.clock.nowMs() - flight.sinceMs < WAIT_MS ? flight : undefined
  }

  #takeOff(key: string): () => void {
    const flight = new OpenFlight(this.settings.clock.nowMs(), change => (this.#waiting += change))
    this.#flights.set(key, flight)
    return () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key)
      flight.land()
    }
  }

  #isUnkept(key: string): boolean {
    const untilMs = this.#unkept.get(key)
    return untilMs !== undefined && untilMs > this.settings.clock.nowMs()
  }

  unkept(key: string): void {
    this.#unkept.delete(key)
    if (this.#unkept.size >= MAX_UNKEPT) for (const oldest of this.#unkept.keys()) if (this.#unkept.delete(oldest)) break
    this.#unkept.set(key, this.settings.clock.nowMs() + UNKEPT_MS)
  }
}

const nothingAsked: Conditions = { ifNoneMatch: undefined, ifModifiedSince: undefined, ifRange: undefined, range: undefined }

/** What a server's answer comes to. */
export type Outcome =
  /** It goes to the client. */
  | 'relayed'
  /** The head is now that of what was kept, and its body is sent. */
  | 'replaced'
  /** It is a failure, and what was kept stands in: the attempt is given up. */
  | 'failed'

/** One request that may be answered from what is kept. */
export class Visit implements BodyKeeper, Pending {
  readonly key: string
  readonly url: string
  isEndUncertain = false
  isVoid = false
  instead: StoredBody | null = null
  readonly #cache: HttpCache
  #exchange: Exchange
  readonly #asked: Directives | null
  readonly #conditions: Conditions
  /** As it came: what is sent on may be another. */
  readonly #headers: readonly string[]
  #entry: Entry | null = null
  #hasEntered = false
  #isConditional = false
  #land: (() => void) | null = null
  #askedAtMs = 0
  #saved = 0
  // What is being kept.
  #freshness: Freshness | null = null
  #head: ResponseHead | null = null
  #declared = -1
  #whole: Buffer | null = null
  #pieces: Buffer[] = []
  #taken = 0
  #reserved = 0

  constructor(cache: HttpCache, exchange: Exchange, key: string, asked: Directives | null, conditions: Conditions) {
    this.#cache = cache
    this.#exchange = exchange
    this.#asked = asked
    this.#conditions = conditions
    this.key = key
    this.url = originOf(exchange.request, exchange.downstream.isTls) + pathOf(exchange.request)
    this.#headers = exchange.request.headers
    this.#askedAtMs = cache.settings.clock.nowEpochMs()
  }

  /** It asks for the whole answer, whatever the client has. */
  get isPlain(): boolean {
    const { ifNoneMatch, ifModifiedSince, range } = this.#conditions
    return this.#entry !== null || (ifNoneMatch === undefined && ifModifiedSince === undefined && range === undefined)
  }

  /** The client wants it from the server. */
  get forces(): boolean {
    return this.#asked?.noCache === true || this.#asked?.noStore === true
  }

  found(entry: Entry): void {
    this.#entry = entry
    this.#hasEntered = true
    this.#cache.settings.store.enter(entry)
  }

  /** Others wait for what comes of it. */
  lead(land: () => void): this {
    this.#land = land
    return this
  }

  /** What is kept goes to the server as a condition, in the place of the client's. */
  conditional(): this {
    this.#cache.settings.store.watch(this)
    const entry = this.#entry
    const { request } = this.#exchange
    if (entry === null || request.method !== 'GET') return this
    const fields = validators(entry.headers)
    if (fields.length === 0) return this
    this.#isConditional = true
    const headers = request.headers.slice()
    for (const name of ['if-none-match', 'if-modified-since', 'if-range', 'range']) removeHeader(headers, name)
    headers.push(...fields)
    request.headers = headers
    return this
  }

  /** The same for a request that is ours alone. */
  headersToRefresh(): string[] {
    this.#cache.settings.store.watch(this)
    const headers = this.#headers.slice()
    for (const name of ['if-none-match', 'if-modified-since', 'if-range', 'range', 'cookie', 'authorization', 'cache-control', 'pragma'])
      removeHeader(headers, name)
    const fields = validators(this.#entry?.headers ?? [])
    this.#isConditional = fields.length > 0
    return [...headers, ...fields]
  }

  /** It is asked for by this exchange, which is ours alone. */
  refreshes(exchange: Exchange): void {
    this.#exchange = exchange
  }

  /** The exchange is answered by what was found. */
  serve(status: Exclude<CacheStatus, '' | 'BYPASS' | 'MISS'>): void {
    const exchange = this.#exchange
    const entry = this.#entry!
    const { spec, clock } = this.#cache.settings
    exchange.cacheStatus = status
    const { status: code, reason, body } = entry
    const headers = [...entry.headers]
    const response = exchange.response
    const head: ResponseHead = response ?? { status: code, reason, headers }
    head.status = code
    head.reason = reason
    head.headers = headers
    exchange.response = head
    removeHeader(headers, 'age')
    if (spec.sendsAge) headers.push('age', String(Math.floor(ageOf(entry.freshness, clock.nowEpochMs()))))
    if (spec.sendsDate && headerOf(headers, 'date') === undefined) headers.push('date', new Date(entry.freshness.dateMs).toUTCString())
    if (spec.sendsXCache) setHeader(headers, 'x-cache', status)
    this.instead = bodyFor(exchange.request.method, head, body, this.#conditions, entry.freshness.dateMs)
    this.#saved = this.instead.to - this.instead.from
  }

  /** A server's head is here, as it came. */
  responded(): Outcome {
    const exchange = this.#exchange
    const response = exchange.response!
    const { store, clock } = this.#cache.settings
    const nowMs = clock.nowEpochMs()
    const entry = this.#entry
    if (response.status === 304 && this.#isConditional && entry !== null) {
      this.#validated(entry, response, nowMs)
      this.serve('REVALIDATED')
      this.#landed()
      return 'replaced'
    }
    if (this.mayStandIn() && [500, 502, 503, 504].includes(response.status)) return 'failed'
    if (entry !== null && exchange.request.method === 'GET' && response.status < 500) store.remove(entry)
    this.#begin(response, nowMs)
    return 'relayed'
  }

  /** What is kept is there, and may be used when servers fail. */
  mayStandIn(): boolean {
    const entry = this.#entry
    return entry !== null && this.instead === null && mayStandIn(entry.freshness, this.#asked, this.#cache.settings.clock.nowEpochMs())
  }

  #validated(entry: Entry, { headers }: ResponseHead, nowMs: number): void {
    const { store, spec } = this.#cache.settings
    const merged = freshened(entry.headers, headers)
    const request = { ...this.#exchange.request, headers: this.#headers.slice() }
    const times = this.#asking(nowMs)
    const next = judge(spec, request, { status: entry.status, reason: '', headers: merged }, times)
    const tag = headerOf(headers, 'etag')
    const isSame = tag === undefined || tag === headerOf(entry.headers, 'etag')
    if (typeof next === 'string' || !isSame) store.remove(entry)
    else store.freshen(entry, merged, next)
    this.#cache.counted()
  }

  #begin(response: ResponseHead, nowMs: number): void {
    // Another server may have begun to answer, and failed.
    this.#free()
    this.#freshness = null
    this.#taken = 0
    const { spec } = this.#cache.settings
    const { request } = this.#exchange
    const freshness =
      request.method === 'GET' ? judge(spec, { ...request, headers: this.#headers.slice() }, response, this.#asking(nowMs)) : 'no body'
    const length = headerOf(response.headers, 'content-length')
    this.#declared = length === undefined ? -1 : Number(length)
    const isSize = this.#declared < 0 || (this.#declared >= spec.minObjectBytes && this.#declared <= spec.maxObjectBytes)
    const isLast = typeof freshness === 'string' || !isSize || this.isEndUncertain || this.isVoid
    if (isLast || !this.#cache.isType(headerOf(response.headers, 'content-type') ?? '')) return this.#giveUp()
    // It would be out of date before anybody could use it.
    if (freshness.lifetimeS === 0 && validators(response.headers).length === 0) return this.#giveUp()
    if (!this.#reserve(Math.max(0, this.#declared))) return this.#giveUp()
    if (this.#declared > 0) this.#whole = Buffer.allocUnsafeSlow(this.#declared)
    this.#freshness = freshness
    this.#head = { status: response.status, reason: response.reason, headers: [...response.headers] }
  }

  #asking(answeredAtMs: number): Asking {
    return { askedAtMs: this.#askedAtMs, answeredAtMs, hasCredentials: hasCredentials(this.#exchange, this.#headers) }
  }

  #reserve(bytes: number): boolean {
    if (bytes === 0) return true
    if (!this.#cache.settings.store.reserve(bytes)) return false
    this.#reserved += bytes
    return true
  }

  write(bytes: Buffer, from: number, to: number): void {
    if (this.#freshness === null) return
    const { spec } = this.#cache.settings
    const size = to - from
    this.#taken += size
    const whole = this.#whole
    if (whole !== null) {
      if (this.#taken > whole.length) return this.#giveUp()
      bytes.copy(whole, this.#taken - size, from, to)
      return
    }
    if (this.#taken > spec.maxObjectBytes) return this.#giveUp()
    if (this.#taken > this.#reserved && !this.#reserve(Math.max(GROWTH_BYTES, size))) return this.#giveUp()
    this.#pieces.push(Buffer.from(bytes.subarray(from, to)))
  }

  end(): void {
    const freshness = this.#freshness
    const head = this.#head
    if (freshness === null || head === null) return
    const { spec, store } = this.#cache.settings
    const isWhole = this.#declared < 0 ? this.#taken >= spec.minObjectBytes : this.#taken === this.#declared
    if (!isWhole || this.isVoid) return this.#giveUp()
    const body = this.#whole ?? (this.#pieces.length === 0 ? EMPTY : Buffer.concat(this.#pieces))
    this.#freshness = null
    this.#free()
    const varyNames = varyOf(head.headers)
    store.put({
      key: this.key,
      url: this.url,
      varyNames,
      variant: variantOf(varyNames, this.#headers),
      status: head.status,
      reason: head.reason,
      headers: head.headers,
      body,
      freshness,
      tags: tagsOf(head.headers)
    })
    this.#cache.counted()
    this.#landed()
  }

  /** The exchange is over, whatever became of it. */
  left(): void {
    this.#cache.settings.store.unwatch(this)
    if (this.#hasEntered) {
      this.#hasEntered = false
      this.#cache.settings.store.leave(this.#entry!)
    }
    if (this.#freshness !== null) this.#giveUp()
    this.#landed()
  }

  get savedBytes(): number {
    return this.#saved
  }

  #giveUp(): void {
    this.#freshness = null
    this.#free()
    this.#cache.unkept(this.key)
    this.#landed()
  }

  #free(): void {
    if (this.#reserved > 0) this.#cache.settings.store.release(this.#reserved)
    this.#reserved = 0
    this.#whole = null
    this.#pieces = []
  }

  #landed(): void {
    const land = this.#land
    this.#land = null
    land?.()
  }
}

/** What is sent on may have lost it. */
const hasCredentials = ({ downstream }: Exchange, headers: readonly string[]): boolean =>
  headerOf(headers, 'authorization') !== undefined || (downstream.identity?.certificate ?? null) !== null

/** What of a body is sent, and the head made to fit. */
function bodyFor(method: string, head: ResponseHead, body: Buffer, asked: Conditions, dateMs: number): StoredBody {
  const { headers } = head
  if (head.status === 200 && isKnown(asked, headers, dateMs)) {
    head.status = 304
    head.reason = 'Not Modified'
    for (const name of ['content-length', 'content-encoding', 'content-language', 'content-type', 'content-range'])
      removeHeader(headers, name)
    return { bytes: EMPTY, from: 0, to: 0, length: -1 }
  }
  const part = head.status === 200 ? partOf(asked, headers, body.length) : 'whole'
  if (part === 'none') {
    head.status = 416
    head.reason = 'Range Not Satisfiable'
    for (const name of ['content-encoding', 'content-language', 'content-type', 'etag', 'last-modified']) removeHeader(headers, name)
    setHeader(headers, 'content-range', `bytes */${body.length}`)
    setHeader(headers, 'content-length', '0')
    return { bytes: EMPTY, from: 0, to: 0, length: 0 }
  }
  if (part !== 'whole') {
    head.status = 206
    head.reason = 'Partial Content'
    setHeader(headers, 'content-range', `bytes ${part.from}-${part.to - 1}/${body.length}`)
    setHeader(headers, 'content-length', String(part.to - part.from))
    return { bytes: body, from: part.from, to: part.to, length: part.to - part.from }
  }
  const hasNone = head.status === 204
  if (!hasNone) setHeader(headers, 'content-length', String(body.length))
  if (method === 'HEAD' || hasNone) return { bytes: EMPTY, from: 0, to: 0, length: hasNone ? -1 : body.length }
  return { bytes: body, from: 0, to: body.length, length: body.length }
}

/** Conditions by which a server can say that it is still the same. */
function validators(headers: readonly string[]): string[] {
  const tag = headerOf(headers, 'etag')
  const modified = headerOf(headers, 'last-modified')
  return [...(tag === undefined ? [] : ['if-none-match', tag]), ...(modified === undefined ? [] : ['if-modified-since', modified])]
}

/** RFC 9111 §3.2: what says how the body is framed and packed stays as it was. */
const keptOnUpdate = new Set(['content-encoding', 'content-length', 'content-range', 'content-type', 'transfer-encoding'])

function freshened(before: readonly string[], update: readonly string[]): string[] {
  const names = new Set<string>()
  for (let i = 0; i < update.length; i += 2) if (!keptOnUpdate.has(update[i]!)) names.add(update[i]!)
  const merged: string[] = []
  // The age of before is not the age of now.
  for (let i = 0; i < before.length; i += 2) if (!names.has(before[i]!) && before[i] !== 'age') merged.push(before[i]!, before[i + 1]!)
  for (let i = 0; i < update.length; i += 2) if (names.has(update[i]!)) merged.push(update[i]!, update[i + 1]!)
  return merged
}

function tagsOf(headers: readonly string[]): string[] {
  const given = [
    ...headersOf(headers, 'surrogate-key').flatMap(value => value.split(/[ \t]+/)),
    ...headersOf(headers, 'cache-tag').flatMap(value => value.split(','))
  ]
  return [...new Set(given.map(tag => tag.trim().toLowerCase()).filter(tag => tag !== ''))].slice(0, MAX_TAGS)
}

const originOf = ({ host }: RequestHead, isTls: boolean): string => `${isTls ? 'https' : 'http'}://${host}`
const pathOf = ({ path, query }: RequestHead): string => (query === '' ? path : `${path}?${query}`)

/**
 * What makes two requests one: scheme, host, path and query as they came, what is sent on (rules may have changed it) and to whom,
 * and the fields that name the address in other ways. The query is taken as it is, in its order and with its repeats.
 */
function keyOf({ request, downstream, target }: Exchange, fields: string): string {
  const to = target === null ? '' : target.is === 'pool' ? target.poolId : target.id
  return `${originOf(request, downstream.isTls)}${pathOf(request)}\n${request.authority.toLowerCase()}\n${request.target}\n${to}\n${fields}`
}

/** The address that a field names, when it is of the same origin: RFC 9111 §4.4. */
function sameOrigin(named: string, origin: string, request: RequestHead): string | undefined {
  const url = URL.parse(named, `${origin}${request.path}`)
  return url === null || `${url.protocol}//${url.hostname}` !== origin ? undefined : `${origin}${url.pathname}${url.search}`
}

function compileTypes(types: readonly string[]): (contentType: string) => boolean {
  const exact = new Set(types.filter(type => !type.endsWith('/*')))
  const groups = types.filter(type => type.endsWith('/*')).map(type => type.slice(0, -1))
  return contentType => {
    const type = contentType.split(';', 1)[0]!.trim().toLowerCase()
    return exact.has(type) || groups.some(group => group === '*/' || type.startsWith(group))
  }
}
