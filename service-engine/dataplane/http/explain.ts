/** What would become of a request, found out with the rules and pools that run. Nothing is sent, and no limit counts it. */
import { isIP } from 'node:net'
import type { Explanation, RequestQuestion } from '#model/message/message.ts'
import type { BalanceSpec, TargetSpec, VirtualServicePart } from '#model/snapshot/snapshot.ts'
import { Fault } from '#engine/base/fault.ts'
import { makeExchange, type Exchange, type Verdict } from '../exchange/exchange.ts'
import type { Scripts } from '../filter/script/script.ts'
import { headerOf } from '../exchange/headers.ts'
import type { NetworkTest } from '../exchange/network-rules.ts'
import type { CompiledRules } from '../route/rules.ts'
import type { Pool } from '../upstream/pool.ts'
import { clientKey } from '../upstream/sticky.ts'
import { questionOf } from './question.ts'
import type { Site } from './site.ts'
import { Targets } from '../upstream/targets.ts'
import { readHead } from './head.ts'

const nothing: Explanation = { steps: [], verdict: 'refused', status: 0, location: '', poolId: '', poolName: '', serverId: '', reason: '' }

export const notHere: Explanation = { ...nothing, reason: 'this engine does not run the virtual service' }

/** What runs, as far as a request may get. */
export interface Running {
  readonly poolOf: (id: string) => Pool | undefined
  readonly siteOf: (id: string) => Site | undefined
  readonly scriptsOf?: (id: string) => Scripts | undefined
}

/**
 * Walks a request through a virtual service.
 *
 * Returns every rule that was tried, in order, and where the request would end; a server as the balancer would pick it now
 */
export function explainRequest(question: RequestQuestion, { part, walk, hosted: choose }: Site, running: Running): Explanation {
  if (part.application !== 'http') return { ...nothing, reason: 'the virtual service relays connections: it has no rules for requests' }
  if (!part.isTrafficEnabled) return { ...nothing, reason: 'traffic is not enabled' }
  const exchange = exchangeOf(question, part)
  if (exchange instanceof Fault) return { ...nothing, status: exchange.status, reason: `not a request that is served: ${exchange.message}` }
  const { isTls } = exchange.downstream
  const hosted = choose?.(exchange.request, exchange.downstream)
  if (hosted?.is === 'child') {
    const child = running.siteOf(hosted.id)
    if (child === undefined) return { ...nothing, verdict: 'answer', status: 503, reason: 'the child that it is for does not run' }
    const explained = explainRequest({ ...question, scheme: isTls ? 'https' : 'http' }, child, running)
    return {
      ...explained,
      steps: [{ rule: `child ${child.part.name}`, isMatched: true, failedOn: '', action: 'child' }, ...explained.steps]
    }
  }
  const walked = walk(exchange)
  const steps = [...walked.steps]
  if (walked.end !== null) return { ...nothing, steps, ...walked.end }
  const scripted = running.scriptsOf?.(part.id)?.explain(exchange)
  for (const { name, error, action } of scripted?.steps ?? [])
    steps.push({ rule: `script ${name}`, isMatched: error === '', failedOn: error, action })
  if (scripted !== undefined && scripted.verdict.is !== 'pass') {
    const last = scripted.steps.at(-1)
    return {
      ...nothing,
      steps,
      ...ended(scripted.verdict, exchange.rule),
      ...(last === undefined ? {} : { reason: `script ${last.name} ${last.action}` })
    }
  }
  return { ...nothing, steps, ...forwarded(exchange, running.poolOf) }
}

/** Walks by rules as they run. */
export function makeWalk(part: VirtualServicePart, denies: NetworkTest, rules: Pick<CompiledRules, 'explain'>): Site['walk'] {
  return exchange => {
    const { clientIp, localPort, isTls } = exchange.downstream
    const denied = denies(clientIp, localPort)
    if (denied !== undefined) {
      const steps = [{ rule: denied, isMatched: true, failedOn: '', action: 'close' }]
      return { steps, end: { verdict: 'close', reason: 'a network rule denies the address' } }
    }
    if (part.http.isHttpToHttps && !isTls)
      return { steps: [], end: { verdict: 'answer', status: 301, reason: 'the application profile sends http to https' } }
    const { steps, verdict } = rules.explain(exchange)
    return { steps, end: verdict.is === 'pass' ? null : ended(verdict, exchange.rule) }
  }
}

