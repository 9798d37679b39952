/** Events, as REST tells them. */
import { eventLevels, eventObjects, type EventView } from '#model/resource/event.ts'
import { isRecord, textIn } from '../json.ts'
import { useRead } from './feed.tsx'
import type { Reading } from './feed.tsx'

export const EVENTS_A_PAGE = 50
/** The newest are asked for again at this pace. */
const REFRESH_MS = 5_000

/** Reads an event as REST tells it; undefined for what is none. */
export function parseEvent(value: unknown): EventView | undefined {
  if (!isRecord(value) || typeof value['id'] !== 'number' || typeof value['report_timestamp'] !== 'number') return undefined
  const type = eventObjects.find(kind => kind === value['obj_type'])
  if (type === undefined) return undefined
  const related = Array.isArray(value['related_uuids']) ? value['related_uuids'] : []
  return {
    id: value['id'],
    report_timestamp: value['report_timestamp'],
    event_id: textIn(value['event_id']),
    level: eventLevels.find(level => level === value['level']) ?? 'INFO',
    obj_type: type,
    obj_uuid: textIn(value['obj_uuid']),
    obj_name: textIn(value['obj_name']),
    ...(typeof value['server'] === 'string' ? { server: value['server'] } : {}),
    event_description: textIn(value['event_description']),
    related_uuids: related.filter(uuid => typeof uuid === 'string'),
    tenant: textIn(value['tenant'])
  }
}

/** Newest first; of some things, and of what is related to them, when they are given. */
export function useEvents(query: {
  readonly uuids?: readonly string[]
  readonly level?: string
  readonly before?: number
}): Reading<readonly EventView[]> {
  const { level, before } = query
  const uuids = query.uuids?.join(',')
  const asked = new URLSearchParams({ type: '2', page_size: String(EVENTS_A_PAGE) })
  if (uuids !== undefined) asked.set('obj_uuid', uuids)
  if (level !== undefined) asked.set('level', level)
  if (before !== undefined) asked.set('before', String(before))
  const reading = useRead<{ readonly results: readonly unknown[] }>(
    ['event', uuids ?? '', level ?? '', before ?? ''],
    `/api/analytics/logs?${asked.toString()}`,
    before === undefined ? REFRESH_MS : undefined
  )
  return { ...reading, data: reading.data?.results.flatMap(value => parseEvent(value) ?? []) }
}
