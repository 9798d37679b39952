/** What the kernel forwarded, as totals since the engine's boot: counters of a table that is made anew go on here. */
import type { PoolSample, ServerSample, Totals, TrafficSample, UseSample } from '#model/message/message.ts'
import { useKey } from '#model/snapshot/uses.ts'
import type { PairCount } from './order.ts'

interface Counted {
  connections: number
  bytesIn: number
  bytesOut: number
}

interface Samples {
  readonly virtualServices: readonly TrafficSample[]
  readonly pools: readonly PoolSample[]
  readonly servers: readonly ServerSample[]
  readonly uses: readonly UseSample[]
}

const none = (): Counted => ({ connections: 0, bytesIn: 0, bytesOut: 0 })

export class Tally {
  readonly #last = new Map<string, Counted>()
  readonly #services = new Map<string, Counted>()
  /** By `<pool id>/<server id>`. */
  readonly #servers = new Map<string, Counted>()
  readonly #pools = new Map<string, Counted>()
  readonly #uses = new Map<string, Counted>()

  /** Takes a reading of every pair that stands; one that is gone is forgotten, its totals are not. */
  read(counts: readonly PairCount[]): void {
    const seen = new Set<string>()
    for (const count of counts) {
      const pair = `${count.service} ${count.server}`
      seen.add(pair)
      const last = this.#last.get(pair)
      // Less than before: counted anew.
      const base = last === undefined || count.connections < last.connections || count.bytesIn < last.bytesIn ? none() : last
      this.#last.set(pair, count)
      const pool = count.server.slice(0, count.server.indexOf('/'))
      const places = [
        [this.#services, count.service],
        [this.#servers, count.server],
        [this.#pools, pool],
        [this.#uses, useKey(count.service, pool)]
      ] as const
      for (const [totals, key] of places) {
        const total = totals.get(key) ?? none()
        totals.set(key, total)
        total.connections += count.connections - base.connections
        total.bytesIn += count.bytesIn - base.bytesIn
        total.bytesOut += count.bytesOut - base.bytesOut
      }
    }
    for (const pair of this.#last.keys()) if (!seen.has(pair)) this.#last.delete(pair)
  }

  /** The table was removed: what comes next is counted from nothing. */
  removed(): void {
    this.#last.clear()
  }

  /** Adds what the kernel did to what user space did. A connection that the kernel has is a flow from its first packet on. */
  addTo({ virtualServices, pools, servers, uses }: Samples): Samples {
    if (this.#services.size === 0) return { virtualServices, pools, servers, uses }
    return {
      virtualServices: virtualServices.map(sample => plus(sample, this.#services.get(sample.id))),
      pools: pools.map(sample => plus(sample, this.#pools.get(sample.id))),
      servers: servers.map(sample => plus(sample, this.#servers.get(`${sample.poolId}/${sample.id}`))),
      uses: uses.map(sample => plus(sample, this.#uses.get(useKey(sample.id, sample.poolId))))
    }
  }
}

function plus<S extends { readonly totals: Totals }>(sample: S, counted: Counted | undefined): S {
  if (counted === undefined) return sample
  const { totals } = sample
  return {
    ...sample,
    totals: {
      ...totals,
      requests: totals.requests + counted.connections,
      connections: totals.connections + counted.connections,
      bytesIn: totals.bytesIn + counted.bytesIn,
      bytesOut: totals.bytesOut + counted.bytesOut
    }
  }
}
