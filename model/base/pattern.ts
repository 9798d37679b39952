/**
 * Patterns that operators write, for an engine that needs time in proportion to the text and not more: V8 takes them with the
 * flag `l` where the process allows it (`--enable-experimental-regexp-engine`) and refuses what cannot be done so.
 */

/** Longer ones are slow on long texts even in linear time. */
export const MAX_PATTERN_CHARACTERS = 256

/** Letters that mean something after a backslash; any other would silently be itself (`\A`, `\Z`, `\Q` of other dialects). */
const escapable = 'bBcdDfnrsStuvwWx'
/** V8's own flag. */
const LINEAR = 'l'
/** The two cases of ASCII: paths, queries and hosts have no other letters, and those of headers are bytes. */
const cases = [
  { first: 65, last: 90, toOther: 32 },
  { first: 97, last: 122, toOther: -32 }
] as const

/**
 * Compiles a pattern for matching in linear time.
 *
 * Shapes  isCaseSensitive: when false each letter stands for both of its cases, because V8's linear engine has no flag `i`
 * Throws  SyntaxError that says in words what the pattern may not have
 * Cost    of a match: O(pattern x text)
 */
export function linearPattern(source: string, isCaseSensitive: boolean): RegExp {
  const wrong = dialectError(source)
  if (wrong !== undefined) throw new SyntaxError(wrong)
  plain(source)
  try {
    return new RegExp(isCaseSensitive ? source : folded(source), LINEAR)
  } catch (error) {
    if (isLinearRefusal(error)) throw new SyntaxError('must do without look-ahead, back-references and counts above 16', { cause: error })
    throw error
  }
}

const isLinearRefusal = (error: unknown): boolean => error instanceof SyntaxError && error.message.includes('linear time')

/** Its own mistakes are told in the words of any dialect. */
function plain(source: string): void {
  try {
    new RegExp(source)
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split(': ').at(-1) ?? '') : ''
    throw new SyntaxError(`must be a regular expression: ${reason.toLowerCase()}`, { cause: error })
  }
}

function dialectError(source: string): string | undefined {
  if (source.length > MAX_PATTERN_CHARACTERS) return `must not be longer than ${MAX_PATTERN_CHARACTERS} characters`
  for (let i = 0; i < source.length; i++) {
    if (source.startsWith('[[:', i)) return 'must do without classes such as [[:alpha:]]'
    if (source[i] !== '\\') continue
    const letter = source[++i] ?? ''
    if (/[1-9k]/.test(letter)) return 'must do without look-ahead, back-references and counts above 16'
    if (/[A-Za-z]/.test(letter) && !escapable.includes(letter)) return `must do without \\${letter}, which means nothing here`
  }
  return undefined
}

interface Atom {
  readonly raw: string
  /** Undefined when it is a set, or no character at all. */
  readonly code: number | undefined
}

/** One character or escape, at `i`. */
function atomAt(source: string, i: number): Atom {
  if (source[i] !== '\\') return { raw: source[i]!, code: source.charCodeAt(i) }
  const hex = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/.exec(source.slice(i, i + 6))
  if (hex !== null) return { raw: hex[0], code: Number.parseInt(hex[1] ?? hex[2]!, 16) }
  if (source[i + 1] === 'c') return { raw: source.slice(i, i + 3), code: undefined }
  const raw = source.slice(i, i + 2)
  return { raw, code: /[A-Za-z0-9]/.test(raw[1] ?? '') ? undefined : raw.charCodeAt(1) }
}

const both = ({ raw, code = 0 }: Atom): string => {
  const own = cases.find(({ first, last }) => code >= first && code <= last)
  return own === undefined ? raw : `[${raw}${String.fromCharCode(code + own.toOther)}]`
}

/** The same pattern for letters of either case. */
function folded(source: string): string {
  let out = ''
  for (let i = 0; i < source.length;) {
    const name = /^\(\?<(?![=!])[^>]*>/.exec(source.slice(i))
    const set = source[i] === '[' ? foldedSet(source, i) : undefined
    if (name !== null) {
      out += name[0]
      i += name[0].length
    } else if (set !== undefined) {
      out += set.text
      i = set.end
    } else {
      const atom = atomAt(source, i)
      out += both(atom)
      i += atom.raw.length
    }
  }
  return out
}

/** A set keeps what it has and gains the other case of its letters, so that a negated one loses them too. */
function foldedSet(source: string, start: number): { readonly text: string; readonly end: number } {
  let i = source[start + 1] === '^' ? start + 2 : start + 1
  let text = source.slice(start, i)
  let gained = ''
  while (i < source.length && source[i] !== ']') {
    const from = atomAt(source, i)
    i += from.raw.length
    const isRange = source[i] === '-' && source[i + 1] !== ']' && i + 1 < source.length
    const to = isRange ? atomAt(source, i + 1) : from
    text += isRange ? `${from.raw}-${to.raw}` : from.raw
    if (isRange) i += 1 + to.raw.length
    if (from.code === undefined || to.code === undefined) continue
    for (const { first, last, toOther } of cases) {
      const start = Math.max(from.code, first)
      const end = Math.min(to.code, last)
      if (start <= end) gained += `${String.fromCharCode(start + toOther)}-${String.fromCharCode(end + toOther)}`
    }
  }
  // A hyphen that ends the set must go on to end it.
  if (gained !== '' && text.endsWith('-') && !text.endsWith('\\-')) text = `${text.slice(0, -1)}\\-`
  return { text: `${text}${gained}]`, end: i + 1 }
}
