/**
 * The dashboard's one WebSocket. Views say what is on screen (`watch`), the server is told the whole set, and what comes
 * back is kept per uuid, so that a row re-renders when its own figures change and no other does.
 */
import { backoffMs } from '#model/base/random.ts'
import type { Random } from '#model/base/random.ts'
import type { Clock } from '#model/base/clock.ts'
import type { LiveFigures, LiveMessage, LiveTopic } from '#model/resource/runtime.ts'
import type { AnyRuntime, LiveKind } from './objects.ts'

/** What of a WebSocket is used; a test hands in its own. */
export interface Socket {
  readonly send: (text: string) => void
  readonly close: () => void
}
export interface SocketEvents {
  readonly onOpen: () => void
  readonly onText: (text: string) => void
  readonly onClose: () => void
}

/**
 *   connecting --message--> live --3 s without one--> stale --message--> live
 *        ^                   |  \--switched off--> paused --switched on--> connecting
 *        '----closed---------'
 */
export type LiveState =
  | { readonly is: 'connecting' }
  | { readonly is: 'live' }
  | { readonly is: 'paused'; readonly lastAtMs: number | null }
  | { readonly is: 'stale'; readonly lastAtMs: number | null }

export interface LiveParts {
  readonly open: (events: SocketEvents) => Socket
  readonly clock: Clock
  readonly random: Random
  /** Kinds that something was committed to: lists of them read again. `null`: anything may have changed meanwhile. */
  readonly onChanged: (kinds: readonly string[] | null) => void
}

/** Figures are old when none came for so long; the server speaks once a second. */
export const STALE_AFTER_MS = 3_000
/** Two minutes of seconds for the sparklines. */
export const HISTORY_LENGTH = 120

const NO_HISTORY: readonly LiveFigures[] = []

export class LiveFeed {
  readonly #parts: LiveParts
  readonly #watches = new Map<LiveTopic, number>()
  readonly #runtimeByUuid = new Map<string, AnyRuntime>()
  readonly #historyByUuid = new Map<string, readonly LiveFigures[]>()
  readonly #listenersByKey = new Map<string, Set<() => void>>()
  #socket: Socket | undefined
  #isOpen = false
  #attempt = 0
  #cancelRetry: (() => void) | undefined
  #stopTicking: (() => void) | undefined
  #isSending = false
  #hasBeenLive = false
  #lastMessageMs: number | null = null
  #lastMessageEpochMs: number | null = null
  /** Since when something is on screen; null while nothing is. */
  #askedMs: number | null = null
  #state: LiveState = { is: 'connecting' }

  constructor(parts: LiveParts) {
    this.#parts = parts
  }

  start(): void {
    this.#stopTicking ??= this.#parts.clock.every(1000, () => this.#tick())
    this.#connect()
  }

  stop(): void {
    this.#stopTicking?.()
    this.#stopTicking = undefined
    this.#disconnect()
  }

