/** What compile reads, and a reader that remembers what was read: a part is made anew only when that changed. */
import { filled } from '#model/resource/catalogue.ts'
import type { FilledKind } from '#model/resource/catalogue.ts'
import type { JsonObject, KindName } from '#model/resource/kind.ts'

/** A stored resource, as far as compile cares. */
export interface Resource {
  readonly uuid: string
  /** Uuid of its tenant. */
  readonly tenant: string
  readonly name: string
  readonly body: JsonObject
  /** Revision that wrote it last. */
  readonly revision: number
}

export interface Resources {
  readonly get: (kind: KindName, uuid: string) => Resource | undefined
  /** A default object by its name: the one of tenant `admin`. */
  readonly system: (kind: KindName, name: string) => Resource | undefined
}

export interface Read<K extends KindName> {
  readonly uuid: string
  readonly name: string
  readonly tenant: string
  /** Defaults filled in. */
  readonly body: FilledKind[K]
  /** As it is stored. */
  readonly raw: JsonObject
}

/** One thing that was looked up; revision -1: it was not there. */
export interface Dependency {
  readonly kind: KindName
  /** A uuid, or the name of a default object. */
  readonly key: string
  readonly isSystem: boolean
  readonly revision: number
}

/** Says why something cannot be built; ends the part that needs it. */
export class CannotBuild extends Error {
  override readonly name = 'CannotBuild'
}

const lookUp = (resources: Resources, kind: KindName, key: string, isSystem: boolean): Resource | undefined =>
  isSystem ? resources.system(kind, key) : resources.get(kind, key)

export function isUnchanged(resources: Resources, dependencies: readonly Dependency[]): boolean {
  return dependencies.every(({ kind, key, isSystem, revision }) => (lookUp(resources, kind, key, isSystem)?.revision ?? -1) === revision)
}

export interface Secrets {
  readonly openSecret: (sealed: string) => string
  readonly deriveSecret: (purpose: string) => string
}

export class Reader {
  readonly #resources: Resources
  readonly #seen = new Map<string, Dependency>()
  /** Parts that this one points to. */
  readonly poolIds = new Set<string>()
  /** Of these, those whose servers are to be spoken to in HTTP/2, whatever the pool says. */
  readonly http2PoolIds = new Set<string>()
  readonly certificateIds = new Set<string>()

  /** A secret of 32 bytes in base64, always the same for a purpose. */
  readonly deriveSecret: (purpose: string) => string
  readonly #openSecret: (sealed: string) => string

  constructor(resources: Resources, secrets: Secrets) {
    this.#resources = resources
    this.#openSecret = secrets.openSecret
    this.deriveSecret = secrets.deriveSecret
  }

  /** Opens what the store keeps sealed. */
  openSecret(sealed: string): string {
    try {
      return this.#openSecret(sealed)
    } catch (error) {
      throw new CannotBuild('a secret cannot be opened', { cause: error })
    }
  }

  get dependencies(): readonly Dependency[] {
    return [...this.#seen.values()]
  }

  #look<K extends KindName>(kind: K, key: string, isSystem: boolean): Read<K> | undefined {
    const found = lookUp(this.#resources, kind, key, isSystem)
    this.#seen.set(`${kind} ${key}`, { kind, key, isSystem, revision: found?.revision ?? -1 })
    return found === undefined
      ? undefined
      : { uuid: found.uuid, name: found.name, tenant: found.tenant, body: filled(kind, found.body), raw: found.body }
  }

  find<K extends KindName>(kind: K, uuid: string): Read<K> | undefined {
    return this.#look(kind, uuid, false)
  }

  /** What a reference means; a dangling one cannot be built. */
  need<K extends KindName>(kind: K, uuid: string): Read<K> {
    const found = this.find(kind, uuid)
    if (found === undefined) throw new CannotBuild(`${kind} ${uuid} is not there`)
    return found
  }

  /** What a reference means; left out, the default object; without that one either, undefined. */
  orSystem<K extends KindName>(kind: K, uuid: string | undefined, name: string): Read<K> | undefined {
    return uuid === undefined ? this.#look(kind, name, true) : this.need(kind, uuid)
  }

  poolPart(uuid: string, isHttp2 = false): string {
    this.need('pool', uuid)
    this.poolIds.add(uuid)
    if (isHttp2) this.http2PoolIds.add(uuid)
    return uuid
  }

  certificatePart(uuid: string): string {
    this.need('sslkeyandcertificate', uuid)
    this.certificateIds.add(uuid)
    return uuid
  }
}
