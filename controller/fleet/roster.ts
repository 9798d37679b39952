/**
 * What is known of every engine, over all of its connections.
 *
 *   INITIALIZING --session live--> UP --socket closed--> DOWN
 *        |                         ^ ^                    |
 *        | grace ended             | +----session live----+
 *        v                         |
 *       DOWN               UP --silence--> PARTITIONED --30 s--> DOWN
 *                          UP --handed over--> INITIALIZING --5 s--> DOWN
 *      UP --socket closed while we stood still--> INITIALIZING --8 s--> DOWN
 *
 * INITIALIZING is a grace before anything of an engine is placed elsewhere: after the controller's own start for those that were
 * there before, for one whose process handed over to another that connects next, and for one that left us while we stood still. An engine whose trust ended is DOWN for good.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Announcing, Ejection, Hello, ServerJudgement } from '#model/message/message.ts'
import type { UpgradeOutcome } from '#model/message/upgrade.ts'
import type { OperState } from '#model/resource/runtime.ts'
import type { Violation } from '#model/resource/violation.ts'
import { SNAPSHOT_VERSION, type Manifest, type Part } from '#model/snapshot/snapshot.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { Holds, type Held } from './holds.ts'
import type { Session } from './session.ts'

/** An engine that was silent so long is told as down, whatever became of it. */
export const PARTITION_MS = 30_000
/** Longer than an agent's longest back-off, so that a restart of the controller moves nothing. */
export const START_GRACE_MS = 8_000
/** A process that took over has to connect only: it serves already. */
export const HANDOVER_GRACE_MS = 5_000

const WRITE_INTERVAL_MS = 10_000

interface Otherwise {
  readonly afterMs: number
  readonly reason: string
}
const notTakenOver: Otherwise = { afterMs: HANDOVER_GRACE_MS, reason: 'the process that took over did not connect' }

export type EngineFacts = Omit<Hello, 'type' | 'protocol' | 'runningRevision' | 'runningHash' | 'heldParts' | 'purgedSequence'>

/** Kept in the store, so that it is known after a restart. */
interface EngineRow {
  readonly facts: EngineFacts | null
  readonly lastSeenEpochMs: number | null
  readonly runningRevision: number
  readonly serialNumber: string | null
  readonly certificateNotAfterEpochMs: number | null
}

interface RevokedRow {
  readonly reason: string
  readonly atEpochMs: number
  /** When every certificate that it could hold has ended. */
  readonly untilEpochMs: number
}

const emptyRow: EngineRow = { facts: null, lastSeenEpochMs: null, runningRevision: 0, serialNumber: null, certificateNotAfterEpochMs: null }
const CERTIFICATE_LIFE_MS = 30 * 24 * 60 * 60 * 1000

export interface Wanted {
  readonly manifest: Manifest
  readonly parts: ReadonlyMap<string, Part>
}

/** What an engine said of a virtual service that it cannot run. */
export interface Refusal {
  /** The revision that it refused: what is written later is tried at once. */
  readonly revision: number
  readonly violations: readonly Violation[]
}

export class Engine {
  readonly uuid: string
  row: EngineRow
  state: OperState
  reasons: readonly string[]
  sinceEpochMs: number
  session: Session | undefined
  wanted: Wanted | undefined
  runningHash = ''
  /** Ids of the parts that it runs, as far as we know. */
  runningIds: ReadonlySet<string> = new Set()
  /** Hash of the snapshot that they are of. */
  runningIdsOf = ''
  /** Of the snapshot that it refused last; empty once it applied one. */
  violations: readonly Violation[] = []
  /** Virtual services that it cannot run, by uuid: left out of what it is told, so that the others go on. */
  readonly refusals = new Map<string, Refusal>()
  /** The next snapshot has them once more: the port may be free by now. */
  isTryingAgain = false
  readonly judgements = new Map<string, ServerJudgement>()
  /** `<pool uuid>/<server id>` -> why it leaves the server out now, and until when. */
  ejections: ReadonlyMap<string, Ejection> = new Map()
  /** What it announces, and what its BIRD says (`address_mode` BGP). */
  announcing: Announcing | undefined
  /** What became of the last order to change its program. */
  upgradeEnded: UpgradeOutcome | undefined
  /** It runs what we never made: nothing is pushed to it and nothing new placed on it. */
  held: Held | undefined
  /** Its process handed over to another, which has not connected yet. */
  isHandingOver = false
  /** What follows of its state by itself, when nothing happens. */
  cancelNext: (() => void) | undefined

  constructor(uuid: string, row: EngineRow, state: OperState, reasons: readonly string[], sinceEpochMs: number) {
    this.uuid = uuid
    this.row = row
    this.state = state
    this.reasons = reasons
    this.sinceEpochMs = sinceEpochMs
  }

  get isLive(): boolean {
    return this.session?.isLive === true
  }

  /** It cannot read what we write: it goes on with what it runs until it is upgraded. */
  get isBehind(): boolean {
    return this.row.facts !== null && snapshotVersionOf(this.row.facts) < SNAPSHOT_VERSION
  }

  /** What it said last holds: it is connected, or a process that took over connects next. */
  get isServing(): boolean {
    return this.isLive || this.isHandingOver
  }

  /** May carry services: it is up, or it was before we started and has a moment to come back. */
  get isUsable(): boolean {
    return this.isLive || this.state === 'OPER_INITIALIZING'
  }
}

export const snapshotVersionOf = ({ snapshotVersion = 1 }: EngineFacts): number => snapshotVersion

export interface RosterOptions {
  readonly store: Store
  readonly clock: Clock
  /** An engine's state changed. */
  readonly onChange: (engine: Engine) => void
}

