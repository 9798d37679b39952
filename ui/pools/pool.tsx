import { Fragment } from 'react'
import type { ReactNode } from 'react'
import { Link, Route, Routes, useParams } from 'react-router'
import type { PoolRuntime, ZoneRuntime } from '#model/resource/runtime.ts'
import { ChangesOf } from '../changes/changes.tsx'
import { Events } from '../events/events.tsx'
import { useConfig, useRead, useRuntime, useWatch } from '../feed/feed.tsx'
import type { PoolConfig } from '../feed/objects.ts'
import { parseReference } from '../feed/reference.ts'
import { formatCount, formatQuantity } from '../format.ts'
import { ThingActions } from '../part/actions.tsx'
import { Charts } from '../part/charts.tsx'
import { Score } from '../part/health.tsx'
import { PageHead, Panel, Tabs } from '../part/page.tsx'
import { Loading, Read } from '../part/states.tsx'
import { Figures, ScorePanel, StateSince } from '../part/summary.tsx'
import { Scaling, useScalingMarks } from '../services/scaling.tsx'
import { poolCharts } from '../services/charts.ts'
import { algorithmWords } from './algorithm.ts'
import { Servers } from './servers.tsx'
import { Users } from './users.tsx'

const tabs = [
  { to: '', title: 'Overview' },
  { to: 'servers', title: 'Servers' },
  { to: 'events', title: 'Events' },
  { to: 'changes', title: 'Changes' }
]

export function PoolPage(): ReactNode {
  const uuid = useParams()['uuid'] ?? ''
  const reading = useConfig<PoolConfig>('pool', uuid)
  const told = useRead<PoolRuntime>(['pool', 'runtime', uuid], `/api/pool/${uuid}/runtime/detail`)
  const runtime = useRuntime('pool', uuid, told.data)
  useWatch([`pool:${uuid}`])
  return (
    <div className="page">
      <Read reading={reading} what="the pool">
        {config => (
          <>
            <PageHead
              title={config.name}
              actions={<ThingActions kind="pool" base="/pools" uuid={uuid} name={config.name} isEnabled={config.enabled !== false} />}
            >
              {runtime && (
                <>
                  <Score score={runtime.health_score.score} state={runtime.oper_status.state} isBig />
                  <StateSince status={runtime.oper_status} score={runtime.health_score.score} />
                </>
              )}
            </PageHead>
            <Tabs base={`/pools/${uuid}`} tabs={tabs} />
            <Routes>
              <Route index element={<Overview uuid={uuid} config={config} runtime={runtime} />} />
              <Route path="servers" element={<Servers poolUuid={uuid} />} />
              <Route path="events" element={<Events uuid={uuid} />} />
              <Route path="changes" element={<ChangesOf uuid={uuid} />} />
            </Routes>
          </>
        )}
      </Read>
    </div>
  )
}

function zoneWords({ zone, own_percent: percent, own_requests: own, other_requests: others }: ZoneRuntime): string {
  const where = zone === '' ? 'none: it has no label zone' : zone
  if (percent === null) return `${where}; zones make no difference to it`
  return `${where}; ${formatQuantity(percent, 'percent')} stays there now. Since it started ${formatCount(own, 'request')} stayed, ${formatCount(others, 'request')} left`
}

function Overview(props: { readonly uuid: string; readonly config: PoolConfig; readonly runtime: PoolRuntime | undefined }): ReactNode {
  const { uuid, config, runtime } = props
  const scalings = useScalingMarks('pool', uuid)
  const monitors = (config.health_monitor_refs ?? []).map(ref => parseReference(ref)?.name ?? ref)
  return (
    <>
      {runtime ? (
        <div className="lead">
          <Figures live={runtime.live} />
          <ScorePanel health={runtime.health_score} status={runtime.oper_status} />
        </div>
      ) : (
        <Loading lines={2} />
      )}
      <Servers poolUuid={uuid} />
      {runtime && <Users users={runtime.virtualservices} />}
      <Charts kind="pool" uuid={uuid} plans={poolCharts} events={scalings} />
      <div className="columns">
        <Scaling kind="pool" uuid={uuid} />
        <Panel title="Settings">
          <dl className="facts">
            <dt>Picks by</dt>
            <dd>{algorithmWords(config.lb_algorithm)}</dd>
            <dt>Default port</dt>
            <dd>{config.default_server_port ?? 80}</dd>
            <dt>Monitors</dt>
            <dd>{monitors.join(', ') || 'none: servers count as up'}</dd>
            {runtime?.hedges && (
              <>
                <dt>Hedged</dt>
                <dd>
                  {formatCount(runtime.hedges.sent, 'request')} since the engines started; the second server was first {runtime.hedges.won}{' '}
                  times
                </dd>
              </>
            )}
            {runtime?.locality?.map(zone => (
              <Fragment key={zone.engine_uuid}>
                <dt>Zone of {zone.engine_name}</dt>
                <dd>{zoneWords(zone)}</dd>
              </Fragment>
            ))}
            <dt>Used by</dt>
            <dd>
              {runtime?.virtualservices.map(service => (
                <span key={service.uuid}>
                  <Link className="link" to={`/services/${service.uuid}`}>
                    {service.name}
                  </Link>{' '}
                </span>
              ))}
              {runtime?.virtualservices.length === 0 && 'no service'}
            </dd>
          </dl>
        </Panel>
      </div>
    </>
  )
}
