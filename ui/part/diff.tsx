import type { ReactNode } from 'react'
import type { DiffEntry } from '../feed/revision-parse.ts'

const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value, null, 2))

/** What changed, field by field: where, what was, what is. */
export function Diff({ entries }: { readonly entries: readonly DiffEntry[] }): ReactNode {
  if (entries.length === 0) return <p className="muted">No field changes.</p>
  return (
    <div className="diff">
      {entries.map(entry => (
        <div key={entry.pointer}>
          <div className="at">{entry.pointer === '' ? '/' : entry.pointer}</div>
          {'before' in entry && entry.before !== undefined && <div className="minus">{shown(entry.before)}</div>}
          {'after' in entry && entry.after !== undefined && <div className="plus">{shown(entry.after)}</div>}
        </div>
      ))}
    </div>
  )
}
