/**
 * Addresses that move between engines (`address_mode` L2): who owns them now, as engines tell it, and under which term the first engine of
 * an assignment is to. Engines decide by themselves; the controller follows, and asks for another owner by a higher term.
 */
import type { JsonObject } from '#model/resource/kind.ts'
import { PEERS_MAX, type OwnedVip, type SeenPeer } from '#model/message/message.ts'
import { addressesOf, listenersOf } from '#model/resource/conflict.ts'
import { isLoopback, parseAddress } from '#model/resource/address.ts'
import type { Layer2Flows, Layer2Spec } from '#model/snapshot/snapshot.ts'
import type { Store } from '#controller/store/store.ts'
import type { Engine } from './roster.ts'

interface Row {
  readonly engine: string
  readonly term: number
}

/** Of a peer, so that one path that is cut is not the end of it. */
const ADDRESSES_PER_PEER = 4
/** Engines of a group that share nothing with one, and that it hears all the same: so many before it and after it in order. */
const WITNESSES = 2
const SECRET = 'heartbeats of engine group '

/** Addresses of a vsvip that can be on another host: those of every host go nowhere. */
export const travelling = (vsvip: JsonObject | undefined): readonly string[] =>
  addressesOf(vsvip).filter(address => !isLoopback(parseAddress(address)!))

type Lookup = Parameters<typeof listenersOf>[1]

/** Flows of a service that the owner of its address passes on (`flow_dist`); undefined where it serves alone. */
function flowsOf(body: JsonObject, lookup: Lookup): Layer2Flows | undefined {
  const by = body['flow_dist']
  if (by !== 'CONSISTENT_HASH_SOURCE_IP_ADDRESS' && by !== 'CONSISTENT_HASH_SOURCE_IP_ADDRESS_AND_PORT') return undefined
  const listeners = listenersOf(body, lookup)
  const [one] = listeners
  if (one === undefined) return undefined
  const ports: [number, number][] = []
  for (const port of [...new Set(listeners.map(listener => listener.port))].toSorted((a, b) => a - b)) {
    const last = ports.at(-1)
    if (last?.[1] === port - 1) last[1] = port
    else ports.push([port, port])
  }
  return {
    protocol: one.protocol === 'UDP' ? 'udp' : 'tcp',
    ports,
    by: by === 'CONSISTENT_HASH_SOURCE_IP_ADDRESS' ? 'source' : 'source-and-port'
  }
}

export interface OwnersOptions {
  readonly store: Pick<Store, 'table' | 'get'>
  readonly deriveSecret: (purpose: string) => string
  readonly engine: (uuid: string) => Engine | undefined
}

export class Owners {
  readonly #options: OwnersOptions
  readonly #rows
  /** Engine -> what it said that it owns: vsvip -> term. */
  readonly #told = new Map<string, ReadonlyMap<string, number>>()

  constructor(options: OwnersOptions) {
    this.#options = options
    this.#rows = options.store.table<Row>('fleet-owner')
  }

