/** Who the client proved to be, told to the server; what it says itself of that is removed. */
import { PASS, type Exchange, type Verdict } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'

export interface ClientCertificateSettings {
  /** Id of the settings that connections must have been asked by. */
  readonly authId: string
  readonly headers: readonly { readonly name: string; readonly text: (exchange: Exchange) => string }[]
}

/** Many servers read `_` and `-` in a field's name as one. */
const folded = (name: string): string => name.toLowerCase().replaceAll('_', '-')

/** RFC 9110 §15.5.20: the handshake of this connection was for another name, with other rules. */
const misdirected: Verdict = { is: 'answer', status: 421, reason: '', headers: [], body: Buffer.alloc(0) }

export function clientCertificate({ authId, headers: given }: ClientCertificateSettings): Filter {
  const told = given.map(({ name, text }) => ({ name: name.toLowerCase(), text }))
  const ours = new Set(told.map(({ name }) => folded(name)))
  const isOurs = (name: string): boolean => ours.has(name) || (name.includes('_') && ours.has(folded(name)))
  return {
    kind: 'client-certificate',
    onRequest: exchange => {
      const { request, downstream } = exchange
      if (downstream.isTls && downstream.identity?.authId !== authId) return misdirected
      const { headers } = request
      let kept = 0
      for (let i = 0; i < headers.length; i += 2) {
        if (isOurs(headers[i]!)) continue
        headers[kept] = headers[i]!
        headers[kept + 1] = headers[i + 1]!
        kept += 2
      }
      headers.length = kept
      for (const { name, text } of told) {
        const value = text(exchange)
        if (value !== '') headers.push(name, value)
      }
      return PASS
    }
  }
}
