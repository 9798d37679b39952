import { useRead } from './feed.tsx'
import type { Reading } from './feed.tsx'
import { parseRevision } from './revision-parse.ts'
import type { Revision } from './revision-parse.ts'

/** Newest first; of one thing when `uuid` is given. */
export function useRevisions(uuid?: string, before?: number): Reading<readonly Revision[]> {
  const query = [uuid === undefined ? '' : `uuid=${uuid}`, before === undefined ? '' : `before=${before}`, 'page_size=50']
  const reading = useRead<{ readonly results: readonly unknown[] }>(
    ['revision', uuid ?? '', before ?? ''],
    `/api/revision?${query.filter(part => part !== '').join('&')}`
  )
  return { ...reading, data: reading.data?.results.flatMap(value => parseRevision(value) ?? []) }
}
