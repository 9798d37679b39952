/**
 * Which of many rules may be for a request, in their order: those for its host, those for its path or a beginning of it, and those
 * that nothing here tells apart. What an index gives is asked all the same: it only leaves out what cannot hold.
 */
import type { Match, StringMatch } from '#model/snapshot/snapshot.ts'
import { withoutParameters } from './path.ts'

interface Entry<R> {
  readonly rule: R
  readonly order: number
}

type Entries<R> = Entry<R>[]

/** Characters that end the text with which a pattern is certain to begin. */
const special = /[\\^$.*+?()[\]{}|]/

export class RuleIndex<R> {
  readonly #others: Entries<R> = []
  readonly #byHost = new Map<string, Entries<R>>()
  /** In lower case: rules that tell cases apart are found by either. */
  readonly #byPath = new Map<string, Entries<R>>()
  readonly #byBeginning = new Map<string, Entries<R>>()
  /** Of the beginnings that there are. */
  readonly #lengths = new Set<number>()
  #count = 0
  /** Of the walk under way: one at a time, since nothing waits between its steps. */
  readonly #lists: Entries<R>[] = []
  readonly #places: number[] = []

  /** In order; a rule without a match is for every request. */
  add(rule: R, match: Match | null): void {
    const entry = { rule, order: this.#count++ }
    const { host, path } = match ?? {}
    if (host?.operator === 'equals') return put(this.#byHost, host.values, entry)
    if (path?.operator === 'equals') return put(this.#byPath, path.values, entry)
    const beginnings = path === null || path === undefined ? undefined : beginningsOf(path)
    if (beginnings === undefined) return void this.#others.push(entry)
    put(this.#byBeginning, beginnings, entry)
    for (const { length } of beginnings) this.#lengths.add(length)
  }

  /** The first rule that may be for the request; `next` goes on. */
  begin({ host, path }: { readonly host: string; readonly path: string }): R | undefined {
    this.#lists.length = 0
    this.#look(this.#others)
    if (this.#byHost.size > 0) this.#look(this.#byHost.get(host))
    if (this.#byPath.size > 0 || this.#byBeginning.size > 0) {
      const asked = path.toLowerCase()
      this.#lookFor(asked)
      // Rules that deny take a path without its parameters as well.
      const bare = asked.includes(';') ? withoutParameters(asked) : asked
      if (bare !== asked) this.#lookFor(bare)
    }
    return this.next()
  }

  next(): R | undefined {
    const lists = this.#lists
    const places = this.#places
    let best: Entry<R> | undefined
    for (let i = 0; i < lists.length; i++) {
      const entry = lists[i]![places[i]!]
      if (entry !== undefined && (best === undefined || entry.order < best.order)) best = entry
    }
    if (best === undefined) return undefined
    // A rule may be in more than one.
    for (let i = 0; i < lists.length; i++) if (lists[i]![places[i]!] === best) places[i]!++
    return best.rule
  }

  #lookFor(path: string): void {
    this.#look(this.#byPath.get(path))
    for (const length of this.#lengths) if (length <= path.length) this.#look(this.#byBeginning.get(path.slice(0, length)))
  }

  #look(entries: Entries<R> | undefined): void {
    if (entries === undefined || entries.length === 0) return
    this.#places[this.#lists.length] = 0
    this.#lists.push(entries)
  }
}

function put<R>(map: Map<string, Entries<R>>, keys: readonly string[], entry: Entry<R>): void {
  for (const key of new Set(keys.map(text => text.toLowerCase()))) {
    const known = map.get(key)
    if (known === undefined) map.set(key, [entry])
    else known.push(entry)
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
