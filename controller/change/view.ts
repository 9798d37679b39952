/** The store as it would be after the writes so far: what later writes of an order and all checks look at. */
import type { KindName } from '#model/resource/kind.ts'
import type { Reference, Store, StoredResource } from '#controller/store/store.ts'
import type { Listening } from './listening.ts'

type Outgoing = Pick<Reference, 'pointer' | 'toKind' | 'toUuid'>

export class View implements Pick<Store, 'get' | 'list' | 'findByName'> {
  readonly #store: Store
  /** `undefined`: deleted. */
  readonly #byUuid = new Map<string, StoredResource | undefined>()
  readonly #references = new Map<string, readonly Outgoing[]>()
  readonly #lists = new Map<KindName, readonly StoredResource[]>()

  constructor(store: Store) {
    this.#store = store
  }

  get = (kind: KindName, uuid: string): StoredResource | undefined => {
    if (!this.#byUuid.has(uuid)) return this.#store.get(kind, uuid)
    const resource = this.#byUuid.get(uuid)
    return resource?.kind === kind ? resource : undefined
  }

  /** Another one of the same name; names are unique in a tenant among one kind. */
  namesakeOf({ kind, tenant, name, uuid }: StoredResource): StoredResource | undefined {
    for (const resource of this.#byUuid.values()) {
      if (resource?.kind === kind && resource.tenant === tenant && resource.name === name && resource.uuid !== uuid) return resource
    }
    const stored = this.#store.findByName(kind, tenant, name)
    return stored === undefined || this.#byUuid.has(stored.uuid) ? undefined : stored
  }

  findByName = (kind: KindName, tenant: string, name: string): StoredResource | undefined => {
    for (const resource of this.#byUuid.values()) {
      if (resource?.kind === kind && resource.tenant === tenant && resource.name === name) return resource
    }
    const stored = this.#store.findByName(kind, tenant, name)
    return stored === undefined || this.#byUuid.has(stored.uuid) ? undefined : stored
  }

  list = (kind: KindName, tenant?: string): readonly StoredResource[] => {
    let all = this.#lists.get(kind)
    if (all === undefined) {
      const written = [...this.#byUuid.values()].filter(resource => resource?.kind === kind) as StoredResource[]
      all = [...this.#store.list(kind).filter(resource => !this.#byUuid.has(resource.uuid)), ...written]
      this.#lists.set(kind, all)
    }
    return tenant === undefined ? all : all.filter(resource => resource.tenant === tenant)
  }

  put(resource: StoredResource): void {
    this.#byUuid.set(resource.uuid, resource)
    this.#lists.delete(resource.kind)
  }

  remove(resource: StoredResource): void {
    this.#byUuid.set(resource.uuid, undefined)
    this.#references.set(resource.uuid, [])
    this.#lists.delete(resource.kind)
  }

  setReferences(uuid: string, references: readonly Outgoing[]): void {
    this.#references.set(uuid, references)
  }

  /** Virtual services that may listen there: the stored ones, and all that this order writes or gives other addresses. */
  listening(where: Parameters<Listening['at']>[0], stored: Listening): readonly StoredResource[] {
    const uuids = new Set(stored.at(where))
    for (const [uuid, resource] of this.#byUuid) {
      if (resource?.kind === 'virtualservice') uuids.add(uuid)
      else if (resource?.kind === 'vsvip') for (const { from } of this.referrersOf(uuid)) uuids.add(from.uuid)
    }
    return [...uuids].flatMap(uuid => this.get('virtualservice', uuid) ?? [])
  }

  /** Who would refer to it. */
  referrersOf(uuid: string): readonly { readonly from: StoredResource; readonly pointer: string }[] {
    const found: { readonly from: StoredResource; readonly pointer: string }[] = []
    for (const reference of this.#store.referrersOf(uuid)) {
      const from = this.#references.has(reference.fromUuid) ? undefined : this.get(reference.fromKind, reference.fromUuid)
      if (from !== undefined) found.push({ from, pointer: reference.pointer })
    }
    for (const [fromUuid, references] of this.#references) {
      const from = this.#byUuid.get(fromUuid)
      if (from === undefined) continue
      for (const reference of references) if (reference.toUuid === uuid) found.push({ from, pointer: reference.pointer })
    }
    return found.filter(({ from }) => from.uuid !== uuid)
  }
}