function exchangeOf(question: RequestQuestion, part: VirtualServicePart): Exchange | Fault {
  const isTls = question.scheme === '' ? !part.listeners.some(listener => !listener.isTls) : question.scheme === 'https'
  const listener = part.listeners.find(one => one.isTls === isTls) ?? part.listeners[0]
  const head = readHead(
    { method: question.method, target: question.path, version: '1.1', headers: ['Host', question.host, ...question.headers] },
    part.http
  )
  if (head instanceof Fault) return head
  const downstream = {
    clientIp: isIP(question.clientIp) === 0 ? '127.0.0.1' : question.clientIp,
    clientPort: 40_000,
    localPort: listener?.port ?? 0,
    vip: listener?.vip ?? '',
    isTls,
    serverName: isTls ? head.host : null,
    tlsVersion: isTls ? 'TLSv1.3' : '',
    tlsCipher: ''
  }
  return makeExchange(part, downstream, head, { id: 'explain', startedUs: 0, startedEpochMs: 0 })
}

function ended(verdict: Exclude<Verdict, { readonly is: 'pass' }>, rule: string): Partial<Explanation> {
  if (verdict.is === 'answer')
    return {
      verdict: 'answer',
      status: verdict.status,
      location: headerOf(verdict.headers, 'location') ?? '',
      reason: rule === '' ? 'it is answered' : `rule ${rule} answers it`
    }
  return { verdict: 'close', reason: `rule ${rule} closes the connection` }
}

function forwarded(exchange: Exchange, poolOf: (id: string) => Pool | undefined): Partial<Explanation> {
  const { target } = exchange
  const key = target?.is === 'group' && target.sticky !== undefined ? clientKey(target.sticky, questionOf(exchange)) : ''
  const choice = target === null ? undefined : new Targets().choose(target, poolOf, key)
  if (choice === undefined) return { verdict: 'refused', status: 503, reason: 'no rule and no pool for this request' }
  if (choice.is === 'fail') {
    const reason = `no server of ${choice.name} is available`
    return {
      verdict: 'answer',
      status: choice.action.is === 'redirect' || choice.action.is === 'respond' ? choice.action.status : 503,
      poolName: choice.name,
      reason
    }
  }
  const { pool } = choice
  const lease = pool.lease(questionOf(exchange), null)
  const named = { verdict: 'forward', poolId: pool.part.id, poolName: pool.part.name } as const
  if (lease === 'none') return { ...named, status: 503, reason: `no server of ${pool.part.name} is available` }
  if (lease === 'full') return { ...named, status: 503, reason: `every server of ${pool.part.name} is at its limit` }
  lease.withdraw()
  return {
    ...named,
    serverId: lease.serverId,
    reason: `${exchange.rule === '' ? 'the default pool' : `rule ${exchange.rule}`}${wayTo(pool, target!, poolOf)}, ${lease.serverId === exchange.wantedServer ? 'the server that it names' : algorithmIn(pool.part.algorithm)}${zoneIn(pool, lease.serverId)}`
  }
}

/** From a target to the pool that was chosen, where that is not simply the one. */
function wayTo({ part: { id } }: Pool, target: TargetSpec, poolOf: (id: string) => Pool | undefined): string {
  if (target.is === 'pool') return target.poolId === id ? '' : `, in for pool ${poolOf(target.poolId)?.part.name ?? ''}`
  const members = target.members.filter(({ ratio }) => ratio > 0)
  const priority = members.find(member => member.poolId === id)?.priority
  if (priority === undefined) return `, in for pool group ${target.name}`
  const by = members.some(member => member.priority !== priority) ? ` by priority ${priority}` : ''
  return `, pool group ${target.name}${by}${members.some(member => member.priority > priority) ? ': no server above is up' : ''}`
}

function zoneIn(pool: Pool, serverId: string): string {
  const isOwn = pool.isOwnZone(serverId)
  return isOwn === undefined ? '' : isOwn ? ', a server of the own zone' : ', a server of another zone'
}

export function algorithmIn(spec: BalanceSpec): string {
  return spec.is === 'consistent-hash' ? `consistent hash by ${spec.by.replaceAll('-', ' ')}` : spec.is.replaceAll('-', ' ')
}
