/** URLs that clients are sent to, made from the request or from what a server answered. */
import type { LocationSpec, RuleAction } from '#model/snapshot/snapshot.ts'
import type { Steps } from '../exchange/build-steps.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { headerOf, setHeader } from '../exchange/headers.ts'
import type { Automata } from './automata.ts'
import { piecesInSteps } from './pieces.ts'

/** Unsafe in a header or a target: made from a request, so it is escaped rather than trusted. */
const unsafe = /[^\x21-\x7e]/g
export const escaped = (text: string): string => text.replace(unsafe, found => encodeURIComponent(found.toWellFormed()))

/** Where a redirect goes. */
export function* redirectInSteps(
  action: Extract<RuleAction, { is: 'redirect' }>,
  automata: Automata
): Steps<(exchange: Exchange) => string> {
  const makeHost = action.host === null ? undefined : yield* piecesInSteps(action.host, '.', automata)
  const makePath = action.path === null ? undefined : yield* piecesInSteps(action.path, '/', automata)
  return ({ request, downstream }) => {
    const protocol = action.protocol ?? (downstream.isTls ? 'https' : 'http')
    const isSameProtocol = (protocol === 'https') === downstream.isTls
    const requestPort = /:(\d+)$/.exec(request.authority)?.[1]
    const port = action.port ?? (isSameProtocol && action.host === null && requestPort !== undefined ? Number(requestPort) : null)
    const isDefaultPort = port === null || port === (protocol === 'https' ? 443 : 80)
    // Of pieces that were not found no host can be made.
    const host = makeHost?.(request, request) || request.host
    const path = makePath === undefined ? pathOf(request.target) : withSlash(makePath(request, request))
    const query = queryAfter(path, [action.keepsQuery ? request.query : '', action.addsQuery ?? ''])
    return escaped(`${protocol}://${host}${isDefaultPort ? '' : `:${port}`}${path}${query}`)
  }
}

/** What follows a path, which may have a query of its own already. */
function queryAfter(path: string, parts: readonly string[]): string {
  const joined = parts.filter(part => part !== '').join('&')
  return joined === '' ? '' : `${path.includes('?') ? '&' : '?'}${joined}`
}

export const withSlash = (path: string): string => (path.startsWith('/') ? path : `/${path}`)
export const pathOf = (target: string): string => target.split('?', 1)[0]!

/** Only a whole `http` or `https` URL is made anew: one that names no host stays on ours by itself. */
export function* moveInSteps(spec: LocationSpec, automata: Automata): Steps<(exchange: Exchange, headers: string[]) => void> {
  const makeHost = spec.host === null ? undefined : yield* piecesInSteps(spec.host, '.', automata)
  const makePath = spec.path === null ? undefined : yield* piecesInSteps(spec.path, '/', automata)
  const port = spec.port === null || spec.port === (spec.protocol === 'https' ? 443 : 80) ? '' : `:${spec.port}`
  return ({ request }, headers) => {
    const given = headerOf(headers, 'location')
    const url = given === undefined || !/^https?:/i.test(given) ? null : URL.parse(given)
    if (url === null) return
    const from = { host: url.hostname, path: url.pathname }
    const host = makeHost?.(from, request) || from.host
    const path = makePath === undefined ? from.path : withSlash(makePath(from, request))
    const query = queryAfter(path, [spec.keepsQuery ? url.search.slice(1) : ''])
    setHeader(headers, 'location', escaped(`${spec.protocol}://${host}${port}${path}${query}${url.hash}`))
  }
}
