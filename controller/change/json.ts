/** Comparing and bounding JSON documents. */
import type { Json, JsonObject } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
export const isList = (value: unknown): value is readonly Json[] => Array.isArray(value)

/** One segment of a JSON Pointer (RFC 6901 §3). */
export const segment = (name: string | number): string => `/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`

/** Do two documents say the same? The order of an object's fields says nothing. */
export function isEqualJson(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (isList(a)) return isList(b) && a.length === b.length && a.every((item, at) => isEqualJson(item, b[at]))
  if (!isObject(a) || !isObject(b)) return false
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every(name => Object.hasOwn(b, name) && isEqualJson(a[name], b[name]))
}

/** Names that would reach an object's prototype when a document is taken apart and put together again. */
const forbidden: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
const DEPTH_MAX = 32

/** What makes a document unsafe to walk; run on everything that comes in, before anything else. */
export function unsafeParts(value: unknown, pointer = '', depth = 0): Violation[] {
  if (typeof value !== 'object' || value === null) return []
  if (depth > DEPTH_MAX) return [{ pointer, message: 'is nested too deeply' }]
  const found: Violation[] = []
  for (const [name, item] of Object.entries(value)) {
    const at = pointer + segment(name)
    if (!Array.isArray(value) && forbidden.has(name)) found.push({ pointer: at, message: 'is not an allowed name' })
    else found.push(...unsafeParts(item, at, depth + 1))
    if (found.length > 100) break
  }
  return found
}
