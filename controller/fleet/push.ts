/**
 * From what was committed to what runs: plan for all engines, then tell each what it does not run yet. Coalesced, so that a
 * burst of changes costs one plan; one order in flight per engine, so that a slow link gets the newest and not every one.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { AgentMessage } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Manifest, Part } from '#model/snapshot/snapshot.ts'
import type { Engine, Roster, Wanted } from './roster.ts'

const COALESCE_MS = 20
/** An engine that does not answer an order is told again. */
const ANSWER_TIMEOUT_MS = 15_000
/** What an engine refused (a port in use) may be possible later. */
const REFUSED_RETRY_MS = 10_000
/** One frame carries about so much; the engine asks for the rest, and heartbeats get through between. */
const FRAME_BUDGET_LENGTH = 2 * 1024 * 1024

export interface PushOptions {
  readonly roster: Roster
  readonly clock: Clock
  readonly log: Log
  /** What each engine should run now; called at most once in each interval of coalescing. */
  readonly plan: () => ReadonlyMap<string, Wanted>
  readonly onPlanned: () => void
  /** The engine is about to run this, or does already. */
  readonly onOrder: (engine: Engine, manifest: Manifest) => void
  /** Services leave engines: a plan may be due though nothing was changed. */
  readonly isMoving: () => boolean
  /** An engine answered; `isNews`: it runs or refuses other things than before, not only another number. */
  readonly onAnswer: (engine: Engine, isNews: boolean) => void
}

interface Order {
  readonly manifest: Manifest
  readonly sentAtMs: number
}

/** What is known of one connection; a new connection starts with what its Hello says. */
interface Link {
  /** Hashes of parts that the engine holds. */
  held: ReadonlySet<string>
  order: Order | undefined
  /** Hash of what it refused last: not said again before a while. */
  refusedHash: string
}

export class Pusher {
  readonly #options: PushOptions
  readonly #links = new Map<Engine, Link>()
  readonly #stopRetry: () => void
  #cancelPlan: (() => void) | undefined
  #isStopped = false

  constructor(options: PushOptions) {
    this.#options = options
    this.#stopRetry = options.clock.every(REFUSED_RETRY_MS, () => this.#retry())
  }

  /** Something changed that a plan depends on. */
  schedule(): void {
    if (this.#isStopped) return
    this.#cancelPlan ??= this.#options.clock.after(COALESCE_MS, () => this.planNow())
  }

  planNow(): void {
    this.#cancelPlan?.()
    this.#cancelPlan = undefined
    if (this.#isStopped) return
    let plan: ReadonlyMap<string, Wanted>
    try {
      plan = this.#options.plan()
    } catch (error) {
      // Engines go on with what they have; the next change tries again.
      this.#options.log.error('the plan for the engines failed', { error })
      return
    }
    for (const engine of this.#options.roster.engines) {
      const wanted = plan.get(engine.uuid)
      if (wanted !== undefined) engine.wanted = wanted
      if (wanted !== undefined) this.#recognise(engine, wanted)
      this.#push(engine)
    }
    this.#options.onPlanned()
  }

  connected(engine: Engine, heldParts: readonly string[]): void {
    this.#links.set(engine, { held: new Set(heldParts), order: undefined, refusedHash: '' })
    this.schedule()
  }

  disconnected(engine: Engine): void {
    this.#links.delete(engine)
  }

  applied(engine: Engine, message: Extract<AgentMessage, { readonly type: 'SnapshotApplied' }>): void {
    const isNews = engine.runningHash !== message.hash || engine.violations.length > 0
    this.#options.roster.noteRevision(engine, message.revision)
    engine.runningHash = message.hash
    engine.violations = []
    const link = this.#links.get(engine)
    const known = [link?.order?.manifest, engine.wanted?.manifest].find(manifest => manifest?.hash === message.hash)
    if (known !== undefined) {
      engine.runningIds = idsOf(known)
      engine.runningIdsOf = known.hash
      for (const uuid of engine.refusals.keys()) if (engine.runningIds.has(uuid)) engine.refusals.delete(uuid)
    }
    if (known !== undefined && link !== undefined) link.held = new Set(known.parts.map(part => part.hash))
    this.#answered(engine, message.hash, isNews)
  }

  refused(engine: Engine, message: Extract<AgentMessage, { readonly type: 'SnapshotRefused' }>): void {
    const { log } = this.#options
    // Told once, not with every try.
    const known = JSON.stringify([...engine.violations, ...[...engine.refusals.values()].flatMap(({ violations }) => violations)])
    const isNew = message.violations.some(violation => !known.includes(JSON.stringify(violation)))
    engine.violations = message.violations
    engine.isTryingAgain = false
    for (const [uuid, violations] of Map.groupBy(message.violations, serviceIn))
      if (uuid !== '') engine.refusals.set(uuid, { revision: message.revision, violations })
    if (isNew)
      log.warn('an engine refused a snapshot', {
        engine: engine.uuid,
        revision: message.revision,
        violations: message.violations.slice(0, 10)
      })
    const link = this.#links.get(engine)
    if (link !== undefined) link.refusedHash = message.hash
    this.#answered(engine, message.hash, isNew)
    // Without what it refused, so that one service does not hold up all others.
    this.schedule()
  }

  /** The engine says what it lacks of its order: that it has the rest. Were it an older order, it asks again after the newest. */
  partsWanted(engine: Engine, hashes: readonly string[]): void {
    const link = this.#links.get(engine)
    if (link === undefined || engine.wanted === undefined) return
    const asked = new Set(hashes)
    link.held = new Set([...engine.wanted.parts.keys()].filter(hash => !asked.has(hash)))
    link.order = undefined
    this.#push(engine)
  }

  stop(): void {
    this.#isStopped = true
    this.#stopRetry()
    this.#cancelPlan?.()
    this.#links.clear()
  }

  /** After a start of ours: what an engine runs is known by the hashes that it holds, of equal content at least. */
  #recognise(engine: Engine, { manifest }: Wanted): void {
    if (engine.runningHash === manifest.hash) {
      if (engine.runningIdsOf === manifest.hash) return
      engine.runningIds = idsOf(manifest)
      engine.runningIdsOf = manifest.hash
    } else if (engine.runningIds.size === 0 && engine.runningHash !== '') {
      const held = this.#links.get(engine)?.held
      engine.runningIds = new Set(manifest.parts.filter(part => held?.has(part.hash)).map(part => part.id))
    }
  }

  #answered(engine: Engine, hash: string, isNews: boolean): void {
    const link = this.#links.get(engine)
    if (link === undefined) return
    const wanted = engine.wanted?.manifest
    const answeredOrder = link.order?.manifest.hash === hash ? link.order.manifest : undefined
    if (answeredOrder !== undefined) link.order = undefined
    this.#options.onAnswer(engine, isNews)
    // What it refused is not said again at once, only what is newer.
    if (engine.violations.length === 0 || answeredOrder?.revision !== wanted?.revision) this.#push(engine)
  }

