/** The queries of lists and of single objects: read once, strictly; what is not understood is refused in words. */
import type { Json, JsonObject, KindDefinition, KindName } from '#model/resource/kind.ts'
import { kindNames } from '#model/resource/kind.ts'
import { badQuery } from './problem.ts'

export const PAGE_SIZE_DEFAULT = 25
export const PAGE_SIZE_MAX = 200
/** Values in one `.in` list, fields in one `fields` list. */
const LIST_MAX = 500

export type RawQuery = Readonly<Record<string, string | readonly string[] | undefined>>

/** A query parameter as it is documented and checked. */
export interface QueryParameter {
  readonly name: string
  readonly description: string
  readonly schema: JsonObject
}

/** What of an object is shown. */
export interface View {
  readonly fields?: ReadonlySet<string>
  readonly exclude?: ReadonlySet<string>
  readonly isNameIncluded: boolean
  readonly isDefaultSkipped: boolean
  readonly isRuntimeJoined: boolean
}

export type Comparison = 'is' | 'contains' | 'icontains' | 'in'

export interface Filter {
  /** Names from the top of the document: `['cloud_ref']`; the last may be of a referenced object. */
  readonly field: string
  /** `name` or `uuid` of what the field refers to; undefined: the field itself. */
  readonly of?: 'name' | 'uuid'
  readonly comparison: Comparison
  readonly values: readonly string[]
}

export interface ListQuery {
  readonly view: View
  readonly filters: readonly Filter[]
  /** Text that some string in the object, or the one field, must contain. */
  readonly searches: readonly { readonly field?: string; readonly text: string; readonly isCaseIgnored: boolean }[]
  readonly refersTo?: { readonly kind: KindName; readonly uuid: string }
  readonly referredBy?: { readonly kind: KindName; readonly uuid: string }
  readonly sort: readonly { readonly field: string; readonly isDescending: boolean }[]
  readonly page: number
  readonly pageSize: number
}

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const

export const viewParameters: readonly QueryParameter[] = [
  { name: 'fields', description: 'Comma-separated fields to answer; url, uuid and name always are.', schema: text },
  { name: 'exclude', description: 'Comma-separated fields to leave out.', schema: text },
  { name: 'include_name', description: 'References end in #name.', schema: flag },
  { name: 'skip_default', description: 'What was not written is left out.', schema: flag },
  {
    name: 'join_subresources',
    description: 'runtime: adds the state that GET .../runtime answers.',
    schema: { type: 'string', enum: ['runtime'] }
  }
]

export const listParameters: readonly QueryParameter[] = [
  ...viewParameters,
  { name: 'name', description: 'Exact name.', schema: text },
  { name: 'name.contains', description: 'Part of the name.', schema: text },
  { name: 'name.icontains', description: 'Part of the name, whatever the case.', schema: text },
  { name: 'name.in', description: 'Comma-separated names.', schema: text },
  { name: 'uuid', description: 'Exact uuid.', schema: text },
  { name: 'uuid.in', description: 'Comma-separated uuids.', schema: text },
  { name: 'search', description: 'Text in any field, or (field,text).', schema: text },
  { name: 'isearch', description: 'As search, whatever the case.', schema: text },
  { name: 'refers_to', description: '<kind>:<uuid> that is referred to.', schema: text },
  { name: 'referred_by', description: '<kind>:<uuid> that refers to it.', schema: text },
  { name: 'cloud_ref.name', description: 'Name of the cloud; any reference of the kind may be asked for so.', schema: text },
  { name: 'sort', description: 'Field to sort by; -field descending. Default: name.', schema: text },
  { name: 'page', description: 'From 1 on.', schema: { type: 'integer', minimum: 1, default: 1 } },
  {
    name: 'page_size',
    description: 'Objects a page.',
    schema: { type: 'integer', minimum: 1, maximum: PAGE_SIZE_MAX, default: PAGE_SIZE_DEFAULT }
  }
]

/** Sent by Avi's tools, without meaning here. */
const ignored: ReadonlySet<string> = new Set([
  'include_refs',
  'include',
  'context_aware',
  'keep_alive',
  'export_key',
  'step',
  'limit',
  'limit_by'
])
const stored: ReadonlySet<string> = new Set(['name', 'uuid', 'url', '_last_modified', 'tenant_ref'])

