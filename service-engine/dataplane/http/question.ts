/** What balancers and what binds clients to servers may ask of a request. */
import type { Question } from '../balance/balancer.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { headerOf } from '../exchange/headers.ts'

export function questionOf(exchange: Exchange): Question {
  const { downstream, request } = exchange
  return {
    clientIp: downstream.clientIp,
    clientPort: downstream.clientPort,
    uri: request.target,
    header: name => headerOf(request.headers, name) ?? '',
    tlsSession: downstream.tlsSession,
    spreadBy: exchange.spreadBy,
    wantedServer: exchange.wantedServer
  }
}
