/** What a text cannot do without if a pattern is to match it. */
import { readTree, type Tree, type Units } from './pattern-tree.ts'

/** More alternatives than these are looked for one by one as well as by their texts. */
const MAX_TEXTS = 16
const MAX_LENGTH = 64
const ASCII = 128

/**
 * Finds texts one of which is in everything that a pattern matches, as long ones as there are.
 *
 * Returns in lower case, so that they are in the lower case of what matches; undefined when nothing is certain
 */
export function certainTexts(pattern: string): readonly string[] | undefined {
  const tree = readTree(pattern)
  return tree === undefined ? undefined : textsOf(look(tree))
}

interface Certain {
  /** All that matches is this text. */
  readonly exact?: string
  readonly some?: readonly string[] | undefined
}

const textsOf = ({ exact, some }: Certain): readonly string[] | undefined => (exact === undefined ? some : [exact])
const shortest = (texts: readonly string[] | undefined): number => (texts === undefined ? 0 : Math.min(...texts.map(text => text.length)))

function look(tree: Tree): Certain {
  switch (tree.is) {
    case 'assert':
      return { exact: '' }
    case 'set': {
      const letter = letterOf(tree.units)
      return letter === undefined ? {} : { exact: letter }
    }
    case 'all':
      return inSequence(tree.of.map(look))
    case 'any': {
      const lists = tree.of.map(each => textsOf(look(each)))
      const texts = lists.flatMap(list => list ?? [])
      return lists.includes(undefined) || texts.length > MAX_TEXTS ? {} : { some: texts }
    }
    case 'repeat': {
      if (tree.min === 0) return tree.max === 0 ? { exact: '' } : {}
      const body = look(tree.body)
      if (body.exact === undefined) return body
      const text = body.exact.repeat(tree.min).slice(0, MAX_LENGTH)
      return tree.min === tree.max && text.length < MAX_LENGTH ? { exact: text } : { some: [text] }
    }
  }
}

function inSequence(parts: readonly Certain[]): Certain {
  let best: readonly string[] | undefined
  let run = ''
  const offer = (texts: readonly string[] | undefined): void => {
    if (shortest(texts) > shortest(best)) best = texts
  }
  for (const { exact, some } of parts) {
    if (exact !== undefined && run.length < MAX_LENGTH) run += exact
    else {
      offer([run])
      offer(some)
      run = exact ?? ''
    }
  }
  if (parts.every(({ exact }) => exact !== undefined) && run.length < MAX_LENGTH) return { exact: run }
  offer([run])
  return { some: best }
}

/** The small letter, or other character of ASCII, of a set that has no other. */
function letterOf(units: Units): string | undefined {
  let letter: string | undefined
  for (const [from, to] of units) {
    if (to - from > 1 || to >= ASCII) return undefined
    for (let unit = from; unit <= to; unit++) {
      const lower = String.fromCharCode(unit).toLowerCase()
      if (letter !== undefined && letter !== lower) return undefined
      letter = lower
    }
  }
  return letter
}
