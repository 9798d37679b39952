/**
 * The timeline: what happened and was decided, newest last, kept in the store within bounds. Facts come from who knows them
 * (the fleet, scaling, releases); what is only on the way to a state, or the state of before a restart, is no event.
 */
import type { Clock } from '#model/base/clock.ts'
import type { Log } from '#model/base/log.ts'
import type { EventObject, EventView } from '#model/resource/event.ts'
import type { Store } from '#controller/store/store.ts'
import type { StateFact, TimelineListener, TimelinePort } from './port.ts'
import { placementEvent, releaseEvent, scaleEvent, stateEvent, type Told, upgradeEvent } from './words.ts'

export const EVENTS_MAX = 20_000
/** Events in one row of the store: a second with news writes a row or two. */
const BLOCK = 200
const WRITE_MS = 1_000
const TIDY_MS = 60_000
/** Engines come back after a start of the controller: until then every state is on the way. Longer than the fleet waits for them. */
export const SETTLE_MS = 15_000
/** What flaps tells so much at once, then one event in so long. */
const BURST = 10
const REFILL_MS = 60_000

export interface Timeline extends TimelinePort, TimelineListener {
  readonly stop: () => void
}

export interface TimelineOptions {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly eventsMax?: number
}

interface Bucket {
  tokens: number
  atMs: number
  unsaid: number
}

const keyOf = (block: number): string => String(block).padStart(12, '0')
const nameOfFact = ({ kind, uuid, server = '' }: StateFact): string => `${kind} ${uuid} ${server}`
const stateIds = /^(?:VS|POOL|SERVER|SE)_(?:UP|DOWN|DISABLED|HEARTBEAT_FAILURE)$/

/**
 * Opens the timeline of a store.
 *
 * Shapes  eventsMax: events kept, the newest
 * Cost    an event is a push; a write of a row (about 60 kB) each second with news; a query looks at all that is kept
 */
