/** Who asks, told to the server: X-Forwarded-For, X-Forwarded-Proto and a request id. */
import type { HttpSpec } from '#model/snapshot/snapshot.ts'
import { PASS } from '../../exchange/exchange.ts'
import { headerOf, headersOf, removeHeader, setHeader } from '../../exchange/headers.ts'
import type { Filter } from '../filter.ts'

export type ForwardedSettings = Pick<HttpSpec, 'xffHeader' | 'xffUpdate' | 'hasForwardedProto' | 'requestIdHeader'>

/** An id that a client or a balancer before us may set: short, and safe in any log. */
const soundId = /^[A-Za-z0-9._:+/=-]{1,128}$/

export function forwarded(settings: ForwardedSettings): Filter {
  const xffHeader = settings.xffHeader?.toLowerCase() ?? null
  const requestIdHeader = settings.requestIdHeader?.toLowerCase() ?? null
  return {
    kind: 'forwarded',
    onRequest: exchange => {
      const { headers } = exchange.request
      if (xffHeader !== null) {
        const before = settings.xffUpdate === 'ADD' ? headersOf(headers, xffHeader) : []
        if (settings.xffUpdate === 'REMOVE_ALL') removeHeader(headers, xffHeader)
        else setHeader(headers, xffHeader, [...before, exchange.downstream.clientIp].join(', '))
      }
      if (settings.hasForwardedProto) setHeader(headers, 'x-forwarded-proto', exchange.downstream.isTls ? 'https' : 'http')
      if (requestIdHeader !== null) {
        const given = headerOf(headers, requestIdHeader)
        if (given !== undefined && soundId.test(given)) exchange.id = given
        setHeader(headers, requestIdHeader, exchange.id)
      }
      return PASS
    },
    onResponse: exchange => {
      if (requestIdHeader !== null && exchange.response !== null) setHeader(exchange.response.headers, requestIdHeader, exchange.id)
    }
  }
}