  /**
   * An engine told all that it owns.
   *
   * Returns the vsvips whose owner it has become: unless another was asked to meanwhile, and is
   */
  told(engineUuid: string, vips: readonly OwnedVip[]): readonly string[] {
    const before = this.#told.get(engineUuid)
    this.#told.set(engineUuid, new Map(vips.map(({ id, term }) => [id, term])))
    return vips.flatMap(({ id, term }) => {
      const isNews = before?.get(id) !== term && this.ownerOf(id) === engineUuid
      const isOverruled =
        term < (this.#rows.get(id)?.term ?? 0) && [...this.#told].some(([other, own]) => other !== engineUuid && own.has(id))
      return isNews && !isOverruled ? [id] : []
    })
  }

  /** What it told last is no longer known to be so. */
  gone(engineUuid: string): void {
    this.#told.delete(engineUuid)
  }

  ownedBy(engineUuid: string): readonly OwnedVip[] {
    return [...(this.#told.get(engineUuid) ?? [])].map(([id, term]) => ({ id, term }))
  }

  /** The engine that owns the addresses of a vsvip now; of two that say so the one that the engines agree on. */
  ownerOf(vsvip: string): string | undefined {
    let best: Row | undefined
    for (const [engine, vips] of this.#told) {
      const term = vips.get(vsvip)
      if (term === undefined) continue
      if (best === undefined || term > best.term) best = { engine, term }
    }
    return best?.engine
  }

  /** Under which term the first engine is to own it: a higher one when that was another before. */
  #termOf(vsvip: string, first: string): number {
    const row = this.#rows.get(vsvip)
    const told = Math.max(0, ...[...this.#told.values()].map(vips => vips.get(vsvip) ?? 0))
    const own = this.#told.get(first)?.get(vsvip) ?? 0
    const isSame = row?.engine === first
    const term = isSame || own > (row?.term ?? 0) ? Math.max(row?.term ?? 0, own, 1) : Math.max(row?.term ?? 0, told) + 1
    if (row?.engine !== first || row.term !== term) this.#rows.set(vsvip, { engine: first, term })
    return term
  }

  /** What an engine is told of the addresses of its services. */
  specFor(
    engineUuid: string,
    services: readonly string[],
    group: { readonly uuid: string; readonly engines: readonly string[] },
    assignments: ReadonlyMap<string, readonly string[]>
  ): Layer2Spec {
    const { store, deriveSecret } = this.#options
    const vips = new Map<string, Layer2Spec['vips'][number]>()
    const flows = new Map<string, Layer2Flows[]>()
    const sharing = new Set<string>()
    const lookup: Lookup = { resource: (kind, uuid) => store.get(kind, uuid)?.body }
    const servesAlone = store.get('serviceenginegroup', group.uuid)?.body['ha_mode'] === 'HA_MODE_LEGACY_ACTIVE_STANDBY'
    for (const service of services.toSorted()) {
      const body = store.get('virtualservice', service)?.body ?? {}
      const ref = body['vsvip_ref']
      const engines = assignments.get(service) ?? []
      const [first] = engines
      if (typeof ref !== 'string' || first === undefined) continue
      for (const engine of engines) sharing.add(engine)
      const passed = servesAlone ? undefined : flowsOf(body, lookup)
      if (passed !== undefined) flows.set(ref, [...(flows.get(ref) ?? []), passed])
      if (vips.has(ref)) continue
      vips.set(ref, { id: ref, addresses: travelling(store.get('vsvip', ref)?.body), engines, term: this.#termOf(ref, first) })
    }
    const ordered = group.engines.toSorted()
    const at = ordered.indexOf(engineUuid)
    const distance = (other: number): number => {
      const steps = Math.abs(other - at)
      return Math.min(steps, ordered.length - steps)
    }
    const peers = ordered.flatMap((uuid, i) => {
      const facts = this.#options.engine(uuid)?.row.facts
      if (uuid === engineUuid || facts?.peerPort === undefined || !(sharing.has(uuid) || distance(i) <= WITNESSES)) return []
      const addresses = facts.addresses.filter(address => {
        const parsed = parseAddress(address)
        return parsed !== undefined && !isLoopback(parsed)
      })
      return [{ id: uuid, addresses: addresses.slice(0, ADDRESSES_PER_PEER), port: facts.peerPort, isSharing: sharing.has(uuid) }]
    })
    const nearest = peers.toSorted((a, b) => Number(b.isSharing) - Number(a.isSharing)).slice(0, PEERS_MAX)
    return {
      secret: deriveSecret(`${SECRET}${group.uuid}`),
      peers: nearest.map(({ isSharing: _, ...peer }) => peer).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      vips: [...vips.values()]
        .map(vip => ({ ...vip, ...(flows.has(vip.id) ? { flows: flows.get(vip.id)! } : {}) }))
        .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    }
  }

  /** What is known of engines that one of their group asks after. */
  seen(asking: Engine, engineUuids: readonly string[], groupOf: (uuid: string) => unknown, nowMs: number): readonly SeenPeer[] {
    return engineUuids.flatMap(uuid => {
      const engine = this.#options.engine(uuid)
      if (engine?.session?.isLive !== true || groupOf(uuid) !== groupOf(asking.uuid)) return []
      return [{ engineId: uuid, silentMs: Math.max(0, nowMs - engine.session.heardAtMs), owned: this.ownedBy(uuid) }]
    })
  }
}
