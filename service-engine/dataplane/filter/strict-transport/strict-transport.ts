import { setHeader } from '../../exchange/headers.ts'
import type { Filter } from '../filter.ts'

export interface StrictTransportSettings {
  readonly maxAgeS: number
  readonly hasSubdomains: boolean
}

/** Tells browsers to come by https only; said over https alone (RFC 6797 §7.2). */
export function strictTransport(settings: StrictTransportSettings): Filter {
  const value = `max-age=${settings.maxAgeS}${settings.hasSubdomains ? '; includeSubDomains' : ''}`
  return {
    kind: 'strict-transport',
    onResponse: exchange => {
      if (exchange.downstream.isTls && exchange.response !== null) setHeader(exchange.response.headers, 'strict-transport-security', value)
    }
  }
}
