/** URLs that clients are sent to, made from the request or from what a server answered. */
import type { LocationSpec, RuleAction } from '#model/snapshot/snapshot.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { headerOf, setHeader } from '../exchange/headers.ts'
import { joinTokens } from './text.ts'

/** Unsafe in a header or a target: made from a request, so it is escaped rather than trusted. */
const unsafe = /[^\x21-\x7e]/g
export const escaped = (text: string): string => text.replace(unsafe, found => encodeURIComponent(found.toWellFormed()))

/** Where a redirect goes. */
export function locationOf(action: Extract<RuleAction, { is: 'redirect' }>, exchange: Exchange): string {
  const { request, downstream } = exchange
  const protocol = action.protocol ?? (downstream.isTls ? 'https' : 'http')
  const isSameProtocol = (protocol === 'https') === downstream.isTls
  const requestPort = /:(\d+)$/.exec(request.authority)?.[1]
  const port = action.port ?? (isSameProtocol && action.host === null && requestPort !== undefined ? Number(requestPort) : null)
  const isDefaultPort = port === null || port === (protocol === 'https' ? 443 : 80)
  const host = action.host === null ? request.host : joinTokens(action.host, request)
  const path = action.path === null ? pathOf(request.target) : withSlash(joinTokens(action.path, request))
  const query = queryAfter(path, [action.keepsQuery ? request.query : '', action.addsQuery ?? ''])
  return escaped(`${protocol}://${host}${isDefaultPort ? '' : `:${port}`}${path}${query}`)
}

/** What follows a path, which may have a query of its own already. */
function queryAfter(path: string, parts: readonly string[]): string {
  const joined = parts.filter(part => part !== '').join('&')
  return joined === '' ? '' : `${path.includes('?') ? '&' : '?'}${joined}`
}

export const withSlash = (path: string): string => (path.startsWith('/') ? path : `/${path}`)
export const pathOf = (target: string): string => target.split('?', 1)[0]!

/** Only a whole `http` or `https` URL is made anew: one that names no host stays on ours by itself. */
export function moveLocation(spec: LocationSpec, headers: string[]): void {
  const given = headerOf(headers, 'location')
  const url = given === undefined || !/^https?:/i.test(given) ? null : URL.parse(given)
  if (url === null) return
  const from = { host: url.hostname, path: url.pathname }
  const host = spec.host === null ? from.host : joinTokens(spec.host, from)
  const path = spec.path === null ? from.path : withSlash(joinTokens(spec.path, from))
  const port = spec.port === null || spec.port === (spec.protocol === 'https' ? 443 : 80) ? '' : `:${spec.port}`
  const query = queryAfter(path, [spec.keepsQuery ? url.search.slice(1) : ''])
  setHeader(headers, 'location', escaped(`${spec.protocol}://${host}${port}${path}${query}${url.hash}`))
}
