/** Everything that has no page of its own: profiles, monitors, certificates, groups, tenants, users. */
import { Button } from '@mantine/core'
import { Plus } from 'lucide-react'
import type { ReactNode } from 'react'
import { Link, useParams } from 'react-router'
import { useObjects } from '../feed/feed.tsx'
import type { AnyObject } from '../feed/objects.ts'
import { useSession } from '../feed/use-session.ts'
import type { FieldsOf } from '../filter/filter.ts'
import { FilterInput, useListState, useListed } from '../part/list.tsx'
import { PageHead, Panel } from '../part/page.tsx'
import { Empty, Read } from '../part/states.tsx'
import { DataTable } from '../part/table.tsx'
import type { Column } from '../part/table.tsx'
import { withinSentence } from '../form/schema.ts'
import { certificateColumns } from './certificates.tsx'
import { kindGroups, titleOfKind } from './kinds.ts'

export function SettingsPage(): ReactNode {
  const session = useSession()
  return (
    <div className="page">
      <PageHead title="Settings" />
      <div className="columns">
        {kindGroups.map(({ title, kinds }) => (
          <Panel key={title} title={title}>
            <ul className="reasons">
              {kinds.map(({ kind, plural, what }) => (
                <li key={kind} className="row wrap">
                  <Link className="inline-link" to={`/settings/objects/${kind}`}>
                    {plural}
                  </Link>
                  <span className="muted">{what}</span>
                </li>
              ))}
            </ul>
          </Panel>
        ))}
        {session.is === 'signed-in' && (
          <Panel title="This controller">
            <dl className="facts">
              <dt>Version</dt>
              <dd>{session.session.version || '–'}</dd>
              <dt>Signed in as</dt>
              <dd>{session.session.userName}</dd>
              <dt>Sign-in</dt>
              <dd>
                <Link className="inline-link" to="/settings/system">
                  System settings
                </Link>
              </dd>
              <dt>API</dt>
              <dd>
                <a className="inline-link" href="/api/openapi.json">
                  OpenAPI 3.1
                </a>
              </dd>
            </dl>
          </Panel>
        )}
      </div>
    </div>
  )
}

const fields: FieldsOf<AnyObject> = { name: row => row.name, description: row => row.description ?? '' }

const columnsOf = (kind: string): readonly Column<AnyObject>[] => [
  { key: 'name', title: 'Name', sort: 'name', cell: row => <Link to={`/settings/objects/${kind}/${row.uuid}`}>{row.name}</Link> },
  {
    key: 'description',
    title: 'Description',
    isCut: true,
    hide: 'narrow',
    cell: row => <span className="muted">{row.description ?? ''}</span>
  },
  ...(kind === 'sslkeyandcertificate' ? certificateColumns : []),
  { key: 'clone', title: '', isShrunk: true, cell: row => <Link to={`/settings/objects/${kind}/${row.uuid}/clone`}>Clone</Link> }
]

export function ObjectsPage(): ReactNode {
  const kind = useParams()['kind'] ?? ''
  const title = titleOfKind(kind)
  const reading = useObjects<AnyObject>(kind, title !== undefined)
  const state = useListState('name')
  const rows = useListed(reading.data, state, fields, 0)
  if (title === undefined)
    return (
      <div className="page">
        <Empty title="There is no such kind">The address may be mistyped.</Empty>
      </div>
    )
  const create = (
    <Button component={Link} to={`/settings/objects/${kind}/new`} leftSection={<Plus size={14} />}>
      New
    </Button>
  )
  return (
    <div className="page fits">
      <PageHead title={title.plural} actions={create}>
        <span className="muted">{title.what}</span>
      </PageHead>
      <Read reading={reading} what={title.plural}>
        {all =>
          all.length === 0 ? (
            <Empty title={`No ${withinSentence(title.plural)} yet`} action={create}>
              {title.what}
            </Empty>
          ) : (
            <>
              <div className="list-tools">
                <FilterInput state={state} fields={fields} shown={rows.length} total={all.length} />
              </div>
              <DataTable
                label={title.plural}
                rows={rows}
                columns={columnsOf(kind)}
                sort={state.sort}
                onSort={state.onSort}
                nameOf={row => row.name}
              />
            </>
          )
        }
      </Read>
    </div>
  )
}
