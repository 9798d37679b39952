import { PASS, type Exchange, type Verdict } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'

export interface RateLimitSettings {
  /** Takes a token; undefined when there was one. */
  readonly refused: (exchange: Exchange) => Verdict | undefined
}

/** Refuses requests that come faster than the virtual service's own limit lets them. */
export function rateLimit({ refused }: RateLimitSettings): Filter {
  return { kind: 'rate-limit', onRequest: exchange => refused(exchange) ?? PASS }
}