/** The one value of a parameter; undefined when it was not sent. */
export function one(query: RawQuery, name: string): string | undefined {
  const value = query[name]
  if (value === undefined || typeof value === 'string') return value
  throw badQuery(name, 'must be given once')
}

/** A flag; without a value it is true. */
export function flagOf(query: RawQuery, name: string): boolean {
  const value = one(query, name)?.toLowerCase()
  if (value === undefined || value === 'false' || value === '0') return false
  if (value === '' || value === 'true' || value === '1') return true
  throw badQuery(name, 'must be true or false')
}

export function integerOf(
  query: RawQuery,
  name: string,
  bounds: { readonly min: number; readonly max: number; readonly otherwise: number }
): number {
  const value = one(query, name)
  if (value === undefined) return bounds.otherwise
  const number = /^-?\d{1,15}$/.test(value) ? Number(value) : Number.NaN
  if (!(number >= bounds.min && number <= bounds.max)) throw badQuery(name, `must be an integer from ${bounds.min} to ${bounds.max}`)
  return number
}

function listOf(name: string, value: string): readonly string[] {
  const values = value
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')
  if (values.length > LIST_MAX) throw badQuery(name, `must name at most ${LIST_MAX}`)
  return values
}

function fieldsOf(query: RawQuery, name: string, definition: KindDefinition): ReadonlySet<string> | undefined {
  const value = one(query, name)
  if (value === undefined) return undefined
  const fields = listOf(name, value)
  for (const field of fields) if (!hasField(definition, field)) throw badQuery(name, `${definition.kind} has no field ${quoted(field)}`)
  return new Set(fields)
}

const hasField = (definition: KindDefinition, field: string): boolean =>
  stored.has(field) || Object.hasOwn(definition.schema.properties, field)
const quoted = (value: string): string => `'${value.slice(0, 64)}'`

/** Reads what of an object shall be shown. Throws Problem 400. */
export function parseView(query: RawQuery, definition: KindDefinition): View {
  const join = one(query, 'join_subresources')
  if (join !== undefined && listOf('join_subresources', join).some(item => item !== 'runtime'))
    throw badQuery('join_subresources', 'must be runtime')
  const fields = fieldsOf(query, 'fields', definition)
  const exclude = fieldsOf(query, 'exclude', definition)
  return {
    ...(fields === undefined ? {} : { fields }),
    ...(exclude === undefined ? {} : { exclude }),
    isNameIncluded: flagOf(query, 'include_name'),
    isDefaultSkipped: flagOf(query, 'skip_default'),
    isRuntimeJoined: join !== undefined
  }
}

function kindAndUuid(query: RawQuery, name: string): { kind: KindName; uuid: string } | undefined {
  const value = one(query, name)
  if (value === undefined) return undefined
  const colon = value.indexOf(':')
  const kind = kindNames.find(known => known === value.slice(0, colon))
  const uuid = value.slice(colon + 1)
  if (kind === undefined || uuid === '') throw badQuery(name, 'must be <kind>:<uuid>')
  return { kind, uuid }
}

function parseSearch(name: 'search' | 'isearch', value: string, definition: KindDefinition): ListQuery['searches'][number] {
  const isCaseIgnored = name === 'isearch'
  const pair = /^\(([\w.]+),(.*)\)$/s.exec(value)
  if (pair === null) return { text: value, isCaseIgnored }
  const field = pair[1]!
  if (!hasField(definition, field)) throw badQuery(name, `${definition.kind} has no field ${quoted(field)}`)
  return { field, text: pair[2]!, isCaseIgnored }
}

