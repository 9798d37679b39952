/**
 * Where clients are that engines cannot work out by themselves. Engines tell, the others that run the pool are told; one that
 * begins to run a pool is told before it does. Of two bindings of a client the younger holds.
 */
import type { Clock } from '#model/base/clock.ts'
import { BINDINGS_TOLD_MAX, type ClientBinding } from '#model/message/message.ts'
import type { PersistenceRuntime } from '#model/resource/runtime.ts'
import type { Manifest } from '#model/snapshot/snapshot.ts'
import type { Engine } from './roster.ts'
import type { Session } from './session.ts'

/** Engines that do not say so keep to themselves. */
const SHARES_BINDINGS = 'shared-bindings'
/** Of all pools; the least used are forgotten first, and hold on where they are. */
const MAX_BINDINGS = 200_000
const TIDY_INTERVAL_MS = 60_000

interface Row {
  readonly poolId: string
  readonly client: string
  readonly serverId: string
  readonly spread: number
  readonly boundAtMs: number
  readonly usedAtMs: number
  readonly timeoutS: number
}

/** What an engine knows over one connection. */
interface Known {
  /** Hash of the manifest that `poolIds` are of. */
  readonly hash: string
  readonly poolIds: ReadonlySet<string>
}

export interface SharedBindingsOptions {
  readonly clock: Clock
  readonly engines: () => Iterable<Engine>
}

export class SharedBindings {
  readonly #options: SharedBindingsOptions
  /** In the order of use. */
  readonly #rows = new Map<string, Row>()
  readonly #known = new WeakMap<Session, Known>()
  readonly #stop: () => void

  constructor(options: SharedBindingsOptions) {
    this.#options = options
    this.#stop = options.clock.every(TIDY_INTERVAL_MS, () => this.#tidy())
  }

  /** An engine told where clients went: the others that run the pool are told what is news. */
  told(from: Engine, bindings: readonly ClientBinding[]): void {
    const news = bindings.flatMap(binding => this.#note(binding) ?? [])
    if (news.length === 0) return
    for (const engine of this.#options.engines()) {
      if (engine === from || !mayBeTold(engine)) continue
      const { poolIds } = this.#known.get(engine.session!) ?? {}
      this.#send(
        engine,
        news.filter(({ poolId }) => poolIds?.has(poolId) === true)
      )
    }
  }

  /** An engine is about to run this, or does: it learns of pools that are new to it. */
  ordered(engine: Engine, { hash, parts }: Manifest): void {
    const { session } = engine
    if (session === undefined || !mayBeTold(engine)) return
    const before = this.#known.get(session)
    if (before?.hash === hash) return
    const poolIds = new Set(parts.flatMap(({ kind, id }) => (kind === 'pool' ? [id] : [])))
    this.#known.set(session, { hash, poolIds })
    const isNew = (poolId: string): boolean => poolIds.has(poolId) && before?.poolIds.has(poolId) !== true
    if (this.#rows.size === 0 || ![...poolIds].some(isNew)) return
    this.#send(
      engine,
      [...this.#rows.values()].filter(({ poolId }) => isNew(poolId))
    )
  }

  /** Bindings of a pool, the last used first. */
  runtime(poolId: string, limit: number): PersistenceRuntime {
    const nowMs = this.#options.clock.nowMs()
    const rows = [...this.#rows.values()].filter(row => row.poolId === poolId && isAlive(row, nowMs))
    const byServer = Map.groupBy(rows, ({ serverId }) => serverId)
    const s = (fromMs: number): number => Math.max(0, Math.round((nowMs - fromMs) / 1_000))
    return {
      count: rows.length,
      servers: [...byServer].map(([server, { length }]) => ({ server, count: length })),
      results: rows
        .reverse()
        .slice(0, limit)
        .map(({ client, serverId, boundAtMs, usedAtMs, timeoutS }) => ({
          client,
          server: serverId,
          bound_s: s(boundAtMs),
          idle_s: s(usedAtMs),
          timeout_s: timeoutS
        }))
    }
  }

  stop(): void {
    this.#stop()
  }

  /** Undefined when a younger one is known. */
  #note({ poolId, client, serverId, spread, boundAgoMs, idleS, timeoutS }: ClientBinding): Row | undefined {
    const nowMs = this.#options.clock.nowMs()
    const key = `${poolId} ${client}`
    const before = this.#rows.get(key)
    const boundAtMs = nowMs - boundAgoMs
    const usedAtMs = nowMs - idleS * 1_000
    const isSame = before?.serverId === serverId
    if (before !== undefined && !isSame && isAlive(before, nowMs) && before.boundAtMs > boundAtMs) return undefined
    const row = { poolId, client, serverId, spread, boundAtMs, usedAtMs: isSame ? Math.max(before.usedAtMs, usedAtMs) : usedAtMs, timeoutS }
    if (!isAlive(row, nowMs)) return undefined
    this.#rows.delete(key)
    this.#rows.set(key, row)
    if (this.#rows.size > MAX_BINDINGS) this.#rows.delete(this.#rows.keys().next().value!)
    // After a new connection an engine says again what is known: no news.
    return isSame && row.usedAtMs - before.usedAtMs < 1_000 ? undefined : row
  }

  #send(engine: Engine, rows: readonly Row[]): void {
    const nowMs = this.#options.clock.nowMs()
    const bindings = rows
      .filter(row => isAlive(row, nowMs))
      .map(({ boundAtMs, usedAtMs, ...row }) => ({
        ...row,
        boundAgoMs: Math.max(0, Math.round(nowMs - boundAtMs)),
        idleS: Math.max(0, Math.round((nowMs - usedAtMs) / 1_000))
      }))
    for (let from = 0; from < bindings.length; from += BINDINGS_TOLD_MAX)
      engine.session?.send({ type: 'BindClients', bindings: bindings.slice(from, from + BINDINGS_TOLD_MAX) })
  }

  #tidy(): void {
    const nowMs = this.#options.clock.nowMs()
    for (const [key, row] of this.#rows) if (!isAlive(row, nowMs)) this.#rows.delete(key)
  }
}

const isAlive = ({ usedAtMs, timeoutS }: Row, nowMs: number): boolean => nowMs - usedAtMs <= timeoutS * 1_000

/** It is there, and understands. */
const mayBeTold = (engine: Engine): boolean => engine.isLive && engine.row.facts?.abilities.includes(SHARES_BINDINGS) === true
