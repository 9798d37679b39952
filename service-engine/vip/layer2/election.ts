/**
 * Who owns an address: decided by each engine for itself, from what it hears of the others. Pure: what was heard and the time go in, what
 * to own comes out.
 *
 *   secondary --nobody owns it, and it is our turn--> owner
 *   owner --somebody claims it with a higher term | nobody is heard for a lease | the process was stopped for a lease--> secondary
 *
 * A claim is (owner, term); of two the higher term holds, of equal terms the smaller id. Who takes an address that somebody had before
 * claims it with a higher term, so that an owner that comes back hears that its time is over. Losing the controller changes nothing.
 */

export interface Claim {
  readonly owner: string
  /** Grows with each change of owner. */
  readonly term: number
}

/** One address, or several that move together, as the controller placed them. */
export interface Candidates {
  readonly id: string
  /** Engines in order, the one that should own it first. */
  readonly engines: readonly string[]
  /** Under which the first of them is to own it; above what was claimed before: it takes it from who has it. */
  readonly term: number
}

/** Who is silent so long is dead, and so long a claim holds that nobody repeats. */
export const SILENT_MS = 600
/** Who hears nobody for so long gives up what it owns; so does a process that was stopped so long. */
export const LEASE_MS = 600
/** Who was alone listens so long: a host that is back on the network is looked for by its neighbours once a second only. */
const RETURN_MS = 1_500
/** Who is not the first in order waits so much longer for each before it: they may know better. */
const TURN_MS = 300
/** After it had to give up, an engine is behind all others for so long, doubled each time. */
const HOLD_MS = 1_000
const HOLD_MAX_MS = 60_000
/** What could not be owned is tried again after so long. */
const UNABLE_MS = 5_000
/** Who had nothing to give up for so long is steady again. */
const STEADY_MS = 120_000
interface Known extends Claim {
  /** When its owner was last heard to claim it, monotonic. */
  readonly atMs: number
}

export type Change =
  | { readonly is: 'own'; readonly id: string; readonly why: 'first' | 'ordered' | 'silent' }
  | { readonly is: 'release'; readonly id: string; readonly why: 'outdone' | 'alone' | 'stopped' | 'removed' | 'unable' }

export class Election {
  readonly #self: string
  readonly #candidates = new Map<string, Candidates>()
  readonly #owned = new Map<string, number>()
  readonly #known = new Map<string, Known>()
  readonly #aliveAt = new Map<string, number>()
  readonly #unownedSince = new Map<string, number>()
  readonly #ordered = new Set<string>()
  readonly #unableUntil = new Map<string, number>()
  #peers: ReadonlySet<string> = new Set()
  #listenUntilMs: number
  #contactAtMs: number
  #lastTickMs: number
  #holdUntilMs = 0
  #setbacks = 0
  #lastSetbackMs = -Infinity

  /** Listens first: others may own what the last snapshot gave us. */
  constructor(self: string, nowMs: number) {
    this.#self = self
    this.#listenUntilMs = nowMs + SILENT_MS
    this.#contactAtMs = nowMs
    this.#lastTickMs = nowMs
  }

