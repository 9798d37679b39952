/** JSON Pointers (RFC 6901) into the document of a form, and violations laid on its fields. */
import type { Json, JsonObject } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Field, Shape } from './schema.ts'

const isObject = (value: unknown): value is Readonly<Record<string, Json>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const escapeToken = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1')
const unescapeToken = (token: string): string => token.replaceAll('~1', '/').replaceAll('~0', '~')

/** `/servers/0` and `ip` -> `/servers/0/ip`. */
export function childPointer(pointer: string, token: string | number): string {
  return `${pointer}/${escapeToken(String(token))}`
}

export function tokensOf(pointer: string): readonly string[] {
  return pointer === '' ? [] : pointer.split('/').slice(1).map(unescapeToken)
}

/** The value at a pointer; undefined where there is none. */
export function valueAt(document: unknown, pointer: string): unknown {
  let value = document
  for (const token of tokensOf(pointer)) {
    if (Array.isArray(value)) value = value[Number(token)]
    else if (isObject(value)) value = value[token]
    else return undefined
  }
  return value
}

function withTokens(value: Json | undefined, tokens: readonly string[], next: Json | undefined): Json | undefined {
  const [token, ...rest] = tokens
  if (token === undefined) return next
  if (Array.isArray(value)) {
    const items = [...(value as readonly Json[])]
    const at = Number(token)
    const inner = withTokens(items[at], rest, next)
    if (inner === undefined) items.splice(at, 1)
    else items[at] = inner
    return items
  }
  const fields = isObject(value) ? value : {}
  const inner = withTokens(fields[token], rest, next)
  if (inner === undefined) {
    const { [token]: _gone, ...others } = fields
    return others
  }
  return { ...fields, [token]: inner }
}

/**
 * The document with another value at a pointer; nothing is changed in place.
 *
 * Shapes  next: undefined takes the field or element out
 */
export function withValueAt(document: JsonObject, pointer: string, next: Json | undefined): JsonObject {
  return (withTokens(document, tokensOf(pointer), next) ?? {}) as JsonObject
}

/** How far down the fields a pointer leads: to the deepest one that a form draws. */
function drawnAt(fields: readonly Field[], tokens: readonly string[]): readonly string[] {
  const [name, ...rest] = tokens
  const field = fields.find(one => one.name === name)
  if (name === undefined || field === undefined) return []
  return [name, ...drawnInside(field.shape, rest)]
}

function drawnInside(shape: Shape, tokens: readonly string[]): readonly string[] {
  if (shape.is === 'group') return drawnAt(shape.fields, tokens)
  const [index, ...rest] = tokens
  if (shape.is !== 'list' || index === undefined || !/^\d+$/u.test(index)) return []
  return [index, ...drawnInside(shape.item, rest)]
}

export interface LaidViolations {
  /** Pointer of a drawn field -> what is wrong with it. */
  readonly byPointer: ReadonlyMap<string, readonly string[]>
  /** What no drawn field can show, with its pointer in words. */
  readonly others: readonly Violation[]
}

/**
 * Lays each violation on the deepest field that is drawn for its pointer.
 *
 * Shapes  prefix: pointer of the form's document inside what was sent (`/data/pool_ref_data` in a macro); violations
 *         outside it are left to others
 */
export function layViolations(violations: readonly Violation[], fields: readonly Field[], prefix = ''): LaidViolations {
  const byPointer = new Map<string, string[]>()
  const others: Violation[] = []
  for (const violation of violations) {
    const isInside = violation.pointer === prefix || violation.pointer.startsWith(`${prefix}/`)
    const tokens = isInside ? drawnAt(fields, tokensOf(violation.pointer.slice(prefix.length))) : []
    if (tokens.length === 0) {
      others.push(violation)
      continue
    }
    const pointer = tokens.reduce(childPointer, '')
    byPointer.set(pointer, [...(byPointer.get(pointer) ?? []), violation.message])
  }
  return { byPointer, others }
}

/** Whether something at or below the pointer is wrong: what opens a fold. */
export function hasViolationUnder(byPointer: ReadonlyMap<string, readonly string[]>, pointer: string): boolean {
  for (const at of byPointer.keys()) if (at === pointer || at.startsWith(`${pointer}/`)) return true
  return false
}
