/** Parts that were made already, with what they were made from. Compile gives the same result with an empty one, only slower. */
import type { Part } from '#model/snapshot/snapshot.ts'
import { Multimap } from '#model/base/multimap.ts'
import type { KindName } from '#model/resource/kind.ts'
import { isUnchanged } from './resources.ts'
import type { Dependency, Resources } from './resources.ts'

export interface Made {
  readonly part: Part
  readonly hash: string
  readonly poolIds: readonly string[]
  readonly certificateIds: readonly string[]
  /** Pools whose servers this part wants to be spoken to in HTTP/2. */
  readonly http2PoolIds: readonly string[]
}

/** Why a part could not be made; remembered like a part. */
export interface NotMade {
  readonly problem: string
}

interface Entry {
  readonly made: Made | NotMade
  readonly dependencies: readonly Dependency[]
  usedAt: number
}

/** A resource that was written or deleted, with what it was and is called. */
interface Touched {
  readonly kind: KindName
  readonly uuid: string
  readonly names: readonly string[]
}

const dependencyKey = (kind: KindName, key: string): string => `${kind} ${key}`

export class PartCache {
  readonly #entries = new Map<string, Entry>()
  /** What a part was made from -> keys of such parts. */
  readonly #users = new Multimap<string, string>()
  /** Every part that is kept is known to be as it must be at this revision. */
  #standsAt = -1

  get size(): number {
    return this.#entries.size
  }

  /** Drops what was made from anything touched, so that the rest need not be looked at. Returns the keys of what was dropped. */
  follow(revision: number, touched: readonly Touched[]): ReadonlySet<string> {
    const dropped = new Set<string>()
    for (const { kind, uuid, names } of touched)
      for (const key of [uuid, ...names]) for (const user of this.#users.of(dependencyKey(kind, key))) dropped.add(user)
    for (const key of dropped) this.#drop(key)
    this.#standsAt = revision
    return dropped
  }

  /** What was made under `key`, when everything that it was made from is as it was. */
  find(key: string, resources: Resources, revision: number): Made | NotMade | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    // Nothing can have changed when it was asked for at this revision already, or when the cache followed to it.
    const isKnown = entry.usedAt === revision || this.#standsAt === revision
    if (!isKnown && !isUnchanged(resources, entry.dependencies)) {
      this.#drop(key)
      return undefined
    }
    entry.usedAt = revision
    return entry.made
  }

  keep(key: string, made: Made | NotMade, dependencies: readonly Dependency[], revision: number): void {
    this.#entries.set(key, { made, dependencies, usedAt: revision })
    for (const dependency of dependencies) this.#users.add(dependencyKey(dependency.kind, dependency.key), key)
  }

  /** Drops what was not used at `revision`: called after all engines were compiled at it. */
  sweep(revision: number): void {
    for (const [key, entry] of this.#entries) if (entry.usedAt !== revision) this.#drop(key)
  }

  #drop(key: string): void {
    for (const { kind, key: of } of this.#entries.get(key)?.dependencies ?? []) this.#users.delete(dependencyKey(kind, of), key)
    this.#entries.delete(key)
  }
}