export function openTimeline({ store, clock, log, eventsMax = EVENTS_MAX }: TimelineOptions): Timeline {
  const table = store.table<readonly EventView[]>('event')
  const events: EventView[] = table.entries().flatMap(([, rows]) => rows)
  let nextId = (events.at(-1)?.id ?? 0) + 1
  const unwritten = new Set<number>()
  /** What was told last of each thing's state. */
  const last = new Map<string, string>()
  const buckets = new Map<string, Bucket>()
  const unsettled = new Map<string, { readonly fact: StateFact; readonly atEpochMs: number }>()
  const startRevision = store.revision()
  let isSettled = false
  for (const { event_id, obj_type, obj_uuid, server } of events)
    if (stateIds.test(event_id) && obj_type !== 'poolgroup' && obj_type !== 'serviceenginegroup')
      last.set(
        nameOfFact({ kind: obj_type, uuid: obj_uuid, ...(server === undefined ? {} : { server }), state: 'OPER_UNKNOWN', reasons: [] }),
        event_id
      )

  const nameOf = (kind: EventObject, uuid: string): string => store.get(kind, uuid)?.name ?? uuid

  /** Undefined: it has told enough for now. Otherwise how many it did not tell since. */
  function mayTell(key: string): number | undefined {
    const nowMs = clock.nowMs()
    const bucket = buckets.get(key) ?? { tokens: BURST, atMs: nowMs, unsaid: 0 }
    buckets.set(key, bucket)
    bucket.tokens = Math.min(BURST, bucket.tokens + (nowMs - bucket.atMs) / REFILL_MS)
    bucket.atMs = nowMs
    if (bucket.tokens < 1) {
      bucket.unsaid += 1
      return undefined
    }
    bucket.tokens -= 1
    const { unsaid } = bucket
    bucket.unsaid = 0
    return unsaid
  }

  function add(kind: EventObject, uuid: string, told: Told, atEpochMs = clock.nowEpochMs()): void {
    const object = store.get(kind, uuid)
    if (object === undefined) return
    const unsaid = mayTell(`${uuid} ${told.server ?? ''}`)
    if (unsaid === undefined) return
    const event: EventView = {
      id: nextId++,
      report_timestamp: Math.round(atEpochMs),
      obj_type: kind,
      obj_uuid: uuid,
      obj_name: object.name,
      related_uuids: [],
      tenant: object.tenant,
      ...told,
      ...(unsaid === 0 ? {} : { event_description: `${told.event_description} (after ${unsaid} more changes than are told)` })
    }
    events.push(event)
    unwritten.add(Math.floor(event.id / BLOCK))
  }

  function settle(fact: StateFact, atEpochMs: number, isBase: boolean): void {
    const told = stateEvent(fact)
    if (told === undefined) return
    const key = nameOfFact(fact)
    const before = last.get(key)
    if (before === told.event_id) return
    last.set(key, told.event_id)
    // What was there when we began and is well, and of which nothing is kept, was so before.
    const isOld = (store.get(fact.kind, fact.uuid)?.createdRevision ?? 0) <= startRevision
    if (before === undefined && isBase && isOld && told.level === 'INFO') return
    add(fact.kind, fact.uuid, told, atEpochMs)
  }

  const cancelSettling = clock.after(SETTLE_MS, () => {
    isSettled = true
    for (const { fact, atEpochMs } of unsettled.values()) settle(fact, atEpochMs, true)
    unsettled.clear()
  })

  function write(): void {
    if (unwritten.size === 0) return
    const first = events.length - eventsMax
    const gone = first > 0 ? events.splice(0, first) : []
    const oldest = events[0]?.id ?? nextId
    try {
      for (const block of new Set(gone.map(({ id }) => Math.floor(id / BLOCK))))
        if ((block + 1) * BLOCK <= oldest) table.delete(keyOf(block))
      for (const block of unwritten) {
        const rows = events.filter(({ id }) => Math.floor(id / BLOCK) === block)
        if (rows.length > 0) table.set(keyOf(block), rows)
        unwritten.delete(block)
      }
    } catch (error) {
      // They stay unwritten, and are tried again with the next.
      log.warn('events could not be written', { error })
    }
  }

  /** Of things that are gone, and of buckets that are full again, nothing need be known. */
  function tidy(): void {
    for (const key of last.keys()) {
      const [kind, uuid] = key.split(' ') as [StateFact['kind'], string]
      if (store.get(kind, uuid) === undefined) last.delete(key)
    }
    const nowMs = clock.nowMs()
    for (const [key, { atMs }] of buckets) if (nowMs - atMs > BURST * REFILL_MS) buckets.delete(key)
  }

  const stops = [clock.every(WRITE_MS, write), clock.every(TIDY_MS, tidy), cancelSettling]

  return {
    state: fact => {
      if (isSettled) settle(fact, clock.nowEpochMs(), false)
      else unsettled.set(nameOfFact(fact), { fact, atEpochMs: clock.nowEpochMs() })
    },
    placed: fact => {
      const told = placementEvent(fact, nameOf)
      if (told !== undefined) add('virtualservice', fact.uuid, told)
    },
    scaled: fact => add(fact.kind, fact.uuid, scaleEvent(fact)),
    released: fact => add('poolgroup', fact.poolGroup, releaseEvent(fact, nameOf)),
    upgraded: fact => add('serviceenginegroup', fact.group, upgradeEvent(fact, nameOf)),
    list: ({ uuids, eventIds, levels, fromEpochMs = 0, toEpochMs = Infinity, before = Infinity, limit, isSeen }) => {
      const found: EventView[] = []
      for (let i = events.length - 1; i >= 0 && found.length < limit; i--) {
        const event = events[i]!
        if (event.id >= before || event.report_timestamp > toEpochMs) continue
        if (event.report_timestamp < fromEpochMs) continue
        if (uuids !== undefined && !uuids.has(event.obj_uuid) && !event.related_uuids.some(uuid => uuids.has(uuid))) continue
        if (eventIds !== undefined && !eventIds.has(event.event_id)) continue
        if (levels !== undefined && !levels.has(event.level)) continue
        if (isSeen(event)) found.push(event)
      }
      return found
    },
    stop: () => {
      for (const stop of stops) stop()
      write()
    }
  }
}
