/** A pattern as the program of a nondeterministic automaton: what `automaton.ts` runs. */

/** Inclusive ranges of UTF-16 units, sorted, none touching the next. */
type Units = readonly (readonly [from: number, to: number])[]

/** Instructions, `WIDTH` numbers each: what it is, and two more. */
const WIDTH = 3
export const MATCH = 0
/** Takes a unit at a position; then goes on with the program's `after` of it. */
export const TAKE = 1
/** Goes on with both. */
export const FORK = 2
/** Goes on with the second where the first holds. */
export const ASSERT = 3

/** What is asserted of a place in a text; bits of `asserts`. */
export const BEGIN = 1
export const END = 2
export const BOUNDARY = 4
export const NO_BOUNDARY = 8

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

type Tree =
  | { readonly is: 'set'; readonly units: Units }
  | { readonly is: 'assert'; readonly that: number }
  | { readonly is: 'all' | 'any'; readonly of: readonly Tree[] }
  | { readonly is: 'repeat'; readonly body: Tree; readonly min: number; readonly max: number }

const MAX_UNIT = 0xffff
/** Beyond these an automaton costs more than it saves. */
const MAX_INSTRUCTIONS = 2_000
const MAX_POSITIONS = 512
const MAX_CLASSES = 255
const ASCII = 128
const BITS = 32

const digits: Units = [[48, 57]]
const word: Units = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122]
]
/** ECMA-262 §22.2.2.9: WhiteSpace and LineTerminator. */
const space: Units = [
  [9, 13],
  [32, 32],
  [160, 160],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff]
]
const lineEnds: Units = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029]
]
const sets: { readonly [letter: string]: Units } = {
  d: digits,
  D: inverse(digits),
  w: word,
  W: inverse(word),
  s: space,
  S: inverse(space)
}
const controls: { readonly [letter: string]: number } = { f: 12, n: 10, r: 13, t: 9, v: 11 }
const assertions: { readonly [letter: string]: number } = { b: BOUNDARY, B: NO_BOUNDARY }

class Unreadable extends Error {}

/**
 * Reads a pattern without flags.
 *
 * Shapes  source: one that `RegExp` takes, without look-around and back-references
 * Returns undefined for what is not worth it or not certain to mean the same: large ones, octal escapes, modifiers and whatever
 *         else only Annex B of ECMA-262 explains
 * Throws  nothing
 */
export function readProgram(source: string): Program | undefined {
  try {
    return emit(new Reader(source).read())
  } catch (error) {
    if (error instanceof Unreadable) return undefined
    throw error
  }
}

class Reader {
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  read(): Tree {
    const tree = this.#alternatives()
    if (this.#at < this.#source.length) throw new Unreadable()
    return tree
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }

  /** What a sticky pattern finds here. */
  #find(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#source)
    if (found !== null) this.#at += found[0].length
    return found
  }

  #alternatives(): Tree {
    const any = [this.#sequence()]
    while (this.#take('|')) any.push(this.#sequence())
    return any.length === 1 ? any[0]! : { is: 'any', of: any }
  }

  #sequence(): Tree {
    const all: Tree[] = []
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) all.push(this.#repeated(this.#atom()))
    return { is: 'all', of: all }
  }

  #repeated(body: Tree): Tree {
    const found = this.#find(/(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y)
    if (found === null) return body
    const [, sign, least, comma, most] = found
    if (sign !== undefined) return { is: 'repeat', body, min: sign === '+' ? 1 : 0, max: sign === '?' ? 1 : Infinity }
    const min = Number(least)
    return { is: 'repeat', body, min, max: comma === undefined ? min : most === '' ? Infinity : Number(most) }
  }

  #atom(): Tree {
    if (this.#take('(')) {
      if (this.#source[this.#at] === '?' && this.#find(/\?(?::|<[A-Za-z_$][\w$]*>)/y) === null) throw new Unreadable()
      const tree = this.#alternatives()
      if (!this.#take(')')) throw new Unreadable()
      return tree
    }
    if (this.#take('[')) return { is: 'set', units: this.#set() }
    if (this.#take('.')) return { is: 'set', units: inverse(lineEnds) }
    if (this.#take('^')) return { is: 'assert', that: BEGIN }
    if (this.#take('$')) return { is: 'assert', that: END }
    const that = this.#source[this.#at] === '\\' ? assertions[this.#source[this.#at + 1] ?? ''] : undefined
    if (that === undefined) return { is: 'set', units: this.#units(false) }
    this.#at += 2
    return { is: 'assert', that }
  }

  #set(): Units {
    const isNegated = this.#take('^')
    const all: (readonly [number, number])[] = []
    while (!this.#take(']')) {
      if (this.#at >= this.#source.length) throw new Unreadable()
      const from = this.#units(true)
      if (this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']' && this.#at + 1 < this.#source.length) {
        this.#at++
        const to = this.#units(true)
        const first = only(from)
        const last = only(to)
        if (first === undefined || last === undefined || first > last) throw new Unreadable()
        all.push([first, last])
      } else all.push(...from)
    }
    const units = union(all)
    return isNegated ? inverse(units) : units
  }

  /** One character or escape. */
  #units(isInSet: boolean): Units {
    if (!this.#take('\\')) return one(this.#source.charCodeAt(this.#at++))
    const hex = this.#find(/x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})/y)
    if (hex !== null) return one(Number.parseInt(hex[1] ?? hex[2]!, 16))
    const control = this.#find(/c([A-Za-z])/y)
    if (control !== null) return one(control[1]!.charCodeAt(0) % 32)
    if (this.#find(/0(?![0-9])/y) !== null) return one(0)
    const letter = this.#source[this.#at++] ?? ''
    if (isInSet && letter === 'b') return one(8)
    const set = sets[letter]
    if (set !== undefined) return set
    const code = controls[letter]
    if (code !== undefined) return one(code)
    if (letter === '' || /[A-Za-z0-9]/.test(letter)) throw new Unreadable()
    return one(letter.charCodeAt(0))
  }
}

const one = (unit: number): Units => [[unit, unit]]
const only = (units: Units): number | undefined => (units.length === 1 && units[0]![0] === units[0]![1] ? units[0]![0] : undefined)

function union(all: Units): Units {
  const out: [number, number][] = []
  for (const [from, to] of all.toSorted((a, b) => a[0] - b[0])) {
    const last = out.at(-1)
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to)
    else out.push([from, to])
  }
  return out
}

function inverse(units: Units): Units {
  const out: [number, number][] = []
  let next = 0
  for (const [from, to] of units) {
    if (from > next) out.push([next, from - 1])
    next = to + 1
  }
  if (next <= MAX_UNIT) out.push([next, MAX_UNIT])
  return out
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
    if (code.length >= MAX_INSTRUCTIONS * WIDTH) throw new Unreadable()
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
        if (after.length >= MAX_POSITIONS) throw new Unreadable()
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
  for (const [unitClass, numbers] of setsOf.entries()) {
    const isIn = new Set(numbers)
    for (const [position, set] of setAt.entries()) if (isIn.has(set)) addBit(takes, unitClass * words, position)
  }
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
  if (setsOf.length > MAX_CLASSES) throw new Unreadable()
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
