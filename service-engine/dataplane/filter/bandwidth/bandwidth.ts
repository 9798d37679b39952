import { PASS, type Exchange, type Verdict } from '../../exchange/exchange.ts'
import type { Bandwidth } from '../../exchange/pacer.ts'
import type { Filter } from '../filter.ts'

export interface BandwidthSettings {
  readonly bandwidth: Bandwidth
}

/**
 * Gives an exchange its pacer, which its bodies go by. It begins when it is its turn: what answers were like tells how much it will
 * take, so that many short ones wait for each other as well.
 */
export function bandwidth({ bandwidth: { open, expectedBytes, learn } }: BandwidthSettings): Filter {
  return {
    kind: 'bandwidth',
    onRequest: exchange => {
      const pacer = open(exchange.downstream.clientIp)
      exchange.pacer = pacer
      const isUpBehind = pacer.up.spend(exchange.bytesIn)
      const isDownBehind = pacer.down.reserve(expectedBytes())
      if (!isUpBehind && !isDownBehind) return PASS
      return new Promise<Verdict>(resolve => {
        let waits = Number(isUpBehind) + Number(isDownBehind)
        const go = (): void => {
          if (--waits === 0) resolve(PASS)
        }
        if (isUpBehind) pacer.up.wait(go)
        if (isDownBehind) pacer.down.wait(go)
      })
    },
    onEnd: ({ pacer }: Exchange) => {
      if (pacer === null) return
      // Of one that was not answered nothing is learnt.
      if (pacer.down.spentBytes > 0) learn(pacer.down.spentBytes)
      pacer.down.end()
      pacer.up.end()
    }
  }
}
