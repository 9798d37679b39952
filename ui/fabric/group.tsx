/** One engine group: how many engines it wants and has, what its driver makes and takes away, and why. */
import { Button } from '@mantine/core'
import { Pencil } from 'lucide-react'
import type { ReactNode } from 'react'
import { Link, useParams } from 'react-router'
import type { EngineMaking, GroupAutoscaleView, GroupDriverView } from '#model/resource/autoscale.ts'
import { useObjects, useRead, useWrite } from '../feed/feed.tsx'
import type { AnyObject } from '../feed/objects.ts'
import { useNotify } from '../part/notice.tsx'
import { Age, Until } from '../part/now.tsx'
import { PageHead, Panel } from '../part/page.tsx'
import { Read } from '../part/states.tsx'
import { Decisions } from '../services/scaling.tsx'

const REFETCH_MS = 2_000

type GroupView = GroupAutoscaleView & GroupDriverView

const drivers: Readonly<Record<string, string>> = {
  PROCESS: "processes on the controller's host",
  CONTAINER: 'containers',
  SSH: 'services on hosts of a pool, by SSH',
  WEBHOOK: 'its webhook sees fit'
}
const states: Readonly<Record<EngineMaking['state'], string>> = {
  WANTED: 'wanted',
  JOINING: 'being made',
  JOINED: 'joined',
  DRAINING: 'draining',
  DESTROYING: 'being removed'
}

export function GroupPage(): ReactNode {
  const { uuid = '' } = useParams()
  const groups = useObjects<AnyObject>('serviceenginegroup')
  const reading = useRead<GroupView>(['serviceenginegroup', 'autoscale', uuid], `/api/serviceenginegroup/${uuid}/autoscale`, REFETCH_MS)
  const name = groups.data?.find(group => group.uuid === uuid)?.name ?? uuid
  return (
    <div className="page">
      <PageHead
        title={name}
        actions={
          <>
            <Button component={Link} to="/fabric/upgrade" variant="default">
              Upgrades
            </Button>
            <Button
              component={Link}
              to={`/settings/objects/serviceenginegroup/${uuid}`}
              variant="default"
              leftSection={<Pencil size={14} />}
            >
              Edit
            </Button>
          </>
        }
      >
        <span className="muted">engine group</span>
      </PageHead>
      <Read reading={reading} what="the engines of the group">
        {view => (
          <>
            <Panel title="Engines">
              <p className="row wrap">
                <strong>
                  {view.engines} there, {view.engines_wanted} wanted
                </strong>
                <span className="muted">
                  {view.driver === null
                    ? 'its cloud has no engine driver: this is advice, and engines join by hand'
                    : `made as ${drivers[view.driver] ?? view.driver}`}
                </span>
              </p>
              <ul className="reasons">
                {view.reasons.map(reason => (
                  <li key={reason}>{reason}</li>
                ))}
              </ul>
              {view.problem !== null && (
                <div className="warning" role="alert">
                  <strong>The driver does nothing now:</strong> {view.problem}
                </div>
              )}
              {view.strangers.length > 0 && (
                <div className="warning" role="alert">
                  <strong>The driver runs engines that this controller knows nothing of:</strong> {view.strangers.join(', ')}. They were
                  made after the backup that it was restored from, or by hand: remove them where they run.
                </div>
              )}
            </Panel>
            {(view.driver !== null || view.making.length > 0) && <Makings uuid={uuid} making={view.making} />}
            <Panel title="Decisions">
              <Decisions decisions={view.decisions} noun="engines" />
            </Panel>
          </>
        )}
      </Read>
    </div>
  )
}

function Makings({ uuid, making }: { readonly uuid: string; readonly making: readonly EngineMaking[] }): ReactNode {
  const write = useWrite()
  const notify = useNotify()
  const retry = async (): Promise<void> => {
    try {
      await write('POST', `/api/serviceenginegroup/${uuid}/retry`, {}, ['serviceenginegroup'])
      notify.done('It is tried again now')
    } catch (error) {
      notify.failed('It is not tried again', error)
    }
  }
  const isWaiting = making.some(({ next_try: next }) => next !== null)
  return (
    <Panel
      title="Made by the driver"
      aside={
        isWaiting && (
          <Button variant="default" onClick={() => void retry()}>
            Try again now
          </Button>
        )
      }
    >
      {making.length === 0 ? (
        <p className="muted">None.</p>
      ) : (
        <ul className="reasons">
          {making.map(one => (
            <li key={one.name}>
              {one.engine_uuid === null ? (
                one.name
              ) : (
                <Link className="link" to={`/fabric/${one.engine_uuid}`}>
                  {one.name}
                </Link>
              )}
              {one.host !== null && ` on ${one.host}`}: {states[one.state]} for <Age at={one.since} />
              {one.last_failure !== null && (
                <div role="alert">
                  Failed {one.failures === 1 ? 'once' : `${one.failures} times`}, last <Age at={one.last_failure.at} /> ago:{' '}
                  {one.last_failure.reason}
                  {one.next_try !== null && (
                    <>
                      ; tried again in <Until at={one.next_try} />
                    </>
                  )}
                </div>
              )}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}