  /**
   * What is to be owned by whom. The first call after a start may bring yesterday's order: it takes nothing from anybody.
   *
   * Shapes  peers: engines that heartbeats are exchanged with
   */
  configure(all: readonly Candidates[], peers: ReadonlySet<string>): void {
    const ids = new Set(all.map(({ id }) => id))
    for (const next of all) {
      const before = this.#candidates.get(next.id)
      const isNews = before !== undefined && next.term > before.term
      this.#candidates.set(next.id, next)
      if (next.engines[0] !== this.#self) this.#ordered.delete(next.id)
      else if (isNews || (before === undefined && this.#candidates.size > 0 && this.#isSettled)) this.#ordered.add(next.id)
      const term = this.#owned.get(next.id)
      if (term !== undefined && next.engines[0] === this.#self && next.term > term) this.#owned.set(next.id, next.term)
    }
    for (const id of this.#candidates.keys()) {
      if (ids.has(id)) continue
      for (const map of [this.#candidates, this.#known, this.#unownedSince, this.#unableUntil]) map.delete(id)
      this.#ordered.delete(id)
    }
    this.#peers = peers
    for (const id of this.#aliveAt.keys()) if (!peers.has(id)) this.#aliveAt.delete(id)
  }

  /** An engine was alive at that time, as we heard, or somebody who heard it says. */
  alive(engine: string, atMs: number): void {
    if (!this.#peers.has(engine)) return
    this.#aliveAt.set(engine, Math.max(atMs, this.#aliveAt.get(engine) ?? -Infinity))
  }

  /** Its owner claimed it at that time, as we heard, or somebody who heard it says. */
  claimed(id: string, { owner, term }: Claim, atMs: number): void {
    if (owner === this.#self) return
    if (!this.#candidates.has(id)) return
    const known = this.#known.get(id)
    const next = { owner, term, atMs }
    if (known === undefined) this.#known.set(id, next)
    else if (known.owner === owner && known.term <= term) this.#known.set(id, { ...next, atMs: Math.max(atMs, known.atMs) })
    else if (atMs - known.atMs > SILENT_MS || (outdoes(next, known) && known.atMs - atMs <= SILENT_MS)) this.#known.set(id, next)
  }

  /** An engine ends, in order: nobody needs to wait for its silence. */
  left(engine: string): void {
    this.#aliveAt.delete(engine)
    for (const [id, known] of this.#known) if (known.owner === engine) this.#known.set(id, { ...known, atMs: -Infinity })
  }

  /** It cannot be owned on this host now: left to others for a while. */
  unable(id: string, nowMs: number): Change | undefined {
    const term = this.#owned.get(id)
    this.#unableUntil.set(id, nowMs + UNABLE_MS)
    if (term === undefined) return undefined
    this.#owned.delete(id)
    this.#known.set(id, { owner: this.#self, term, atMs: -Infinity })
    return { is: 'release', id, why: 'unable' }
  }

  /** The network is there: a peer was heard, the controller, or anything at all. */
  contact(atMs: number): void {
    this.#contactAtMs = Math.max(this.#contactAtMs, atMs)
  }

  /** What this engine owns, with its terms. */
  owned(): ReadonlyMap<string, number> {
    return this.#owned
  }

  /** Peers that were not heard of since. */
  silentPeers(nowMs: number, sinceMs: number): readonly string[] {
    return [...this.#peers].filter(peer => nowMs - (this.#aliveAt.get(peer) ?? -Infinity) > sinceMs)
  }

  /** Decides; to be called each 100 ms at least, and before anything is told to others. */
  tick(nowMs: number): readonly Change[] {
    const changes: Change[] = []
    const wasStopped = nowMs - this.#lastTickMs > LEASE_MS
    this.#lastTickMs = nowMs
    if (wasStopped) {
      // Others may have taken over meanwhile: listen before anything is answered.
      this.#listenUntilMs = nowMs + SILENT_MS
      this.#giveUp('stopped', nowMs, changes)
    }
    const isAlone = this.#peers.size > 0 && nowMs - this.#contactAtMs > LEASE_MS
    if (isAlone) {
      // Whoever is heard again is listened to first.
      this.#listenUntilMs = nowMs + RETURN_MS
      this.#giveUp('alone', nowMs, changes)
    }
    for (const id of this.#owned.keys()) {
      if (this.#candidates.has(id)) continue
      this.#owned.delete(id)
      changes.push({ is: 'release', id, why: 'removed' })
    }
    for (const candidates of this.#candidates.values()) {
      const change = this.#owned.has(candidates.id) ? this.#keep(candidates, nowMs) : this.#take(candidates, nowMs)
      if (change !== undefined) changes.push(change)
    }
    return changes
  }

  /** The engine ends: gives up everything. */
  stop(): readonly Change[] {
    const changes = [...this.#owned.keys()].map(id => ({ is: 'release', id, why: 'removed' }) as const)
    this.#owned.clear()
    return changes
  }

  get #isSettled(): boolean {
    return this.#lastTickMs >= this.#listenUntilMs
  }

  #keep({ id }: Candidates, nowMs: number): Change | undefined {
    const term = this.#owned.get(id)!
    const known = this.#known.get(id)
    if (known === undefined || nowMs - known.atMs > SILENT_MS || !outdoes(known, { owner: this.#self, term })) return undefined
    this.#owned.delete(id)
    return { is: 'release', id, why: 'outdone' }
  }

  #take({ id, engines, term }: Candidates, nowMs: number): Change | undefined {
    const known = this.#known.get(id)
    const isOwned = known !== undefined && nowMs - known.atMs <= SILENT_MS
    if (!engines.includes(this.#self) || nowMs < Math.max(this.#listenUntilMs, this.#unableUntil.get(id) ?? 0)) {
      this.#unownedSince.delete(id)
      return undefined
    }
    if (this.#ordered.has(id)) {
      this.#ordered.delete(id)
      if (!isOwned || term > known.term) return this.#own(id, Math.max(term, isOwned ? 0 : (known?.term ?? 0) + 1), 'ordered')
    }
    if (isOwned) {
      this.#unownedSince.delete(id)
      return undefined
    }
    const since = this.#unownedSince.get(id) ?? nowMs
    this.#unownedSince.set(id, since)
    const alive = engines.filter(engine => engine === this.#self || nowMs - (this.#aliveAt.get(engine) ?? -Infinity) <= SILENT_MS)
    // Who had to give up lets all others go first.
    const turn = alive.indexOf(this.#self) + (nowMs < this.#holdUntilMs ? alive.length : 0)
    if (nowMs - since < turn * TURN_MS) return undefined
    const isFirst = known === undefined && engines[0] === this.#self
    return this.#own(id, isFirst ? term : Math.max(term, known?.term ?? 0) + 1, isFirst ? 'first' : 'silent')
  }

  #own(id: string, term: number, why: 'first' | 'ordered' | 'silent'): Change {
    this.#owned.set(id, term)
    this.#unownedSince.delete(id)
    return { is: 'own', id, why }
  }

  #giveUp(why: 'alone' | 'stopped', nowMs: number, changes: Change[]): void {
    if (this.#owned.size === 0) return
    // Its own terms stay known, so that it goes on above them.
    for (const [id, term] of this.#owned) {
      this.#known.set(id, { owner: this.#self, term, atMs: -Infinity })
      changes.push({ is: 'release', id, why })
    }
    this.#owned.clear()
    this.#setbacks = nowMs - this.#lastSetbackMs > STEADY_MS ? 1 : this.#setbacks + 1
    this.#lastSetbackMs = nowMs
    this.#holdUntilMs = nowMs + Math.min(HOLD_MS * 2 ** (this.#setbacks - 1), HOLD_MAX_MS)
  }
}

/** Whether the first of two claims holds against the second. */
export function outdoes(a: Claim, b: Claim): boolean {
  return a.term === b.term ? a.owner < b.owner : a.term > b.term
}
