/** Which virtual services listen where: kept in step with the store, so that a conflict is found without going through all of them. */
import { Multimap } from '#model/base/multimap.ts'
import { listenersOf } from '#model/resource/conflict.ts'
import type { Listener } from '#model/resource/conflict.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { Store } from '#controller/store/store.ts'

/** A service with more listeners than this is found by its addresses alone. */
const PORTS_MAX = 64

type Where = Pick<Listener, 'address' | 'port'>

const portKey = ({ address, port }: Where): string => `${address} ${port}`
const wideKey = (address: string): string => `${address} *`

export class Listening {
  readonly #store: Store
  /** A port of an address, the wide ones of an address, or all of an address -> uuids of services. */
  readonly #at = new Multimap<string, string>()
  readonly #keysOf = new Map<string, readonly string[]>()
  #followedTo = -1

  constructor(store: Store) {
    this.#store = store
  }

  /** Uuids of the stored services that may listen there: none is missing, some may be too many. */
  at(where: readonly Where[]): ReadonlySet<string> {
    this.#follow()
    const keys = where.length > PORTS_MAX ? where.map(({ address }) => address) : where.flatMap(one => [portKey(one), wideKey(one.address)])
    return new Set([...new Set(keys)].flatMap(key => [...this.#at.of(key)]))
  }

  #follow(): void {
    const store = this.#store
    const touched = store.touchedSince(this.#followedTo)
    this.#followedTo = store.revision()
    if (touched === undefined) {
      for (const uuid of this.#keysOf.keys()) this.#read(uuid)
      for (const { uuid } of store.list('virtualservice')) this.#read(uuid)
      return
    }
    for (const { kind, uuid } of touched) {
      if (kind === 'virtualservice') this.#read(uuid)
      else if (kind === 'vsvip') for (const { fromUuid } of store.referrersOf(uuid)) this.#read(fromUuid)
    }
  }

  #read(uuid: string): void {
    for (const key of this.#keysOf.get(uuid) ?? []) this.#at.delete(key, uuid)
    this.#keysOf.delete(uuid)
    const service = this.#store.get('virtualservice', uuid)
    if (service === undefined) return
    const lookup = { resource: (kind: KindName, of: string): JsonObject | undefined => this.#store.get(kind, of)?.body }
    const listeners = listenersOf(service.body, lookup)
    const addresses = [...new Set(listeners.map(({ address }) => address))]
    const keys = [...addresses, ...(listeners.length > PORTS_MAX ? addresses.map(wideKey) : listeners.map(portKey))]
    for (const key of keys) this.#at.add(key, uuid)
    this.#keysOf.set(uuid, keys)
  }
}
