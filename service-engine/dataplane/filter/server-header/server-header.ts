import { removeHeader } from '../../exchange/headers.ts'
import type { Filter } from '../filter.ts'

export type ServerHeaderSettings = Readonly<Record<string, never>>

/** Does not tell clients what software the servers run. */
export function serverHeader(_settings: ServerHeaderSettings): Filter {
  return {
    kind: 'server-header',
    onResponse: exchange => {
      if (exchange.response !== null) removeHeader(exchange.response.headers, 'server')
    }
  }
}
