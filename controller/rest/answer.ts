/** A stored object as the API answers it: addressed, references as URLs, defaults added, secrets out of sight. */
import type { FastifyRequest } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import type { Json, JsonObject, KindName } from '#model/resource/kind.ts'
import { fillDefaults, mapReferences, mapSecrets } from '#model/resource/walk.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { SENSITIVE } from '#controller/change/draft.ts'
import type { View } from './query.ts'

/** Always answered, whatever `fields` says. */
const always: ReadonlySet<string> = new Set(['url', 'uuid', 'name'])

export const plainView: View = { isNameIncluded: false, isDefaultSkipped: false, isRuntimeJoined: false }

/** What an unset reference means: field -> name of the default object. */
const implied: ReadonlyMap<string, string> = new Map([
  ['application_profile_ref', 'System-HTTP'],
  ['network_profile_ref', 'System-TCP-Proxy'],
  ['analytics_profile_ref', 'System-Analytics-Profile'],
  ['se_group_ref', 'Default-Group'],
  ['cloud_ref', 'Default-Cloud']
])

/** The document with its defaults and with the references that it implies. */
function filled(store: Store, { kind, body }: StoredResource): JsonObject {
  const { schema } = kinds[kind]
  const references: Record<string, Json> = {}
  for (const [field, name] of implied) {
    const property = schema.properties[field] as { readonly 'x-ref'?: KindName } | undefined
    const toKind = property?.['x-ref']
    const target = toKind === undefined || body[field] !== undefined ? undefined : store.findByName(toKind, ADMIN_TENANT, name)
    if (target !== undefined) references[field] = target.uuid
  }
  return { ...fillDefaults(schema, body), ...references }
}

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
  const whole = view.isDefaultSkipped ? resource.body : filled(store, resource)
  const safe = mapSecrets(schema, whole, () => SENSITIVE)
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
export function readable(store: Store, resource: StoredResource): JsonObject {
  return {
    ...mapSecrets(kinds[resource.kind].schema, filled(store, resource), () => undefined),
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
