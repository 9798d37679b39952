/** The timeline: what happened and was decided, of everything or of one thing. */
import { Button, SegmentedControl } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link, useSearchParams } from 'react-router'
import type { EventLevel, EventView } from '#model/resource/event.ts'
import { EVENTS_A_PAGE, useEvents } from '../feed/events.ts'
import { pathOfObject } from '../form/path.ts'
import { formatInstant } from '../format.ts'
import type { Band } from '../part/band.ts'
import { Shape } from '../part/health.tsx'
import { Age } from '../part/now.tsx'
import { PageHead } from '../part/page.tsx'
import { Empty, Read } from '../part/states.tsx'

const levels = [
  { value: '', label: 'All' },
  { value: 'WARNING,ERROR', label: 'Warnings' },
  { value: 'ERROR', label: 'Errors' }
]
const bands: Readonly<Record<EventLevel, Band>> = { INFO: 'off', WARNING: 'fair', ERROR: 'down' }
const words: Readonly<Record<EventLevel, string>> = { INFO: 'news', WARNING: 'warning', ERROR: 'error' }
const nouns: Readonly<Record<EventView['obj_type'], string>> = {
  virtualservice: 'Service',
  pool: 'Pool',
  poolgroup: 'Pool group',
  serviceengine: 'Engine',
  serviceenginegroup: 'Engine group'
}

/** `VS_AUTOSCALE_OUT` is read out as one word otherwise. */
const spoken = (id: string): string => id.toLowerCase().replaceAll('_', ' ')

export function EventsPage(): ReactNode {
  return (
    <div className="page">
      <PageHead title="Events">
        <span className="muted">what happened and was decided, newest first</span>
      </PageHead>
      <Events />
    </div>
  )
}

/** Of one thing, of what it leads to (`also`) and is related to, when `uuid` is given; level and page are in the URL. */
export function Events({ uuid, also = [] }: { readonly uuid?: string; readonly also?: readonly string[] }): ReactNode {
  const [params, setParams] = useSearchParams()
  const level = levels.find(({ value }) => value === params.get('level'))?.value ?? ''
  const given = Number(params.get('before') ?? Number.NaN)
  const before = Number.isSafeInteger(given) && given > 0 ? given : undefined
  const reading = useEvents({
    ...(uuid === undefined ? {} : { uuids: [uuid, ...also] }),
    ...(level === '' ? {} : { level }),
    ...(before === undefined ? {} : { before })
  })
  const go = (change: Readonly<Record<string, string>>): void =>
    setParams(was => {
      const next = new URLSearchParams(was)
      next.delete('before')
      for (const [name, value] of Object.entries(change)) {
        if (value === '') next.delete(name)
        else next.set(name, value)
      }
      return next
    })
  return (
    <>
      <div className="row">
        <SegmentedControl aria-label="Which events" data={levels} value={level} onChange={value => go({ level: value })} />
      </div>
      <Read reading={reading} what="the events">
        {events =>
          events.length === 0 ? (
            <Empty title={before === undefined ? 'Nothing of the kind has happened' : 'There are no older ones'}>
              States of services, pools, servers and engines, where services are placed, and what was decided about engines, servers and
              releases. What people changed is under Changes.
            </Empty>
          ) : (
            <ul className="incidents panel" style={{ padding: 0 }}>
              {events.map(event => (
                <EventRow key={event.id} event={event} isAlone={event.obj_uuid === uuid} />
              ))}
            </ul>
          )
        }
      </Read>
      <div className="row">
        {before !== undefined && (
          <Button variant="default" onClick={() => go({})}>
            Newest
          </Button>
        )}
        {reading.data?.length === EVENTS_A_PAGE && (
          <Button variant="default" onClick={() => go({ before: String(reading.data?.at(-1)?.id ?? '') })}>
            Older
          </Button>
        )}
      </div>
    </>
  )
}

/** `isAlone`: its page is the one that it is shown on, and need not be named. */
function EventRow({ event, isAlone }: { readonly event: EventView; readonly isAlone: boolean }): ReactNode {
  const { level, obj_type: type, obj_uuid: uuid, obj_name: name, event_id: id, report_timestamp: at } = event
  return (
    <li>
      <span className="badge" data-band={bands[level]} title={words[level]}>
        <Shape band={bands[level]} />
        <span className="sr-only">{words[level]}</span>
      </span>
      <span className="muted">{formatInstant(at)}</span>
      {!isAlone && (
        <>
          <span className="muted">{nouns[type]}</span>
          <Link className="link" to={pathOfObject(type, uuid)}>
            {name}
          </Link>
        </>
      )}
      <span className="grow">{event.event_description}</span>
      <span className="muted" title={spoken(id)}>
        {id}
      </span>
      <span className="muted">
        <Age at={at} /> ago
      </span>
    </li>
  )
}
