/** Address rules again on each exchange: a connection that was let in before a rule came does not escape it. */
import type { NetworkTest } from '../../exchange/network-rules.ts'
import { PASS } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'

export interface NetworkSecuritySettings {
  readonly denied: NetworkTest
}

export function networkSecurity({ denied }: NetworkSecuritySettings): Filter {
  return {
    kind: 'network-security',
    onRequest: exchange => {
      const rule = denied(exchange.downstream.clientIp, exchange.downstream.localPort)
      if (rule === undefined) return PASS
      exchange.rule = rule
      return { is: 'close', reason: 'a network rule denies the address' }
    }
  }
}
