import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { PoolUser } from '#model/resource/runtime.ts'
import { Panel } from '../part/page.tsx'
import { Quantity } from '../part/quantity.tsx'
import { DataTable, type Column } from '../part/table.tsx'

type ToldUser = PoolUser & { readonly live: NonNullable<PoolUser['live']> }

const columns: readonly Column<ToldUser>[] = [
  {
    key: 'name',
    title: 'Service',
    cell: row => (
      <Link className="link" to={`/services/${row.uuid}`}>
        {row.name}
      </Link>
    )
  },
  { key: 'requests', title: 'Requests', isNumber: true, cell: row => <Quantity value={row.live.requests_per_s} unit="per-s" /> },
  { key: 'errors', title: 'Errors 5xx', isNumber: true, cell: row => <Quantity value={row.live.errors_5xx_per_s} unit="per-s" /> },
  { key: 'p50', title: 'p50', isNumber: true, hide: 'narrow', cell: row => <Quantity value={row.live.latency_p50_ms} unit="ms" /> },
  { key: 'p99', title: 'p99', isNumber: true, cell: row => <Quantity value={row.live.latency_p99_ms} unit="ms" /> }
]

/** What each of several virtual services sends to a pool; nothing where they are not told apart. */
export function Users({ users }: { readonly users: readonly PoolUser[] }): ReactNode {
  const rows = users.flatMap((user): ToldUser[] => (user.live === undefined ? [] : [{ ...user, live: user.live }]))
  if (rows.length < 2) return null
  const busiestFirst = rows.toSorted((a, b) => b.live.requests_per_s - a.live.requests_per_s || a.name.localeCompare(b.name))
  return (
    <Panel title="Traffic by service">
      <DataTable label="What each service sends to the pool" rows={busiestFirst} columns={columns} nameOf={row => row.name} />
    </Panel>
  )
}
