/** A pattern as a tree, for what automata and indexes make of it. */

/** Inclusive ranges of UTF-16 units, sorted, none touching the next. */
export type Units = readonly (readonly [from: number, to: number])[]

/** What is asserted of a place in a text; bits of `asserts`. */
export const BEGIN = 1
export const END = 2
export const BOUNDARY = 4
export const NO_BOUNDARY = 8

export type Tree =
  | { readonly is: 'set'; readonly units: Units }
  | { readonly is: 'assert'; readonly that: number }
  | { readonly is: 'all' | 'any'; readonly of: readonly Tree[] }
  | { readonly is: 'repeat'; readonly body: Tree; readonly min: number; readonly max: number }

export const MAX_UNIT = 0xffff

const digits: Units = [[48, 57]]
/** `\w`. */
export const word: Units = [
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
 * Returns undefined for what is not certain to mean the same: octal escapes, modifiers and whatever else only Annex B of ECMA-262
 *         explains
 * Throws  nothing
 */
export function readTree(source: string): Tree | undefined {
  try {
    return new Reader(source).read()
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
