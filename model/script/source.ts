/** What a script's text must be, and the function that it becomes. */
import type { QuickJs } from './quickjs.ts'

export interface ScriptProblem {
  /** From 1, in the script's own text; 0: of the script as a whole. */
  readonly line: number
  readonly column: number
  readonly message: string
}

/** Enough for every script that decides on requests; what parses it holds the worker up meanwhile. */
export const MAX_SOURCE_LENGTH = 65_536

/** The name that stack traces give a script. */
export const SCRIPT_FILE = 'script'
/** Lines before the script's own. */
const HEAD_LINES = 1
const head = '(function (weir) { "use strict";\n'
const tail = '\n})'

/** The script's text as an expression that is a function; nameless, so that a script cannot leave anything on it. */
export const asFunction = (source: string): string => `${head}${source}${tail}`

/**
 * A text that closes its function early would run outside of it. What follows the brace must be a comma or a brace in an
 * object and can be neither after a declaration: no text can do both.
 */
const enclosures = [
  { head: '({ m(weir) { "use strict";\n', tail: '\n} })' },
  { head: 'function m(weir) { "use strict";\n', tail: '\n}' }
]

/** Whole numbers without bound cost without bound, and nothing can interrupt one multiplication. */
const bigInteger = /(?<![\w$.])\d\w*n(?![\w$])/
/** Of brackets that are open at a time, those in texts and comments counted as well. */
const MAX_NESTING = 200

const stackPlace = new RegExp(`\\(?${SCRIPT_FILE}:(\\d+)(?::(\\d+))?\\)?`)

/** Where in a script a stack trace begins; line 0 when it names none. */
export function placeIn(stack: string): { readonly line: number; readonly column: number } {
  const [, line = '0', column = '0'] = stackPlace.exec(stack) ?? []
  return { line: Math.max(0, Number(line) - HEAD_LINES), column: Number(column) }
}

/**
 * Why a text is no script; undefined when it is one. Nothing of it runs.
 *
 * Throws  what WebAssembly throws when the text exhausts the parser: then the instance is spoiled, and the text refused
 * Cost    a parse in a runtime of its own
 */
export function problemIn(quickJs: QuickJs, source: string): ScriptProblem | undefined {
  if (source.length > MAX_SOURCE_LENGTH) return { line: 0, column: 0, message: `must not be longer than ${MAX_SOURCE_LENGTH} characters` }
  const early = hopeless(source)
  if (early !== undefined) return early
  const runtime = quickJs.newRuntime({ memoryLimitBytes: 32 * 1_048_576, maxStackSizeBytes: 48 * 1024 })
  const context = runtime.newContext()
  try {
    for (const { head: before, tail: after } of [...enclosures, { head, tail }]) {
      const result = context.evalCode(`${before}${source}${after}`, SCRIPT_FILE, { compileOnly: true })
      if (result.error === undefined) {
        result.value.dispose()
        continue
      }
      const dumped = context.dump(result.error) as { readonly message?: string; readonly stack?: string } | undefined
      result.error.dispose()
      return { ...placeIn(dumped?.stack ?? ''), message: dumped?.message ?? 'cannot be read' }
    }
    return undefined
  } finally {
    context.dispose()
    runtime.dispose()
  }
}

/** What is refused before a parser sees it. */
function hopeless(source: string): ScriptProblem | undefined {
  const lines = source.split('\n')
  for (const [index, line] of lines.entries()) {
    const found = bigInteger.exec(line)
    if (found !== null)
      return { line: index + 1, column: found.index + 1, message: `must not contain ${found[0].slice(0, 20)}: there are no BigInts here` }
  }
  let depth = 0
  for (const [index, line] of lines.entries()) {
    for (let at = 0; at < line.length; at++) {
      const letter = line[at]!
      if (letter === '(' || letter === '[' || letter === '{') depth++
      else if (letter === ')' || letter === ']' || letter === '}') depth--
      if (depth > MAX_NESTING) return { line: index + 1, column: at + 1, message: `must not nest deeper than ${MAX_NESTING} brackets` }
    }
  }
  return undefined
}
