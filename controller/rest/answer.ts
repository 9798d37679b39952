/** A stored object as the API answers it: addressed, references as URLs, defaults added, secrets out of sight. */
import type { FastifyRequest } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import type { Json, JsonObject, KindName } from '#model/resource/kind.ts'
import { fillDefaults, mapReferences, mapSecrets } from '#model/resource/walk.ts'
import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { withCertificateFacts } from '#controller/pki/certificate.ts'
import { STAPLE_TABLE, type StapleRow } from '#controller/pki/stapling.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { SENSITIVE } from '#controller/change/draft.ts'
import { parseReference } from '#controller/change/reference.ts'
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
  for (const field of implied.keys()) {
    const uuid =
      body[field] === undefined ? impliedReference(store, field, schema.properties[field] as PropertyNode | undefined) : undefined
    if (uuid !== undefined) references[field] = uuid
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
  const staple = resource.kind === 'sslkeyandcertificate' ? store.table<StapleRow>(STAPLE_TABLE).get(resource.uuid) : undefined
  const safe = mapSecrets(schema, withCertificateFacts(resource.kind, whole, Date.now(), staple), () => SENSITIVE)
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

interface PropertyNode {
  readonly default?: Json
  readonly 'x-ref'?: KindName
  readonly 'x-secret'?: boolean
  readonly 'x-unsupported'?: boolean
}

/** The uuid of what an unset reference means. */
function impliedReference(store: Store, field: string, property: PropertyNode | undefined): string | undefined {
  const name = implied.get(field)
  const toKind = property?.['x-ref']
  return name === undefined || toKind === undefined ? undefined : store.findByName(toKind, ADMIN_TENANT, name)?.uuid
}

/** A document that comes back as GET gave it, without the references that GET added: to take them in would be a change. */
export function withoutImplied(store: Store, { kind, body: before }: StoredResource, body: JsonObject): JsonObject {
  const { schema } = kinds[kind]
  const isImplied = (field: string, value: Json): boolean => {
    if (!implied.has(field) || before[field] !== undefined || typeof value !== 'string') return false
    const spelled = parseReference(value)
    return spelled.is === 'uuid' && spelled.uuid === impliedReference(store, field, schema.properties[field] as PropertyNode | undefined)
  }
  return Object.fromEntries(Object.entries(body).filter(([field, value]) => !isImplied(field, value)))
}

/**
 * One field as filters and sorting see it: with its default, without secrets, references as uuids.
 *
 * Cost  that of the field, not of the document
 */
export function fieldOf(store: Store, resource: StoredResource, field: string): Json | undefined {
  if (field === 'name' || field === 'uuid') return resource[field]
  if (field === 'tenant_ref') return resource.tenant
  if (field === '_last_modified') return resource.lastModified
  const { schema } = kinds[resource.kind]
  const property = schema.properties[field] as PropertyNode | undefined
  if (property === undefined || property['x-secret'] === true) return undefined
  const value = resource.body[field]
  if (value === undefined)
    return property['x-unsupported'] === true ? undefined : (property.default ?? impliedReference(store, field, property))
  return typeof value === 'object' ? mapSecrets(schema, { [field]: value }, () => undefined)[field] : value
}

/** What was written, without its secrets: for searches. */
export const searchable = ({ kind, uuid, body }: StoredResource): JsonObject => ({
  ...mapSecrets(kinds[kind].schema, body, () => undefined),
  uuid
})

/** The same list, one page on. */
export function nextPage(request: FastifyRequest, page: number): string {
  const url = new URL(request.url, baseOf(request))
  url.searchParams.set('page', String(page))
  return url.toString()
}
