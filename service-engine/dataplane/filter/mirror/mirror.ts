import { PASS, type Exchange, type RequestCopy } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'

export interface MirrorSettings {
  readonly percent: number
  readonly random: () => number
  /** Null when there is nobody to take it, or too much under way. */
  readonly begin: (exchange: Exchange) => RequestCopy | null
}

/** Sends a share of the requests to another pool as well; what it answers is thrown away. */
export function mirror({ percent, random, begin }: MirrorSettings): Filter {
  return {
    kind: 'mirror',
    onRequest: exchange => {
      if (!exchange.request.isWebSocket && random() * 100 < percent) exchange.copy = begin(exchange)
      return PASS
    },
    onEnd: exchange => exchange.copy?.drop()
  }
}
