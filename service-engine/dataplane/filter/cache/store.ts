/**
 * Answers in memory, within a bound of bytes that holds at every moment: what is kept, what is being kept, and what was put out
 * while somebody still reads it.
 *
 * Which ones go: S3-FIFO (Yang, Zhang, Qiu, Yue, Vigfusson, "FIFO queues are all you need for cache eviction", SOSP 2023). New
 * ones wait in a small queue; those that are asked for again move to the main one, where each look is worth a turn; of those
 * that were put out their names are remembered for a while, so that they go to the main queue when they come back. A flood of
 * addresses that nobody asks for twice passes through the small queue and moves nothing else.
 */
import { Multimap } from '#model/base/multimap.ts'
import type { CachePurge } from '#model/message/message.ts'
import type { Freshness } from './decide.ts'

export interface Entry {
  readonly key: string
  readonly url: string
  /** What it depends on, and what the request said there. */
  readonly varyNames: readonly string[]
  readonly variant: string
  readonly status: number
  readonly reason: string
  headers: readonly string[]
  readonly body: Buffer
  freshness: Freshness
  /** In lower case. */
  readonly tags: readonly string[]
  /** What it takes, with what is around it. */
  bytes: number
  /** Asked for since it came or was last passed over; at most 3. */
  looks: number
  isInMain: boolean
  readers: number
  isOut: boolean
}

export type NewEntry = Omit<Entry, 'bytes' | 'looks' | 'isInMain' | 'readers' | 'isOut'>

/** Maps, sets and objects around one entry. */
const OVERHEAD_BYTES = 768
const SMALL_SHARE = 0.1
const MAX_LOOKS = 3
/** Answers under one key that differ by what they depend on; more, and the oldest goes. */
const MAX_VARIANTS = 32

/** An answer that is asked for. */
export interface Pending {
  readonly url: string
  /** What comes is out of date: it is not kept. */
  isVoid: boolean
}

export class CacheStore {
  #maxBytes: number
  readonly #byKey = new Map<string, Entry[]>()
  readonly #byUrl = new Multimap<string, string>()
  readonly #small = new Set<Entry>()
  readonly #main = new Set<Entry>()
  /** Names of those that left the small queue unseen, oldest first. */
  readonly #ghosts = new Set<string>()
  #smallBytes = 0
  #usedBytes = 0
  #objects = 0
  readonly #pending = new Set<Pending>()

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get objects(): number {
    return this.#objects
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes
    this.#makeRoom(0)
  }

  /** What a purge between question and answer makes void. */
  watch(pending: Pending): void {
    this.#pending.add(pending)
  }

  unwatch(pending: Pending): void {
    this.#pending.delete(pending)
  }

  /** Those under a key, oldest first; not to be kept by the caller. */
  under(key: string): readonly Entry[] {
    return this.#byKey.get(key) ?? nothing
  }

  looked(entry: Entry): void {
    if (entry.looks < MAX_LOOKS) entry.looks++
  }

  /** It is read until `leave`. */
  enter(entry: Entry): void {
    entry.readers++
  }

  leave(entry: Entry): void {
    if (--entry.readers === 0 && entry.isOut) this.#usedBytes -= entry.bytes
  }