function parseFilter(name: string, value: string, definition: KindDefinition): Filter {
  const [field = '', ...rest] = name.split('.')
  if (!hasField(definition, field)) throw badQuery(name.slice(0, 64), 'unknown query')
  const isReference = /_refs?$/.test(field)
  const of = isReference && (rest[0] === 'name' || rest[0] === 'uuid') ? rest.shift() : undefined
  const comparison = rest.length === 0 ? 'is' : rest[0]
  if (rest.length > 1 || !(comparison === 'is' || comparison === 'contains' || comparison === 'icontains' || comparison === 'in'))
    throw badQuery(name.slice(0, 64), 'unknown query')
  return {
    field,
    ...(of === undefined ? {} : { of: of as 'name' | 'uuid' }),
    comparison,
    values: comparison === 'in' ? listOf(name, value) : [value]
  }
}

/** Reads the queries of a list. Throws Problem 400 that names the query and what it must be. */
export function parseList(query: RawQuery, definition: KindDefinition): ListQuery {
  const known = new Set(listParameters.map(parameter => parameter.name))
  const filters: Filter[] = []
  const searches: ListQuery['searches'][number][] = []
  for (const name of Object.keys(query)) {
    const value = one(query, name) ?? ''
    if (name === 'search' || name === 'isearch') searches.push(parseSearch(name, value, definition))
    else if (/^(?:name|uuid)(?:\.|$)/.test(name) || (!known.has(name) && !ignored.has(name)) || name === 'cloud_ref.name')
      filters.push(parseFilter(name, value, definition))
  }
  const refersTo = kindAndUuid(query, 'refers_to')
  const referredBy = kindAndUuid(query, 'referred_by')
  const sort = listOf('sort', one(query, 'sort') ?? 'name').map(item => {
    const field = item.replace(/^-/, '')
    if (!hasField(definition, field)) throw badQuery('sort', `${definition.kind} has no field ${quoted(field)}`)
    return { field, isDescending: item.startsWith('-') }
  })
  return {
    view: parseView(query, definition),
    filters,
    searches,
    ...(refersTo === undefined ? {} : { refersTo }),
    ...(referredBy === undefined ? {} : { referredBy }),
    sort,
    page: integerOf(query, 'page', { min: 1, max: 1_000_000_000, otherwise: 1 }),
    pageSize: integerOf(query, 'page_size', { min: 1, max: PAGE_SIZE_MAX, otherwise: PAGE_SIZE_DEFAULT })
  }
}

/** A single object's queries; anything that is not about the view is refused, save `allowed`. */
export function checkNames(query: RawQuery, parameters: readonly QueryParameter[]): void {
  for (const name of Object.keys(query))
    if (!ignored.has(name) && !parameters.some(parameter => parameter.name === name)) throw badQuery(name.slice(0, 64), 'unknown query')
}

/** Does a value, as it was written, satisfy a comparison? Numbers and booleans compare by their JSON text. */
export function satisfies(value: Json | undefined, comparison: Comparison, wanted: readonly string[]): boolean {
  if (Array.isArray(value)) return (value as readonly Json[]).some(item => satisfies(item, comparison, wanted))
  if (value === undefined || value === null || typeof value === 'object') return false
  const text = String(value)
  if (comparison === 'contains') return text.includes(wanted[0]!)
  if (comparison === 'icontains') return text.toLowerCase().includes(wanted[0]!.toLowerCase())
  const isBoolean = typeof value === 'boolean'
  return wanted.some(item => (isBoolean ? item.toLowerCase() : item) === text)
}

/** Is `text` in some string of the value? */
export function mentions(value: Json | undefined, text: string, isCaseIgnored: boolean): boolean {
  const wanted = isCaseIgnored ? text.toLowerCase() : text
  const visit = (item: Json | undefined): boolean => {
    if (typeof item === 'string') return (isCaseIgnored ? item.toLowerCase() : item).includes(wanted)
    if (typeof item === 'number') return String(item).includes(wanted)
    if (typeof item !== 'object' || item === null) return false
    return Object.values(item).some(visit)
  }
  return visit(value)
}

/** Orders values of one field: absent first, numbers by size, text by code point. */
export function compareValues(a: Json | undefined, b: Json | undefined): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  const left = a === undefined || a === null ? '' : typeof a === 'object' ? JSON.stringify(a) : String(a)
  const right = b === undefined || b === null ? '' : typeof b === 'object' ? JSON.stringify(b) : String(b)
  return left < right ? -1 : left > right ? 1 : 0
}