export class Roster {
  readonly #options: RosterOptions
  readonly #engines = new Map<string, Engine>()
  readonly #rows
  readonly #revoked
  readonly #holds: Holds
  readonly #unwritten = new Set<Engine>()
  readonly #cancelGrace: () => void
  readonly #stopWriting: () => void

  constructor(options: RosterOptions) {
    const { store, clock } = options
    this.#options = options
    this.#rows = store.table<EngineRow>('fleet-engine')
    this.#revoked = store.table<RevokedRow>('fleet-revoked')
    this.#holds = new Holds(store, clock)
    for (const [uuid, row] of this.#revoked.entries()) if (row.untilEpochMs < clock.nowEpochMs()) this.#revoked.delete(uuid)
    this.#cancelGrace = clock.after(START_GRACE_MS, () => this.#endGrace())
    this.#stopWriting = clock.every(WRITE_INTERVAL_MS, () => this.#write())
    this.sync()
  }

  get engines(): Iterable<Engine> {
    return this.#engines.values()
  }

  get(uuid: string): Engine | undefined {
    return this.#engines.get(uuid)
  }

  resource(uuid: string): StoredResource | undefined {
    return this.#options.store.get('serviceengine', uuid)
  }

  revokedReason(uuid: string): string | undefined {
    return this.#revoked.get(uuid)?.reason
  }

  /** Follows the store: new engines are known from now on, deleted ones are returned, no longer trusted. */
  sync(): readonly Engine[] {
    const { store, clock } = this.#options
    const now = clock.nowEpochMs()
    const stored = new Set(store.list('serviceengine').map(resource => resource.uuid))
    for (const uuid of stored) {
      if (this.#engines.has(uuid)) continue
      const row = this.#rows.get(uuid)
      const reason = this.revokedReason(uuid)
      const mayReturn = row !== undefined && row.lastSeenEpochMs !== null && reason === undefined
      const state = mayReturn ? 'OPER_INITIALIZING' : 'OPER_DOWN'
      const why =
        reason !== undefined
          ? `revoked: ${reason}`
          : mayReturn
            ? 'it has not connected again since the controller started'
            : 'it has not connected yet'
      const engine = new Engine(uuid, row ?? emptyRow, state, [why], now)
      engine.held = this.#holds.of(uuid)
      this.#engines.set(uuid, engine)
    }
    const gone = [...this.#engines.values()].filter(engine => !stored.has(engine.uuid))
    for (const engine of gone) {
      this.#revoke(engine.uuid, 'it was deleted')
      this.#rows.delete(engine.uuid)
      this.#holds.forget(engine.uuid)
      this.#engines.delete(engine.uuid)
      engine.cancelNext?.()
    }
    return gone
  }

  /** Ends trust in the store; the caller ends the session. */
  revoke(engine: Engine, reason: string): void {
    this.#revoke(engine.uuid, reason)
    this.setState(engine, 'OPER_DOWN', [`revoked: ${reason}`])
  }

  #revoke(uuid: string, reason: string): void {
    const atEpochMs = this.#options.clock.nowEpochMs()
    this.#revoked.update(uuid, row => row ?? { reason, atEpochMs, untilEpochMs: atEpochMs + CERTIFICATE_LIFE_MS })
  }

  setRow(engine: Engine, change: Partial<EngineRow>): void {
    engine.row = { ...engine.row, ...change }
    this.#unwritten.delete(engine)
    this.#rows.set(engine.uuid, engine.row)
  }

  /** It says what it runs: from here on it is followed, or held. */
  judgeHold(engine: Engine, runningRevision: number): void {
    engine.held = this.#holds.hello(engine.uuid, runningRevision)
  }

  /** Its state is ours from now on. */
  endHold(engine: Engine): void {
    if (engine.held === undefined) return
    this.#holds.release(engine.uuid)
    engine.held = undefined
  }

  /** Written later, many at once: every commit makes one of these for every engine. */
  noteRevision(engine: Engine, runningRevision: number): void {
    engine.row = { ...engine.row, runningRevision }
    this.#unwritten.add(engine)
  }

  #write(): void {
    for (const engine of this.#unwritten) if (this.#engines.has(engine.uuid)) this.#rows.set(engine.uuid, engine.row)
    this.#unwritten.clear()
  }

  /** `otherwise`: when it is down, and why, if it stays INITIALIZING. */
  setState(engine: Engine, state: OperState, reasons: readonly string[], otherwise: Otherwise = notTakenOver): void {
    engine.cancelNext?.()
    // As a state that comes anew it means nothing else: what is there from the start is never set.
    engine.isHandingOver = state === 'OPER_INITIALIZING'
    const downAfter = (ms: number, reason: string): (() => void) =>
      this.#options.clock.after(ms, () => this.setState(engine, 'OPER_DOWN', [reason]))
    engine.cancelNext =
      state === 'OPER_PARTITIONED'
        ? downAfter(PARTITION_MS, `no word for ${PARTITION_MS / 1_000} s: its host is down or the network between is cut`)
        : state === 'OPER_INITIALIZING'
          ? downAfter(otherwise.afterMs, otherwise.reason)
          : undefined
    if (engine.state !== state) engine.sinceEpochMs = this.#options.clock.nowEpochMs()
    engine.state = state
    engine.reasons = reasons
    this.#options.onChange(engine)
  }

  #endGrace(): void {
    for (const engine of this.#engines.values())
      // Who handed over meanwhile has a grace of its own.
      if (engine.state === 'OPER_INITIALIZING' && engine.cancelNext === undefined)
        this.setState(engine, 'OPER_DOWN', ['it did not connect again after the controller started'])
  }

  stop(): void {
    this.#cancelGrace()
    this.#stopWriting()
    this.#write()
    for (const engine of this.#engines.values()) engine.cancelNext?.()
  }
}
