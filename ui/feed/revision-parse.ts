/** Revisions and their differences, as REST tells them. */
import { isRecord, textIn } from '../json.ts'

export interface DiffEntry {
  readonly pointer: string
  readonly before?: unknown
  readonly after?: unknown
}
export interface ResourceChange {
  readonly action: 'create' | 'update' | 'delete'
  readonly kind: string
  readonly uuid: string
  readonly name: string
  readonly diff: readonly DiffEntry[]
}
export interface Revision {
  readonly revision: number
  readonly author: string
  readonly reason: string
  readonly atEpochMs: number
  readonly changes: readonly ResourceChange[]
}

const actions: Readonly<Record<string, ResourceChange['action']>> = { create: 'create', update: 'update', delete: 'delete' }

function changeOf(value: unknown): readonly ResourceChange[] {
  if (!isRecord(value)) return []
  const diff = Array.isArray(value['diff']) ? value['diff'] : []
  return [
    {
      action: actions[textIn(value['action'])] ?? 'update',
      kind: textIn(value['kind']),
      uuid: textIn(value['uuid']),
      name: textIn(value['name']),
      diff: diff.flatMap((entry: unknown) =>
        isRecord(entry) && typeof entry['pointer'] === 'string'
          ? [
              {
                pointer: entry['pointer'],
                ...('before' in entry ? { before: entry['before'] } : {}),
                ...('after' in entry ? { after: entry['after'] } : {})
              }
            ]
          : []
      )
    }
  ]
}

/** Changes as revisions and dry runs tell them. */
export function parseChanges(value: unknown): readonly ResourceChange[] {
  return Array.isArray(value) ? value.flatMap(changeOf) : []
}

/** Reads a revision as REST tells it; undefined for what is none. */
export function parseRevision(value: unknown): Revision | undefined {
  if (!isRecord(value) || typeof value['revision'] !== 'number') return undefined
  return {
    revision: value['revision'],
    author: textIn(value['author']),
    reason: textIn(value['reason']),
    atEpochMs: Date.parse(textIn(value['at'])),
    changes: parseChanges(value['changes'])
  }
}
