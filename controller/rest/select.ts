/** Which objects a list's queries mean. */
import { kinds } from '#model/resource/catalogue.ts'
import type { Json, KindDefinition, KindName } from '#model/resource/kind.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { fieldOf, searchable } from './answer.ts'
import { compareValues, mentions, satisfies } from './query.ts'
import type { Filter, ListQuery } from './query.ts'

/**
 * The objects of a list that satisfy its queries, in their order.
 *
 * Cost  O(n) for filters, O(n log n) when sorted by anything but name
 */
export function selectResources(store: Store, resources: readonly StoredResource[], query: ListQuery): readonly StoredResource[] {
  const related = relatedTo(store, query)
  const found = resources.filter(
    resource =>
      (related === undefined || related.has(resource.uuid)) &&
      query.filters.every(filter => passes(store, resource, filter)) &&
      query.searches.every(({ field, text, isCaseIgnored }) =>
        mentions(field === undefined ? searchable(resource) : fieldOf(store, resource, field), text, isCaseIgnored)
      )
  )
  if (query.sort.length === 1 && query.sort[0]!.field === 'name') return query.sort[0]!.isDescending ? found.toReversed() : found
  const keyed = found.map(resource => ({ resource, keys: query.sort.map(({ field }) => fieldOf(store, resource, field)) }))
  keyed.sort((a, b) => {
    for (const [index, { isDescending }] of query.sort.entries()) {
      const order = compareValues(a.keys[index], b.keys[index])
      if (order !== 0) return isDescending ? -order : order
    }
    return 0
  })
  return keyed.map(({ resource }) => resource)
}

function relatedTo(store: Store, { refersTo, referredBy }: ListQuery): ReadonlySet<string> | undefined {
  const from = refersTo === undefined ? undefined : new Set(store.referrersOf(refersTo.uuid).map(reference => reference.fromUuid))
  const to = referredBy === undefined ? undefined : new Set(store.referencesOf(referredBy.uuid).map(reference => reference.toUuid))
  return from === undefined ? to : to === undefined ? from : from.intersection(to)
}

function passes(store: Store, resource: StoredResource, { field, of, comparison, values }: Filter): boolean {
  const value = fieldOf(store, resource, field)
  if (of !== 'name') return satisfies(referenceIn(value), comparison, values.map(bareUuid))
  const toKind = field === 'tenant_ref' ? 'tenant' : referredKind(kinds[resource.kind], field)
  const uuids = Array.isArray(value) ? (value as readonly Json[]) : [value]
  return uuids.some(uuid => typeof uuid === 'string' && toKind !== undefined && satisfies(nameOf(store, toKind, uuid), comparison, values))
}

/** References are stored as uuids; a query may spell them as URLs. */
export const bareUuid = (value: string): string => /\/api\/\w+\/([\w.-]+)(?:#.*)?$/.exec(value)?.[1] ?? value
const referenceIn = (value: Json | undefined): Json | undefined => (typeof value === 'string' ? bareUuid(value) : value)

function nameOf(store: Store, kind: KindName, reference: string): string | undefined {
  const byName = /^\/api\/\w+\/?\?name=(.+)$/.exec(reference)?.[1]
  return byName === undefined ? store.get(kind, reference)?.name : decodeURIComponent(byName)
}

function referredKind(definition: KindDefinition, field: string): KindName | undefined {
  const property = definition.schema.properties[field] as
    | { readonly 'x-ref'?: KindName; readonly items?: { readonly 'x-ref'?: KindName } }
    | undefined
  return property?.['x-ref'] ?? property?.items?.['x-ref']
}
