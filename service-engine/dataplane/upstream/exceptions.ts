/**
 * What engines tell each other of where clients went: the agent's end of the table of bindings. A client that is where the hash
 * puts it needs no word; told are those elsewhere, those that were learnt, and those that become an exception
 * when the pool is changed.
 */
import { BINDINGS_TOLD_MAX, type ClientBinding } from '#model/message/message.ts'
import type { PoolPart } from '#model/snapshot/snapshot.ts'
import { BINDING, BINDING_LENGTH, BINDING_SETS, BINDING_WAYS, JOURNAL, JOURNAL_COUNT, JOURNAL_LENGTH } from '#engine/meter/layout.ts'
import { hashText } from '../balance/consistent-hash.ts'
import { entryOf, makeHome, readEntry, writeEntry, type Entry, type Home } from './bindings.ts'

const ENTRIES_END = BINDING_SETS * BINDING_WAYS * BINDING_LENGTH

export interface ExceptionsOptions {
  readonly table: Int32Array
  readonly nowEpochMs: () => number
}

interface Known {
  readonly part: PoolPart
  readonly timeoutS: number
  readonly home: Home
  readonly serverIdOf: ReadonlyMap<number, string>
  /** Its bindings are to be looked through: for those that nobody was told of, or for all. */
  due: 'no' | 'untold' | 'all'
}

export class Exceptions {
  readonly #options: ExceptionsOptions
  #byHash: ReadonlyMap<number, Known> = new Map()
  /** Changes that were told, of all that were written down; and one that was not there yet when it was looked for. */
  #readCount = 0
  #missingAt = -1
  /** Where looking through goes on; the end: nothing is to be looked through. */
  #cursor = ENTRIES_END

  constructor(options: ExceptionsOptions) {
    this.#options = options
    this.#readCount = Atomics.load(options.table, JOURNAL_COUNT) >>> 0
  }

  /** From now on these pools run. */
  run(pools: readonly PoolPart[]): void {
    const before = this.#byHash
    const known = pools.flatMap(part => {
      const { persistence } = part
      if (persistence === undefined || persistence.is === 'cookie') return []
      const hash = hashText(part.id) | 0
      const old = before.get(hash)
      const isSame =
        old !== undefined &&
        JSON.stringify([old.part.servers, old.part.persistence, old.part.locality]) ===
          JSON.stringify([part.servers, persistence, part.locality])
      const serverIdOf = new Map(part.servers.map(({ id }) => [hashText(id), id]))
      const due = old === undefined ? 'no' : old.due === 'no' && !isSame ? 'untold' : old.due
      return [[hash, { part, timeoutS: persistence.timeoutS, home: makeHome(part), serverIdOf, due }] as const]
    })
    this.#byHash = new Map(known)
    if (known.some(([, { due }]) => due !== 'no')) this.#cursor = 0
  }

  /** The controller may be a new one, or have missed something: it is told all of it again. */
  connected(): void {
    for (const pool of this.#byHash.values()) pool.due = 'all'
    if (this.#byHash.size > 0) this.#cursor = 0
  }

  /** What the other engines do not know yet, so much of it as goes into one message. */
  readonly made = (): ClientBinding[] => {
    const found: ClientBinding[] = []
    if (this.#byHash.size > 0) {
      this.#readJournal(found)
      this.#lookThrough(found)
    }
    return found
  }

  #readJournal(found: ClientBinding[]): void {
    const { table } = this.#options
    const count = Atomics.load(table, JOURNAL_COUNT) >>> 0
    if ((count - this.#readCount) >>> 0 > JOURNAL_LENGTH) {
      // More than could be written down: all of it is looked through.
      this.#readCount = count
      this.connected()
      return
    }
    const seen = new Set<number>()
    while (this.#readCount !== count && found.length < BINDINGS_TOLD_MAX) {
      const place = JOURNAL + (this.#readCount % JOURNAL_LENGTH)
      const at = Atomics.exchange(table, place, 0) - 1
      // Counted, not written yet; the next time it is, or its worker died between.
      if (at < 0 && this.#missingAt !== this.#readCount) {
        this.#missingAt = this.#readCount
        return
      }
      this.#readCount = (this.#readCount + 1) >>> 0
      if (at < 0 || seen.has(at)) continue
      seen.add(at)
      const entry = readEntry(table, at)
      const pool = entry === undefined ? undefined : this.#byHash.get(entry.pool)
      if (entry !== undefined && pool !== undefined) this.#tell(found, pool, entry)
    }
  }

  #lookThrough(found: ClientBinding[]): void {
    const { table } = this.#options
    if (this.#cursor >= ENTRIES_END) return
    for (; this.#cursor < ENTRIES_END; this.#cursor += BINDING_LENGTH) {
      if (found.length >= BINDINGS_TOLD_MAX) return
      if (table[this.#cursor] === 0) continue
      const entry = readEntry(table, this.#cursor)
      const pool = entry === undefined ? undefined : this.#byHash.get(entry.pool)
      if (entry === undefined || pool === undefined || pool.due === 'no' || (pool.due === 'untold' && entry.isTold)) continue
      if (pool.home(entry.spread) === entry.server) continue
      this.#tell(found, pool, entry)
      Atomics.store(table, this.#cursor + BINDING.isTold, 1)
    }
    for (const pool of this.#byHash.values()) pool.due = 'no'
  }

  #tell(found: ClientBinding[], { part, timeoutS, serverIdOf }: Known, { high, low, server, spread, usedAtS, boundAtMs }: Entry): void {
    const serverId = serverIdOf.get(server)
    const now = this.#options.nowEpochMs()
    const idleS = Math.max(0, Math.trunc(now / 1000) - usedAtS)
    if (serverId === undefined || idleS > timeoutS) return
    const boundAgoMs = Math.max(0, ((now | 0) - boundAtMs) | 0)
    found.push({ poolId: part.id, client: clientText(high, low), serverId, spread, boundAgoMs, idleS, timeoutS })
  }

  /** What another engine has told. The newer binding of a client holds; pools that do not run yet are taken too: they will. */
  readonly take = (bindings: readonly ClientBinding[]): void => {
    const { table, nowEpochMs } = this.#options
    const now = nowEpochMs()
    for (const { poolId, client, serverId, spread, boundAgoMs, idleS, timeoutS } of bindings) {
      const [high, low] = [Number.parseInt(client.slice(0, 8), 16) | 0, Number.parseInt(client.slice(8), 16) | 0]
      if (high === 0) continue
      const at = entryOf(table, high, low)
      const old = at < 0 ? undefined : readEntry(table, at)
      const server = hashText(serverId)
      const usedAtS = Math.trunc(now / 1000 - idleS) | 0
      const boundAtMs = (now - boundAgoMs) | 0
      const isAlive = old !== undefined && now / 1000 - old.usedAtS <= timeoutS
      if (isAlive && old.server !== server && ((boundAtMs - old.boundAtMs) | 0) < 0) continue
      const keep = old?.server === server ? Math.max(old.usedAtS, usedAtS) : usedAtS
      writeEntry(table, { high, low, pool: hashText(poolId) | 0, server, spread, usedAtS: keep, boundAtMs, isTold: true })
    }
  }
}

const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
const clientText = (high: number, low: number): string => hex(high) + hex(low)
