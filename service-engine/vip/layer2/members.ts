/** Which engines take part in the flows of an address, as its owner knows it. Pure: what was heard and the time go in. */
import { SILENT_MS } from './election.ts'

/** An engine that flows are passed on to. */
export interface Taker {
  readonly id: string
  /** Its own while this engine runs: flows are remembered by it. From 2 on. */
  readonly number: number
  readonly addresses: readonly string[]
  /** false: it keeps the flows that it has until they end, and gets no new ones. */
  readonly isTaking: boolean
}

export interface Reachable {
  readonly addresses: readonly string[]
  readonly heardAtMs: number
}

interface Known {
  readonly addresses: readonly string[]
  /** Until then it keeps its flows; Infinity while it takes. */
  readonly untilMs: number
}

export class Members {
  readonly #numbers = new Map<string, number>()
  /** Address -> engine -> when it said last that it is ready. */
  readonly #readyAt = new Map<string, Map<string, number>>()
  readonly #known = new Map<string, Map<string, Known>>()

  /** An engine said whether it serves an address. */
  heard(engine: string, vip: string, isReady: boolean, nowMs: number): void {
    const ready = this.#readyAt.get(vip) ?? new Map<string, number>()
    this.#readyAt.set(vip, ready)
    if (isReady) ready.set(engine, nowMs)
    else ready.delete(engine)
  }

  /** An engine ended: it has no flows any more. */
  left(engine: string): void {
    for (const map of [...this.#readyAt.values(), ...this.#known.values()]) map.delete(engine)
  }

  /** Addresses that are asked for no more. */
  keepOnly(vips: ReadonlySet<string>): void {
    for (const map of [this.#readyAt, this.#known]) for (const vip of map.keys()) if (!vips.has(vip)) map.delete(vip)
  }

  /**
   * Those that flows are passed on to now.
   *
   * Shapes  engines: that carry the address; reachable: engines that are heard, by id
   * Units   drainMs: how long one that is to take no more keeps its flows
   */
  of(
    vip: string,
    engines: readonly string[],
    reachable: ReadonlyMap<string, Reachable>,
    { nowMs, drainMs }: { readonly nowMs: number; readonly drainMs: number }
  ): readonly Taker[] {
    const known = this.#known.get(vip) ?? new Map<string, Known>()
    this.#known.set(vip, known)
    const ready = this.#readyAt.get(vip)
    const isHeard = (engine: string): boolean => nowMs - (reachable.get(engine)?.heardAtMs ?? -Infinity) <= SILENT_MS
    const isTaking = (engine: string): boolean =>
      engines.includes(engine) && isHeard(engine) && nowMs - (ready?.get(engine) ?? -Infinity) <= SILENT_MS
    for (const engine of new Set([...engines, ...known.keys()])) {
      const before = known.get(engine)
      if (isTaking(engine)) known.set(engine, { addresses: reachable.get(engine)!.addresses, untilMs: Infinity })
      else if (before === undefined) continue
      // Silent is dead; one that is no longer heard at all because it is a peer no longer may still have flows.
      else if ((reachable.has(engine) && !isHeard(engine)) || nowMs > before.untilMs) known.delete(engine)
      else if (before.untilMs === Infinity) known.set(engine, { ...before, untilMs: nowMs + drainMs })
    }
    return [...known].map(([id, { addresses, untilMs }]) => ({ id, number: this.#numberOf(id), addresses, isTaking: untilMs === Infinity }))
  }

  #numberOf(engine: string): number {
    const number = this.#numbers.get(engine) ?? this.#numbers.size + 2
    this.#numbers.set(engine, number)
    return number
  }
}
