/** What the process that holds addresses can be told: these orders and no others, each checked to the last field. */
import { isIP } from 'node:net'
import type { Layer2Flows } from '#model/snapshot/snapshot.ts'
import type { Taker } from './members.ts'

export type HoldOrder =
  /** All addresses to hold from now on, for one lease; the last words are said when the one who orders is gone before that. */
  | {
      readonly is: 'hold'
      readonly addresses: readonly string[]
      readonly fallback: string
      readonly lastWords?: readonly LastWord[]
      readonly shared?: readonly SharedVip[]
    }
  /** Sockets may be bound to addresses that are not here yet. */
  | { readonly is: 'prepare' }
  /** Takes away what an engine of before left. */
  | { readonly is: 'drop'; readonly held: readonly Held[] }

/** A datagram of the engine, ready to be sent. */
export interface LastWord {
  readonly to: string
  readonly port: number
  /** Base 64. */
  readonly bytes: string
}

/** Addresses that this engine serves although another may own them: they are on the loopback interface, and nobody hears of them. */
export interface SharedVip {
  readonly addresses: readonly string[]
  readonly flows: readonly Layer2Flows[]
  /** This engine. */
  readonly self: string
  /** Those that it passes flows on to, as the owner; none as another. */
  readonly others: readonly Taker[]
}

export interface Held {
  readonly address: string
  readonly interface: string
}

export type HoldAnswer =
  | {
      readonly is: 'done'
      readonly held: readonly Held[]
      readonly failed: readonly { readonly address: string; readonly reason: string }[]
      /** Addresses that are served here whoever owns them. */
      readonly shared: readonly string[]
    }
  | { readonly is: 'failed'; readonly reason: string }

export const MAX_ADDRESSES = 1_000
const MAX_LAST_WORDS = 128
const MAX_FLOWS = 1_024
const MAX_PORTS = 1_024
const MAX_TAKERS = 256
const MAX_TAKER_ADDRESSES = 4
const interfaceName = /^[A-Za-z0-9_.@-]{1,15}$/

type Loose = Readonly<Record<string, unknown>>
export const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value)
export const isAddress = (value: unknown): value is string => typeof value === 'string' && isIP(value) !== 0 && !value.includes('%')
const isInterface = (value: unknown): value is string => typeof value === 'string' && interfaceName.test(value)

const lastWord = /^[A-Za-z0-9+/=]{1,256}$/
const isLastWord = (value: unknown): value is LastWord =>
  isObject(value) &&
  isAddress(value['to']) &&
  Number.isInteger(value['port']) &&
  Number(value['port']) > 0 &&
  Number(value['port']) < 65_536 &&
  typeof value['bytes'] === 'string' &&
  lastWord.test(value['bytes'])

const id = /^[0-9a-f]{16}$/
const isId = (value: unknown): value is string => typeof value === 'string' && id.test(value)
const isWithin = (value: unknown, min: number, max: number): boolean =>
  Number.isInteger(value) && Number(value) >= min && Number(value) <= max
const isList = <T>(value: unknown, max: number, isItem: (item: unknown) => item is T): value is T[] =>
  Array.isArray(value) && value.length <= max && value.every(isItem)

const isPorts = (value: unknown): value is [number, number] =>
  Array.isArray(value) && value.length === 2 && isWithin(value[0], 1, 65_535) && isWithin(value[1], Number(value[0]), 65_535)
const isFlows = (value: unknown): value is Layer2Flows =>
  isObject(value) &&
  (value['protocol'] === 'tcp' || value['protocol'] === 'udp') &&
  (value['by'] === 'source' || value['by'] === 'source-and-port') &&
  isList(value['ports'], MAX_PORTS, isPorts) &&
  value['ports'].length > 0
const isTaker = (value: unknown): value is Taker =>
  isObject(value) &&
  isId(value['id']) &&
  isWithin(value['number'], 2, 65_535) &&
  typeof value['isTaking'] === 'boolean' &&
  isList(value['addresses'], MAX_TAKER_ADDRESSES, isAddress)
const isSharedVip = (value: unknown): value is SharedVip =>
  isObject(value) &&
  isId(value['self']) &&
  isList(value['addresses'], MAX_ADDRESSES, isAddress) &&
  isList(value['flows'], MAX_FLOWS, isFlows) &&
  isList(value['others'], MAX_TAKERS, isTaker)
/** What is known of it and nothing else. */
const sharedVip = ({ addresses, flows, self, others }: SharedVip): SharedVip => ({
  addresses,
  flows: flows.map(({ protocol, ports, by }) => ({ protocol, ports, by })),
  self,
  others: others.map(({ id: engine, number, addresses: own, isTaking }) => ({ id: engine, number, addresses: own, isTaking }))
})

/**
 * Reads an order.
 *
 * Returns undefined for anything that is not one
 */
export function readHoldOrder(value: unknown): HoldOrder | undefined {
  if (!isObject(value)) return undefined
  const { is, addresses, fallback, held, lastWords = [], shared = [] } = value
  if (is === 'prepare') return { is }
  if (is === 'hold') {
    if (!Array.isArray(addresses) || addresses.length > MAX_ADDRESSES || !addresses.every(isAddress)) return undefined
    if (fallback !== '' && !isInterface(fallback)) return undefined
    if (!Array.isArray(lastWords) || lastWords.length > MAX_LAST_WORDS || !lastWords.every(isLastWord)) return undefined
    if (!Array.isArray(shared) || shared.length > MAX_ADDRESSES || !shared.every(isSharedVip)) return undefined
    return {
      is,
      addresses,
      fallback,
      shared: shared.map(sharedVip),
      lastWords: lastWords.map(({ to, port, bytes }) => ({ to, port, bytes }))
    }
  }
  if (is !== 'drop' || !Array.isArray(held) || held.length > MAX_ADDRESSES) return undefined
  const sound = held.filter((one): one is Held => isObject(one) && isAddress(one['address']) && isInterface(one['interface']))
  return sound.length === held.length ? { is, held: sound.map(({ address, interface: on }) => ({ address, interface: on })) } : undefined
}
