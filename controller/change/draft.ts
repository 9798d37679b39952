/** One document of an order on its way from what the client said to what will be stored. */
import { kinds, withoutReadOnly, withSecrets } from '#model/resource/catalogue.ts'
import type { Json, JsonObject, KindName } from '#model/resource/kind.ts'
import type { StoredResource } from '#controller/store/store.ts'
import { isObject } from './json.ts'
import type { ServerFields } from './order.ts'

/** How a secret is shown, and how one says that it stays as it is. */
export const SENSITIVE = '<sensitive>'

export interface Draft {
  /** Index of the last write that touched it. */
  readonly write: number
  readonly kind: KindName
  readonly uuid: string
  readonly tenant: string
  readonly name: string
  /** As it is stored now; undefined: it is new. */
  readonly before: StoredResource | undefined
  /** What an operator may write: secrets in plain words or `<sensitive>` where they stay. */
  readonly body: JsonObject
  /** What the controller says of it. */
  readonly server: JsonObject
}

interface PropertyLike {
  readonly readOnly?: boolean
}

const isServerField = (kind: KindName, name: string): boolean => {
  const { properties } = kinds[kind].schema
  return Object.hasOwn(properties, name) && (properties[name] as PropertyLike).readOnly === true
}

/** Fields that every answer carries and no stored document does. */
const served: ReadonlySet<string> = new Set(['uuid', 'url', '_last_modified'])

/** What the controller has said of a document so far, with what it says now. */
export function serverPart(kind: KindName, stored: JsonObject | undefined, fields: ServerFields = {}): JsonObject {
  const out: Record<string, Json> = {}
  for (const [name, value] of [...Object.entries(stored ?? {}), ...Object.entries(fields)]) {
    if (!isServerField(kind, name) || served.has(name)) continue
    if (value === null) delete out[name]
    else out[name] = value
  }
  return out
}

/** A stored document as its operator would send it again: secrets hidden, nothing of the controller's in it. */
export function operatorPart(kind: KindName, stored: JsonObject): JsonObject {
  return withoutReadOnly(
    kind,
    withSecrets(kind, stored, () => SENSITIVE)
  )
}

/** A body as it came, without what the server owns and without the tenant, which is kept beside it. */
export function takenPart(kind: KindName, body: JsonObject): JsonObject {
  const { tenant_ref: tenant, ...rest } = withoutReadOnly(kind, body)
  return tenant === undefined || kinds[kind].schema.properties['tenant_ref'] !== undefined ? rest : { tenant_ref: tenant, ...rest }
}

/** The name that a document is known by; kinds that do not ask for one get one. */
export function nameOf(kind: KindName, uuid: string, body: JsonObject): string {
  if (kinds[kind].scope === 'single') return 'default'
  const { name } = body
  return typeof name === 'string' && name !== '' ? name : uuid.slice(0, kind.length + 9)
}

/** The value at a JSON pointer. */
export function valueAt(body: Json | undefined, pointer: string): Json | undefined {
  let at: unknown = body
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    if (Array.isArray(at)) at = at[Number(name)] as unknown
    else at = isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined
  }
  return at as Json | undefined
}
