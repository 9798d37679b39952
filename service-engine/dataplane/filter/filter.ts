/** What a filter is, and how a chain of them runs. */
import { PASS, type Exchange, type Verdict } from '../exchange/exchange.ts'

export interface Filter {
  readonly kind: string
  /** Before a server is picked. The first verdict that is not `pass` ends the request. */
  readonly onRequest?: (exchange: Exchange) => Verdict | Promise<Verdict>
  /** Response head known, nothing sent yet; also for responses of our own. Runs in reverse order of `onRequest`. */
  readonly onResponse?: (exchange: Exchange) => void
  /** Runs exactly once per exchange that entered the filter, whatever the outcome. */
  readonly onEnd?: (exchange: Exchange) => void
}

/**
 * Runs `onRequest` in list order from `from` on and stops at the first filter that does not pass. Stays synchronous
 * until a filter really has to wait: a virtual service whose filters all answer at once never makes a promise.
 */
export function runRequest(filters: readonly Filter[], exchange: Exchange, from = 0): Verdict | Promise<Verdict> {
  for (let i = from; i < filters.length; i++) {
    exchange.entered = i + 1
    const verdict = filters[i]!.onRequest?.(exchange) ?? PASS
    if (verdict instanceof Promise) return verdict.then(v => (v.is === 'pass' ? runRequest(filters, exchange, i + 1) : v))
    if (verdict.is !== 'pass') return verdict
  }
  return PASS
}

/** Shows the response head to every filter that was entered, last first. */
export function runResponse(filters: readonly Filter[], exchange: Exchange): void {
  for (let i = exchange.entered - 1; i >= 0; i--) filters[i]!.onResponse?.(exchange)
}

/** Tells every filter that was entered, last first, exactly once. */
export function runEnd(filters: readonly Filter[], exchange: Exchange): void {
  for (let i = exchange.entered - 1; i >= 0; i--) filters[i]!.onEnd?.(exchange)
  exchange.entered = 0
}
