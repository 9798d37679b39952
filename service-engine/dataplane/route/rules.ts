/** The rules of a virtual service, compiled to closures; an index skips those that are for other hosts and paths. */
import type { RequestRule, ResponseRule, RewriteSpec, RuleAction, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { atOnce, type Steps } from '../exchange/build-steps.ts'
import { PASS, type Exchange, type RuleBook, type Verdict } from '../exchange/exchange.ts'
import type { Rates } from '../exchange/rates.ts'
import { Automata } from './automata.ts'
import { compileHeaderActions } from './header-actions.ts'
import { escaped, moveInSteps, pathOf, redirectInSteps, withSlash } from './location.ts'
import { matchInSteps, type NamedTest } from './match.ts'
import { RuleIndex } from './rule-index.ts'
import { rateLimitInSteps } from './rate-limit.ts'
import { piecesInSteps } from './pieces.ts'
import { normalizeTarget } from './path.ts'

/** What a walk over the rules saw, for explaining it. */
export interface RuleStep {
  readonly rule: string
  readonly isMatched: boolean
  /** The first part that did not hold; '' when all did. */
  readonly failedOn: string
  readonly action: string
}

interface CompiledRule {
  readonly name: string
  readonly parts: readonly NamedTest[]
  readonly isLogged: boolean
  readonly action: string
  readonly isSecurity: boolean
  /** Passes over the security rules that follow; request rules still count. */
  readonly opens: boolean
  /** Undefined goes on with the next rule. */
  readonly apply: (exchange: Exchange, isDry: boolean) => Verdict | undefined
}

export interface CompiledRules extends RuleBook {
  readonly hasRequestRules: boolean
  readonly hasResponseRules: boolean
  /** Every rule tried, in order. Changes the exchange as `decide` does; limits are taken as not reached and count nothing. */
  readonly explain: (exchange: Exchange) => { readonly steps: readonly RuleStep[]; readonly verdict: Verdict }
}

/**
 * Compiles the request and response rules of a virtual service.
 *
 * Shapes  rates: where limits of rules count; rules without limits need none
 * Throws  RangeError or SyntaxError on a rule that cannot be compiled; the message names the rule
 * Cost    of a decision: the rules for the request's host or path, and those that no index tells apart
 */
export function compileRules(part: Pick<VirtualServicePart, 'requestRules' | 'responseRules'>, rates?: Rates): CompiledRules {
  return atOnce(rulesInSteps(part, new Automata(), rates))
}

/** The same, rule by rule. */
export function* rulesInSteps(
  part: Pick<VirtualServicePart, 'requestRules' | 'responseRules'>,
  automata: Automata,
  rates?: Rates
): Steps<CompiledRules> {
  const rules: CompiledRule[] = []
  const index = new RuleIndex<CompiledRule>()
  for (const rule of part.requestRules) {
    yield
    const compiled = yield* named(rule.name, compileRequestRule(rule, automata, rates))
    rules.push(compiled)
    index.add(compiled, rule.match)
  }
  const amendments: ((exchange: Exchange) => void)[] = []
  for (const rule of part.responseRules) {
    yield
    amendments.push(yield* named(rule.name, compileResponseRule(rule, automata)))
  }

  return {
    hasRequestRules: rules.length > 0,
    hasResponseRules: amendments.length > 0,
    decide: exchange => {
      let isOpen = false
      for (let rule = index.begin(exchange.request); rule !== undefined; rule = index.next()) {
        if ((isOpen && rule.isSecurity) || !holds(rule, exchange)) continue
        const verdict = enter(rule, exchange, false)
        if (rule.opens) isOpen = true
        else if (verdict !== undefined) return verdict
      }
      return PASS
    },
    amend: exchange => {
      for (const amend of amendments) amend(exchange)
    },
    explain: exchange => {
      const steps: RuleStep[] = []
      let isOpen = false
      for (const rule of rules) {
        if (isOpen && rule.isSecurity) continue
        const failed = rule.parts.find(part => !part.test(exchange))
        steps.push({ rule: rule.name, isMatched: failed === undefined, failedOn: failed?.name ?? '', action: rule.action })
        const verdict = failed === undefined ? enter(rule, exchange, true) : undefined
        if (failed === undefined && rule.opens) isOpen = true
        else if (verdict !== undefined) return { steps, verdict }
      }
      return { steps, verdict: PASS }
    }
  }
}

function* named<T>(rule: string, steps: Steps<T>): Steps<T> {
  try {
    return yield* steps
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new RangeError(`rule ${rule}: ${reason}`, { cause: error })
  }
}

function holds(rule: CompiledRule, exchange: Exchange): boolean {
  for (const part of rule.parts) if (!part.test(exchange)) return false
  return true
}

function enter(rule: CompiledRule, exchange: Exchange, isDry: boolean): Verdict | undefined {
  if (rule.isLogged) exchange.isLogged = true
  const verdict = rule.apply(exchange, isDry)
  if (verdict !== undefined) exchange.rule = rule.name
  return verdict
}

function* compileRequestRule(rule: RequestRule, automata: Automata, rates: Rates | undefined): Steps<CompiledRule> {
  const change = compileHeaderActions(rule.headerActions, 'request')
  const rewrite = rule.rewrite === null ? undefined : yield* rewriteInSteps(rule.rewrite, automata)
  const act = rule.action === null ? undefined : yield* actionInSteps(rule.action, automata, rates)
  const isLimit = rule.action?.is === 'rate-limit'
  const deniesAccess = rule.action?.is === 'close' || rule.action?.is === 'respond'
  return {
    name: rule.name,
    parts: rule.match === null ? [] : yield* matchInSteps(rule.match, deniesAccess, automata),
    isLogged: rule.isLogged,
    action: rule.action?.is ?? 'continue',
    isSecurity: rule.phase === 'security',
    opens: rule.phase === 'security' && rule.action?.is === 'allow',
    apply: (exchange, isDry) => {
      change?.(exchange, exchange.request.headers)
      const refusal = rewrite?.(exchange)
      return refusal ?? (isDry && isLimit ? undefined : act?.(exchange))
    }
  }
}

function* actionInSteps(
  action: RuleAction,
  automata: Automata,
  rates: Rates | undefined
): Steps<(exchange: Exchange) => Verdict | undefined> {
  switch (action.is) {
    case 'allow':
      return () => PASS
    case 'rate-limit':
      if (rates === undefined) throw new RangeError('there is nowhere to count its requests')
      return yield* rateLimitInSteps(action.limit, rates, automata)
    case 'close':
      return () => ({ is: 'close', reason: 'a rule closes the connection' })
    case 'switch':
      return exchange => {
        exchange.target = action.target
        exchange.wantedServer = action.serverId ?? ''
        return PASS
      }
    case 'respond': {
      const body = Buffer.from(action.bodyBase64, 'base64')
      const headers = body.length === 0 || action.contentType === '' ? [] : ['content-type', action.contentType]
      const answer: Verdict = { is: 'answer', status: action.status, reason: '', headers, body }
      return () => answer
    }
    case 'redirect': {
      const locationOf = yield* redirectInSteps(action, automata)
      return exchange => ({
        is: 'answer',
        status: action.status,
        reason: '',
        headers: ['location', locationOf(exchange)],
        body: Buffer.alloc(0)
      })
    }
  }
}

function* rewriteInSteps(spec: RewriteSpec, automata: Automata): Steps<(exchange: Exchange) => Verdict | undefined> {
  const makeHost = spec.host === null ? undefined : yield* piecesInSteps(spec.host, '.', automata)
  const makePath = spec.path === null ? undefined : yield* piecesInSteps(spec.path, '/', automata)
  return exchange => {
    const { request } = exchange
    // Of pieces that were not found no host can be made.
    if (makeHost !== undefined) request.authority = escaped(makeHost(request, request)) || request.authority
    if (makePath === undefined && spec.query === null) return undefined
    const path = makePath === undefined ? pathOf(request.target) : withSlash(makePath(request, request))
    const queries = [spec.query?.keepsExisting === false ? '' : queryOf(request.target), spec.query?.add ?? ''].filter(part => part !== '')
    const made = normalizeTarget(escaped(queries.length === 0 ? path : `${path}?${queries.join('&')}`))
    if (typeof made === 'string') return { is: 'answer', status: 400, reason: '', headers: [], body: Buffer.alloc(0) }
    request.target = made.target
    return undefined
  }
}

function queryOf(target: string): string {
  const mark = target.indexOf('?')
  return mark < 0 ? '' : target.slice(mark + 1)
}

function* compileResponseRule(rule: ResponseRule, automata: Automata): Steps<(exchange: Exchange) => void> {
  const parts = rule.match === null ? [] : yield* matchInSteps(rule.match, false, automata)
  const change = compileHeaderActions(rule.headerActions, 'answer')
  const move = rule.location === undefined ? undefined : yield* moveInSteps(rule.location, automata)
  return exchange => {
    const { response } = exchange
    if (response === null) return
    if (rule.status.length > 0 && !rule.status.some(({ from, to }) => response.status >= from && response.status <= to)) return
    for (const part of parts) if (!part.test(exchange)) return
    if (rule.isLogged) exchange.isLogged = true
    change?.(exchange, response.headers)
    move?.(exchange, response.headers)
  }
}
