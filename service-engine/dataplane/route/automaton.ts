/**
 * Whether a text has what a pattern looks for, at the cost of a look in a table for each unit of the text.
 *
 * A state is the set of instructions of the pattern's program that have just taken a unit (K. Thompson, "Regular Expression Search
 * Algorithm", CACM 11(6), 1968). The table of what follows is filled as texts ask for it, and begun anew when it is full (R. Cox,
 * "Regular Expression Matching Can Be Simple And Fast", 2007), so that no pattern makes more states than texts have units. What is
 * asked before a unit is taken (`^`, `$`, `\b`) depends on its neighbours: what may follow an instruction is a set for each kind of
 * neighbours, found when it is first needed.
 */
import { BEGIN, BOUNDARY, END } from './pattern-tree.ts'
import { addBit, FORK, MATCH, TAKE, type Program } from './program.ts'

/** What comes before: nothing (told apart only where `^` is asked), any unit, one of `\w` (only where `\b` is asked). */
const BEFORE_ALL = 0
const AFTER_ANY = 1
const AFTER_WORD = 2
/** What comes next: any unit, one of `\w`, nothing. */
const TO_ANY = 0
const TO_WORD = 1
const TO_END = 2
const KINDS = 3

/** In the place of the number of a state. */
const UNKNOWN = 0
const DEAD = -1
const FOUND = -2

const FIRST_STATES = 8
/** Of what an automaton knows of its states. */
const MAX_STATE_BYTES = 131_072
const BITS = 32
const BYTES = 4
/** Of the hash of a set: FNV-1a, 32 bits. */
const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/**
 * Looks for a program's pattern anywhere in texts.
 *
 * Shapes  take: asked for room before it is used, in bytes
 * Cost    of a unit: a look in a table; where the table does not have it yet, the positions of the program times their number / 32
 */
export class Automaton {
  readonly #program: Program
  readonly #take: (bytes: number) => boolean
  /** Classes and, as the last, the end of a text. */
  readonly #width: number
  readonly #end: number
  /** Of a set: a bit for each position, and the next for a match. */
  readonly #words: number
  readonly #takes: Uint32Array
  /** In the place of a position: where the program begins. Its bit in a set says that there is a match. */
  readonly #entry: number
  readonly #isAnchored: boolean
  /** By neighbours, then by position and, as the last, the beginning of the program: positions that may take what comes next. */
  readonly #follow: (Uint32Array | undefined)[] = []
  readonly #isKnown: (Uint8Array | undefined)[] = []

  /** A state's number is where its row begins; there is no state 0. */
  #rows = new Int32Array(0)
  #sets = new Uint32Array(0)
  #kinds = new Uint8Array(0)
  /** Numbers of states, by the hash of what they are. */
  #places = new Int32Array(0)
  #capacity = 0
  #count = 1
  #first = UNKNOWN
  /** States were thrown away in the step under way. */
  #isAnew = false
  /** The set of the state that is being made. */
  readonly #made: Uint32Array

  constructor(program: Program, take: (bytes: number) => boolean) {
    const { classes, takes, words, after } = program
    this.#program = program
    this.#take = take
    this.#end = classes.count
    this.#width = classes.count + 1
    this.#words = words
    this.#takes = takes
    this.#made = new Uint32Array(words)
    this.#entry = after.length - 1
    const beginnings = new Uint32Array(words)
    this.#reach(this.#entry, that => that !== BEGIN, beginnings, 0)
    this.#isAnchored = beginnings.every(bits => bits === 0)
  }

  /** Undefined: there was no room. */
  test(text: string): boolean | undefined {
    if (this.#first === UNKNOWN) this.#first = this.#begin()
    if (this.#first === UNKNOWN) return undefined
    const { ascii, of } = this.#program.classes
    const { length } = text
    let rows = this.#rows
    let state = this.#first
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i)
      const unitClass = unit < ascii.length ? ascii[unit]! : of(unit)
      let next = rows[state + unitClass]!
      if (next <= UNKNOWN) {
        if (next === UNKNOWN) {
          next = this.#step(state, unitClass)
          rows = this.#rows
        }
        if (next <= UNKNOWN) return next === UNKNOWN ? undefined : next === FOUND
      }
      state = next
    }
    const last = rows[state + this.#end]!
    const end = last === UNKNOWN ? this.#step(state, this.#end) : last
    return end === UNKNOWN ? undefined : end === FOUND
  }

  #begin(): number {
    this.#made.fill(0)
    return this.#stateOf((this.#program.asserts & BEGIN) !== 0 ? BEFORE_ALL : AFTER_ANY)
  }

