import type { Json } from '#model/resource/kind.ts'
import type { DiffEntry } from '#controller/store/store.ts'
import { isEqualJson, isList, isObject, segment } from './json.ts'

/** A document as it is, and as it may be shown: the same shape with secrets replaced. */
export interface Shown {
  readonly real: Json | undefined
  readonly shown: Json | undefined
}

const inner = ({ real, shown }: Shown, name: string | number): Shown => {
  if (isList(real)) return { real: real[Number(name)], shown: isList(shown) ? shown[Number(name)] : undefined }
  if (!isObject(real)) return { real: undefined, shown: undefined }
  const isThere = Object.hasOwn(real, name)
  return { real: isThere ? real[name] : undefined, shown: isThere && isObject(shown) ? shown[name] : undefined }
}

/**
 * What changed between two documents: compared as they are, told as they may be shown, so that a changed secret is
 * named and never told. Objects are compared by field, lists by position.
 *
 * Returns [] exactly when both say the same
 */
export function diffOf(before: Shown, after: Shown, pointer = ''): DiffEntry[] {
  if (isEqualJson(before.real, after.real)) return []
  if (isObject(before.real) && isObject(after.real)) {
    const names = new Set([...Object.keys(before.real), ...Object.keys(after.real)])
    return [...names].flatMap(name => diffOf(inner(before, name), inner(after, name), pointer + segment(name)))
  }
  if (isList(before.real) && isList(after.real)) {
    const length = Math.max(before.real.length, after.real.length)
    return Array.from({ length }, (_, at) => diffOf(inner(before, at), inner(after, at), pointer + segment(at))).flat()
  }
  return [
    {
      pointer,
      ...(before.real === undefined ? {} : { before: before.shown }),
      ...(after.real === undefined ? {} : { after: after.shown })
    }
  ]
}
