/** Every resource in memory, indexed as readers ask: filled when a store opens, kept in step by each commit. */
import { Multimap } from '#model/base/multimap.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import { StaleRevision } from './store.ts'
import type { Commit, Reference, ResourceWrite, StoredResource, Touched } from './store.ts'

export type OutgoingReference = ResourceWrite['references'][number]

/** A resource and what it refers to, as an implementation keeps them. */
export interface IndexedResource {
  readonly resource: StoredResource
  readonly references: readonly OutgoingReference[]
}

/** A commit worked out against the index and not yet applied. */
export interface Staged {
  readonly revision: number
  readonly lastModified: number
  readonly puts: readonly IndexedResource[]
  readonly deletes: readonly StoredResource[]
}

/** In the order of UTF-16 code units: the same on every host, whatever its locale. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function byName(a: StoredResource, b: StoredResource): number {
  return byText(a.name, b.name) || byText(a.uuid, b.uuid)
}

/** Readers share one object, so nobody may write to it. */
export function frozen<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) frozen(inner)
  }
  return value
}

/** So many touched resources are remembered at least; who follows the store asks far more often. */
const TOUCHED_KEPT = 20_000

class KindIndex {
  readonly byUuid = new Map<string, StoredResource>()
  readonly #byTenant = new Map<string, Map<string, StoredResource>>()
  readonly #sorted = new Map<string | undefined, readonly StoredResource[]>()
  readonly #touched = new Map<string | undefined, Set<string>>()

  named(tenant: string, name: string): StoredResource | undefined {
    return this.#byTenant.get(tenant)?.get(name)
  }

  put(resource: StoredResource): void {
    this.byUuid.set(resource.uuid, resource)
    let names = this.#byTenant.get(resource.tenant)
    if (names === undefined) this.#byTenant.set(resource.tenant, (names = new Map()))
    names.set(resource.name, resource)
    this.#touch(resource)
  }

  remove(resource: StoredResource): void {
    this.byUuid.delete(resource.uuid)
    const names = this.#byTenant.get(resource.tenant)
    if (names?.get(resource.name)?.uuid === resource.uuid) names.delete(resource.name)
    if (names?.size === 0) this.#byTenant.delete(resource.tenant)
    this.#touch(resource)
  }

