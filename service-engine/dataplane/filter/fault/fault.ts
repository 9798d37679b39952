import type { FaultSpec } from '#model/snapshot/snapshot.ts'
import { PASS, type Exchange, type Verdict } from '../../exchange/exchange.ts'
import type { Filter } from '../filter.ts'

export interface FaultSettings {
  readonly spec: Pick<FaultSpec, 'delay' | 'abort'>
  readonly matches: (exchange: Exchange) => boolean
  /** From 0 up to, but not, 1. */
  readonly random: () => number
  readonly after: (delayMs: number, call: () => void) => void
}

/** Delays and fails a share of the requests, on purpose. Each of the two draws for itself. */
export function fault({ spec: { delay, abort }, matches, random, after }: FaultSettings): Filter {
  const isDrawn = (percent: number): boolean => random() * 100 < percent
  const ended = (exchange: Exchange): Verdict => {
    if (abort === null || !isDrawn(abort.percent)) return PASS
    mark(exchange, 'fault: abort')
    return {
      is: 'answer',
      status: abort.status,
      reason: '',
      headers: ['content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store'],
      body: Buffer.from('fault injected\n')
    }
  }
  return {
    kind: 'fault',
    onRequest: exchange => {
      if (!matches(exchange)) return PASS
      if (delay === null || !isDrawn(delay.percent)) return ended(exchange)
      mark(exchange, 'fault: delay')
      return new Promise(resolve => after(delay.ms, () => resolve(ended(exchange))))
    }
  }
}

function mark(exchange: Exchange, what: string): void {
  exchange.isLogged = true
  exchange.rule = exchange.rule === '' ? what : `${exchange.rule}, ${what}`
}
