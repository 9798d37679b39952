/** The start page: what needs a look, worst first, and the sum of everything. */
import { Button } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { VirtualServiceRuntime } from '#model/resource/runtime.ts'
import { useFeed, useInventory, usePace, useWatch } from '../feed/feed.tsx'
import type { LiveFeed } from '../feed/live.ts'
import type { LiveKind, Row } from '../feed/objects.ts'
import { formatCount } from '../format.ts'
import { bandOf, stateWords } from '../part/band.ts'
import { Score } from '../part/health.tsx'
import { Age } from '../part/now.tsx'
import { PageHead, Panel } from '../part/page.tsx'
import { Quantity } from '../part/quantity.tsx'
import { Spark } from '../part/spark.tsx'
import { Empty, Read } from '../part/states.tsx'
import { runtimeOf } from '../services/columns.tsx'
import { incidentsOf } from './incidents.ts'
import type { Watched } from './incidents.ts'

/** More things than this are not followed each second: only those that the page shows, the sums every REFRESH_MS. */
const FOLLOWED_WHOLE = 400
const REFRESH_MS = 30_000

const nouns: Readonly<Record<LiveKind, string>> = { virtualservice: 'Service', pool: 'Pool', serviceengine: 'Engine' }
const bases: Readonly<Record<LiveKind, string>> = { virtualservice: '/services', pool: '/pools', serviceengine: '/fabric' }

export function OverviewPage(): ReactNode {
  const { live } = useFeed()
  const services = useInventory('virtualservice', REFRESH_MS)
  const pools = useInventory('pool', REFRESH_MS)
  const engines = useInventory('serviceengine', REFRESH_MS)
  usePace('virtualservice', 1_000)
  usePace('serviceengine', 1_000)
  const watched = <K extends LiveKind>(kind: K, rows: readonly Row<K>[] | undefined): readonly Watched[] =>
    (rows ?? []).map(row => {
      const runtime = runtimeOf(kind, live, row)
      return { kind, uuid: row.uuid, name: row.config.name, status: runtime.oper_status, health: runtime.health_score }
    })
  const things = [...watched('virtualservice', services.data), ...watched('pool', pools.data), ...watched('serviceengine', engines.data)]
  const incidents = incidentsOf(things)
  const isMany = things.length > FOLLOWED_WHOLE
  const shown = busiestOf(live, services.data ?? []).map(({ row }) => `virtualservice:${row.uuid}` as const)
  useWatch(
    isMany
      ? [...shown, ...incidents.slice(0, FOLLOWED_WHOLE).map(thing => `${thing.kind}:${thing.uuid}` as const)]
      : ['virtualservice', 'pool', 'serviceengine']
  )
  return (
    <div className="page">
      <PageHead title="Overview" />
      <Read reading={services} what="the services">
        {rows => (
          <>
            <Totals rows={rows} engines={engines.data ?? []} />
            {rows.length === 0 && engines.data?.length === 0 ? (
              <Welcome />
            ) : (
              <section aria-label="What needs a look">
                <h2 style={{ marginBottom: 8 }}>What needs a look</h2>
                {incidents.length === 0 ? (
                  <div className="panel row">
                    <Score score={100} state="OPER_UP" /> Nothing: every service, pool and engine is up and well.
                  </div>
                ) : (
                  <ul className="incidents panel" style={{ padding: 0 }}>
                    {incidents.map(thing => (
                      <li key={thing.uuid}>
                        <Score score={thing.health.score} state={thing.status.state} />
                        <span className="muted" style={{ minWidth: 56 }}>
                          {nouns[thing.kind]}
                        </span>
                        <Link className="link" to={`${bases[thing.kind]}/${thing.uuid}`}>
                          {thing.name}
                        </Link>
                        <span className="grow">
                          {bandOf(thing.status.state, 100) !== 'good' && `${stateWords[thing.status.state]}${thing.why === '' ? '' : ': '}`}
                          {thing.why}
                        </span>
                        <span className="muted">
                          <Age at={thing.status.last_changed_time} />
                        </span>
                      </li>
                    ))}
                  </ul>
                )}
              </section>
            )}
            {rows.length > 0 && <Busiest rows={rows} />}
          </>
        )}
      </Read>
    </div>
  )
}

