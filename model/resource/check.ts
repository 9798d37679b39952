/**
 * Holds a document against its schema and says every violation at once, in words. It reads the JSON Schema keywords that
 * field.ts writes; a test holds it against TypeBox's own validator.
 */
import type { TSchema } from 'typebox'
import { bitsOf, isHostname, parseAddress } from './address.ts'
import type { Json } from './kind.ts'
import type { Violation } from './violation.ts'

export interface Checked {
  readonly violations: readonly Violation[]
  /** Known to Avi and not honoured here: refused, or a warning under `ignore_unsupported` (then `withoutUnsupported` takes it out). */
  readonly unsupported: readonly Violation[]
}

/** The supported fields of an object that filling in defaults has to look at, found once when its schema is made. */
export const toFill: unique symbol = Symbol('fields to fill')
export type FieldsToFill = readonly (readonly [name: string, node: SchemaNode])[]

/** The keywords and annotations that field.ts writes. */
export interface SchemaNode {
  readonly [toFill]?: FieldsToFill

  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly title?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | SchemaNode
  readonly maxProperties?: number
  readonly items?: SchemaNode
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly not?: { readonly minimum: number; readonly maximum: number }
  readonly enum?: readonly string[]
  readonly default?: Json
  readonly readOnly?: boolean
  readonly 'x-ref'?: string
  readonly 'x-say'?: string
  readonly 'x-unit'?: string
  readonly 'x-first'?: boolean
  readonly 'x-secret'?: boolean
  readonly 'x-special'?: Readonly<Record<string, string>>
  readonly 'x-unsupported'?: boolean
  readonly 'x-unsupported-values'?: readonly string[]
  readonly 'x-rule'?: string
}

export const nodeOf = (schema: TSchema): SchemaNode => schema as SchemaNode

