/** What the list of services shows, filters and sorts by. Live cells subscribe by themselves. */
import { Link } from 'react-router'
import type { ReactNode } from 'react'
import type { LiveFigures } from '#model/resource/runtime.ts'
import type { LiveFeed } from '../feed/live.ts'
import type { FieldsOf } from '../filter/filter.ts'
import { useRuntime } from '../feed/feed.tsx'
import { parseReference } from '../feed/reference.ts'
import { portsOf } from '../feed/objects.ts'
import type { LiveKind, Row, RuntimeByKind } from '../feed/objects.ts'
import type { Unit } from '../format.ts'
import { stateWords } from '../part/band.ts'
import { Score, State } from '../part/health.tsx'
import { Quantity } from '../part/quantity.tsx'
import { Spark } from '../part/spark.tsx'
import type { Column } from '../part/table.tsx'

type Service = Row<'virtualservice'>

/** A cell of a row that follows the thing's runtime; only this cell re-renders. */
export function LiveCell<K extends LiveKind>(props: {
  readonly kind: K
  readonly row: Row<K>
  readonly children: (runtime: RuntimeByKind[K]) => ReactNode
}): ReactNode {
  const runtime = useRuntime(props.kind, props.row.uuid, props.row.runtime as RuntimeByKind[K])
  return runtime === undefined ? null : props.children(runtime)
}

export const figure =
  <K extends LiveKind>(kind: K, read: (figures: LiveFigures) => number | null, unit: Unit) =>
  (row: Row<K>): ReactNode => (
    <LiveCell kind={kind} row={row}>
      {runtime => <Quantity value={read(runtime.live)} unit={unit} />}
    </LiveCell>
  )

const reasonOf = (reason: readonly string[]): string => reason.join('; ')

export const serviceColumns = (isSeeded: boolean): readonly Column<Service>[] => [
  {
    key: 'score',
    title: 'Health',
    sort: 'score',
    isShrunk: true,
    cell: row => (
      <LiveCell kind="virtualservice" row={row}>
        {runtime => <Score score={runtime.health_score.score} state={runtime.oper_status.state} />}
      </LiveCell>
    )
  },
  {
    key: 'name',
    title: 'Name',
    sort: 'name',
    cell: row => (
      <Link to={`/services/${row.uuid}`} title={row.config.description}>
        {row.config.name}
      </Link>
    )
  },
  {
    key: 'state',
    title: 'State',
    sort: 'state',
    isCut: true,
    hide: 'narrow',
    cell: row => (
      <LiveCell kind="virtualservice" row={row}>
        {({ oper_status: status, health_score: health }) => (
          <span title={reasonOf(status.reason)}>
            <State state={status.state} score={health.score} /> <span className="muted">{reasonOf(status.reason)}</span>
          </span>
        )}
      </LiveCell>
    )
  },
  {
    key: 'requests',
    title: 'Requests',
    sort: 'requests',
    isNumber: true,
    cell: figure('virtualservice', live => live.requests_per_s, 'per-s')
  },
  {
    key: 'errors',
    title: 'Errors 5xx',
    sort: 'errors',
    isNumber: true,
    hide: 'medium',
    cell: figure('virtualservice', live => live.errors_5xx_per_s, 'per-s')
  },
  {
    key: 'latency',
    title: 'Latency p95',
    sort: 'latency',
    isNumber: true,
    hide: 'narrow',
    cell: figure('virtualservice', live => live.latency_p95_ms, 'ms')
  },
  {
    key: 'throughput',
    title: 'Throughput',
    sort: 'throughput',
    isNumber: true,
    hide: 'narrow',
    cell: figure('virtualservice', live => live.bytes_out_per_s + live.bytes_in_per_s, 'bytes-per-s')
  },
  {
    key: 'spark',
    title: 'Last 2 min',
    isShrunk: true,
    hide: 'narrow',
    cell: row => <Spark kind="virtualservice" uuid={row.uuid} isSeeded={isSeeded} />
  },
  {
    key: 'address',
    title: 'Address',
    hide: 'medium',
    cell: row => (
      <span>
        {parseReference(row.config.vsvip_ref)?.name ?? ''} <span className="muted">:{portsOf(row.config).join(', ')}</span>
      </span>
    )
  },
  {
    key: 'engines',
    title: 'Runs on',
    hide: 'medium',
    cell: row => (
      <LiveCell kind="virtualservice" row={row}>
        {runtime =>
          runtime.placed_on.length === 0 ? (
            <span className="muted">nowhere</span>
          ) : runtime.placed_on.length === 1 ? (
            <Link to={`/fabric/${runtime.placed_on[0]!.engine_uuid}`}>{runtime.placed_on[0]!.engine_name}</Link>
          ) : (
            <span title={runtime.placed_on.map(place => place.engine_name).join(', ')}>{runtime.placed_on.length} engines</span>
          )
        }
      </LiveCell>
    )
  }
]

/** The newest runtime of a row: live, else as the list read it. */
export function runtimeOf<K extends LiveKind>(_kind: K, live: LiveFeed, row: Row<K>): RuntimeByKind[K] {
  return (live.runtime(row.uuid) as RuntimeByKind[K] | undefined) ?? (row.runtime as RuntimeByKind[K])
}

/** Field names of filter and sort. */
export function serviceFields(live: LiveFeed): FieldsOf<Service> {
  const at = (row: Service): RuntimeByKind['virtualservice'] => runtimeOf('virtualservice', live, row)
  const figures = (row: Service): LiveFigures => at(row).live
  return {
    name: row => row.config.name,
    state: row => stateWords[at(row).oper_status.state].toLowerCase(),
    score: row => at(row).health_score.score,
    requests: row => figures(row).requests_per_s,
    errors: row => figures(row).errors_5xx_per_s,
    latency: row => figures(row).latency_p95_ms,
    throughput: row => figures(row).bytes_out_per_s + figures(row).bytes_in_per_s,
    engine: row => at(row).placed_on.map(place => place.engine_name),
    pool: row => parseReference(row.config.pool_ref)?.name ?? null,
    address: row => parseReference(row.config.vsvip_ref)?.name ?? null,
    port: row => portsOf(row.config)
  }
}
