/**
 * Which of many rules may be for a request, in their order: those for its host, those for its path or a beginning of it, those whose
 * texts it has some letters of, and those that nothing here tells apart. What an index gives is asked all the same: it only leaves
 * out what cannot hold.
 */
import type { Match, StringMatch } from '#model/snapshot/snapshot.ts'
import { certainTexts } from './certain-texts.ts'
import { withoutParameters } from './path.ts'

interface Entry<R> {
  readonly rule: R
  readonly order: number
}

/** In order. */
interface Entries<R> {
  readonly all: Entry<R>[]
  /** The last walk that has it. */
  walk: number
}

const entriesOf = <R>(all: Entry<R>[]): Entries<R> => ({ all, walk: 0 })

const LONG_GRAM = 4
const SHORT_GRAM = 3
/** Of ASCII. What differs in further bits is taken for one: what is found is asked all the same. */
const LETTER_BITS = 7
const LETTER = 0x7f

/** More lists than these are made one before they are walked. */
const MAX_LISTS = 8

/** Characters that end the text with which a pattern is certain to begin. */
const special = /[\\^$.*+?()[\]{}|]/

export class RuleIndex<R> {
  readonly #others: Entries<R> = entriesOf([])
  readonly #byHost = new Map<string, Entries<R>>()
  /** In lower case: rules that tell cases apart are found by either. */
  readonly #byPath = new Map<string, Entries<R>>()
  readonly #byBeginning = new Map<string, Entries<R>>()
  /** Of the beginnings that there are. */
  readonly #lengths = new Set<number>()
  readonly #inHost = new TextIndex<R>()
  readonly #inPath = new TextIndex<R>()
  readonly #inQuery = new TextIndex<R>()
  #count = 0
  /** Of the walk under way: one at a time, since nothing waits between its steps. */
  #walk = 0
  readonly #lists: Entries<R>[] = []
  readonly #places: number[] = []