  /** Room for what is about to come. False: there is none; what is kept was not touched for the sake of one that is too large. */
  reserve(bytes: number): boolean {
    if (bytes > this.#maxBytes / 2) return false
    this.#makeRoom(bytes)
    if (this.#usedBytes + bytes > this.#maxBytes) return false
    this.#usedBytes += bytes
    return true
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes
  }

  /** Keeps it, in the place of one that it replaces. False: there is no room. */
  put(given: NewEntry): boolean {
    const others = this.#byKey.get(given.key) ?? []
    const same = others.filter(other => other.variant === given.variant && other.varyNames.join() === given.varyNames.join())
    for (const other of same) this.remove(other)
    const left = this.#byKey.get(given.key) ?? []
    if (left.length >= MAX_VARIANTS) this.remove(left[0]!)
    const bytes = sizeOf(given)
    if (!this.reserve(bytes)) return false
    const entry: Entry = { ...given, bytes, looks: 0, isInMain: this.#ghosts.delete(given.key), readers: 0, isOut: false }
    const list = this.#byKey.get(given.key)
    if (list === undefined) this.#byKey.set(given.key, [entry])
    else list.push(entry)
    this.#byUrl.add(given.url, given.key)
    this.#objects++
    if (entry.isInMain) this.#main.add(entry)
    else {
      this.#small.add(entry)
      this.#smallBytes += bytes
    }
    return true
  }

  /** It was found valid. */
  freshen(entry: Entry, headers: readonly string[], freshness: Freshness): void {
    entry.headers = headers
    entry.freshness = freshness
    if (entry.isOut) return
    const bytes = sizeOf(entry)
    this.#usedBytes += bytes - entry.bytes
    if (!entry.isInMain) this.#smallBytes += bytes - entry.bytes
    entry.bytes = bytes
    this.#makeRoom(0)
  }

  remove(entry: Entry): void {
    if (entry.isOut) return
    entry.isOut = true
    if (entry.isInMain) this.#main.delete(entry)
    else {
      this.#small.delete(entry)
      this.#smallBytes -= entry.bytes
    }
    if (entry.readers === 0) this.#usedBytes -= entry.bytes
    this.#objects--
    const list = this.#byKey.get(entry.key)!
    list.splice(list.indexOf(entry), 1)
    if (list.length > 0) return
    this.#byKey.delete(entry.key)
    this.#byUrl.delete(entry.url, entry.key)
  }

  /** Everything under an address, whatever else it depends on. Returns how many. */
  invalidate(url: string): number {
    for (const pending of this.#pending) if (pending.url === url) pending.isVoid = true
    const entries = [...this.#byUrl.of(url)].flatMap(key => [...this.under(key)])
    for (const entry of entries) this.remove(entry)
    return entries.length
  }

  /**
   * Takes out what is named.
   *
   * Returns how many
   * Cost    O(kept) but for one address
   */
  purge(purge: CachePurge): number {
    if (purge.by === 'url') return this.invalidate(purge.value)
    const value = purge.by === 'tag' ? purge.value.toLowerCase() : purge.by === 'prefix' ? purge.value : ''
    const goes = (entry: Entry): boolean =>
      purge.by === 'all' || (purge.by === 'prefix' ? entry.url.startsWith(value) : entry.tags.includes(value))
    // What tags it will have is not known yet.
    for (const pending of this.#pending) if (purge.by !== 'prefix' || pending.url.startsWith(value)) pending.isVoid = true
    const entries = [...this.#small, ...this.#main].filter(goes)
    for (const entry of entries) this.remove(entry)
    return entries.length
  }

  #makeRoom(bytes: number): void {
    while (this.#usedBytes + bytes > this.#maxBytes && this.#objects > 0) {
      if (this.#main.size === 0 || this.#smallBytes > this.#maxBytes * SMALL_SHARE) this.#turnSmall()
      else this.#turnMain()
    }
  }

  #turnSmall(): void {
    const entry = first(this.#small)
    if (entry === undefined) return this.#turnMain()
    if (entry.looks === 0) {
      this.remove(entry)
      this.#ghosts.add(entry.key)
      if (this.#ghosts.size > Math.max(64, this.#objects)) this.#ghosts.delete(first(this.#ghosts)!)
      return
    }
    this.#small.delete(entry)
    this.#smallBytes -= entry.bytes
    entry.isInMain = true
    entry.looks = 0
    this.#main.add(entry)
  }

  #turnMain(): void {
    const entry = first(this.#main)
    if (entry === undefined) return
    if (entry.looks === 0) return this.remove(entry)
    entry.looks--
    this.#main.delete(entry)
    this.#main.add(entry)
  }
}

const nothing: readonly Entry[] = []

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const value of set) return value
  return undefined
}

function sizeOf({ key, url, variant, headers, body, tags }: NewEntry): number {
  let bytes = OVERHEAD_BYTES + body.length + key.length + url.length + variant.length
  for (const text of headers) bytes += text.length + 16
  for (const tag of tags) bytes += tag.length + 16
  return bytes
}
