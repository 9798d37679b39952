/** From a kind's JSON Schema to the fields of a form. Nothing here knows a kind by name. */
import type { Json, JsonObject } from '#model/resource/kind.ts'

export type Shape =
  | { readonly is: 'text'; readonly isSecret: boolean; readonly isLong: boolean; readonly isCode?: true }
  | { readonly is: 'number'; readonly min: number | undefined; readonly max: number | undefined; readonly isWhole: boolean }
  | { readonly is: 'toggle' }
  | { readonly is: 'choice'; readonly options: readonly { readonly value: string; readonly label: string }[] }
  | { readonly is: 'reference'; readonly kind: string }
  | { readonly is: 'references'; readonly kind: string }
  | { readonly is: 'words' }
  /** Several of some words. */
  | { readonly is: 'choices'; readonly options: readonly { readonly value: string; readonly label: string }[] }
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
  /** Of no interest to who fills in a form by hand. */
  readonly isLast: boolean
  /** It counts only while another field of its object says one of these words. */
  readonly onlyFor: { readonly name: string; readonly values: readonly string[] } | undefined
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
  'ttl',
  'xml',
  'sha',
  'md5',
  'gslb',
  'pkcs12'
])

/** Avi's short words, as one says them. */
const longWords: Readonly<Record<string, string>> = {
  addr: 'address',
  addrs: 'addresses',
  algo: 'algorithm',
  analyticsprofile: 'analytics profile',
  applicationpersistenceprofile: 'persistence profile',
  applicationprofile: 'application profile',
  attrs: 'attributes',
  auth: 'authentication',
  cert: 'certificate',
  certs: 'certificates',
  cksum: 'checksum',
  conn: 'connection',
  connpool: 'connection pool',
  errorpagebody: 'error page body',
  errorpageprofile: 'error pages',
  hdr: 'header',
  hdrs: 'headers',
  healthmonitor: 'health monitor',
  hm: 'health monitor',
  httppolicyset: 'HTTP policy set',
  ipaddrgroup: 'IP address group',
  ipv4: 'IPv4',
  ipv6: 'IPv6',
  kv: 'keys and values',
  loc: 'location',
  networkprofile: 'network profile',
  networksecuritypolicy: 'network security policy',
  num: 'number of',
  pkiprofile: 'trusted authorities',
  poolgroup: 'pool group',
  poolgroupdeploymentpolicy: 'release policy',
  serverautoscalepolicy: 'server scaling policy',
  prst: 'persistence',
  resp: 'response',
  rsp: 'response',
  serviceengine: 'service engine',
  serviceenginegroup: 'engine group',
  sslkeyandcertificate: 'certificate',
  sslprofile: 'TLS profile',
  str: 'string',
  stringgroup: 'string group',
  vsdatascriptset: 'script set',
  svr: 'server',
  systemconfiguration: 'system configuration',
  sz: 'size',
  tmo: 'timeout',
  val: 'value',
  var: 'variable',
  virtualservice: 'virtual service',
  vsvip: 'VS VIP'
}

/** Short words that are no abbreviations. */
const plainWords = new Set(['any', 'deny', 'host', 'in', 'none', 'path', 'ping', 'pool', 'role', 'user'])
const digitWords: Readonly<Record<string, string>> = { zero: '0', one: '1', two: '2', three: '3', nine: '9' }