  /** Says that topics are on screen; returns the way to take it back. */
  watch(topics: readonly LiveTopic[]): () => void {
    for (const topic of topics) this.#watches.set(topic, (this.#watches.get(topic) ?? 0) + 1)
    this.#tellSoon()
    return () => {
      for (const topic of topics) {
        const left = (this.#watches.get(topic) ?? 1) - 1
        if (left === 0) this.#watches.delete(topic)
        else this.#watches.set(topic, left)
      }
      this.#tellSoon()
    }
  }

  pause(): void {
    if (this.#state.is === 'paused') return
    this.#disconnect()
    this.#setState({ is: 'paused', lastAtMs: this.#lastMessageEpochMs })
  }

  resume(): void {
    if (this.#state.is !== 'paused') return
    if (this.#askedMs !== null) this.#askedMs = this.#parts.clock.nowMs()
    this.#setState({ is: 'connecting' })
    this.#connect()
  }

  state(): LiveState {
    return this.#state
  }

  runtime(uuid: string): AnyRuntime | undefined {
    return this.#runtimeByUuid.get(uuid)
  }

  /** The last two minutes, oldest first; a new array whenever a point was added. */
  history(uuid: string): readonly LiveFigures[] {
    return this.#historyByUuid.get(uuid) ?? NO_HISTORY
  }

  /** `key` is a uuid, a kind (any of its things changed), or `state`. */
  listen(key: string, listener: () => void): () => void {
    const listeners = this.#listenersByKey.get(key) ?? new Set()
    listeners.add(listener)
    this.#listenersByKey.set(key, listeners)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listenersByKey.delete(key)
    }
  }

  #connect(): void {
    if (this.#socket) return
    this.#socket = this.#parts.open({
      onOpen: () => {
        this.#isOpen = true
        this.#attempt = 0
        this.#tell()
        // Nothing on screen moves: an open line is all there is to say.
        if (this.#watches.size === 0) this.#setState({ is: 'live' })
      },
      onText: text => this.#take(text),
      onClose: () => this.#retry()
    })
  }

  #disconnect(): void {
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    const socket = this.#socket
    this.#socket = undefined
    this.#isOpen = false
    socket?.close()
  }

  #retry(): void {
    if (!this.#socket) return
    this.#socket = undefined
    this.#isOpen = false
    const delayMs = backoffMs(this.#attempt++, { firstMs: 500, maxMs: 10_000, random: this.#parts.random })
    this.#cancelRetry = this.#parts.clock.after(delayMs, () => this.#connect())
  }

  /** Views come and go together when one navigates: one message for all of them. */
  #tellSoon(): void {
    if (this.#isSending) return
    this.#isSending = true
    queueMicrotask(() => {
      this.#isSending = false
      this.#tell()
    })
  }

  #tell(): void {
    if (this.#watches.size === 0) this.#askedMs = null
    else this.#askedMs ??= this.#parts.clock.nowMs()
    if (this.#isOpen) this.#socket?.send(JSON.stringify({ type: 'subscribe', topics: [...this.#watches.keys()] }))
  }

  #take(text: string): void {
    const message = JSON.parse(text) as LiveMessage
    if (message.type === 'changed') {
      this.#parts.onChanged(message.kinds)
      return
    }
    if (message.type !== 'runtime') return
    this.#lastMessageMs = this.#parts.clock.nowMs()
    this.#lastMessageEpochMs = this.#parts.clock.nowEpochMs()
    // After a gap anything may have been committed without us hearing of it.
    if (this.#state.is !== 'live' && this.#hasBeenLive) this.#parts.onChanged(null)
    this.#hasBeenLive = true
    this.#setState({ is: 'live' })
    for (const { uuid, runtime } of message.items) {
      this.#runtimeByUuid.set(uuid, runtime)
      this.#remember(uuid, runtime.live)
      this.#notify(uuid)
    }
    this.#notify(message.kind satisfies LiveKind)
  }

  #remember(uuid: string, figures: LiveFigures): void {
    const history = this.#historyByUuid.get(uuid) ?? NO_HISTORY
    if (figures.at === null || history.at(-1)?.at === figures.at) return
    this.#historyByUuid.set(uuid, [...history.slice(1 - HISTORY_LENGTH), figures])
  }

  #tick(): void {
    if (this.#state.is === 'paused' || this.#askedMs === null) return
    const sinceMs = this.#parts.clock.nowMs() - Math.max(this.#lastMessageMs ?? 0, this.#askedMs)
    // A new object each second: the age on screen grows.
    if (sinceMs >= STALE_AFTER_MS) this.#setState({ is: 'stale', lastAtMs: this.#lastMessageEpochMs }, true)
  }

  #setState(state: LiveState, isNew = false): void {
    if (!isNew && this.#state.is === state.is) return
    this.#state = state
    this.#notify('state')
  }

  #notify(key: string): void {
    const listeners = this.#listenersByKey.get(key)
    if (listeners) for (const listener of listeners) listener()
  }
}