function Welcome(): ReactNode {
  return (
    <Empty
      title="Nothing runs here yet"
      action={
        <div className="row">
          <Button component={Link} to="/fabric?add">
            Add an engine
          </Button>
          <Button component={Link} to="/services/new" variant="default">
            New service
          </Button>
        </div>
      }
    >
      First join a host as an engine, then make a service: an address in front of your servers.
    </Empty>
  )
}

function Totals(props: { readonly rows: readonly Row<'virtualservice'>[]; readonly engines: readonly Row<'serviceengine'>[] }): ReactNode {
  const { live } = useFeed()
  const runtimes = props.rows.map(row => runtimeOf('virtualservice', live, row))
  const engines = props.engines.map(row => runtimeOf('serviceengine', live, row))
  const sum = (read: (runtime: (typeof runtimes)[number]) => number): number =>
    runtimes.reduce((total, runtime) => total + read(runtime), 0)
  return (
    <Panel title="Now">
      <dl className="figures">
        <div>
          <dt>Services up</dt>
          <dd className="live">
            {runtimes.filter(runtime => runtime.oper_status.state === 'OPER_UP').length} <span className="unit">of {runtimes.length}</span>
          </dd>
        </div>
        <div>
          <dt>Engines up</dt>
          <dd className="live">
            {engines.filter(runtime => runtime.oper_status.state === 'OPER_UP').length} <span className="unit">of {engines.length}</span>
          </dd>
        </div>
        <div>
          <dt>Requests</dt>
          <dd>
            <Quantity value={sum(runtime => runtime.live.requests_per_s)} unit="per-s" />
          </dd>
        </div>
        <div>
          <dt>Errors 5xx</dt>
          <dd>
            <Quantity value={sum(runtime => runtime.live.errors_5xx_per_s)} unit="per-s" />
          </dd>
        </div>
        <div>
          <dt>Throughput</dt>
          <dd>
            <Quantity value={sum(runtime => runtime.live.bytes_in_per_s + runtime.live.bytes_out_per_s)} unit="bytes-per-s" />
          </dd>
        </div>
        <div>
          <dt>Open connections</dt>
          <dd>
            <Quantity value={sum(runtime => runtime.live.open_connections)} unit="count" />
          </dd>
        </div>
      </dl>
    </Panel>
  )
}

const SHOWN_BUSIEST = 8

function busiestOf(
  live: LiveFeed,
  rows: readonly Row<'virtualservice'>[]
): readonly { readonly row: Row<'virtualservice'>; readonly runtime: VirtualServiceRuntime }[] {
  return rows
    .map(row => ({ row, runtime: runtimeOf('virtualservice', live, row) }))
    .toSorted((a, b) => b.runtime.live.requests_per_s - a.runtime.live.requests_per_s)
    .slice(0, SHOWN_BUSIEST)
}

function Busiest({ rows }: { readonly rows: readonly Row<'virtualservice'>[] }): ReactNode {
  const { live } = useFeed()
  const busiest = busiestOf(live, rows)
  return (
    <section aria-label="Busiest services">
      <div className="row between" style={{ marginBottom: 8 }}>
        <h2>Busiest services</h2>
        <Link className="inline-link" to="/services">
          All {rows.length > 1 ? formatCount(rows.length, 'service') : 'services'}
        </Link>
      </div>
      <ul className="incidents panel" style={{ padding: 0 }}>
        {busiest.map(({ row, runtime }) => (
          <li key={row.uuid}>
            <Score score={runtime.health_score.score} state={runtime.oper_status.state} />
            <Link className="link grow cut" to={`/services/${row.uuid}`}>
              {row.config.name}
            </Link>
            <Quantity value={runtime.live.requests_per_s} unit="per-s" />
            <Quantity value={runtime.live.latency_p95_ms} unit="ms" />
            <Spark kind="virtualservice" uuid={row.uuid} />
          </li>
        ))}
      </ul>
    </section>
  )
}
