/** What differs between two documents, field by field. */
import type { DiffEntry } from '../feed/revision-parse.ts'
import { childPointer } from './pointer.ts'
import { isSameJson } from './schema.ts'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * The smallest values that differ, in the order of the first document, then what only the second has.
 *
 * Returns one entry per value; a list of another length is one value
 */
export function diffOf(before: unknown, after: unknown, pointer = ''): readonly DiffEntry[] {
  if (isSameJson(before, after)) return []
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    return names.flatMap(name => diffOf(before[name], after[name], childPointer(pointer, name)))
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length)
    return before.flatMap((item, at) => diffOf(item, after[at], childPointer(pointer, at)))
  return [{ pointer, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }]
}
