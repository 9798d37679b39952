/** What a rate limit asks of an exchange: its key, a token of that key's bucket, and what becomes of it without one. */
import { limitToCount, quotaToCount } from '#model/snapshot/limit.ts'
import type { RateLimitSpec } from '#model/snapshot/snapshot.ts'
import type { Answer, Exchange, Verdict } from '../exchange/exchange.ts'
import { headerOf } from '../exchange/headers.ts'
import type { Rates } from '../exchange/rates.ts'
import { atOnce, type Steps } from '../exchange/build-steps.ts'
import type { Automata } from './automata.ts'
import { claimOf } from './claim.ts'
import { redirectInSteps } from './location.ts'
import { cookiesOf } from './match.ts'

const NS_PER_S = 1_000_000_000
const NS_PER_MS = 1_000_000
/** A longer value of a header tells no more clients apart. */
const MAX_KEY_CHARACTERS = 1_024

type KeyPart = RateLimitSpec['key'][number]

function partOf(part: KeyPart, exchange: Exchange): string {
  const { request, downstream } = exchange
  switch (part.by) {
    case 'client-address':
      return downstream.clientIp
    case 'path':
      return request.path
    case 'host':
      return request.host
    case 'method':
      return request.method
    case 'header':
      return headerOf(request.headers, part.name.toLowerCase()) ?? ''
    case 'cookie':
      return cookiesOf(request.headers, part.name)[0] ?? ''
    case 'claim':
      return claimOf(request.headers, part.name) ?? ''
  }
}

/**
 * A limit as one question about an exchange.
 *
 * Returns undefined when it may go on; `log only` limits let everything go on and say so in the access log
 */
export function compileRateLimit(spec: RateLimitSpec, rates: Rates, automata: Automata): (exchange: Exchange) => Verdict | undefined {
  return atOnce(rateLimitInSteps(spec, rates, automata))
}

/** The same: where it sends clients may be made of many patterns. */
export function* rateLimitInSteps(
  spec: RateLimitSpec,
  rates: Rates,
  automata: Automata
): Steps<(exchange: Exchange) => Verdict | undefined> {
  const take = rates.open(limitToCount(spec))
  const { key: parts, isLogOnly, action } = spec
  const keyOf = (exchange: Exchange): string => {
    let key = ''
    for (const part of parts) key += `${partOf(part, exchange).slice(0, MAX_KEY_CHARACTERS)}\n`
    return key
  }
  const quota = quotaToCount(spec)
  const use = quota === undefined ? undefined : rates.openQuota(quota)
  const locationOf = action.is === 'redirect' ? yield* redirectInSteps(action, automata) : undefined
  return exchange => {
    const key = parts.length === 0 ? '' : keyOf(exchange)
    let waitNs = take(key)
    let policy: Policy = limitPolicy
    if (waitNs === 0) {
      if (use === undefined) return undefined
      const endsAtEpochMs = use(key)
      if (endsAtEpochMs === 0) return undefined
      waitNs = Math.max(0, endsAtEpochMs - Date.now()) * NS_PER_MS
      policy = quotaPolicy
    }
    exchange.isLogged = true
    if (isLogOnly || action.is === 'report') {
      if (exchange.rule === '') exchange.rule = `${spec.name} (over its limit)`
      return undefined
    }
    exchange.rule = spec.name
    if (action.is === 'respond') return refusal(policy(spec), action, waitNs)
    if (action.is === 'redirect' && locationOf !== undefined) return redirect(action.status, locationOf(exchange))
    return { is: 'close', reason: `over the rate limit ${spec.name}` }
  }
}

const redirect = (status: number, location: string): Answer => ({
  is: 'answer',
  status,
  reason: '',
  headers: ['location', location, 'cache-control', 'no-store'],
  body: Buffer.alloc(0)
})

type Policy = (spec: RateLimitSpec) => { readonly name: 'limit' | 'quota'; readonly count: number; readonly windowS: number }
const limitPolicy: Policy = ({ count, periodS }) => ({ name: 'limit', count, windowS: periodS })
/** A month is told with 31 days: what is left in it says `t`. */
const quotaPolicy: Policy = ({ quota }) => ({
  name: 'quota',
  count: quota?.count ?? 0,
  windowS: (quota?.period === 'day' ? 1 : 31) * 86_400
})

type Respond = Extract<RateLimitSpec['action'], { is: 'respond' }>

/** `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers-10; `Retry-After` RFC 9110 §10.2.3. */
function refusal({ name, count, windowS }: ReturnType<Policy>, action: Respond, waitNs: number): Answer {
  const waitS = Math.max(1, Math.ceil(waitNs / NS_PER_S))
  const body = Buffer.from(action.bodyBase64, 'base64')
  const isPlain = body.length === 0 && action.status >= 400
  const headers = ['cache-control', 'no-store']
  if (action.status === 429) {
    headers.push('retry-after', String(waitS))
    headers.push('ratelimit-policy', `"${name}";q=${count};w=${windowS}`, 'ratelimit', `"${name}";r=0;t=${waitS}`)
  }
  if (isPlain) headers.push('content-type', 'text/plain; charset=utf-8')
  else if (action.contentType !== '') headers.push('content-type', action.contentType)
  return { is: 'answer', status: action.status, reason: '', headers, body: isPlain ? Buffer.from(`${action.status}\n`) : body, isPlain }
}

/** A limit of connections: whether one more may come, and how it ends when not. */
export function compileConnectionLimit(spec: RateLimitSpec, rates: Rates): (clientIp: string) => 'take' | 'close' | 'reset' {
  const take = rates.open(limitToCount(spec))
  const isByClient = spec.key.length > 0
  const isReported = spec.isLogOnly || spec.action.is === 'report'
  const end = spec.action.is === 'reset' ? 'reset' : 'close'
  return clientIp => (take(isByClient ? clientIp : '') === 0 || isReported ? 'take' : end)
}
