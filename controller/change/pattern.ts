/** Whether a pattern of a rule can run in linear time: asked when it is written, by the same compiler that engines use. */
import { setFlagsFromString } from 'node:v8'
import { linearPattern } from '#model/base/pattern.ts'

/** Why an engine would refuse a pattern; undefined when it would not. */
export function patternViolation(source: string, isCaseSensitive: boolean): string | undefined {
  setFlagsFromString('--enable-experimental-regexp-engine')
  try {
    linearPattern(source, isCaseSensitive)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
