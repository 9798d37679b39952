/** An exchange that nobody sends: for rules, filters and what decides on them. */
import { makeExchange, type Downstream, type Exchange, type RequestHead } from '#engine/dataplane/exchange/exchange.ts'
import { Fault } from '#engine/base/fault.ts'
import { readHead, type RawHead } from '#engine/dataplane/http/head.ts'

export const aDownstream = (given: Partial<Downstream> = {}): Downstream => ({
  clientIp: '192.0.2.1',
  clientPort: 40_000,
  localPort: 80,
  vip: '198.51.100.1',
  isTls: false,
  serverName: null,
  tlsVersion: '',
  tlsCipher: '',
  ...given
})

export const aRawHead = (given: Partial<RawHead> = {}): RawHead => ({
  method: 'GET',
  target: '/',
  version: '1.1',
  headers: ['Host', 'shop.test'],
  ...given
})

/** Throws where the head is refused. */
export function aHead(given: Partial<RawHead> = {}): RequestHead {
  const head = readHead(aRawHead(given), { maxHeaderCount: 100 })
  if (head instanceof Fault) throw head
  return head
}

export function anExchange(given: Partial<RawHead> = {}, downstream: Partial<Downstream> = {}): Exchange {
  const site = { id: 'vs-1', name: 'shop', target: { is: 'pool', poolId: 'pool-1' } } as const
  return makeExchange(site, aDownstream(downstream), aHead(given), { id: 'id-1', startedUs: 0, startedEpochMs: 0 })
}
