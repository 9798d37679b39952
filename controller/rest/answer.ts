/** A stored object as the API answers it: addressed, references as URLs, defaults added, secrets out of sight. */
import type { FastifyRequest } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import type { Json, JsonObject } from '#model/resource/kind.ts'
import { fillDefaults, mapReferences, mapSecrets } from '#model/resource/walk.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import type { View } from './query.ts'

export const SENSITIVE = '<sensitive>'
/** Always answered, whatever `fields` says. */
const always: ReadonlySet<string> = new Set(['url', 'uuid', 'name'])

export const plainView: View = { isNameIncluded: false, isDefaultSkipped: false, isRuntimeJoined: false }

/** Scheme, host and port as the client knows them. */
export function baseOf(request: FastifyRequest): string {
  const { host } = request
  return /^[\w.:[\]-]{1,255}$/.test(host) ? `${request.protocol}://${host}` : `${request.protocol}://localhost`
}

export const etagOf = (resource: StoredResource): string => `"${resource.lastModified}"`

/**
 * Shows an object. The stored document itself is never changed.
 *
 * Returns url, uuid, name, tenant_ref and _last_modified beside the operator's own fields
 */
export function toAnswer(store: Store, resource: StoredResource, view: View, base: string): Record<string, Json> {
  const { schema } = kinds[resource.kind]
  const urlOf = (kind: string, uuid: string, name: string | undefined): string =>
    `${base}/api/${kind}/${encodeURIComponent(uuid)}${view.isNameIncluded && name !== undefined ? `#${name}` : ''}`
  const filled = view.isDefaultSkipped ? resource.body : fillDefaults(schema, resource.body)
  const safe = mapSecrets(schema, filled, () => SENSITIVE)
  const body = mapReferences(schema, safe, ({ toKind, value }) => {
    const target = store.get(toKind, value)
    // A default may name what it means instead of holding a uuid.
    return target === undefined && value.startsWith('/api/') ? `${base}${value}` : urlOf(toKind, value, target?.name)
  })
  const answer: Record<string, Json> = {
    ...body,
    url: urlOf(resource.kind, resource.uuid, resource.name),
    uuid: resource.uuid,
    name: resource.name,
    ...(Object.hasOwn(schema.properties, 'tenant_ref')
      ? { tenant_ref: urlOf('tenant', resource.tenant, store.get('tenant', resource.tenant)?.name) }
      : {}),
    _last_modified: resource.lastModified
  }
  return trim(answer, view)
}

function trim(answer: Record<string, Json>, { fields, exclude }: View): Record<string, Json> {
  if (fields === undefined && exclude === undefined) return answer
  return Object.fromEntries(
    Object.entries(answer).filter(([name]) => always.has(name) || ((fields?.has(name) ?? true) && !(exclude?.has(name) ?? false)))
  )
}

/** What a document says, read with its defaults and without its secrets: for filters, searches and sorting. */
export function readable(resource: StoredResource): JsonObject {
  const { schema } = kinds[resource.kind]
  return {
    ...mapSecrets(schema, fillDefaults(schema, resource.body), () => undefined),
    uuid: resource.uuid,
    name: resource.name,
    tenant_ref: resource.tenant,
    _last_modified: resource.lastModified
  }
}

/** The same list, one page on. */
export function nextPage(request: FastifyRequest, page: number): string {
  const url = new URL(request.url, baseOf(request))
  url.searchParams.set('page', String(page))
  return url.toString()
}
