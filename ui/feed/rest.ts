import { Problem, parseProblem } from './problem.ts'

export type WriteMethod = 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Rest {
  /** `path` starts with a slash. Rejects with a Problem. */
  readonly read: <T>(path: string, signal?: AbortSignal) => Promise<T>
  /** Resolves when there is something at the path; rejects with a Problem that says why not. */
  readonly find: (path: string, signal?: AbortSignal) => Promise<void>
  readonly write: <T>(method: WriteMethod, path: string, body?: unknown, reason?: string) => Promise<T>
  /** Every result of a list, over all its pages. */
  readonly readAll: <T>(path: string, signal?: AbortSignal) => Promise<readonly T[]>
}

export interface RestParts {
  readonly fetch: typeof fetch
  /** Read at each write: it changes when one signs in. */
  readonly csrfToken: () => string
  /** undefined: the tenant of whoever is signed in. */
  readonly tenant: string | undefined
  /** Called on a 401 of anything but the sign-in itself. */
  readonly onSignedOut: () => void
}

interface Page<T> {
  readonly count: number
  readonly results: readonly T[]
}

interface AskOptions {
  readonly body?: unknown
  readonly signal?: AbortSignal
  readonly reason?: string
}

const PAGE_SIZE = 200
const PAGES_AT_ONCE = 4

/** The REST client: same origin, cookies, the CSRF token on writes. */
export function makeRest(parts: RestParts): Rest {
  const askText = async (method: string, path: string, options: AskOptions): Promise<string> => {
    const headers: Record<string, string> = { Accept: 'application/json' }
    if (parts.tenant !== undefined) headers['X-Weir-Tenant'] = parts.tenant
    if (options.reason !== undefined && options.reason !== '') headers['X-Weir-Reason'] = options.reason
    if (method !== 'GET') headers['X-CSRFToken'] = parts.csrfToken()
    if (options.body !== undefined) headers['Content-Type'] = 'application/json'
    let response: Response
    try {
      response = await parts.fetch(path, {
        method,
        headers,
        credentials: 'same-origin',
        // The API wants a Referer on writes whatever the page's own policy says.
        referrerPolicy: 'same-origin',
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        ...(options.signal ? { signal: options.signal } : {})
      })
    } catch (error) {
      if (options.signal?.aborted) throw error
      throw new Problem(0, 'no answer', `the controller at ${location.host} does not answer`)
    }
    const text = await response.text()
    if (!response.ok) {
      const problem = parseProblem(response.status, text)
      if (response.status === 401 && path !== '/login') parts.onSignedOut()
      throw problem
    }
    return text
  }
  const ask = async <T>(method: string, path: string, options: AskOptions): Promise<T> => {
    const text = await askText(method, path, options)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
  const read = <T>(path: string, signal?: AbortSignal): Promise<T> => ask<T>('GET', path, signal ? { signal } : {})
  return {
    read,
    find: async (path, signal) => void (await askText('GET', path, signal ? { signal } : {})),
    write: (method, path, body, reason) => ask(method, path, { body, ...(reason === undefined ? {} : { reason }) }),
    readAll: async <T>(path: string, signal?: AbortSignal) => {
      const paged = (page: number): string => `${path}${path.includes('?') ? '&' : '?'}page_size=${PAGE_SIZE}&page=${page}`
      const first = await read<Page<T>>(paged(1), signal)
      const results = [...first.results]
      const last = Math.ceil(first.count / PAGE_SIZE)
      for (let page = 2; page <= last; page += PAGES_AT_ONCE) {
        const pages = Array.from({ length: Math.min(PAGES_AT_ONCE, last - page + 1) }, (_, at) => read<Page<T>>(paged(page + at), signal))
        for (const { results: more } of await Promise.all(pages)) results.push(...more)
      }
      return results
    }
  }
}

/** The value of a cookie in a `document.cookie` string; '' when there is none. */
export function cookieIn(cookies: string, name: string): string {
  const found = cookies.split(';').find(part => part.trim().startsWith(`${name}=`))
  return found === undefined ? '' : decodeURIComponent(found.trim().slice(name.length + 1))
}
