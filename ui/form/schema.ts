/** From a kind's JSON Schema to the fields of a form. Nothing here knows a kind by name. */
import type { Json, JsonObject } from '#model/resource/kind.ts'

export type Shape =
  | { readonly is: 'text'; readonly isSecret: boolean; readonly isLong: boolean }
  | { readonly is: 'number'; readonly min: number | undefined; readonly max: number | undefined; readonly isWhole: boolean }
  | { readonly is: 'toggle' }
  | { readonly is: 'choice'; readonly options: readonly { readonly value: string; readonly label: string }[] }
  | { readonly is: 'reference'; readonly kind: string }
  | { readonly is: 'references'; readonly kind: string }
  | { readonly is: 'words' }
  | { readonly is: 'numbers' }
  /** An address with its family: one text, the family follows from it. */
  | { readonly is: 'address'; readonly allowsName: boolean }
  /** Names of the operator's own, each with a text. */
  | { readonly is: 'labels' }
  | { readonly is: 'group'; readonly fields: readonly Field[] }
  | { readonly is: 'list'; readonly item: Shape; readonly blank: Json }
  | { readonly is: 'json' }

export interface Field {
  readonly name: string
  readonly label: string
  readonly description: string
  readonly isRequired: boolean
  readonly isFirst: boolean
  readonly fallback: Json | undefined
  readonly unit: string | undefined
  /** `0: unlimited`. */
  readonly special: string | undefined
  readonly shape: Shape
}

type Schema = Readonly<Record<string, unknown>>
const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null && !Array.isArray(value)
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)

/** Texts longer than this get more than one line. */
const LONG_TEXT = 2_048
/** A document nests no deeper by hand; below it is JSON. */
const DEEPEST = 6

const acronyms = new Set([
  'ip',
  'ip6',
  'lb',
  'ssl',
  'tls',
  'sni',
  'http',
  'http2',
  'https',
  'tcp',
  'udp',
  'dns',
  'url',
  'uri',
  'cpu',
  'vip',
  'se',
  'vs',
  'hdr',
  'xff',
  'hsts',
  'ca',
  'crl',
  'rtt',
  'mss',
  'id',
  'uuid',
  'pki',
  'ttl'
])

/** `lb_algorithm_hash` -> `LB algorithm hash`; `_ref` and `_refs` are left out. */
export function labelOf(name: string): string {
  const words = name
    .replace(/_ref$/u, '')
    .replace(/_refs$/u, 's')
    .split('_')
    .filter(word => word !== '')
  return words
    .map(word => (word === 'vsvip' ? 'VS VIP' : word))
    .map((word, at) => (acronyms.has(word) ? word.toUpperCase() : at === 0 ? word.charAt(0).toUpperCase() + word.slice(1) : word))
    .join(' ')
}

/** The words that all values begin with, whole words only: they say nothing in a list of choices. */
function commonPrefix(values: readonly string[]): string {
  const first = values[0]
  if (first === undefined || values.length < 2) return ''
  const words = first.split('_')
  let prefix = ''
  for (const word of words.slice(0, -1)) {
    const longer = `${prefix}${word}_`
    if (!values.every(value => value.startsWith(longer))) break
    prefix = longer
  }
  return prefix
}

/** `LB_ALGORITHM_ROUND_ROBIN` among its like -> `Round robin`. */
export function choiceLabels(values: readonly string[]): readonly { readonly value: string; readonly label: string }[] {
  const prefix = commonPrefix(values)
  return values.map(value => {
    const rest = value.slice(prefix.length)
    const isShort = /^[A-Z0-9]{1,4}$/u.test(rest)
    const words = rest.toLowerCase().replaceAll('_', ' ')
    return { value, label: isShort ? rest : words.charAt(0).toUpperCase() + words.slice(1) }
  })
}

function isAddress(properties: Schema): boolean {
  const names = Object.keys(properties)
  return names.length === 2 && names.includes('addr') && names.includes('type')
}

function shapeOfList(schema: Schema, depth: number): Shape {
  const items = isSchema(schema['items']) ? schema['items'] : {}
  if (typeof items['x-ref'] === 'string') return { is: 'references', kind: items['x-ref'] }
  const item = shapeOf(items, depth + 1)
  if (item.is === 'text' && !item.isLong && !item.isSecret) return { is: 'words' }
  if (item.is === 'number') return { is: 'numbers' }
  if (item.is === 'choice') return { is: 'words' }
  if (item.is === 'json') return { is: 'json' }
  return { is: 'list', item, blank: blankOf(item) }
}

