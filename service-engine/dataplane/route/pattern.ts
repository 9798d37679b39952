/** Regular expressions of rules: linear in the text, and never on a text so long that even that would hold up a worker. */
import { setFlagsFromString } from 'node:v8'
import { linearPattern } from '#model/base/pattern.ts'
import { Fault } from '#engine/base/fault.ts'
import type { Steps } from '../exchange/build-steps.ts'
import type { Automata } from './automata.ts'

/** Pattern characters times text characters; about 20 ms with the worst of patterns, far beyond what real ones need. */
const MAX_WORK = 500_000
/** V8's own `l`, and on from the last match. */
const SEARCH_FLAGS = 'lg'

/**
 * Compiles a pattern to a question. V8 reads and judges it; an automaton answers where there is one, V8 where there is not.
 *
 * Throws  SyntaxError on one that cannot run in linear time; the question throws a Fault when the text is too long for the
 *         pattern, because neither `matches` nor `does not` would be a safe answer
 */
export function compilePattern(source: string, isCaseSensitive: boolean, automata: Automata): (text: string) => boolean {
  const pattern = compileLinear(source, isCaseSensitive)
  const isFound = automata.compile(pattern.source)
  const check = lengthCheck(source)
  return text => {
    check(text)
    return isFound(text) ?? pattern.test(text)
  }
}

/** The same of many. */
export function* patternsInSteps(
  sources: readonly string[],
  isCaseSensitive: boolean,
  automata: Automata
): Steps<((text: string) => boolean)[]> {
  const questions: ((text: string) => boolean)[] = []
  for (const source of sources) {
    yield
    questions.push(compilePattern(source, isCaseSensitive, automata))
  }
  return questions
}

/**
 * Compiles a pattern to what its groups catch.
 *
 * Returns of the first match all of it, then its groups, '' for one that took no part; null: there is no match
 * Throws  as `compilePattern` does
 */
export function compileGroups(source: string, isCaseSensitive: boolean): (text: string) => readonly string[] | null {
  const pattern = compileLinear(source, isCaseSensitive)
  const check = lengthCheck(source)
  return text => {
    check(text)
    const found: readonly (string | undefined)[] | null = pattern.exec(text)
    return found === null ? null : found.map((group = '') => group)
  }
}

/**
 * Compiles a pattern that is looked for again and again in a text whose characters are bytes.
 *
 * Throws  SyntaxError on one that cannot run in linear time
 */
export function compileSearch(source: string): RegExp {
  return new RegExp(compileLinear(source, true).source, SEARCH_FLAGS)
}

function compileLinear(source: string, isCaseSensitive: boolean): RegExp {
  setFlagsFromString('--enable-experimental-regexp-engine')
  return linearPattern(source, isCaseSensitive)
}

function lengthCheck(source: string): (text: string) => void {
  const maxLength = Math.floor(MAX_WORK / Math.max(1, source.length))
  return text => {
    if (text.length > maxLength) throw new Fault('DOWNSTREAM_TARGET_TOO_LONG', `more than ${maxLength} characters for a pattern of a rule`)
  }
}
