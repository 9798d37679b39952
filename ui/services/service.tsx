import type { ReactNode } from 'react'
import { Link, Route, Routes, useParams } from 'react-router'
import type { VirtualServiceRuntime } from '#model/resource/runtime.ts'
import { ChangesOf } from '../changes/changes.tsx'
import { Events } from '../events/events.tsx'
import { useConfig, useRead, useRuntime, useWatch } from '../feed/feed.tsx'
import { addressesOf, portsOf } from '../feed/objects.ts'
import type { VirtualServiceConfig, VsVipConfig } from '../feed/objects.ts'
import { parseReference } from '../feed/reference.ts'
import { ThingActions } from '../part/actions.tsx'
import { Charts } from '../part/charts.tsx'
import { Score } from '../part/health.tsx'
import { PageHead, Panel, Tabs } from '../part/page.tsx'
import { Empty, Loading, Read } from '../part/states.tsx'
import { Figures, ScorePanel, StateSince } from '../part/summary.tsx'
import { Servers } from '../pools/servers.tsx'
import { Cache } from './cache.tsx'
import { Explain } from './explain.tsx'
import { Trace } from './trace.tsx'
import { Limits } from './limits.tsx'
import { Scripts } from './scripts.tsx'
import { PlacedOn } from './placed-on.tsx'
import { Policies } from './policies.tsx'
import { Scaling, useScalingMarks } from './scaling.tsx'
import { serviceCharts } from './charts.ts'

const tabs = [
  { to: '', title: 'Overview' },
  { to: 'servers', title: 'Servers' },
  { to: 'policies', title: 'Policies' },
  { to: 'events', title: 'Events' },
  { to: 'changes', title: 'Changes' }
]

export function ServicePage(): ReactNode {
  const uuid = useParams()['uuid'] ?? ''
  const reading = useConfig<VirtualServiceConfig>('virtualservice', uuid)
  const told = useRead<VirtualServiceRuntime>(['virtualservice', 'runtime', uuid], `/api/virtualservice/${uuid}/runtime`)
  const runtime = useRuntime('virtualservice', uuid, told.data)
  useWatch([`virtualservice:${uuid}`])
  const base = `/services/${uuid}`
  return (
    <div className="page">
      <Read reading={reading} what="the service">
        {config => (
          <>
            <PageHead
              title={config.name}
              actions={
                <ThingActions kind="virtualservice" base="/services" uuid={uuid} name={config.name} isEnabled={config.enabled !== false} />
              }
            >
              {runtime && (
                <>
                  <Score score={runtime.health_score.score} state={runtime.oper_status.state} isBig />
                  <StateSince status={runtime.oper_status} score={runtime.health_score.score} />
                </>
              )}
            </PageHead>
            <Tabs base={base} tabs={tabs} />
            <Routes>
              <Route index element={<Overview uuid={uuid} config={config} runtime={runtime} />} />
              <Route path="servers" element={<ServersTab config={config} />} />
              <Route path="policies" element={<PoliciesTab uuid={uuid} config={config} />} />
              <Route path="events" element={<Events uuid={uuid} also={leadsTo(config)} />} />
              <Route path="changes" element={<ChangesOf uuid={uuid} />} />
            </Routes>
          </>
        )}
      </Read>
    </div>
  )
}

/** What it sends its requests to. */
const leadsTo = (config: VirtualServiceConfig): readonly string[] =>
  [config.pool_ref, config.pool_group_ref].flatMap(ref => parseReference(ref)?.uuid ?? [])

function Overview(props: {
  readonly uuid: string
  readonly config: VirtualServiceConfig
  readonly runtime: VirtualServiceRuntime | undefined
}): ReactNode {
  const { uuid, config, runtime } = props
  const scalings = useScalingMarks('virtualservice', uuid)
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
      <Charts kind="virtualservice" uuid={uuid} plans={serviceCharts} events={scalings} />
      <div className="columns">
        {runtime && <PlacedOn uuid={uuid} runtime={runtime} />}
        <Scaling kind="virtualservice" uuid={uuid} />
        {runtime?.cache && <Cache uuid={uuid} cache={runtime.cache} />}
        {runtime?.limits && <Limits limits={runtime.limits} />}
        {runtime?.scripts && <Scripts scripts={runtime.scripts} />}
        <Settings config={config} />
      </div>
    </>
  )
}

function Settings({ config }: { readonly config: VirtualServiceConfig }): ReactNode {
  const vsvip = parseReference(config.vsvip_ref)
  const addresses = useConfig<VsVipConfig>('vsvip', vsvip?.uuid)
  const pool = parseReference(config.pool_ref)
  const application = parseReference(config.application_profile_ref)
  const certificates = (config.ssl_key_and_certificate_refs ?? []).map(ref => parseReference(ref)?.name ?? ref)
  return (
    <Panel title="Settings">
      <dl className="facts">
        <dt>Address</dt>
        <dd>
          {vsvip ? (
            <Link className="link" to={`/addresses/${vsvip.uuid}`}>
              {addressesOf(addresses.data).join(', ') || (vsvip.name ?? vsvip.uuid)}
            </Link>
          ) : (
            '–'
          )}
        </dd>
        <dt>Ports</dt>
        <dd>{portsOf(config).join(', ') || '–'}</dd>
        <dt>Pool</dt>
        <dd>
          {pool ? (
            <Link className="link" to={`/pools/${pool.uuid}`}>
              {pool.name ?? pool.uuid}
            </Link>
          ) : (
            (parseReference(config.pool_group_ref)?.name ?? '–')
          )}
        </dd>
        <dt>Application</dt>
        <dd>{application?.name ?? 'System-HTTP'}</dd>
        {certificates.length > 0 && (
          <>
            <dt>Certificates</dt>
            <dd>{certificates.join(', ')}</dd>
          </>
        )}
        <dt>Engine group</dt>
        <dd>{parseReference(config.se_group_ref)?.name ?? 'Default-Group'}</dd>
        {config.description !== undefined && config.description !== '' && (
          <>
            <dt>Description</dt>
            <dd>{config.description}</dd>
          </>
        )}
      </dl>
    </Panel>
  )
}

function PoliciesTab({ uuid, config }: { readonly uuid: string; readonly config: VirtualServiceConfig }): ReactNode {
  return (
    <>
      <Policies config={config} />
      <Explain uuid={uuid} />
      <Trace uuid={uuid} />
    </>
  )
}

function ServersTab({ config }: { readonly config: VirtualServiceConfig }): ReactNode {
  const pool = parseReference(config.pool_ref)
  if (!pool)
    return (
      <Empty
        title="No pool"
        action={
          <Link className="inline-link" to="edit">
            Choose a pool
          </Link>
        }
      >
        This service has no pool of its own: its policies or its pool group decide where requests go.
      </Empty>
    )
  return (
    <>
      <p>
        Pool{' '}
        <Link className="inline-link" to={`/pools/${pool.uuid}`}>
          {pool.name ?? pool.uuid}
        </Link>
      </p>
      <Servers poolUuid={pool.uuid} />
    </>
  )
}
