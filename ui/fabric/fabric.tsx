/** The engines: how each is, what it carries, and whether it runs what is wanted. */
import { Button, Menu } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import type { ReactNode } from 'react'
import { Link, useSearchParams } from 'react-router'
import type { HostFigures, ServiceEngineRuntime } from '#model/resource/runtime.ts'
import { useFeed, useInventory, useObjects, usePace, useWatch } from '../feed/feed.tsx'
import type { LiveFeed } from '../feed/live.ts'
import type { AnyObject, Row } from '../feed/objects.ts'
import { parseReference } from '../feed/reference.ts'
import type { FieldsOf } from '../filter/filter.ts'
import { stateWords } from '../part/band.ts'
import { Score, State } from '../part/health.tsx'
import { FilterInput, useListState, useListed } from '../part/list.tsx'
import { Meter } from '../part/meter.tsx'
import { PageHead } from '../part/page.tsx'
import { RevisionPair } from '../part/revision-pair.tsx'
import { SEEDED_ROWS, Spark } from '../part/spark.tsx'
import { Empty, Read } from '../part/states.tsx'
import { DataTable } from '../part/table.tsx'
import type { Column } from '../part/table.tsx'
import { LiveCell, figure, runtimeOf } from '../services/columns.tsx'
import { AddEngine } from './add-engine.tsx'
import { Redistribute } from './redistribute.tsx'
import { shortBuild } from './build.ts'

type Engine = Row<'serviceengine'>

export const memoryRatio = (host: HostFigures | null): number | null =>
  host === null || host.memory_total_bytes === 0 ? null : host.memory_used_bytes / host.memory_total_bytes

const columnsOf = (isSeeded: boolean): readonly Column<Engine>[] => [
  {
    key: 'score',
    title: 'Health',
    sort: 'score',
    isShrunk: true,
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {runtime => <Score score={runtime.health_score.score} state={runtime.oper_status.state} />}
      </LiveCell>
    )
  },
  { key: 'name', title: 'Name', sort: 'name', cell: row => <Link to={`/fabric/${row.uuid}`}>{row.config.name}</Link> },
  {
    key: 'state',
    title: 'State',
    sort: 'state',
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {({ oper_status: status, held }) => (
          <span title={status.reason.join('; ')}>
            <State state={status.state} />
            {held && <strong> held</strong>}
          </span>
        )}
      </LiveCell>
    )
  },
  {
    key: 'revision',
    title: 'Revision',
    hide: 'narrow',
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {runtime => <RevisionPair wanted={runtime.wanted_revision} running={runtime.running_revision} />}
      </LiveCell>
    )
  },
  {
    key: 'cpu',
    title: 'CPU',
    sort: 'cpu',
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {runtime => <Meter ratio={runtime.host?.cpu_ratio ?? null} />}
      </LiveCell>
    )
  },
  {
    key: 'memory',
    title: 'Memory',
    sort: 'memory',
    hide: 'narrow',
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {runtime => <Meter ratio={memoryRatio(runtime.host)} />}
      </LiveCell>
    )
  },
  {
    key: 'requests',
    title: 'Requests',
    sort: 'requests',
    isNumber: true,
    hide: 'narrow',
    cell: figure('serviceengine', live => live.requests_per_s, 'per-s')
  },
  {
    key: 'spark',
    title: 'Last 2 min',
    isShrunk: true,
    hide: 'medium',
    cell: row => <Spark kind="serviceengine" uuid={row.uuid} isSeeded={isSeeded} />
  },
  {
    key: 'group',
    title: 'Group',
    sort: 'group',
    hide: 'medium',
    cell: row => parseReference(row.config.se_group_ref)?.name ?? 'Default-Group'
  },
  {
    key: 'build',
    title: 'Build',
    sort: 'build',
    hide: 'medium',
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {({ version, build }) => (
          <span title={build}>
            {version || '–'} {build !== '' && <span className="mono muted">{shortBuild(build)}</span>}
          </span>
        )}
      </LiveCell>
    )
  },
  {
    key: 'addresses',
    title: 'Addresses',
    isCut: true,
    hide: 'medium',
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {runtime => <span className="mono">{runtime.addresses.join(', ')}</span>}
      </LiveCell>
    )
  },
  {
    key: 'services',
    title: 'Services',
    sort: 'services',
    isNumber: true,
    hide: 'medium',
    cell: row => (
      <LiveCell kind="serviceengine" row={row}>
        {runtime => runtime.virtualservices.length}
      </LiveCell>
    )
  }
]

