/** The automata of a worker, within a bound of memory. */
import { Automaton } from './automaton.ts'
import { readProgram } from './program.ts'

/** Of what all automata of a worker know together. */
const MAX_BYTES = 33_554_432
/** About what objects of the runtime take for one automaton, and for each number of its program. */
const OWN_BYTES = 5_120
const NUMBER_BYTES = 8
/** How many are looked at, for one that was not asked lately, when another needs room. */
const LOOKS = 8
/** Questions after which one that got no room asks for it again. */
const PATIENCE = 256

/** Made when it is first asked; those that were not asked lately give way to others. */
export class Automata {
  readonly #maxBytes: number
  /** Those that have something to forget, roughly by how long ago they were asked. */
  readonly #built = new Set<Kept>()
  #bytes = 0

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** What they take now. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Compiles a pattern to a question.
   *
   * Shapes  source: as `RegExp` takes it, without flags
   * Returns undefined where somebody else has to answer: the pattern is none of ours, or there is no room
   */
  compile(source: string): (text: string) => boolean | undefined {
    const kept: Kept = { source, automaton: undefined, bytes: 0, patience: 0, isAsked: false }
    const take = (bytes: number): boolean => this.#take(kept, bytes)
    return text => {
      kept.isAsked = true
      const automaton = kept.automaton === undefined ? this.#build(kept, take) : kept.automaton
      const found = automaton?.test(text)
      if (found === undefined && automaton !== null) this.#forget(kept)
      return found
    }
  }

  #build(kept: Kept, take: (bytes: number) => boolean): Automaton | null {
    if (kept.patience > 0) {
      kept.patience--
      return null
    }
    const program = readProgram(kept.source)
    if (program === undefined) return (kept.automaton = null)
    if (!take(OWN_BYTES + program.code.length * NUMBER_BYTES)) {
      kept.patience = PATIENCE
      return null
    }
    return (kept.automaton = new Automaton(program, take))
  }

  #take(kept: Kept, bytes: number): boolean {
    for (let looks = 0; this.#bytes + bytes > this.#maxBytes && looks < LOOKS; looks++) {
      const [oldest] = this.#built
      if (oldest === undefined) break
      this.#built.delete(oldest)
      if (oldest !== kept && !oldest.isAsked) {
        this.#forget(oldest)
        continue
      }
      oldest.isAsked = false
      this.#built.add(oldest)
    }
    if (this.#bytes + bytes > this.#maxBytes) return false
    this.#bytes += bytes
    kept.bytes += bytes
    this.#built.add(kept)
    return true
  }

  #forget(kept: Kept): void {
    this.#built.delete(kept)
    this.#bytes -= kept.bytes
    kept.bytes = 0
    kept.automaton = undefined
    kept.patience = PATIENCE
  }
}

interface Kept {
  readonly source: string
  /** Null: there is none for this pattern. */
  automaton: Automaton | null | undefined
  bytes: number
  patience: number
  isAsked: boolean
}
