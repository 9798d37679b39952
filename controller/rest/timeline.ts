/** What happened and was decided: `GET /api/analytics/logs`, of which type 2 is events. */
import type { FastifyInstance } from 'fastify'
import { eventLevels, type EventLevel, type EventView } from '#model/resource/event.ts'
import type { TimelineQuery } from '#controller/timeline/port.ts'
import { baseOf } from './answer.ts'
import { parseMoment } from './analytics.ts'
import { callerOf } from './caller.ts'
import { anyObject } from './openapi.ts'
import { badQuery } from './problem.ts'
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, checkNames, integerOf, one } from './query.ts'
import type { QueryParameter, RawQuery } from './query.ts'
import { canSee } from './reads.ts'
import type { RestServices } from './services.ts'

/** Values of one list. */
const LIST_MAX = 200

export const eventParameters: readonly QueryParameter[] = [
  { name: 'type', description: '2: events. (1, requests, is not kept by the controller.)', schema: { type: 'integer', enum: [2] } },
  { name: 'obj_uuid', description: 'Comma-separated uuids: events of these objects, or related to them.', schema: { type: 'string' } },
  { name: 'event_id', description: 'Comma-separated ids, such as VS_DOWN,SERVER_DOWN.', schema: { type: 'string' } },
  { name: 'level', description: 'Comma-separated levels.', schema: { type: 'string', examples: ['WARNING,ERROR'] } },
  { name: 'start', description: 'ISO 8601, or epoch seconds.', schema: { type: 'string' } },
  { name: 'end', description: 'ISO 8601, or epoch seconds.', schema: { type: 'string' } },
  { name: 'before', description: 'Only events with a smaller id: the next page.', schema: { type: 'integer', minimum: 1 } },
  {
    name: 'page_size',
    description: 'Events a page.',
    schema: { type: 'integer', minimum: 1, maximum: PAGE_SIZE_MAX, default: PAGE_SIZE_DEFAULT }
  }
]

function listOf(query: RawQuery, name: string, shape: RegExp, words: string): ReadonlySet<string> | undefined {
  const text = one(query, name)
  if (text === undefined) return undefined
  const values = text.split(',').map(value => value.trim())
  if (values.length > LIST_MAX || !values.every(value => shape.test(value))) throw badQuery(name, words)
  return new Set(values)
}

const isLevel = (value: string): value is EventLevel => (eventLevels as readonly string[]).includes(value)

/** What of a query is the asker's to say. */
export type EventQuery = Omit<TimelineQuery, 'isSeen'>

/** Reads the query of the timeline. Throws Problem 400 that names the parameter. */
export function parseEventQuery(query: RawQuery): EventQuery {
  checkNames(query, eventParameters)
  if (one(query, 'type') !== '2') throw badQuery('type', 'must be 2 (events); requests (1) are in the access log of each engine')
  const uuids = listOf(query, 'obj_uuid', /^[a-z0-9-]{1,100}$/, `must be 1 to ${LIST_MAX} uuids`)
  const eventIds = listOf(query, 'event_id', /^[A-Z][A-Z0-9_]{0,63}$/, 'must be ids such as VS_DOWN')
  const named = listOf(query, 'level', /^[A-Z]+$/, `must be of ${eventLevels.join(', ')}`)
  const levels = named === undefined ? undefined : new Set([...named].filter(isLevel))
  if (levels?.size !== named?.size) throw badQuery('level', `must be of ${eventLevels.join(', ')}`)
  const [start, end] = [one(query, 'start'), one(query, 'end')]
  const fromEpochMs = start === undefined ? undefined : parseMoment('start', start) * 1_000
  const toEpochMs = end === undefined ? undefined : parseMoment('end', end) * 1_000 + 999
  if (fromEpochMs !== undefined && toEpochMs !== undefined && fromEpochMs > toEpochMs) throw badQuery('start', 'must not be after end')
  const before = one(query, 'before') === undefined ? undefined : integerOf(query, 'before', { min: 1, max: 1e14, otherwise: 1 })
  return {
    ...(uuids === undefined ? {} : { uuids }),
    ...(eventIds === undefined ? {} : { eventIds }),
    ...(levels === undefined ? {} : { levels }),
    ...(fromEpochMs === undefined ? {} : { fromEpochMs }),
    ...(toEpochMs === undefined ? {} : { toEpochMs }),
    ...(before === undefined ? {} : { before }),
    limit: integerOf(query, 'page_size', { min: 1, max: PAGE_SIZE_MAX, otherwise: PAGE_SIZE_DEFAULT })
  }
}

export function useTimeline(app: FastifyInstance, { timeline }: RestServices): void {
  const doc = { summary: 'List events, newest first', tag: 'analytics', parameters: eventParameters, status: 200, answer: anyObject }
  app.get('/api/analytics/logs', { config: { doc } }, async request => {
    const query = parseEventQuery(request.query as RawQuery)
    const caller = callerOf(request)
    const isSeen = ({ obj_type, tenant, obj_name }: EventView): boolean => canSee(caller, { kind: obj_type, tenant, name: obj_name })
    // One more than asked for says whether there is another page.
    const found = timeline.list({ ...query, limit: query.limit + 1, isSeen })
    const results = found.slice(0, query.limit)
    const last = results.at(-1)
    const next = new URL(request.url, baseOf(request))
    next.searchParams.set('before', String(last?.id ?? 0))
    return { ...(found.length > results.length ? { next: next.toString() } : {}), results }
  })
}