/** How many engines each group wants and has is a page of its own. */
function Groups(): ReactNode {
  const groups = useObjects<AnyObject>('serviceenginegroup')
  return (
    <Menu>
      <Menu.Target>
        <Button variant="default">Engine groups</Button>
      </Menu.Target>
      <Menu.Dropdown>
        {(groups.data ?? []).map(({ uuid, name }) => (
          <Menu.Item key={uuid} component={Link} to={`/fabric/group/${uuid}`}>
            {name ?? uuid}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item component={Link} to="/settings/objects/serviceenginegroup">
          Settings of all groups
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

function engineFields(live: LiveFeed): FieldsOf<Engine> {
  const at = (row: Engine): ServiceEngineRuntime => runtimeOf('serviceengine', live, row)
  return {
    name: row => row.config.name,
    state: row => stateWords[at(row).oper_status.state].toLowerCase(),
    score: row => at(row).health_score.score,
    group: row => parseReference(row.config.se_group_ref)?.name ?? 'Default-Group',
    build: row => `${at(row).version} ${at(row).build}`,
    cpu: row => (at(row).host?.cpu_ratio ?? 0) * 100,
    memory: row => (memoryRatio(at(row).host) ?? 0) * 100,
    requests: row => at(row).live.requests_per_s,
    services: row => at(row).virtualservices.length,
    service: row => at(row).virtualservices.map(one => one.name),
    address: row => at(row).addresses
  }
}

export function FabricPage(): ReactNode {
  const { live } = useFeed()
  const [params, setParams] = useSearchParams()
  const reading = useInventory('serviceengine')
  const state = useListState('name')
  const fields = useMemo(() => engineFields(live), [live])
  const isSeeded = (reading.data?.length ?? 0) <= SEEDED_ROWS
  const columns = useMemo(() => columnsOf(isSeeded), [isSeeded])
  const pace = usePace('serviceengine', 2_000)
  const rows = useListed(reading.data, state, fields, pace)
  const [visible, setVisible] = useState<readonly string[] | null>(null)
  useWatch(visible === null ? ['serviceengine'] : visible.map(uuid => `serviceengine:${uuid}` as const))
  const [isRedistributing, setIsRedistributing] = useState(false)
  const openAdd = (isOpen: boolean): void =>
    setParams(before => {
      const next = new URLSearchParams(before)
      if (isOpen) next.set('add', '')
      else next.delete('add')
      return next
    })
  const add = (
    <Button leftSection={<Plus size={14} />} onClick={() => openAdd(true)}>
      Add an engine
    </Button>
  )
  return (
    <div className="page fits">
      <PageHead
        title="Fabric"
        actions={
          <>
            <Groups />
            <Button component={Link} to="/fabric/upgrade" variant="default">
              Upgrades
            </Button>
            <Button variant="default" onClick={() => setIsRedistributing(true)}>
              Redistribute…
            </Button>
            {add}
          </>
        }
      />
      <Read reading={reading} what="the engines">
        {all =>
          all.length === 0 ? (
            <Empty title="No engines yet" action={add}>
              An engine carries the traffic: a daemon or a container on any host. One command joins a host.
            </Empty>
          ) : (
            <>
              <div className="list-tools">
                <FilterInput state={state} fields={fields} shown={rows.length} total={all.length} />
              </div>
              <DataTable
                label="Engines"
                rows={rows}
                columns={columns}
                sort={state.sort}
                onSort={state.onSort}
                onVisible={setVisible}
                nameOf={row => row.config.name}
              />
            </>
          )
        }
      </Read>
      {isRedistributing && <Redistribute onClose={() => setIsRedistributing(false)} />}
      <AddEngine isOpen={params.has('add')} onClose={() => openAdd(false)} />
    </div>
  )
}