/** Words as one says them, the first one with a capital. */
function sentenceOf(words: readonly string[]): string {
  const text = words.map(word => longWords[word] ?? (acronyms.has(word) ? word.toUpperCase() : word)).join(' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** A title within a sentence: `Virtual service` -> `virtual service`, `TLS profile` as it is. */
export function withinSentence(title: string): string {
  return /^[A-Z]{2}/u.test(title) ? title : title.charAt(0).toLowerCase() + title.slice(1)
}

/** `lb_algorithm_hash` -> `LB algorithm hash`; `_ref` and `_refs` are left out. */
export function labelOf(name: string): string {
  return sentenceOf(
    name
      .replace(/_ref$/u, '')
      .replace(/_refs$/u, 's')
      .split('_')
      .filter(word => word !== '')
  )
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

/** One choice without what all begin with: methods stay as they travel, versions become numbers, the rest words. */
function choiceLabel(prefix: string, rest: string): string {
  const words = rest.toLowerCase().split('_')
  if (prefix.endsWith('METHOD_')) return rest
  const tls = /^TLS1(?:_(\d))?$/u.exec(rest)
  if (tls) return `TLS 1.${tls[1] ?? '0'}`
  if (words.every(word => word in digitWords)) return words.map(word => digitWords[word]).join('.')
  return /^[A-Z0-9]{1,4}$/u.test(rest) && !plainWords.has(words[0] ?? '') ? rest : sentenceOf(words)
}

/** `LB_ALGORITHM_ROUND_ROBIN` among its like -> `Round robin`. */
export function choiceLabels(values: readonly string[]): readonly { readonly value: string; readonly label: string }[] {
  const prefix = commonPrefix(values)
  return values.map(value => ({ value, label: choiceLabel(prefix, value.slice(prefix.length)) }))
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
  if (item.is === 'choice') return { is: 'choices', options: item.options }
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
    // What is refused has its share in what all words begin with.
    const options = choiceLabels(schema['enum'].map(String)).filter(({ value }) => !refused.includes(value))
    return { is: 'choice', options }
  }
  switch (schema['type']) {
    case 'string': {
      const isSecret = schema['x-secret'] === true
      return {
        is: 'text',
        isSecret,
        isLong: (numberOf(schema['maxLength']) ?? 0) > LONG_TEXT,
        ...(schema['x-code'] === true ? { isCode: true } : {})
      }
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

/** What a new element of a list, or a group that was left out until now, starts as. */
export function blankOf(shape: Shape): Json {
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
    case 'choices':
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

/** What fields and words of an object are called on the form, by how a description may name them. */
function calledIn(fields: readonly Field[]): (text: string) => string | undefined {
  const options = fields.flatMap(({ shape }) => (shape.is === 'choice' || shape.is === 'choices' ? shape.options : []))
  return text => {
    const word = options.find(({ value }) => value === text || value.endsWith(`_${text}`))
    if (word) return acronyms.has(text.toLowerCase()) ? undefined : word.label
    return text.includes('_') ? fields.find(({ name }) => name === text)?.label : undefined
  }
}

/** `For RL_ACTION_REDIRECT: ...`, `For L4 and SSL.`: the choice and the words of it that a description begins with. */
function onlyForOf(description: string, fields: readonly Field[]): Field['onlyFor'] {
  const told = /^For ([A-Z][A-Z0-9_]*(?:(?:, | and | or )[A-Z][A-Z0-9_]*)*)[.:;]/u.exec(description)?.[1]?.split(/, | and | or /u)
  if (!told) return undefined
  for (const { name, shape } of fields) {
    if (shape.is !== 'choice') continue
    const values = told.flatMap(text => shape.options.find(({ value }) => value === text || value.endsWith(`_${text}`))?.value ?? [])
    if (values.length === told.length) return { name, values }
  }
  return undefined
}

/** Whether a field counts in its object, or says something that one should see though it does not. */
export function applies(field: Field, fields: readonly Field[], object: JsonObject): boolean {
  const { onlyFor } = field
  if (!onlyFor || object[field.name] !== undefined) return true
  const said = object[onlyFor.name] ?? fields.find(({ name }) => name === onlyFor.name)?.fallback
  return typeof said !== 'string' || onlyFor.values.includes(said)
}

/** Descriptions name fields and words as the API does; a form shows others. */
function inWordsOfForm(fields: readonly Field[]): readonly Field[] {
  const called = calledIn(fields)
  return fields.map(field => ({
    ...field,
    onlyFor: onlyForOf(field.description, fields),
    description: field.description.replaceAll(/\b[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*\b/gu, text => {
      const isName = text.includes('_') || /^[A-Z][A-Z0-9]{2,}$/u.test(text)
      const label = isName ? called(text) : undefined
      return label === undefined || label === text ? text : `“${label}”`
    })
  }))
}

/**
 * The fields that a form shows for an object schema, in the schema's own order; what is kept for tools comes last.
 *
 * Shapes  schema: an object schema with the annotations of model/resource/kind.ts
 * Returns without what the server owns and without what is known but not supported
 */
export function fieldsOf(schema: Schema, depth = 0): readonly Field[] {
  const properties = isSchema(schema['properties']) ? schema['properties'] : {}
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  const fields = Object.entries(properties).flatMap(([name, property]): readonly Field[] => {
    if (!isSchema(property) || property['readOnly'] === true || property['x-unsupported'] === true) return []
    return [
      {
        name,
        label: labelOf(name),
        description: textOf(property['description']),
        isRequired: required.includes(name),
        isFirst: property['x-first'] === true || required.includes(name),
        isLast: property['x-last'] === true,
        onlyFor: undefined,
        fallback: property['default'] as Json | undefined,
        unit: typeof property['x-unit'] === 'string' ? property['x-unit'] : undefined,
        special: specialOf(property['x-special']),
        shape: shapeOf(property, depth)
      }
    ]
  })
  return inWordsOfForm([...fields.filter(field => !field.isLast), ...fields.filter(field => field.isLast)])
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
