/** A request target is normalised once; what rules decide on and what is sent on cannot disagree. */

export interface NormalTarget {
  /** Sent on: unreserved characters decoded, dot segments resolved, query kept. */
  readonly target: string
  /** Decided on: `target` without query, escaped slashes decoded, duplicate slashes merged. */
  readonly path: string
  /** Without `?`. */
  readonly query: string
}

/** Anything that could need work: an escape, a parameter, a backslash, a dot or a slash after a slash. */
const suspicious = /[%;\\]|\/[./]/
const printable = /^[\x21-\x7e]*$/
/** An escaped backslash or NUL, or a bare backslash: servers disagree about what they separate. */
const hidden = /%(?:5c|00)|\\/i
const badEscape = /%(?![0-9a-f]{2})/i
const escape = /%[0-9a-f]{2}/gi
const unreserved = /[A-Za-z0-9._~-]/

/**
 * Normalises an origin-form target (RFC 3986 §6.2.2 and §6.2.3).
 *
 * Shapes  target: begins with `/`
 * Returns why it is refused, in words, as a string; a refused target is never passed on
 * Source  RFC 3986 §5.2.4 for dot segments, but one that climbs out is refused
 */
export function normalizeTarget(target: string): NormalTarget | string {
  const mark = target.indexOf('?')
  const rawPath = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark + 1)
  if (!printable.test(target) || target.includes('#')) return 'a target with a character that does not belong there'
  if (!rawPath.startsWith('/')) return 'a target that is no path'
  if (!suspicious.test(rawPath)) return { target, path: rawPath, query }
  if (badEscape.test(rawPath)) return 'a path with a broken escape'
  if (hidden.test(rawPath)) return 'a path with a hidden separator'
  const decoded = rawPath.replace(escape, found => {
    const character = String.fromCharCode(Number.parseInt(found.slice(1), 16))
    return unreserved.test(character) ? character : found.toUpperCase()
  })
  const resolved = resolveDots(decoded)
  if (resolved === undefined) return 'a path that climbs out'
  const path = decodeSlashes(resolved)
  if (path === undefined) return 'a path that climbs by escaped slashes'
  return { target: mark < 0 ? resolved : `${resolved}?${query}`, path: path.replace(/\/{2,}/g, '/'), query }
}

/**
 * Registries, git hosts and message brokers put names with slashes into one segment (`/@scope%2Fname`): that goes on as it is.
 * Rules see the slash, as a server that decodes it would. Undefined when that would uncover a dot segment.
 */
function decodeSlashes(path: string): string | undefined {
  if (!path.includes('%2F')) return path
  const decoded = path.replaceAll('%2F', '/')
  return /\/\.{1,2}(?:[/;]|$)/.test(decoded) ? undefined : decoded
}

/** Undefined when the path climbs out, or hides dots behind a parameter (`/..;x/`) that some servers drop. */
function resolveDots(path: string): string | undefined {
  const out: string[] = []
  const segments = path.slice(1).split('/')
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!
    const isLast = i === segments.length - 1
    if (/^\.{1,2};/.test(segment)) return undefined
    if (segment === '.') {
      if (isLast) out.push('')
    } else if (segment === '..') {
      if (out.pop() === undefined) return undefined
      if (isLast) out.push('')
    } else out.push(segment)
  }
  return `/${out.join('/')}`
}

/** The path as servers see it that drop parameters: `/admin;x=1/y` is `/admin/y`. */
export function withoutParameters(path: string): string {
  return path.replace(/;[^/]*/g, '')
}
