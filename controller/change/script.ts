/** Whether a script can be read: asked when it is written, of the same QuickJS that engines run. */
import { readFile } from 'node:fs/promises'
import { loadQuickJs, type QuickJs } from '#model/script/quickjs.ts'
import { problemIn, type ScriptProblem } from '#model/script/source.ts'

export interface ScriptJudge {
  /** Resolves when scripts can be judged. Throws what reading QuickJS throws. */
  readonly ready: () => Promise<void>
  /** Why an engine would refuse a script; undefined when it would not. Call when ready. */
  readonly problem: (source: string) => ScriptProblem | undefined
}

const wasm = new URL(import.meta.resolve('@jitl/quickjs-wasmfile-release-sync/wasm'))

/** Loads nothing before the first script comes. */
export function makeScriptJudge(): ScriptJudge {
  let loaded: Promise<QuickJs> | null = null
  let quickJs: QuickJs | null = null
  return {
    ready: async () => {
      loaded ??= readFile(wasm).then(loadQuickJs)
      try {
        quickJs = await loaded
      } catch (error) {
        loaded = null
        throw error
      }
    },
    problem: source => {
      if (quickJs === null) return { line: 0, column: 0, message: 'cannot be judged now: try again' }
      try {
        return problemIn(quickJs, source)
      } catch {
        // A text that ran the parser out of stack; what is left of it is not trusted.
        loaded = null
        quickJs = null
        return { line: 0, column: 0, message: 'must not nest so deeply' }
      }
    }
  }
}
