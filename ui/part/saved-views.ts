/** Views of lists that somebody keeps: a name for a path with its filter and sort. Kept in the browser, apart for each user. */
import { isRecord } from '../json.ts'

export interface SavedView {
  readonly name: string
  /** Of the list: `/services`. */
  readonly path: string
  /** Filter and sort, as in the URL: `q=state%3Adown&sort=-name`. */
  readonly query: string
}

/** More than one finds again are no help. */
const MOST = 100
export const LONGEST_NAME = 60

export const keyOfViews = (userName: string): string => `weir.views.${userName}`

/** What of a URL makes the view: its filter and sort, in this order. */
export function queryOfView(params: URLSearchParams): string {
  const kept = new URLSearchParams()
  for (const name of ['q', 'sort']) {
    const value = params.get(name)
    if (value !== null && value !== '') kept.set(name, value)
  }
  return kept.toString()
}

/** Reads what was kept; anything that is no view is left out. Throws nothing. */
export function parseViews(text: string | null): readonly SavedView[] {
  let value: unknown
  try {
    value = JSON.parse(text ?? '[]')
  } catch {
    return []
  }
  if (!Array.isArray(value)) return []
  return value
    .flatMap((one: unknown): readonly SavedView[] => {
      if (!isRecord(one)) return []
      const { name, path, query } = one
      if (typeof name !== 'string' || typeof path !== 'string' || typeof query !== 'string') return []
      // A path of our own, never another site's.
      return name === '' || name.length > LONGEST_NAME || !/^\/(?!\/)/u.test(path) ? [] : [{ name, path, query }]
    })
    .slice(0, MOST)
}

/** With one more view; of the same name on the same list there is one. */
export function withView(views: readonly SavedView[], view: SavedView): readonly SavedView[] {
  return [...withoutView(views, view), view].slice(-MOST)
}

export function withoutView(views: readonly SavedView[], { name, path }: Pick<SavedView, 'name' | 'path'>): readonly SavedView[] {
  return views.filter(one => one.name !== name || one.path !== path)
}
