/** Parts that were made already, with what they were made from. Compile gives the same result with an empty one, only slower. */
import type { Part } from '#model/snapshot/snapshot.ts'
import { isUnchanged } from './resources.ts'
import type { Dependency, Resources } from './resources.ts'

export interface Made {
  readonly part: Part
  readonly hash: string
  readonly poolIds: readonly string[]
  readonly certificateIds: readonly string[]
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

export class PartCache {
  readonly #entries = new Map<string, Entry>()

  get size(): number {
    return this.#entries.size
  }

  /** What was made under `key`, when everything that it was made from is as it was. */
  find(key: string, resources: Resources, revision: number): Made | NotMade | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    // Another engine of the same revision has just asked: nothing can have changed.
    if (entry.usedAt !== revision && !isUnchanged(resources, entry.dependencies)) return undefined
    entry.usedAt = revision
    return entry.made
  }

  keep(key: string, made: Made | NotMade, dependencies: readonly Dependency[], revision: number): void {
    this.#entries.set(key, { made, dependencies, usedAt: revision })
  }

  /** Drops what was not used at `revision`: called after all engines were compiled at it. */
  sweep(revision: number): void {
    for (const [key, entry] of this.#entries) if (entry.usedAt !== revision) this.#entries.delete(key)
  }
}
