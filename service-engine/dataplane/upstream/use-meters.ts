/** Where one virtual service counts what it sends to each pool. */
import type { TrafficMeter, WorkerMemory } from '#engine/meter/shared.ts'
import type { Pool } from './pool.ts'

/** A row of its own where other services send to the pool too, else the pool's. It follows generations, which change both. */
export class UseMeters {
  readonly #virtualServiceId: string
  readonly #memoryNow: () => WorkerMemory
  readonly #meters = new Map<string, TrafficMeter>()
  #memory: WorkerMemory | null = null

  /** `memoryNow`: of the generation that runs. */
  constructor(virtualServiceId: string, memoryNow: () => WorkerMemory) {
    this.#virtualServiceId = virtualServiceId
    this.#memoryNow = memoryNow
  }

  of({ part: { id }, meter }: Pool): TrafficMeter {
    const memory = this.#memoryNow()
    if (memory !== this.#memory) {
      this.#meters.clear()
      this.#memory = memory
    }
    const known = this.#meters.get(id)
    if (known !== undefined) return known
    const own = memory.useMeter(this.#virtualServiceId, id) ?? meter
    this.#meters.set(id, own)
    return own
  }
}
