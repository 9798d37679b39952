/** Addresses that this engine serves whoever owns them, and who takes part in those that it owns. Pure: what was heard and the time go in. */
import type { Layer2Vip } from '#model/snapshot/snapshot.ts'
import { shortId } from './heartbeat.ts'
import { Members, type Reachable } from './members.ts'
import type { SharedVip } from './order.ts'

/** An engine says whether it serves an address. */
export interface Readiness {
  /** Short, as all ids of heartbeats. */
  readonly vip: string
  readonly isReady: boolean
}

export class Serving {
  readonly members = new Members()
  #vips: ReadonlyMap<string, Layer2Vip> = new Map()
  /** Addresses that the holder has here. */
  #here: ReadonlySet<string> = new Set()
  /** Those that are to be served here no more: no new flows, please. */
  readonly #leaving = new Set<string>()
  /** Those that are served no more, but may still have flows here. */
  readonly #lingering = new Map<string, { readonly addresses: readonly string[]; readonly untilMs: number }>()
  #drainMs = 0

  get addresses(): ReadonlySet<string> {
    return this.#here
  }

  /** Shapes  vips: by short id; units  drainMs: how long what is not among them any more may have flows */
  configure(vips: ReadonlyMap<string, Layer2Vip>, drainMs: number, nowMs: number): void {
    for (const [id, { flows, addresses }] of this.#vips)
      if (flows !== undefined && vips.get(id)?.flows === undefined) this.#lingering.set(id, { addresses, untilMs: nowMs + drainMs })
    for (const [id, { flows }] of vips) if (flows !== undefined) this.#lingering.delete(id)
    this.#vips = vips
    this.#drainMs = drainMs
    this.#leaving.clear()
    this.members.keepOnly(new Set(vips.keys()))
  }

  held(addresses: readonly string[]): void {
    this.#here = new Set(addresses)
  }

  /** Of those that are served here all but these are to be left. Answers whether that is any. */
  leaveAllBut(staying: ReadonlySet<string>): boolean {
    const leaving = this.#served().filter(id => !staying.has(id))
    for (const id of leaving) this.#leaving.add(id)
    return leaving.length > 0
  }

  /** What others are to hear of it. */
  readiness(): readonly Readiness[] {
    return [...this.#served().map(vip => ({ vip, isReady: true })), ...[...this.#leaving].map(vip => ({ vip, isReady: false }))]
  }

  /** What the holder is told. Shapes  self, owned, reachable: short ids */
  toShare(self: string, owned: ReadonlySet<string>, reachable: ReadonlyMap<string, Reachable>, nowMs: number): readonly SharedVip[] {
    for (const [id, { untilMs }] of this.#lingering) if (nowMs > untilMs) this.#lingering.delete(id)
    const now = [...this.#vips].flatMap(([id, { addresses, flows, engines }]) => {
      const ids = engines.map(shortId)
      if (flows === undefined || !ids.includes(self)) return []
      const rest = ids.filter(engine => engine !== self)
      const others = owned.has(id) ? this.members.of(id, rest, reachable, { nowMs, drainMs: this.#drainMs }) : []
      return [{ addresses, flows, self, others }]
    })
    const past = [...this.#lingering.values()].map(({ addresses }) => ({ addresses, flows: [], self, others: [] }))
    return [...now, ...past]
  }

  #served(): readonly string[] {
    return [...this.#vips].flatMap(([id, { flows, addresses }]) =>
      flows !== undefined && !this.#leaving.has(id) && addresses.every(address => this.#here.has(address)) ? [id] : []
    )
  }
}
