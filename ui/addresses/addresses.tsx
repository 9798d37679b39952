/** The addresses that clients reach, and which services are behind them. */
import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import { useMemo, useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { useInventory, useObjects } from '../feed/feed.tsx'
import { addressesOf, portsOf } from '../feed/objects.ts'
import type { Row, VsVipConfig } from '../feed/objects.ts'
import { parseReference } from '../feed/reference.ts'
import type { FieldsOf } from '../filter/filter.ts'
import { FilterInput, useListState, useListed } from '../part/list.tsx'
import { PageHead, Tabs } from '../part/page.tsx'
import { Selection } from '../part/selection.tsx'
import { Empty, Read } from '../part/states.tsx'
import { DataTable } from '../part/table.tsx'
import type { Column } from '../part/table.tsx'
import { serviceTabs } from '../services/services.tsx'

interface AddressRow {
  readonly uuid: string
  readonly config: VsVipConfig
  readonly services: readonly Row<'virtualservice'>[]
}

const columns: readonly Column<AddressRow>[] = [
  { key: 'name', title: 'Name', sort: 'name', cell: row => <Link to={`/addresses/${row.uuid}`}>{row.config.name}</Link> },
  { key: 'address', title: 'Addresses', sort: 'address', cell: row => <span className="mono">{addressesOf(row.config).join(', ')}</span> },
  {
    key: 'services',
    title: 'Services',
    sort: 'service',
    cell: row =>
      row.services.length === 0 ? (
        <span className="muted">none</span>
      ) : (
        row.services.map(({ uuid, config }, at) => (
          <span key={uuid}>
            {at > 0 && ', '}
            <Link to={`/services/${uuid}`}>{config.name}</Link> <span className="muted">:{portsOf(config).join(', ')}</span>
          </span>
        ))
      )
  }
]

const fields: FieldsOf<AddressRow> = {
  name: row => row.config.name,
  address: row => addressesOf(row.config),
  service: row => row.services.map(service => service.config.name)
}

export function AddressesPage(): ReactNode {
  const reading = useObjects<VsVipConfig>('vsvip')
  const services = useInventory('virtualservice')
  const state = useListState('name')
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const all = useMemo(
    () =>
      reading.data?.map(config => ({
        uuid: config.uuid,
        config,
        services: (services.data ?? []).filter(service => parseReference(service.config.vsvip_ref)?.uuid === config.uuid)
      })),
    [reading.data, services.data]
  )
  const rows = useListed(all, state, fields, 0)
  const create = (
    <Button component={Link} to="/addresses/new" leftSection={<Plus size={14} />}>
      New address
    </Button>
  )
  return (
    <div className="page fits">
      <PageHead title="Addresses" actions={create} />
      <Tabs base="" tabs={serviceTabs} />
      <Read reading={{ ...reading, data: all }} what="the addresses">
        {found =>
          found.length === 0 ? (
            <Empty title="No addresses yet" action={create}>
              An address (vsvip) is where clients reach one or more services. A new service makes its own.
            </Empty>
          ) : (
            <>
              <div className="list-tools">
                <FilterInput state={state} fields={fields} shown={rows.length} total={found.length} />
              </div>
              <Selection kind="vsvip" noun="address" rows={found} selected={selected} onSelect={setSelected} canSwitch={false} />
              <DataTable
                label="Addresses"
                rows={rows}
                columns={columns}
                sort={state.sort}
                onSort={state.onSort}
                selected={selected}
                onSelect={setSelected}
                nameOf={row => row.config.name}
              />
            </>
          )
        }
      </Read>
    </div>
  )
}
