/** PATCH as Avi's, at any depth: `add` appends to lists, `replace` sets, `delete` takes out. */
import type { Json, JsonObject } from '#model/resource/kind.ts'
import { isEqualJson, isList, isObject } from './json.ts'

export interface Patch {
  readonly add?: JsonObject
  readonly replace?: JsonObject
  readonly delete?: JsonObject
}

/** Two elements that mean the same though they are not written alike. */
type IsSame = (a: Json, b: Json, path: readonly string[]) => boolean
type Merge = (held: Json | undefined, item: Json, path: readonly string[]) => Json

/** Objects are merged by field; a list is appended to, without what it holds already; anything else is set. */
const adding =
  (isSame: IsSame): Merge =>
  (target, more, path) => {
    if (isList(target) && isList(more)) return [...target, ...more.filter(item => !target.some(held => isSame(held, item, path)))]
    return isObject(target) && isObject(more) ? merged(target, more, path, adding(isSame)) : more
  }

/** Objects are merged by field; a list or a value is set. */
const replaced: Merge = (target, by, path) => (isObject(target) && isObject(by) ? merged(target, by, path, replaced) : by)

function merged(target: JsonObject, by: JsonObject, path: readonly string[], merge: Merge): JsonObject {
  const out: Record<string, Json> = { ...target }
  for (const [name, item] of Object.entries(by))
    out[name] = merge(Object.hasOwn(target, name) ? target[name] : undefined, item, [...path, name])
  return out
}

/** `undefined`: nothing is left of it. */
function removed(target: Json, what: Json, path: readonly string[], isSame: IsSame): Json | undefined {
  if (isList(target) && isList(what)) {
    const left = target.filter(held => !what.some(item => isSame(held, item, path)))
    return left.length === 0 ? undefined : left
  }
  if (!isObject(target) || !isObject(what) || Object.keys(what).length === 0) return undefined
  const out: Record<string, Json> = {}
  for (const [name, held] of Object.entries(target)) {
    const left = Object.hasOwn(what, name) ? removed(held, what[name]!, [...path, name], isSame) : held
    if (left !== undefined) out[name] = left
  }
  return out
}

/**
 * A document after a patch: first what goes, then what is set, then what comes.
 *
 * Shapes  isSame: when an element of a list is the one that the patch means; the whole element counts
 * Returns a new document; `body` is not changed
 */
export function patched(body: JsonObject, patch: Patch, isSame: IsSame = isEqualJson): JsonObject {
  let next = body
  if (patch.delete !== undefined && Object.keys(patch.delete).length > 0) next = removed(next, patch.delete, [], isSame) as JsonObject
  if (patch.replace !== undefined) next = replaced(next, patch.replace, []) as JsonObject
  if (patch.add !== undefined) next = adding(isSame)(next, patch.add, []) as JsonObject
  return next
}