/** One segment of a JSON Pointer (RFC 6901 §3). */
export const segment = (name: string | number): string => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`

/** Names that would reach an object's prototype instead of a field. */
const forbiddenNames: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
/** Deep and large enough for every real resource; what is beyond is refused before it costs anything. */
const MAX_DEPTH = 24
const MAX_VALUES = 200_000
const MAX_VIOLATIONS = 200

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Own properties only: a schema for `toString` is not found on Object.prototype. */
export function propertyOf(node: SchemaNode, name: string): SchemaNode | undefined {
  if (node.properties !== undefined && Object.hasOwn(node.properties, name)) return node.properties[name]
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined
}

/** Equal to what an unsupported field may hold: its default, or parts of it, or nothing. */
export function isAtDefault(value: unknown, fallback: unknown): boolean {
  if (value === fallback) return true
  if (Array.isArray(value)) {
    if (!Array.isArray(fallback)) return fallback === undefined && value.length === 0
    return value.length === fallback.length && value.every((item, i) => isAtDefault(item, fallback[i]))
  }
  if (isObject(value)) {
    if (fallback !== undefined && !isObject(fallback)) return false
    return Object.entries(value).every(([name, item]) => isAtDefault(item, fallback === undefined ? undefined : fallback[name]))
  }
  return fallback === undefined && (value === false || value === 0 || value === '')
}

const quoted = (value: unknown): string => (typeof value === 'string' && value !== '' ? value : JSON.stringify(value))

function unsupportedMessage(fallback: Json | undefined): string {
  const isNothing = fallback === undefined || isAtDefault(fallback, undefined) || (isObject(fallback) && Object.keys(fallback).length > 0)
  return isNothing ? 'is not supported yet: leave it out' : `is not supported yet: leave it out or at its default ${quoted(fallback)}`
}

function rangeInWords(node: SchemaNode): string {
  const special = Object.entries(node['x-special'] ?? {}).map(([value, meaning]) => `${value} (${meaning})`)
  const from = node.not === undefined ? node.minimum : node.not.maximum + 1
  const range =
    from !== undefined && node.maximum !== undefined
      ? `between ${from} and ${node.maximum}`
      : from !== undefined
        ? `at least ${from}`
        : `at most ${node.maximum}`
  return special.length > 0 && node.not !== undefined ? `must be ${special.join(', ')} or ${range}` : `must be ${range}`
}

const typeInWords = {
  object: 'an object',
  array: 'a list',
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false'
} as const

function hasType(node: SchemaNode, value: unknown): boolean {
  switch (node.type) {
    case 'object':
      return isObject(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    case 'number':
      return Number.isFinite(value)
    case undefined:
      return true
    default:
      return typeof value === node.type
  }
}

type Fault = readonly [pointer: string, message: string]

function addressFault(value: Readonly<Record<string, unknown>>): Fault[] {
  const { addr, type } = value
  if (typeof addr !== 'string') return []
  const family = parseAddress(addr)?.family
  if (type === 'V4' && family !== 4) return [['/addr', 'must be an IPv4 address, because type is V4']]
  if (type === 'V6' && family !== 6) return [['/addr', 'must be an IPv6 address, because type is V6']]
  if (type === 'DNS' && !isHostname(addr)) return [['/addr', 'must be a host name, because type is DNS']]
  return []
}

const addressIn = (value: unknown): ReturnType<typeof parseAddress> =>
  isObject(value) && typeof value['addr'] === 'string' ? parseAddress(value['addr']) : undefined

/** Rules inside one nested object, wherever it stands. Pointers are relative to it. */
const rules: Readonly<Record<string, (value: Readonly<Record<string, unknown>>) => Fault[]>> = {
  'ip-addr': addressFault,
  'ip-prefix': value => {
    const address = addressIn(value['ip_addr'])
    if (address === undefined) return isObject(value['ip_addr']) ? [['/ip_addr/addr', 'must be an IP address']] : []
    const bits = bitsOf(address.family)
    return typeof value['mask'] === 'number' && value['mask'] > bits ? [['/mask', `must be between 0 and ${bits}`]] : []
  },
  'ip-range': value => {
    const begin = addressIn(value['begin'])
    const end = addressIn(value['end'])
    if (begin === undefined || end === undefined) return []
    if (begin.family !== end.family) return [['/end', 'must be of the same family as begin']]
    return begin.value > end.value ? [['/end', 'must not be below begin']] : []
  }
}

class Walk {
  readonly violations: Violation[] = []
  readonly unsupported: Violation[] = []
  #values = 0

  get isFull(): boolean {
    return this.violations.length + this.unsupported.length >= MAX_VIOLATIONS || this.#values > MAX_VALUES
  }

  #say(pointer: string, message: string): void {
    this.violations.push({ pointer, message })
  }

  /** Counts and bounds what a schema does not describe: what the server sends and takes back. */
  #measure(value: unknown, pointer: string, depth: number): boolean {
    if (++this.#values > MAX_VALUES || depth > MAX_DEPTH) {
      this.#say(pointer, depth > MAX_DEPTH ? 'is nested too deeply' : 'is too large')
      return false
    }
    if (typeof value !== 'object' || value === null) return true
    return Object.entries(value).every(([name, item]) => {
      if (!Array.isArray(value) && forbiddenNames.has(name)) {
        this.#say(pointer + segment(name), 'is not an allowed name')
        return false
      }
      return this.#measure(item, pointer + segment(name), depth + 1)
    })
  }

  visit(node: SchemaNode, value: unknown, pointer: string, depth: number): void {
    if (this.isFull) return
    if (node.readOnly === true || node['x-unsupported'] === true) {
      if (this.#measure(value, pointer, depth) && node['x-unsupported'] === true && !isAtDefault(value, node.default))
        this.unsupported.push({ pointer, message: unsupportedMessage(node.default) })
      return
    }
    if (++this.#values > MAX_VALUES) return this.#say(pointer, 'is too large')
    if (depth > MAX_DEPTH) return this.#say(pointer, 'is nested too deeply')
    if (!hasType(node, value)) return this.#say(pointer, `must be ${typeInWords[node.type!]}`)
    if (typeof value === 'string') this.#text(node, value, pointer)
    else if (typeof value === 'number') this.#number(node, value, pointer)
    else if (Array.isArray(value)) this.#list(node, value, pointer, depth)
    else if (isObject(value)) this.#object(node, value, pointer, depth)
  }

  #text(node: SchemaNode, value: string, pointer: string): void {
    if (node.enum !== undefined) {
      const refused = node['x-unsupported-values'] ?? []
      const allowed = node.enum.filter(word => !refused.includes(word))
      if (refused.includes(value))
        this.unsupported.push({ pointer, message: `${value} is not supported yet: must be one of ${allowed.join(', ')}` })
      else if (!allowed.includes(value))
        this.#say(pointer, allowed.length === 1 ? `must be ${allowed[0]}` : `must be one of ${allowed.join(', ')}`)
      return
    }
    // Counted as JSON Schema does, in code points.
    const length =
      value.length > (node.maxLength ?? Infinity) || value.length < 2 * (node.minLength ?? 0) ? Array.from(value).length : value.length
    if (length < (node.minLength ?? 0))
      this.#say(pointer, node.minLength === 1 ? 'must not be empty' : `must have at least ${node.minLength} characters`)
    else if (length > (node.maxLength ?? Infinity)) this.#say(pointer, `must have at most ${node.maxLength} characters`)
    else if (node.pattern !== undefined && !new RegExp(node.pattern, 'u').test(value))
      this.#say(pointer, node['x-say'] ?? `must match ${node.pattern}`)
  }

  #number(node: SchemaNode, value: number, pointer: string): void {
    const isInGap = node.not !== undefined && value >= node.not.minimum && value <= node.not.maximum
    if (value < (node.minimum ?? -Infinity) || value > (node.maximum ?? Infinity) || isInGap) this.#say(pointer, rangeInWords(node))
  }

  #list(node: SchemaNode, value: readonly unknown[], pointer: string, depth: number): void {
    if (value.length < (node.minItems ?? 0))
      this.#say(pointer, node.minItems === 1 ? 'must not be empty' : `must have at least ${node.minItems} entries`)
    if (value.length > (node.maxItems ?? Infinity)) return this.#say(pointer, `must have at most ${node.maxItems} entries`)
    if (node.items === undefined) return
    for (const [index, item] of value.entries()) this.visit(node.items, item, pointer + segment(index), depth + 1)
  }

  #object(node: SchemaNode, value: Readonly<Record<string, unknown>>, pointer: string, depth: number): void {
    for (const name of node.required ?? []) if (!Object.hasOwn(value, name)) this.#say(pointer + segment(name), 'is required')
    const names = Object.keys(value)
    if (names.length > (node.maxProperties ?? Infinity)) return this.#say(pointer, `must have at most ${node.maxProperties} entries`)
    const before = this.violations.length
    for (const name of names) {
      const property = forbiddenNames.has(name) ? undefined : propertyOf(node, name)
      if (property === undefined) this.#say(pointer + segment(name), `is not a field of ${node.title ?? 'this object'}`)
      else this.visit(property, value[name], pointer + segment(name), depth + 1)
    }
    if (node['x-rule'] === undefined || this.violations.length > before) return
    for (const [inner, message] of rules[node['x-rule']]?.(value) ?? []) this.#say(pointer + inner, message)
  }
}

/**
 * Checks the shape of a document: types, ranges, words, unknown fields, unsupported fields, bounded depth and size.
 *
 * Returns every violation (at most 200), with JSON pointers
 * Throws  nothing, whatever `value` is
 * Cost    linear in the document
 */
export function checkShape(schema: TSchema, value: unknown): Checked {
  const walk = new Walk()
  walk.visit(nodeOf(schema), value, '', 0)
  return { violations: walk.violations, unsupported: walk.unsupported }
}