  /** In order; a rule without a match is for every request. */
  add(rule: R, match: Match | null): void {
    const entry = { rule, order: this.#count++ }
    const { host, path, query } = match ?? {}
    if (host?.operator === 'equals') return put(this.#byHost, host.values, entry)
    if (path?.operator === 'equals') return put(this.#byPath, path.values, entry)
    const beginnings = path === null || path === undefined ? undefined : beginningsOf(path)
    if (beginnings === undefined) {
      const isIn = this.#inHost.add(host, entry) || this.#inPath.add(path, entry) || this.#inQuery.add(query, entry)
      return void (isIn || this.#others.all.push(entry))
    }
    put(this.#byBeginning, beginnings, entry)
    for (const { length } of beginnings) this.#lengths.add(length)
  }

  /** The first rule that may be for the request; `next` goes on. */
  begin({ host, path, query }: { readonly host: string; readonly path: string; readonly query: string }): R | undefined {
    this.#lists.length = 0
    this.#walk++
    this.#look(this.#others)
    if (this.#byHost.size > 0) this.#look(this.#byHost.get(host))
    this.#inHost.look(host, this.#lookAt)
    if (this.#byPath.size > 0 || this.#byBeginning.size > 0 || !this.#inPath.isEmpty) {
      const asked = path.toLowerCase()
      this.#lookFor(asked)
      // Rules that deny take a path without its parameters as well.
      const bare = asked.includes(';') ? withoutParameters(asked) : asked
      if (bare !== asked) this.#lookFor(bare)
    }
    if (!this.#inQuery.isEmpty) this.#inQuery.look(query.toLowerCase(), this.#lookAt)
    if (this.#lists.length > MAX_LISTS) this.#merge()
    return this.next()
  }

  next(): R | undefined {
    const lists = this.#lists
    const places = this.#places
    let best: Entry<R> | undefined
    for (let i = 0; i < lists.length; i++) {
      const entry = lists[i]!.all[places[i]!]
      if (entry !== undefined && (best === undefined || entry.order < best.order)) best = entry
    }
    if (best === undefined) return undefined
    // A rule may be in more than one.
    for (let i = 0; i < lists.length; i++) if (lists[i]!.all[places[i]!] === best) places[i]!++
    return best.rule
  }

  #lookFor(path: string): void {
    this.#look(this.#byPath.get(path))
    for (const length of this.#lengths) if (length <= path.length) this.#look(this.#byBeginning.get(path.slice(0, length)))
    this.#inPath.look(path, this.#lookAt)
  }

  readonly #lookAt = (entries: Entries<R>): void => this.#look(entries)

  #merge(): void {
    const all = this.#lists.flatMap(list => list.all).toSorted((a, b) => a.order - b.order)
    this.#lists.length = 0
    this.#look(entriesOf(all.filter((entry, i) => entry !== all[i - 1])))
  }

  #look(entries: Entries<R> | undefined): void {
    if (entries === undefined || entries.all.length === 0 || entries.walk === this.#walk) return
    entries.walk = this.#walk
    this.#places[this.#lists.length] = 0
    this.#lists.push(entries)
  }
}

/** Rules by some letters in a row of a text that what they are for has. */
class Grams<R> {
  readonly #length: number
  readonly #mask: number
  readonly #byGram = new Map<number, Entries<R>>()

  constructor(length: number) {
    this.#length = length
    this.#mask = 2 ** (length * LETTER_BITS) - 1
  }

  /** Shapes  texts: one of them, in lower case, is certain, and each is long enough. */
  add(texts: readonly string[], entry: Entry<R>): void {
    for (const text of texts) {
      const known = this.#gramsOf(text).map(gram => [gram, this.#byGram.get(gram)] as const)
      // The rarest of them tells most.
      const [gram, entries] = known.reduce((best, each) => ((each[1]?.all.length ?? 0) < (best[1]?.all.length ?? 0) ? each : best))
      if (entries === undefined) this.#byGram.set(gram, entriesOf([entry]))
      else if (entries.all.at(-1) !== entry) entries.all.push(entry)
    }
  }

  look(text: string, found: (entries: Entries<R>) => void): void {
    if (this.#byGram.size === 0) return
    let gram = 0
    for (let i = 0; i < text.length; i++) {
      gram = ((gram << LETTER_BITS) | (text.charCodeAt(i) & LETTER)) & this.#mask
      const entries = i < this.#length - 1 ? undefined : this.#byGram.get(gram)
      if (entries !== undefined) found(entries)
    }
  }

  #gramsOf(text: string): number[] {
    const grams: number[] = []
    let gram = 0
    for (let i = 0; i < text.length; i++) {
      gram = ((gram << LETTER_BITS) | (text.charCodeAt(i) & LETTER)) & this.#mask
      if (i >= this.#length - 1) grams.push(gram)
    }
    return grams
  }
}

/** Rules by the texts in one part of a request. */
class TextIndex<R> {
  readonly #long = new Grams<R>(LONG_GRAM)
  readonly #short = new Grams<R>(SHORT_GRAM)
  isEmpty = true

  /** False when no text is certain, or too short a one. */
  add(match: StringMatch | null | undefined, entry: Entry<R>): boolean {
    const texts = match === null || match === undefined ? [] : textsIn(match)
    const length = Math.min(...texts.map(text => text.length))
    if (texts.length === 0 || length < SHORT_GRAM) return false
    this.isEmpty = false
    if (length < LONG_GRAM) this.#short.add(texts, entry)
    else this.#long.add(texts, entry)
    return true
  }

  /** Shapes  text: in lower case. */
  look(text: string, found: (entries: Entries<R>) => void): void {
    this.#long.look(text, found)
    this.#short.look(text, found)
  }
}

/** What matches has one of these, in lower case; none: nothing is certain. */
function textsIn({ operator, values }: StringMatch): readonly string[] {
  switch (operator) {
    case 'begins-with':
    case 'contains':
    case 'ends-with':
    case 'equals':
      return values.map(text => text.toLowerCase())
    case 'regex': {
      const texts = values.map(certainTexts)
      return texts.includes(undefined) ? [] : texts.flatMap(each => each ?? [])
    }
    default:
      return []
  }
}

function put<R>(map: Map<string, Entries<R>>, keys: readonly string[], entry: Entry<R>): void {
  for (const key of new Set(keys.map(text => text.toLowerCase()))) {
    const known = map.get(key)
    if (known === undefined) map.set(key, entriesOf([entry]))
    else known.all.push(entry)
  }
}

/** With one of these, in lower case, a path begins that can match; undefined: with any. */
function beginningsOf({ operator, values }: StringMatch): readonly string[] | undefined {
  if (operator === 'begins-with') return values.map(text => text.toLowerCase())
  if (operator !== 'regex') return undefined
  const beginnings = values.map(certainBeginning)
  return beginnings.includes('') ? undefined : beginnings
}

/** What every text that the pattern matches begins with, in lower case; '' when nothing is certain. */
function certainBeginning(pattern: string): string {
  if (!pattern.startsWith('^') || pattern.includes('|')) return ''
  const rest = pattern.slice(1)
  const end = rest.search(special)
  if (end < 0) return rest.toLowerCase()
  // What is said of the last character may be that it need not be there.
  return rest.slice(0, '*?{'.includes(rest[end]!) ? Math.max(0, end - 1) : end).toLowerCase()
}
