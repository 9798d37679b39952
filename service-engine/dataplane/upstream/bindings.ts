/** Which client goes to which server, over all workers: a table in the shared memory that forgets the least used first. */
import { BINDING, BINDING_LENGTH, BINDING_SETS, BINDING_WAYS } from '#engine/meter/layout.ts'
import { hashText } from '../balance/consistent-hash.ts'

/** A binding that is used is written down again when so much of its time has passed, not each time. */
const REFRESH_SHARE = 8

/**
 * The bindings of one pool. Two workers that write one entry at once may mix it: its client is bound anew, no more.
 *
 * Shapes  table: as in the layout. poolId: keeps the keys of pools apart
 * Cost    O(1), no allocation but the key's text
 */
export class Bindings {
  readonly #table: Int32Array
  readonly #poolId: string
  readonly #timeoutS: number
  readonly #nowEpochMs: () => number

  constructor(table: Int32Array, poolId: string, timeoutS: number, nowEpochMs: () => number) {
    this.#table = table
    this.#poolId = poolId
    this.#timeoutS = timeoutS
    this.#nowEpochMs = nowEpochMs
  }

  /** The hash of the id of the server that `client` is bound to; undefined when it is not, or was away for too long. */
  find(client: string): number | undefined {
    const { high, low, set } = this.#place(client)
    const now = this.#nowS()
    for (let way = 0; way < BINDING_WAYS; way++) {
      const at = set + way * BINDING_LENGTH
      if (!this.#isAt(at, high, low)) continue
      const server = Atomics.load(this.#table, at + BINDING.server)
      const age = now - Atomics.load(this.#table, at + BINDING.usedAtS)
      if (age > this.#timeoutS || !this.#isAt(at, high, low)) return undefined
      if (age * REFRESH_SHARE >= this.#timeoutS) Atomics.store(this.#table, at + BINDING.usedAtS, now)
      return server >>> 0
    }
    return undefined
  }

  /** From now on `client` goes to the server with this hash. */
  bind(client: string, server: number): void {
    const { high, low, set } = this.#place(client)
    let place = set
    let oldest = Infinity
    for (let way = 0; way < BINDING_WAYS; way++) {
      const at = set + way * BINDING_LENGTH
      const usedAtS = this.#isAt(at, high, low) ? -Infinity : Atomics.load(this.#table, at + BINDING.usedAtS)
      if (usedAtS < oldest) {
        oldest = usedAtS
        place = at
      }
    }
    Atomics.store(this.#table, place + BINDING.keyHigh, 0)
    Atomics.store(this.#table, place + BINDING.keyLow, low)
    Atomics.store(this.#table, place + BINDING.server, server | 0)
    Atomics.store(this.#table, place + BINDING.usedAtS, this.#nowS())
    Atomics.store(this.#table, place + BINDING.keyHigh, high)
  }

  #isAt(at: number, high: number, low: number): boolean {
    return Atomics.load(this.#table, at + BINDING.keyHigh) === high && Atomics.load(this.#table, at + BINDING.keyLow) === low
  }

  #place(client: string): { high: number; low: number; set: number } {
    const low = hashText(`${this.#poolId}|${client}`)
    // 0 is an entry that nobody has.
    const high = hashText(`${client}|${this.#poolId}`) | 0 || 1
    return { high, low: low | 0, set: (low % BINDING_SETS) * BINDING_WAYS * BINDING_LENGTH }
  }

  #nowS(): number {
    return Math.trunc(this.#nowEpochMs() / 1000) | 0
  }
}