  /** What a state becomes by a unit of a class, or by the end. */
  #step(state: number, unitClass: number): number {
    const made = this.#made
    const index = state / this.#width
    const isEnd = unitClass === this.#end
    const isWord = !isEnd && this.#program.classes.isWord[unitClass]!
    const neighbours = this.#kinds[index]! * KINDS + (isEnd ? TO_END : isWord ? TO_WORD : TO_ANY)
    if (!this.#hasFollow(neighbours)) return UNKNOWN
    made.fill(0)
    this.#addFollow(neighbours, this.#entry)
    for (let word = 0; word < this.#words; word++) {
      for (let bits = this.#sets[index * this.#words + word]!; bits !== 0; bits &= bits - 1)
        this.#addFollow(neighbours, word * BITS + BITS - 1 - Math.clz32(bits & -bits))
    }
    const next = this.#afterUnit(unitClass, isWord)
    // Where its row is gone there is nothing to write to.
    if (next !== UNKNOWN && !this.#isAnew) this.#rows[state + unitClass] = next
    return next
  }

  /** From `#made`, the positions that may take it. */
  #afterUnit(unitClass: number, isWord: boolean): number {
    const made = this.#made
    this.#isAnew = false
    if (hasBit(made, this.#entry)) return FOUND
    if (unitClass === this.#end) return DEAD
    let any = 0
    for (let word = 0; word < this.#words; word++) any |= made[word]! &= this.#takes[unitClass * this.#words + word]!
    return any === 0 && this.#isAnchored ? DEAD : this.#stateOf(isWord ? AFTER_WORD : AFTER_ANY)
  }

  /** The number of the state that is `#made`. */
  #stateOf(kind: number): number {
    for (;;) {
      const place = this.#placeOf(kind)
      const known = this.#places[place] ?? UNKNOWN
      if (known !== UNKNOWN) return known
      if (this.#count < this.#capacity) {
        const index = this.#count++
        this.#sets.set(this.#made, index * this.#words)
        this.#kinds[index] = kind
        return (this.#places[place] = index * this.#width)
      }
      if (this.#grow()) continue
      if (this.#capacity === 0) return UNKNOWN
      this.#beginAnew()
    }
  }

  /** Where a state is, or would be. */
  #placeOf(kind: number): number {
    const made = this.#made
    let hash = FNV_OFFSET ^ kind
    for (let word = 0; word < this.#words; word++) {
      hash = Math.imul(hash ^ made[word]!, FNV_PRIME)
      hash ^= hash >>> 15
    }
    const last = this.#places.length - 1
    for (let place = hash & last; ; place = (place + 1) & last) {
      const state = this.#places[place] ?? UNKNOWN
      if (state === UNKNOWN || this.#is(state / this.#width, kind)) return place
    }
  }

  #is(index: number, kind: number): boolean {
    if (this.#kinds[index] !== kind) return false
    for (let word = 0; word < this.#words; word++) if (this.#sets[index * this.#words + word] !== this.#made[word]) return false
    return true
  }

  #grow(): boolean {
    const capacity = Math.max(FIRST_STATES, this.#capacity * 2)
    // A row, a set, a kind, two places.
    const bytesOf = (states: number): number => states * ((this.#width + this.#words + 2) * BYTES + 1)
    if (this.#capacity > 0 && bytesOf(capacity) > MAX_STATE_BYTES) return false
    if (!this.#take(bytesOf(capacity) - bytesOf(this.#capacity))) return false
    const [rows, sets, kinds] = [this.#rows, this.#sets, this.#kinds]
    this.#rows = new Int32Array(capacity * this.#width)
    this.#sets = new Uint32Array(capacity * this.#words)
    this.#kinds = new Uint8Array(capacity)
    this.#places = new Int32Array(capacity * 2)
    this.#capacity = capacity
    this.#rows.set(rows)
    this.#sets.set(sets)
    this.#kinds.set(kinds)
    const made = this.#made.slice()
    for (let index = 1; index < this.#count; index++) {
      this.#made.set(this.#sets.subarray(index * this.#words, (index + 1) * this.#words))
      this.#places[this.#placeOf(this.#kinds[index]!)] = index * this.#width
    }
    this.#made.set(made)
    return true
  }

  #beginAnew(): void {
    this.#rows.fill(UNKNOWN)
    this.#places.fill(UNKNOWN)
    this.#count = 1
    this.#first = UNKNOWN
    this.#isAnew = true
  }

  #hasFollow(neighbours: number): boolean {
    if (this.#follow[neighbours] !== undefined) return true
    const rows = this.#entry + 1
    if (!this.#take(rows * (this.#words * BYTES + 1))) return false
    this.#follow[neighbours] = new Uint32Array(rows * this.#words)
    this.#isKnown[neighbours] = new Uint8Array(rows)
    return true
  }

  /** Adds to `#made` what may take a unit, or is a match, after a position between these neighbours. */
  #addFollow(neighbours: number, position: number): void {
    const follow = this.#follow[neighbours]!
    const isKnown = this.#isKnown[neighbours]!
    const row = position * this.#words
    if (isKnown[position] === 0) {
      isKnown[position] = 1
      this.#reach(position, that => holds(that, neighbours), follow, row)
    }
    for (let word = 0; word < this.#words; word++) this.#made[word]! |= follow[row + word]!
  }

  /** Adds to the set at `at` what is reached after a position without taking a unit. */
  #reach(position: number, isHeld: (that: number) => boolean, sets: Uint32Array, at: number): void {
    const { code, after } = this.#program
    const isSeen = new Uint8Array(code.length)
    const left = [after[position]!]
    for (let pc = left.pop(); pc !== undefined; pc = left.pop()) {
      if (isSeen[pc] === 1) continue
      isSeen[pc] = 1
      const is = code[pc]
      const [first, second] = [code[pc + 1]!, code[pc + 2]!]
      if (is === MATCH) addBit(sets, at, this.#entry)
      else if (is === TAKE) addBit(sets, at, first)
      else if (is === FORK) left.push(first, second)
      else if (isHeld(first)) left.push(second)
    }
  }
}

function holds(that: number, neighbours: number): boolean {
  const before = Math.floor(neighbours / KINDS)
  const next = neighbours % KINDS
  if (that === BEGIN) return before === BEFORE_ALL
  if (that === END) return next === TO_END
  return ((before === AFTER_WORD) !== (next === TO_WORD)) === (that === BOUNDARY)
}

const hasBit = (set: Uint32Array, bit: number): boolean => (set[bit >>> 5]! & (1 << (bit & 31))) !== 0