  #push(engine: Engine): void {
    const { clock } = this.#options
    const link = this.#links.get(engine)
    const wanted = engine.wanted
    if (link === undefined || wanted === undefined || !engine.isLive) return
    const { manifest } = wanted
    if (link.order !== undefined && clock.nowMs() - link.order.sentAtMs < ANSWER_TIMEOUT_MS) return
    if (engine.runningHash === manifest.hash) {
      this.#options.onOrder(engine, manifest)
      return this.#noteEqual(engine, manifest)
    }
    if (engine.held !== undefined || engine.isBehind) return
    if (link.refusedHash === manifest.hash) return
    this.#options.onOrder(engine, manifest)
    link.order = { manifest, sentAtMs: clock.nowMs() }
    engine.session?.send({ type: 'ApplySnapshot', manifest, parts: partsToSend(wanted, link.held) })
  }

  /** Equal content runs already: only the revision's number is news, and ours to note. */
  #noteEqual(engine: Engine, { revision }: Manifest): void {
    const isNews = engine.violations.length > 0 || engine.held !== undefined
    this.#options.roster.endHold(engine)
    if (engine.row.runningRevision === revision && !isNews) return
    engine.violations = []
    this.#options.roster.noteRevision(engine, revision)
    this.#options.onAnswer(engine, isNews)
  }

  #retry(): void {
    if (this.#options.isMoving()) this.schedule()
    for (const engine of this.#options.roster.engines) {
      const link = this.#links.get(engine)
      if (link !== undefined) link.refusedHash = ''
      engine.isTryingAgain = engine.refusals.size > 0
      if (engine.isTryingAgain) this.schedule()
      this.#push(engine)
    }
  }
}

/** Uuid of the virtual service that a violation is about; '' when it is about anything else. */
const serviceIn = ({ pointer }: Violation): string => /^\/virtual-service\/([^/]+)/.exec(pointer)?.[1] ?? ''

const idsOf = (manifest: Manifest): ReadonlySet<string> => new Set(manifest.parts.map(part => part.id))

/** The parts that the engine lacks, up to a frame's budget and at least one. */
function partsToSend(wanted: Wanted, held: ReadonlySet<string>): Part[] {
  const parts: Part[] = []
  let length = 0
  for (const { hash } of wanted.manifest.parts) {
    const part = held.has(hash) ? undefined : wanted.parts.get(hash)
    if (part === undefined) continue
    length += JSON.stringify(part).length
    if (parts.length > 0 && length > FRAME_BUDGET_LENGTH) break
    parts.push(part)
  }
  return parts
}
