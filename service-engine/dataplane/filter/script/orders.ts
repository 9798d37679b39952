/** What a script decided, carried out on the exchange. The sandbox has checked it; nothing that comes out of one is believed. */
import { STATUS_CODES } from 'node:http'
import type { ScriptSetSpec, TargetSpec } from '#model/snapshot/snapshot.ts'
import { PASS, type Exchange, type Verdict } from '../../exchange/exchange.ts'
import { isHopByHop, removeHeader, setHeader } from '../../exchange/headers.ts'

/** An order that a script could not have given: the bounds of the API do not hold, or it asks for what is not sound. */
export class BadOrder extends Error {
  override readonly name = 'BadOrder'
}

export interface OrderServices {
  readonly set: Pick<ScriptSetSpec, 'name' | 'pools' | 'poolGroups'>
  /** A target as it is sent on; a text says why it is refused. */
  readonly normalize: (target: string) => { readonly target: string } | string
  /** Id of a server of a pool; undefined when it has none there. Port 0: any. */
  readonly serverOf: (poolId: string, address: string, port: number) => string | undefined
  /** Throws BadOrder where the script was shown none. */
  readonly replaceBody: (of: 'request' | 'response', bytes: Buffer) => void
  readonly log: (line: string) => void
  readonly count: (name: string, by: number) => void
}

const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/
const authority = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~-]+)(?::\d{1,5})?$/

const textOf = (value: unknown): string => {
  if (typeof value !== 'string') throw new BadOrder('not a text')
  return value
}

function nameOf(value: unknown): string {
  const name = textOf(value)
  if (!fieldName.test(name) || isHopByHop(name) || name === 'content-length')
    throw new BadOrder(`not a header that a script may write: ${name}`)
  return name
}

function valueOf(value: unknown): string {
  const text = textOf(value)
  if (!fieldValue.test(text)) throw new BadOrder('not the value of a header')
  return text
}

function ownOf<T>(of: Readonly<Record<string, T>>, name: string): T {
  if (!Object.hasOwn(of, name)) throw new BadOrder(`not declared: ${name}`)
  return of[name]!
}

function statusOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 200 || value > 599) throw new BadOrder('not a status')
  return value
}

/**
 * Carries out what a run decided, in order.
 *
 * Shapes  orders: JSON of a list of lists, '' for none
 * Returns the last of its decisions; a pool that was chosen is in the exchange, and passes
 * Throws  BadOrder; what came before it is done
 */
export function carryOut(orders: string, exchange: Exchange, services: OrderServices): Verdict {
  if (orders === '') return PASS
  let verdict: Verdict = PASS
  for (const order of JSON.parse(orders) as readonly (readonly unknown[])[]) verdict = carryOutOne(order, exchange, services) ?? verdict
  return verdict
}

/** Logs and counts of a run that failed; its changes are not made. */
export function keepNotes(orders: string, exchange: Exchange, services: OrderServices): void {
  if (orders === '') return
  for (const order of JSON.parse(orders) as readonly (readonly unknown[])[])
    if (order[0] === 'log' || order[0] === 'count') carryOutOne(order, exchange, services)
}

function carryOutOne(order: readonly unknown[], exchange: Exchange, services: OrderServices): Verdict | undefined {
  const { request, response } = exchange
  const [what, a, b, c] = order
  switch (what) {
    case 'request-set':
    case 'request-add': {
      const [name, value] = [nameOf(a), valueOf(b)]
      if (name === 'host') {
        if (!authority.test(value)) throw new BadOrder(`not a host: ${value}`)
        request.authority = value
      } else if (what === 'request-set') setHeader(request.headers, name, value)
      else request.headers.push(name, value)
      return undefined
    }
    case 'request-remove':
      removeHeader(request.headers, nameOf(a))
      return undefined
    case 'response-set':
      if (response !== null) setHeader(response.headers, nameOf(a), valueOf(b))
      return undefined
    case 'response-add':
      response?.headers.push(nameOf(a), valueOf(b))
      return undefined
    case 'response-remove':
      if (response !== null) removeHeader(response.headers, nameOf(a))
      return undefined
    case 'status':
      if (response !== null) {
        const status = statusOf(a)
        if ([status, response.status].some(one => one < 200 || one === 204 || one === 304))
          throw new BadOrder('not a status for this answer')
        response.status = status
        response.reason = STATUS_CODES[status] ?? ''
      }
      return undefined
    case 'path':
      retarget(textOf(a), queryOf(request.target), exchange, services)
      return undefined
    case 'query':
      retarget(pathOf(request.target), textOf(a), exchange, services)
      return undefined
    case 'request-body':
    case 'response-body':
      services.replaceBody(what === 'request-body' ? 'request' : 'response', Buffer.from(textOf(a)))
      return undefined
    case 'pool':
    case 'group': {
      const target: TargetSpec = ownOf(what === 'pool' ? services.set.pools : services.set.poolGroups, textOf(a))
      exchange.target = target
      exchange.wantedServer = ''
      return PASS
    }
    case 'server': {
      const { target } = exchange
      const id = target?.is === 'pool' ? services.serverOf(target.poolId, textOf(a), Number(b)) : undefined
      if (id === undefined) throw new BadOrder(`no server ${textOf(a)}${b === 0 ? '' : `:${String(b)}`} in that pool`)
      exchange.wantedServer = id
      return PASS
    }
    case 'spread':
      exchange.spreadBy = textOf(a)
      return undefined
    case 'respond':
      return answerOf(statusOf(a), b, textOf(c))
    case 'close':
      return { is: 'close', reason: 'a script closes the connection' }
    case 'log':
      services.log(textOf(a))
      return undefined
    case 'count':
      services.count(textOf(a), Number(b))
      return undefined
    default:
      throw new BadOrder('not an order')
  }
}

function answerOf(status: number, fields: unknown, text: string): Verdict {
  if (!Array.isArray(fields)) throw new BadOrder('not a list of headers')
  const body = Buffer.from(text)
  const headers = fields.flatMap((field: unknown) => {
    if (!Array.isArray(field)) throw new BadOrder('not a header')
    return [nameOf(field[0]), valueOf(field[1])]
  })
  const hasType = headers.some((name, at) => at % 2 === 0 && name === 'content-type')
  if (body.length > 0 && !hasType) headers.push('content-type', 'text/plain; charset=utf-8')
  return { is: 'answer', status, reason: '', headers, body }
}

function retarget(path: string, query: string, { request }: Exchange, { normalize }: OrderServices): void {
  const made = normalize(query === '' ? path : `${path}?${query}`)
  if (typeof made === 'string') throw new BadOrder(`not a target: ${made}`)
  request.target = made.target
}

export function pathOf(target: string): string {
  const mark = target.indexOf('?')
  return mark < 0 ? target : target.slice(0, mark)
}

export function queryOf(target: string): string {
  const mark = target.indexOf('?')
  return mark < 0 ? '' : target.slice(mark + 1)
}
