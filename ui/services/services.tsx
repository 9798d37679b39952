import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { useFeed, useInventory, usePace, useWatch } from '../feed/feed.tsx'
import { FilterInput, useListState, useListed } from '../part/list.tsx'
import { PageHead, Tabs } from '../part/page.tsx'
import { Selection } from '../part/selection.tsx'
import { SEEDED_ROWS } from '../part/spark.tsx'
import { Empty, Read } from '../part/states.tsx'
import { DataTable } from '../part/table.tsx'
import { serviceColumns, serviceFields } from './columns.tsx'

export const serviceTabs = [
  { to: '/services', title: 'Services' },
  { to: '/addresses', title: 'Addresses' }
]

const RESORT_MS = 2_000

export function ServicesPage(): ReactNode {
  const { live } = useFeed()
  const reading = useInventory('virtualservice')
  const state = useListState('name')
  const fields = useMemo(() => serviceFields(live), [live])
  const isSeeded = (reading.data?.length ?? 0) <= SEEDED_ROWS
  const columns = useMemo(() => serviceColumns(isSeeded), [isSeeded])
  const pace = usePace('virtualservice', RESORT_MS)
  const rows = useListed(reading.data, state, fields, pace)
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [visible, setVisible] = useState<readonly string[] | null>(null)
  // A long list asks for what is on screen only.
  useWatch(visible === null ? ['virtualservice'] : visible.map(uuid => `virtualservice:${uuid}` as const))
  const create = (
    <Button component={Link} to="/services/new" leftSection={<Plus size={14} />}>
      New service
    </Button>
  )
  return (
    <div className="page fits">
      <PageHead title="Services" actions={create} />
      <Tabs base="" tabs={serviceTabs} />
      <Read reading={reading} what="the services">
        {all =>
          all.length === 0 ? (
            <Empty title="No services yet" action={create}>
              A virtual service is what clients reach: an address and ports in front of a pool of servers.
            </Empty>
          ) : (
            <>
              <div className="list-tools">
                <FilterInput state={state} fields={fields} shown={rows.length} total={all.length} />
              </div>
              <Selection kind="virtualservice" noun="service" rows={all} selected={selected} onSelect={setSelected} />
              <DataTable
                label="Services"
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
