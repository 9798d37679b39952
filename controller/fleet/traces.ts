/** Traces of live requests that were asked for, and what engines told. In memory, bounded, gone after a while. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '#model/base/clock.ts'
import type { RequestTraced } from '#model/message/message.ts'
import type { FoundRequest, LiveTrace, WantedTrace } from './port.ts'
import type { Engine } from './roster.ts'

/** Traces that run at once; engines take no more. */
const MAX_RUNNING = 8
/** The oldest that has ended makes room. */
const MAX_KEPT = 32
/** What a trace found is kept for so long after its end. */
const KEPT_MS = 600_000
/** Of one trace, about: a request that met many rules is large. */
const MAX_CHARACTERS = 4_000_000

interface Kept {
  readonly id: string
  readonly wanted: WantedTrace
  readonly untilEpochMs: number
  readonly engines: readonly Engine[]
  readonly requests: FoundRequest[]
  characters: number
  isRunning: boolean
  cancel: () => void
}

export class Traces {
  readonly #clock: Clock
  readonly #kept = new Map<string, Kept>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  start(all: Iterable<Engine>, wanted: WantedTrace): LiveTrace | undefined {
    const engines = [...all].filter(engine => engine.session?.isLive === true && engine.runningIds.has(wanted.virtualServiceId))
    const running = [...this.#kept.values()].filter(({ isRunning }) => isRunning).length
    if (engines.length === 0 || running >= MAX_RUNNING) return undefined
    for (const kept of this.#kept.values()) if (this.#kept.size >= MAX_KEPT && !kept.isRunning) this.#forget(kept)
    const id = randomUUID()
    const kept: Kept = {
      id,
      wanted,
      untilEpochMs: this.#clock.nowEpochMs() + wanted.durationMs,
      engines,
      requests: [],
      characters: 0,
      isRunning: true,
      cancel: this.#clock.after(wanted.durationMs, () => this.end(id))
    }
    this.#kept.set(id, kept)
    for (const engine of engines) engine.session?.send({ type: 'TraceRequests', order: { id, ...wanted } })
    return kept
  }

  end(id: string): void {
    const kept = this.#kept.get(id)
    if (kept === undefined || !kept.isRunning) return
    kept.isRunning = false
    kept.cancel()
    for (const engine of kept.engines) engine.session?.send({ type: 'TraceRequests', order: { id, ...kept.wanted, count: 0 } })
    kept.cancel = this.#clock.after(KEPT_MS, () => this.#forget(kept))
  }

  /** Only engines that were asked are listened to. */
  heard(engine: Engine, { id, trace }: RequestTraced): void {
    const kept = this.#kept.get(id)
    if (kept === undefined || !kept.isRunning || !kept.engines.includes(engine)) return
    const size = JSON.stringify(trace).length
    if (kept.characters + size > MAX_CHARACTERS) return this.end(id)
    kept.characters += size
    kept.requests.push({ ...trace, engineUuid: engine.uuid })
    if (kept.requests.length >= kept.wanted.count) this.end(id)
  }

  get(id: string): LiveTrace | undefined {
    return this.#kept.get(id)
  }

  find(requestId: string): { readonly trace: LiveTrace; readonly request: FoundRequest } | undefined {
    for (const trace of [...this.#kept.values()].toReversed()) {
      const request = trace.requests.findLast(one => one.requestId === requestId)
      if (request !== undefined) return { trace, request }
    }
    return undefined
  }

  stop(): void {
    for (const kept of this.#kept.values()) kept.cancel()
    this.#kept.clear()
  }

  #forget(kept: Kept): void {
    kept.cancel()
    this.#kept.delete(kept.id)
  }
}
