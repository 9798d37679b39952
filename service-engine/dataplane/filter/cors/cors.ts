import type { CorsSpec } from '#model/snapshot/content.ts'
import { PASS, type Answer, type Exchange } from '../../exchange/exchange.ts'
import { addVary, headerOf, removeHeader, setHeader } from '../../exchange/headers.ts'
import type { Filter } from '../filter.ts'

export type CorsSettings = CorsSpec

/** What servers say themselves would contradict what the operator says. */
const theirs = ['access-control-allow-origin', 'access-control-allow-credentials', 'access-control-expose-headers']

/** Answers a browser's question whether another site's page may ask, and says who may read answers (Fetch standard, §3.3). */
export function cors(settings: CorsSettings): Filter {
  const isAllowed = compileOrigins(settings.origins)
  const isForAll = settings.origins.includes('*')
  return {
    kind: 'cors',
    onRequest: exchange => {
      const origin = headerOf(exchange.request.headers, 'origin')
      const isQuestion =
        exchange.request.method === 'OPTIONS' && headerOf(exchange.request.headers, 'access-control-request-method') !== undefined
      if (origin === undefined || !isQuestion) return PASS
      return isAllowed(origin) ? permission(settings, exchange) : refusal
    },
    onResponse: ({ request, response }) => {
      if (response === null) return
      const { headers } = response
      for (const name of theirs) removeHeader(headers, name)
      if (!isForAll) addVary(headers, 'Origin')
      const origin = headerOf(request.headers, 'origin')
      if (origin === undefined || !isAllowed(origin)) return
      setHeader(headers, 'access-control-allow-origin', isForAll ? '*' : origin)
      if (settings.hasCredentials) setHeader(headers, 'access-control-allow-credentials', 'true')
      if (settings.exposedHeaders.length > 0) setHeader(headers, 'access-control-expose-headers', settings.exposedHeaders.join(', '))
    }
  }
}

const refusal: Answer = { is: 'answer', status: 403, reason: '', headers: [], body: Buffer.alloc(0) }

function permission(settings: CorsSettings, { request }: Exchange): Answer {
  const asked =
    settings.headers.length > 0 ? settings.headers.join(', ') : (headerOf(request.headers, 'access-control-request-headers') ?? '')
  const headers = ['access-control-allow-methods', settings.methods.join(', '), 'access-control-max-age', String(settings.maxAgeS)]
  if (asked !== '') headers.push('access-control-allow-headers', asked)
  if (settings.headers.length === 0) headers.push('vary', 'Access-Control-Request-Headers')
  return { is: 'answer', status: 204, reason: '', headers, body: Buffer.alloc(0) }
}

function compileOrigins(origins: readonly string[]): (origin: string) => boolean {
  if (origins.includes('*')) return () => true
  const exact = new Set(origins.filter(origin => !origin.includes('*')).map(origin => origin.toLowerCase()))
  const wild = origins
    .filter(origin => origin.includes('*'))
    .map(origin => {
      const [scheme = '', rest = ''] = origin.toLowerCase().split('*', 2)
      return { scheme, rest }
    })
  return given => {
    const origin = given.toLowerCase()
    if (exact.has(origin)) return true
    return wild.some(
      ({ scheme, rest }) =>
        origin.startsWith(scheme) && origin.endsWith(rest) && /^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(origin.slice(scheme.length, -rest.length))
    )
  }
}
