import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { PoolRuntime } from '#model/resource/runtime.ts'
import { useFeed, useInventory, usePace, useWatch } from '../feed/feed.tsx'
import type { LiveFeed } from '../feed/live.ts'
import type { Row } from '../feed/objects.ts'
import { parseReference } from '../feed/reference.ts'
import type { FieldsOf } from '../filter/filter.ts'
import { algorithmWords } from './algorithm.ts'
import { stateWords } from '../part/band.ts'
import { Score, State } from '../part/health.tsx'
import { FilterInput, useListState, useListed } from '../part/list.tsx'
import { PageHead } from '../part/page.tsx'
import { Selection } from '../part/selection.tsx'
import { SEEDED_ROWS, Spark } from '../part/spark.tsx'
import { Empty, Read } from '../part/states.tsx'
import { DataTable } from '../part/table.tsx'
import type { Column } from '../part/table.tsx'
import { LiveCell, figure, runtimeOf } from '../services/columns.tsx'

type Pool = Row<'pool'>

const columnsOf = (isSeeded: boolean): readonly Column<Pool>[] => [
  {
    key: 'score',
    title: 'Health',
    sort: 'score',
    isShrunk: true,
    cell: row => (
      <LiveCell kind="pool" row={row}>
        {runtime => <Score score={runtime.health_score.score} state={runtime.oper_status.state} />}
      </LiveCell>
    )
  },
  { key: 'name', title: 'Name', sort: 'name', cell: row => <Link to={`/pools/${row.uuid}`}>{row.config.name}</Link> },
  {
    key: 'state',
    title: 'State',
    sort: 'state',
    isCut: true,
    hide: 'narrow',
    cell: row => (
      <LiveCell kind="pool" row={row}>
        {({ oper_status: status, health_score: health }) => (
          <>
            <State state={status.state} score={health.score} /> <span className="muted">{status.reason.join('; ')}</span>
          </>
        )}
      </LiveCell>
    )
  },
  {
    key: 'servers',
    title: 'Servers up',
    sort: 'up',
    isNumber: true,
    cell: row => (
      <LiveCell kind="pool" row={row}>
        {runtime => (
          <span className="live">
            {runtime.num_servers_up} <span className="muted">of {runtime.num_servers_enabled}</span>
          </span>
        )}
      </LiveCell>
    )
  },
  { key: 'requests', title: 'Requests', sort: 'requests', isNumber: true, cell: figure('pool', live => live.requests_per_s, 'per-s') },
  {
    key: 'errors',
    title: 'Errors 5xx',
    sort: 'errors',
    isNumber: true,
    hide: 'medium',
    cell: figure('pool', live => live.errors_5xx_per_s, 'per-s')
  },
  {
    key: 'latency',
    title: 'Latency p95',
    sort: 'latency',
    isNumber: true,
    hide: 'narrow',
    cell: figure('pool', live => live.latency_p95_ms, 'ms')
  },
  {
    key: 'connections',
    title: 'Connections',
    sort: 'connections',
    isNumber: true,
    hide: 'narrow',
    cell: figure('pool', live => live.open_connections, 'count')
  },
  {
    key: 'spark',
    title: 'Last 2 min',
    isShrunk: true,
    hide: 'narrow',
    cell: row => <Spark kind="pool" uuid={row.uuid} isSeeded={isSeeded} />
  },
  { key: 'algorithm', title: 'Picks by', hide: 'medium', cell: row => algorithmWords(row.config.lb_algorithm) },
  {
    key: 'services',
    title: 'Used by',
    hide: 'medium',
    cell: row => (
      <LiveCell kind="pool" row={row}>
        {runtime =>
          runtime.virtualservices.length === 0 ? (
            <span className="muted">no service</span>
          ) : (
            runtime.virtualservices.map(one => one.name).join(', ')
          )
        }
      </LiveCell>
    )
  }
]

function poolFields(live: LiveFeed): FieldsOf<Pool> {
  const at = (row: Pool): PoolRuntime => runtimeOf('pool', live, row)
  return {
    name: row => row.config.name,
    state: row => stateWords[at(row).oper_status.state].toLowerCase(),
    score: row => at(row).health_score.score,
    up: row => at(row).num_servers_up,
    requests: row => at(row).live.requests_per_s,
    errors: row => at(row).live.errors_5xx_per_s,
    latency: row => at(row).live.latency_p95_ms,
    connections: row => at(row).live.open_connections,
    server: row => (row.config.servers ?? []).map(server => server.hostname ?? server.ip.addr),
    service: row => at(row).virtualservices.map(one => one.name),
    monitor: row => (row.config.health_monitor_refs ?? []).map(ref => parseReference(ref)?.name ?? '')
  }
}

export function PoolsPage(): ReactNode {
  const { live } = useFeed()
  const reading = useInventory('pool')
  const state = useListState('name')
  const fields = useMemo(() => poolFields(live), [live])
  const isSeeded = (reading.data?.length ?? 0) <= SEEDED_ROWS
  const columns = useMemo(() => columnsOf(isSeeded), [isSeeded])
  const pace = usePace('pool', 2_000)
  const rows = useListed(reading.data, state, fields, pace)
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [visible, setVisible] = useState<readonly string[] | null>(null)
  useWatch(visible === null ? ['pool'] : visible.map(uuid => `pool:${uuid}` as const))
  const create = (
    <Button component={Link} to="/pools/new" leftSection={<Plus size={14} />}>
      New pool
    </Button>
  )
  return (
    <div className="page fits">
      <PageHead title="Pools" actions={create} />
      <Read reading={reading} what="the pools">
        {all =>
          all.length === 0 ? (
            <Empty title="No pools yet" action={create}>
              A pool is a set of servers that answer alike, with the monitors that watch them.
            </Empty>
          ) : (
            <>
              <div className="list-tools">
                <FilterInput state={state} fields={fields} shown={rows.length} total={all.length} />
              </div>
              <Selection kind="pool" noun="pool" rows={all} selected={selected} onSelect={setSelected} />
              <DataTable
                label="Pools"
                rows={rows}
                columns={columns}
                sort={state.sort}
                onSort={state.onSort}
                selected={selected}
                onSelect={setSelected}
                onVisible={setVisible}
                nameOf={row => row.config.name}
              />
            </>
          )
        }
      </Read>
    </div>
  )
}