  /** A list is kept sorted and mended after a commit: what changed is taken out and sorted in again, nearly linear. */
  list(tenant: string | undefined): readonly StoredResource[] {
    const kept = this.#sorted.get(tenant)
    const touched = this.#touched.get(tenant)
    if (kept !== undefined && touched === undefined) return kept
    let list: StoredResource[]
    if (kept === undefined || touched === undefined) {
      list = [...(tenant === undefined ? this.byUuid.values() : (this.#byTenant.get(tenant)?.values() ?? []))]
    } else {
      list = kept.filter(item => !touched.has(item.uuid))
      for (const uuid of touched) {
        const resource = this.byUuid.get(uuid)
        if (resource !== undefined && (tenant === undefined || resource.tenant === tenant)) list.push(resource)
      }
    }
    Object.freeze(list.sort(byName))
    this.#touched.delete(tenant)
    if (tenant === undefined || list.length > 0) this.#sorted.set(tenant, list)
    else this.#sorted.delete(tenant)
    return list
  }

  #touch(resource: StoredResource): void {
    for (const tenant of [undefined, resource.tenant]) {
      if (!this.#sorted.has(tenant)) continue
      let touched = this.#touched.get(tenant)
      if (touched === undefined) this.#touched.set(tenant, (touched = new Set()))
      touched.add(resource.uuid)
    }
  }
}

export class ResourceIndex {
  readonly #kinds = new Map<KindName, KindIndex>()
  readonly #byUuid = new Map<string, IndexedResource>()
  /** What is referred to -> who refers to it. */
  readonly #referrers = new Multimap<string, string>()
  /** Of each commit since `#touchedSince`, oldest first. */
  #touched: { readonly revision: number; readonly resources: readonly Touched[] }[] = []
  #touchedCount = 0
  #touchedSince = Infinity

  get(kind: KindName, uuid: string): StoredResource | undefined {
    return this.#kinds.get(kind)?.byUuid.get(uuid)
  }

  findByName(kind: KindName, tenant: string, name: string): StoredResource | undefined {
    return this.#kinds.get(kind)?.named(tenant, name)
  }

  list(kind: KindName, tenant?: string): readonly StoredResource[] {
    return this.#kinds.get(kind)?.list(tenant) ?? []
  }

  referencesOf(uuid: string): readonly Reference[] {
    const found = this.#byUuid.get(uuid)
    if (found === undefined) return []
    const { kind, name } = found.resource
    return found.references.map(reference => ({ fromKind: kind, fromUuid: uuid, fromName: name, ...reference }))
  }

  referrersOf(uuid: string): readonly Reference[] {
    return [...this.#referrers.of(uuid)].flatMap(from => this.referencesOf(from).filter(reference => reference.toUuid === uuid))
  }

  touchedSince(revision: number): readonly Touched[] | undefined {
    if (revision < this.#touchedSince) return undefined
    const last = this.#touched.findLastIndex(commit => commit.revision <= revision)
    return this.#touched.slice(last + 1).flatMap(commit => commit.resources)
  }

  put({ resource, references }: IndexedResource): void {
    const before = this.#byUuid.get(resource.uuid)
    if (before !== undefined) this.#forget(before)
    this.#byUuid.set(resource.uuid, { resource, references })
    this.#kind(resource.kind).put(resource)
    for (const { toUuid } of references) this.#referrers.add(toUuid, resource.uuid)
  }

  /**
   * Works a commit out without applying it.
   *
   * Shapes  at: revision and last microsecond stamp of the store before the commit
   * Throws  StaleRevision when the commit expects another revision; Error for a commit that breaks an invariant of
   *         the store (deletes what is not there, two of one name): only a defect of `change` can send one
   */
  stage(commit: Commit, at: { readonly revision: number; readonly lastModified: number }): Staged {
    if (commit.expectRevision !== undefined && commit.expectRevision !== at.revision) {
      throw new StaleRevision(`the store is at revision ${at.revision}, the commit expects ${commit.expectRevision}`)
    }
    const revision = at.revision + 1
    let lastModified = Math.max(at.lastModified, commit.atEpochMs * 1000 - 1)
    const deletes = commit.deletes.map(({ kind, uuid }) => {
      const resource = this.get(kind, uuid)
      if (resource === undefined) throw new Error(`the store has no ${kind} ${uuid} to delete`)
      return resource
    })
    const puts = commit.puts.map(write => {
      lastModified += 1
      const before = this.#byUuid.get(write.uuid)?.resource
      if (before !== undefined && before.kind !== write.kind) throw new Error(`${write.uuid} is a ${before.kind}, not a ${write.kind}`)
      const resource: StoredResource = {
        kind: write.kind,
        uuid: write.uuid,
        tenant: write.tenant,
        name: write.name,
        body: JSON.parse(JSON.stringify(write.body)) as JsonObject,
        createdRevision: before?.createdRevision ?? revision,
        revision,
        lastModified: String(lastModified)
      }
      return {
        resource: frozen(resource),
        references: write.references.map(({ pointer, toKind, toUuid }) => ({ pointer, toKind, toUuid }))
      }
    })
    this.#mustBeUnique(puts, deletes)
    return { revision, lastModified, puts, deletes }
  }

  /** Cannot fail: what could has been found by `stage`. */
  apply(staged: Staged): void {
    this.#remember(staged)
    for (const { uuid } of staged.deletes) {
      const found = this.#byUuid.get(uuid)
      if (found !== undefined) this.#forget(found)
    }
    // All old names leave before the new ones come, so that two resources may trade names in one commit.
    for (const { resource } of staged.puts) {
      const before = this.#byUuid.get(resource.uuid)
      if (before !== undefined) this.#forget(before)
    }
    for (const put of staged.puts) this.put(put)
  }

  #remember({ revision, puts, deletes }: Staged): void {
    const written = puts.map(({ resource: { kind, uuid, name } }) => {
      const before = this.#byUuid.get(uuid)?.resource.name
      return { kind, uuid, names: before === undefined || before === name ? [name] : [before, name] }
    })
    const resources = [...deletes.map(({ kind, uuid, name }) => ({ kind, uuid, names: [name] })), ...written]
    if (this.#touchedSince === Infinity) this.#touchedSince = revision - 1
    this.#touched.push({ revision, resources })
    this.#touchedCount += resources.length
    if (this.#touchedCount < 2 * TOUCHED_KEPT) return
    let count = 0
    const dropped = Math.max(
      this.#touched.findLastIndex(commit => (count += commit.resources.length) > TOUCHED_KEPT),
      1
    )
    this.#touchedSince = this.#touched[dropped - 1]!.revision
    this.#touched = this.#touched.slice(dropped)
    this.#touchedCount = this.#touched.reduce((sum, commit) => sum + commit.resources.length, 0)
  }

  #mustBeUnique(puts: readonly IndexedResource[], deletes: readonly StoredResource[]): void {
    const leaving = new Set([...puts.map(put => put.resource.uuid), ...deletes.map(resource => resource.uuid)])
    const taken = new Set<string>()
    for (const { resource } of puts) {
      const key = JSON.stringify([resource.kind, resource.tenant, resource.name])
      const holder = this.findByName(resource.kind, resource.tenant, resource.name)
      if (taken.has(key) || (holder !== undefined && !leaving.has(holder.uuid))) {
        throw new Error(`two of kind ${resource.kind} in one tenant would have one name`)
      }
      taken.add(key)
    }
  }

  #kind(kind: KindName): KindIndex {
    let index = this.#kinds.get(kind)
    if (index === undefined) this.#kinds.set(kind, (index = new KindIndex()))
    return index
  }

  #forget({ resource, references }: IndexedResource): void {
    this.#byUuid.delete(resource.uuid)
    this.#kind(resource.kind).remove(resource)
    for (const { toUuid } of references) this.#referrers.delete(toUuid, resource.uuid)
  }
}
