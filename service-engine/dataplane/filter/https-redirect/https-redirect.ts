import { PASS } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'

export interface HttpsRedirectSettings {
  /** Where the same service speaks TLS. */
  readonly port: number
}

/** Sends plain HTTP to the same place under https; 301 for what is safe to repeat as GET, 308 for the rest. */
export function httpsRedirect(settings: HttpsRedirectSettings): Filter {
  const port = settings.port === 443 ? '' : `:${settings.port}`
  return {
    kind: 'https-redirect',
    onRequest: ({ downstream, request }) => {
      if (downstream.isTls || request.host === '') return PASS
      const status = request.method === 'GET' || request.method === 'HEAD' ? 301 : 308
      const target = request.target === '*' ? '/' : request.target
      return { is: 'answer', status, reason: '', headers: ['location', `https://${request.host}${port}${target}`], body: Buffer.alloc(0) }
    }
  }
}
