/** kind -> the codec that an engine's workers run. */
import type { Clock } from '#model/base/clock.ts'
import type { Forwarder, ForwarderKind } from '../exchange/forwarder.ts'
import { makeStockForwarder } from './stock/stock.ts'
import { makeWireForwarder } from './wire/wire.ts'

const catalog: { readonly [K in ForwarderKind]: (parts: { readonly clock: Clock }) => Forwarder } = {
  wire: makeWireForwarder,
  stock: makeStockForwarder
}

export function makeForwarder(kind: ForwarderKind, parts: { readonly clock: Clock }): Forwarder {
  return catalog[kind](parts)
}
