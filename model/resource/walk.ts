/** What follows from a schema without checking: defaults in and out, references, secrets, what the server owns. */
import type { TSchema } from 'typebox'
import { isAtDefault, isObject, nodeOf, propertyOf, segment, toFill } from './check.ts'
import type { SchemaNode } from './check.ts'
import type { Json, JsonObject, KindName } from './kind.ts'

export interface ReferenceInBody {
  readonly pointer: string
  readonly toKind: KindName
  readonly value: string
}

type Visitor = (node: SchemaNode, value: Json, pointer: string) => void

/** Calls for every value that the schema describes, parents first. */
function visitAll(node: SchemaNode, value: Json | undefined, pointer: string, visit: Visitor): void {
  if (value === undefined) return
  visit(node, value, pointer)
  if (Array.isArray(value)) {
    if (node.items === undefined) return
    for (let i = 0; i < value.length; i++) visitAll(node.items, value[i], pointer + segment(i), visit)
  } else if (isObject(value)) {
    for (const [name, item] of Object.entries(value)) {
      const property = propertyOf(node, name)
      if (property !== undefined) visitAll(property, item as Json, pointer + segment(name), visit)
    }
  }
}

/** Sets a field of that very name: `__proto__` too is only a name. */
function put(out: Record<string, Json>, name: string, value: Json): void {
  Object.defineProperty(out, name, { value, enumerable: true, writable: true, configurable: true })
}

/** A copy in which `change` has replaced values (undefined takes one out); unchanged parts are the same objects. */
function rewrite(
  node: SchemaNode,
  value: Json,
  pointer: string,
  change: (node: SchemaNode, value: Json, pointer: string) => Json | undefined
): Json | undefined {
  const changed = change(node, value, pointer)
  if (changed === undefined || changed !== value) return changed
  if (Array.isArray(value)) {
    const { items } = node
    if (items === undefined) return value
    const list = value as readonly Json[]
    const next = list.map((item, i) => rewrite(items, item, pointer + segment(i), change))
    return next.every((item, i) => item === list[i]) ? value : next.filter(item => item !== undefined)
  }
  if (!isObject(value)) return value
  let isSame = true
  const out: Record<string, Json> = {}
  for (const [name, item] of Object.entries(value) as [string, Json][]) {
    const property = propertyOf(node, name)
    const next = property === undefined ? item : rewrite(property, item, pointer + segment(name), change)
    if (next !== item) isSame = false
    if (next !== undefined) put(out, name, next)
  }
  return isSame ? value : out
}

/** Fills in the defaults of supported fields, at every depth that is present. The document itself is not changed. */
export function fillDefaults(schema: TSchema, body: JsonObject): JsonObject {
  return fill(nodeOf(schema), body) as JsonObject
}

function fill(node: SchemaNode, value: Json): Json {
  if (Array.isArray(value)) return node.items?.properties === undefined ? value : value.map(item => fill(node.items!, item as Json))
  const fields = node[toFill]
  if (!isObject(value) || fields === undefined) return value
  const out: Record<string, Json> = { ...(value as JsonObject) }
  for (const [name, property] of fields) {
    const given = out[name]
    if (given !== undefined) {
      if (property.type === 'object' || property.type === 'array') out[name] = fill(property, given)
    } else if (property.default !== undefined) out[name] = fill(property, property.default)
  }
  return out
}

/** Takes out what equals its default: the shortest document that means the same. */
export function dropDefaults(schema: TSchema, body: JsonObject): JsonObject {
  return drop(nodeOf(schema), body) as JsonObject
}

function drop(node: SchemaNode, value: Json): Json {
  if (Array.isArray(value)) return node.items === undefined ? value : value.map(item => drop(node.items!, item as Json))
  if (!isObject(value) || node.properties === undefined) return value
  const out: Record<string, Json> = {}
  const required = new Set(node.required)
  for (const [name, item] of Object.entries(value) as [string, Json][]) {
    const property = propertyOf(node, name)
    if (property === undefined) put(out, name, item)
    else {
      const inner = drop(property, item)
      const isDefault = property.default !== undefined && !required.has(name) && equal(inner, drop(property, property.default))
      if (!isDefault) out[name] = inner
    }
  }
  return out
}

function equal(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equal(item, b[i]))
  if (!isObject(a) || !isObject(b)) return false
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every(name => equal(a[name], b[name]))
}

/** Every reference, at any depth, in document order. */
export function findReferences(schema: TSchema, body: JsonObject): ReferenceInBody[] {
  const found: ReferenceInBody[] = []
  visitAll(nodeOf(schema), body, '', (node, value, pointer) => {
    if (node['x-ref'] !== undefined && typeof value === 'string') found.push({ pointer, toKind: node['x-ref'] as KindName, value })
  })
  return found
}

/** The document with each reference replaced by what `change` answers. */
export function mapReferences(schema: TSchema, body: JsonObject, change: (reference: ReferenceInBody) => string): JsonObject {
  return rewrite(nodeOf(schema), body, '', (node, value, pointer) =>
    node['x-ref'] !== undefined && typeof value === 'string' ? change({ pointer, toKind: node['x-ref'] as KindName, value }) : value
  ) as JsonObject
}

/** The document with each secret text replaced by what `change` answers; undefined takes it out. */
export function mapSecrets(
  schema: TSchema,
  body: JsonObject,
  change: (secret: { readonly pointer: string; readonly value: string }) => string | undefined
): JsonObject {
  return rewrite(nodeOf(schema), body, '', (node, value, pointer) =>
    node['x-secret'] === true && typeof value === 'string' ? change({ pointer, value }) : value
  ) as JsonObject
}

/** Pointers of the secrets that are there. */
export function findSecrets(schema: TSchema, body: JsonObject): string[] {
  const found: string[] = []
  visitAll(nodeOf(schema), body, '', (node, _value, pointer) => {
    if (node['x-secret'] === true) found.push(pointer)
  })
  return found
}

/** Pointers of what the server owns and the document carries back. */
export function findReadOnly(schema: TSchema, body: JsonObject): string[] {
  const found: string[] = []
  visitAll(nodeOf(schema), body, '', (node, _value, pointer) => {
    if (node.readOnly === true) found.push(pointer)
  })
  return found
}

/** The document without what the server owns. */
export function dropReadOnly(schema: TSchema, body: JsonObject): JsonObject {
  return rewrite(nodeOf(schema), body, '', (node, value) => (node.readOnly === true ? undefined : value)) as JsonObject
}

/** The document without unsupported fields and words, whatever they hold; what is then missing is for the check to say. */
export function dropUnsupported(schema: TSchema, body: JsonObject): JsonObject {
  return rewrite(nodeOf(schema), body, '', (node, value) => {
    if (node['x-unsupported'] === true && !isAtDefault(value, node.default)) return undefined
    return typeof value === 'string' && node['x-unsupported-values']?.includes(value) === true ? undefined : value
  }) as JsonObject
}