function shapeOfObject(schema: Schema, depth: number): Shape {
  const { properties } = schema
  if (!isSchema(properties)) return isSchema(schema['additionalProperties']) ? { is: 'labels' } : { is: 'json' }
  if (isAddress(properties)) {
    const types = isSchema(properties['type']) ? properties['type']['enum'] : undefined
    return { is: 'address', allowsName: Array.isArray(types) && types.includes('DNS') }
  }
  if (depth > DEEPEST) return { is: 'json' }
  return { is: 'group', fields: fieldsOf(schema, depth + 1) }
}

function shapeOf(schema: Schema, depth: number): Shape {
  if (typeof schema['x-ref'] === 'string') return { is: 'reference', kind: schema['x-ref'] }
  if (Array.isArray(schema['enum'])) {
    const refused = Array.isArray(schema['x-unsupported-values']) ? schema['x-unsupported-values'] : []
    return { is: 'choice', options: choiceLabels(schema['enum'].filter(value => !refused.includes(value)).map(String)) }
  }
  switch (schema['type']) {
    case 'string': {
      const isSecret = schema['x-secret'] === true
      return { is: 'text', isSecret, isLong: (numberOf(schema['maxLength']) ?? 0) > LONG_TEXT }
    }
    case 'integer':
    case 'number':
      return { is: 'number', min: numberOf(schema['minimum']), max: numberOf(schema['maximum']), isWhole: schema['type'] === 'integer' }
    case 'boolean':
      return { is: 'toggle' }
    case 'array':
      return shapeOfList(schema, depth)
    case 'object':
      return shapeOfObject(schema, depth)
    default:
      return { is: 'json' }
  }
}

/** What a new element of a list starts as. */
function blankOf(shape: Shape): Json {
  if (shape.is === 'address') return { addr: '', type: 'V4' }
  if (shape.is !== 'group') return shape.is === 'text' ? '' : {}
  const blank: Record<string, Json> = {}
  for (const field of shape.fields) if (field.isRequired) blank[field.name] = field.fallback ?? requiredBlank(field.shape)
  return blank
}

function requiredBlank(shape: Shape): Json {
  switch (shape.is) {
    case 'choice':
      return shape.options[0]?.value ?? ''
    case 'number':
      return shape.min ?? 0
    case 'toggle':
      return false
    case 'list':
    case 'words':
    case 'numbers':
    case 'references':
      return []
    case 'address':
    case 'group':
      return blankOf(shape)
    default:
      return ''
  }
}

function specialOf(value: unknown): string | undefined {
  if (!isSchema(value)) return undefined
  return Object.entries(value)
    .map(([number, meaning]) => `${number}: ${String(meaning)}`)
    .join(', ')
}

/**
 * The fields that a form shows for an object schema, in the schema's own order.
 *
 * Shapes  schema: an object schema with the annotations of model/resource/kind.ts
 * Returns without what the server owns and without what is known but not supported
 */
export function fieldsOf(schema: Schema, depth = 0): readonly Field[] {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {}
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  return Object.entries(properties).flatMap(([name, property]) => {
    if (!isSchema(property) || property['readOnly'] === true || property['x-unsupported'] === true) return []
    return [
      {
        name,
        label: labelOf(name),
        description: textOf(property['description']),
        isRequired: required.includes(name),
        isFirst: property['x-first'] === true || required.includes(name),
        fallback: property['default'] as Json | undefined,
        unit: typeof property['x-unit'] === 'string' ? property['x-unit'] : undefined,
        special: specialOf(property['x-special']),
        shape: shapeOf(property, depth)
      }
    ]
  })
}

/** A new document: what must be there, blank. */
export function blankDocument(fields: readonly Field[]): JsonObject {
  return blankOf({ is: 'group', fields }) as JsonObject
}

/** Same JSON value, whatever the order of names. */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) || Array.isArray(b))
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => isSameJson(item, b[at]))
  if (!isSchema(a) || !isSchema(b)) return false
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every(name => name in b && isSameJson(a[name], b[name]))
}

/** Whether a value says something else than leaving the field out would. */
export function differs(field: Field, value: unknown): boolean {
  if (value === undefined || isSameJson(value, field.fallback)) return false
  if (field.fallback !== undefined) return true
  if (Array.isArray(value)) return value.length > 0
  return value !== ''
}

/** How many of the fields say something else than their default: what a fold tells. */
export function countChanged(fields: readonly Field[], document: JsonObject): number {
  return fields.filter(field => differs(field, document[field.name])).length
}
