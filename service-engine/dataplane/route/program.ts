/** A pattern as the program of a nondeterministic automaton: what `automaton.ts` runs. */
import { BOUNDARY, MAX_UNIT, NO_BOUNDARY, readTree, word, type Tree, type Units } from './pattern-tree.ts'

/** Instructions, `WIDTH` numbers each: what it is, and two more. */
const WIDTH = 3
export const MATCH = 0
/** Takes a unit at a position; then goes on with the program's `after` of it. */
export const TAKE = 1
/** Goes on with both. */
export const FORK = 2
/** Goes on with the second where the first holds. */
export const ASSERT = 3

export interface Program {
  readonly code: Int32Array
  /** By position: where it goes on after that has taken a unit; the last: where it begins. */
  readonly after: Int32Array
  /** Those that there are. */
  readonly asserts: number
  readonly classes: Classes
  /** Words of a set of positions and one bit more. */
  readonly words: number
  /** Class -> the set of the positions that take it. */
  readonly takes: Uint32Array
}

/** Units that no set of the program tells apart are of one class. */
export interface Classes {
  readonly count: number
  /** Class by unit, of ASCII. */
  readonly ascii: Uint8Array
  readonly of: (unit: number) => number
  /** Class -> whether it is of `\w`; told apart only where the program asks for boundaries. */
  readonly isWord: readonly boolean[]
}

/** Beyond these an automaton costs more than it saves. */
const MAX_INSTRUCTIONS = 2_000
const MAX_POSITIONS = 512
const MAX_CLASSES = 255
const ASCII = 128
const BITS = 32

class TooLarge extends Error {}

/** The program of a pattern without flags; undefined for one that cannot be read with certainty, or is too large to be worth it. */
export function readProgram(source: string): Program | undefined {
  const tree = readTree(source)
  if (tree === undefined) return undefined
  try {
    return emit(tree)
  } catch (error) {
    if (error instanceof TooLarge) return undefined
    throw error
  }
}

/** From its end to its beginning, so that each instruction knows what follows it. */
function emit(tree: Tree): Program {
  const code = [MATCH, 0, 0]
  const after: number[] = []
  const setAt: number[] = []
  let asserts = 0
  const numberOf = new Map<string, number>()
  const unitsOf: Units[] = []
  const add = (...instruction: readonly [is: number, first: number, second: number]): number => {
    if (code.length >= MAX_INSTRUCTIONS * WIDTH) throw new TooLarge()
    return code.push(...instruction) - WIDTH
  }
  const setOf = (units: Units): number => {
    const key = units.join(' ')
    const known = numberOf.get(key)
    if (known !== undefined) return known
    numberOf.set(key, unitsOf.length)
    return unitsOf.push(units) - 1
  }
  const put = (part: Tree, next: number): number => {
    switch (part.is) {
      case 'set':
        if (after.length >= MAX_POSITIONS) throw new TooLarge()
        setAt.push(setOf(part.units))
        return add(TAKE, after.push(next) - 1, 0)
      case 'assert':
        asserts |= part.that
        return add(ASSERT, part.that, next)
      case 'all':
        return part.of.reduceRight((then, each) => put(each, then), next)
      case 'any':
        return part.of.map(each => put(each, next)).reduceRight((other, one) => add(FORK, one, other))
      case 'repeat':
        return repeat(part, next)
    }
  }
  const repeat = ({ body, min, max }: Tree & { readonly is: 'repeat' }, next: number): number => {
    let entry = next
    if (max === Infinity) {
      entry = add(FORK, next, next)
      code[entry + 1] = put(body, entry)
    } else for (let i = min; i < max; i++) entry = add(FORK, put(body, entry), next)
    for (let i = 0; i < min; i++) entry = put(body, entry)
    return entry
  }
  const entry = put(tree, 0)
  const { classes, setsOf } = classesOf(unitsOf, (asserts & (BOUNDARY | NO_BOUNDARY)) !== 0)
  const words = Math.ceil((after.length + 1) / BITS)
  const takes = new Uint32Array(classes.count * words)
  const positions = new Uint32Array((unitsOf.length + 1) * words)
  for (const [position, set] of setAt.entries()) addBit(positions, set * words, position)
  for (const [unitClass, numbers] of setsOf.entries())
    for (const set of numbers) for (let word = 0; word < words; word++) takes[unitClass * words + word]! |= positions[set * words + word]!
  return { code: Int32Array.from(code), after: Int32Array.of(...after, entry), asserts, classes, words, takes }
}

export function addBit(sets: Uint32Array, at: number, bit: number): void {
  sets[at + (bit >>> 5)]! |= 1 << (bit & 31)
}

/** `setsOf`: class -> the sets that it is in. */
function classesOf(
  all: readonly Units[],
  hasWords: boolean
): { readonly classes: Classes; readonly setsOf: readonly (readonly number[])[] } {
  const given = hasWords ? [...all, word] : all
  const begins = [...new Set([0, ...given.flatMap(units => units.flatMap(([from, to]) => (to < MAX_UNIT ? [from, to + 1] : [from])))])]
  begins.sort((a, b) => a - b)
  const stretchAt = new Map(begins.map((begin, i) => [begin, i]))
  const members = begins.map((): number[] => [])
  for (const [set, units] of given.entries())
    for (const [from, to] of units) for (let i = stretchAt.get(from)!; i < begins.length && begins[i]! <= to; i++) members[i]!.push(set)
  const classBySets = new Map<string, number>()
  const setsOf: (readonly number[])[] = []
  const classOfStretch = members.map(list => {
    const key = list.join(' ')
    const known = classBySets.get(key)
    if (known !== undefined) return known
    classBySets.set(key, setsOf.length)
    return setsOf.push(list) - 1
  })
  if (setsOf.length > MAX_CLASSES) throw new TooLarge()
  const of = (unit: number): number => {
    let low = 0
    let high = begins.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (begins[middle]! <= unit) low = middle
      else high = middle - 1
    }
    return classOfStretch[low]!
  }
  const ascii = new Uint8Array(ASCII)
  for (const [i, begin] of begins.entries()) if (begin < ASCII) ascii.fill(classOfStretch[i]!, begin)
  const isWord = setsOf.map(list => hasWords && list.at(-1) === all.length)
  return { classes: { count: setsOf.length, ascii, of, isWord }, setsOf }
}
