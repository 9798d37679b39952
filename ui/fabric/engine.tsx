import { Button } from '@mantine/core'
import { Pencil, ShieldOff, Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { Link, Route, Routes, useNavigate, useParams } from 'react-router'
import type { ServiceEngineRuntime } from '#model/resource/runtime.ts'
import { ChangesOf } from '../changes/changes.tsx'
import { Events } from '../events/events.tsx'
import { useConfig, useRead, useRuntime, useWatch, useWrite } from '../feed/feed.tsx'
import { hostLines, trafficLines } from '../feed/metrics.ts'
import type { ServiceEngineConfig } from '../feed/objects.ts'
import { parseReference } from '../feed/reference.ts'
import { formatInstant } from '../format.ts'
import { Charts } from '../part/charts.tsx'
import type { ChartPlan } from '../part/charts.tsx'
import { Confirm } from '../part/confirm.tsx'
import { Score } from '../part/health.tsx'
import { Meter } from '../part/meter.tsx'
import { useNotify } from '../part/notice.tsx'
import { Age, Until } from '../part/now.tsx'
import { PageHead, Panel, Tabs } from '../part/page.tsx'
import { Quantity } from '../part/quantity.tsx'
import { RevisionPair } from '../part/revision-pair.tsx'
import { Loading, Read } from '../part/states.tsx'
import { Figures, ScorePanel, StateSince } from '../part/summary.tsx'
import { shortBuild } from './build.ts'
import { memoryRatio } from './fabric.tsx'

const tabs = [
  { to: '', title: 'Overview' },
  { to: 'events', title: 'Events' },
  { to: 'changes', title: 'Changes' }
]

const traffic = trafficLines('client')
const plans: readonly ChartPlan[] = [
  {
    title: 'Load of the host',
    sentence: 'Good: below 70 %, so that the engine can take over from another.',
    unit: 'percent',
    topAtLeast: 100,
    lines: [
      { name: 'CPU', color: '--accent', metric: hostLines.cpu },
      { name: 'memory', color: '--muted', dash: [4, 3], metric: hostLines.memory }
    ]
  },
  {
    title: 'Requests',
    sentence: 'Good: shared evenly with the other engines of the group.',
    unit: 'per-s',
    topAtLeast: 1,
    lines: [{ name: 'requests', color: '--accent', metric: traffic.requests }]
  },
  {
    title: 'Throughput',
    sentence: 'Good: well below what the links carry.',
    unit: 'bytes-per-s',
    topAtLeast: 125,
    lines: [
      { name: 'out', color: '--accent', metric: traffic.bytesOut },
      { name: 'in', color: '--muted', dash: [4, 3], metric: traffic.bytesIn }
    ]
  },
  {
    title: 'Open connections',
    sentence: 'Good: steady; a climb without more requests means that answers got slow.',
    unit: 'count',
    topAtLeast: 4,
    lines: [{ name: 'open', color: '--accent', metric: traffic.openConnections }]
  }
]

export function EnginePage(): ReactNode {
  const uuid = useParams()['uuid'] ?? ''
  const reading = useConfig<ServiceEngineConfig>('serviceengine', uuid)
  const told = useRead<ServiceEngineRuntime>(['serviceengine', 'runtime', uuid], `/api/serviceengine/${uuid}/runtime`)
  const runtime = useRuntime('serviceengine', uuid, told.data)
  useWatch([`serviceengine:${uuid}`])
  return (
    <div className="page">
      <Read reading={reading} what="the engine">
        {config => (
          <>
            <PageHead title={config.name} actions={<Actions uuid={uuid} name={config.name} />}>
              {runtime && (
                <>
                  <Score score={runtime.health_score.score} state={runtime.oper_status.state} isBig />
                  <StateSince status={runtime.oper_status} score={100} />
                  <RevisionPair wanted={runtime.wanted_revision} running={runtime.running_revision} />
                </>
              )}
            </PageHead>
            <Tabs base={`/fabric/${uuid}`} tabs={tabs} />
            <Routes>
              <Route index element={<Overview uuid={uuid} config={config} runtime={runtime} />} />
              <Route path="events" element={<Events uuid={uuid} />} />
              <Route path="changes" element={<ChangesOf uuid={uuid} />} />
            </Routes>
          </>
        )}
      </Read>
    </div>
  )
}

function Actions({ uuid, name }: { readonly uuid: string; readonly name: string }): ReactNode {
  const write = useWrite()
  const notify = useNotify()
  const navigate = useNavigate()
  const [isAsking, setIsAsking] = useState(false)
  const [isRemoving, setIsRemoving] = useState(false)
  return (
    <>
      <Button component={Link} to={`/settings/objects/serviceengine/${uuid}`} variant="default" leftSection={<Pencil size={14} />}>
        Edit
      </Button>
      <Button variant="default" leftSection={<ShieldOff size={14} />} onClick={() => setIsAsking(true)}>
        Revoke…
      </Button>
      <Button variant="default" leftSection={<Trash2 size={14} />} onClick={() => setIsRemoving(true)}>
        Remove…
      </Button>
      {isRemoving && (
        <Confirm
          title={`Remove ${name}?`}
          verb="Remove"
          onClose={() => setIsRemoving(false)}
          onConfirm={async () => {
            await write('DELETE', `/api/serviceengine/${uuid}`, undefined, ['serviceengine', 'virtualservice'])
            notify.done(`${name} removed`)
            await navigate('/fabric')
          }}
        >
          It is revoked and forgotten. Its services move to the other engines of its group.
        </Confirm>
      )}
      {isAsking && (
        <Confirm
          title={`Revoke ${name}?`}
          verb="Revoke"
          onClose={() => setIsAsking(false)}
          onConfirm={async () => {
            await write('POST', `/api/serviceengine/${uuid}/revoke`, {}, ['serviceengine', 'virtualservice'])
            notify.done(`${name} revoked: it stops serving and cannot come back without a new token`)
          }}
        >
          It stops serving at once and its certificate is no longer accepted. Its services move to the other engines of its group.
        </Confirm>
      )}
    </>
  )
}

function Overview(props: {
  readonly uuid: string
  readonly config: ServiceEngineConfig
  readonly runtime: ServiceEngineRuntime | undefined
}): ReactNode {
  const { uuid, config, runtime } = props
  if (!runtime) return <Loading />
  return (
    <>
      {runtime.held && <HeldBack uuid={uuid} name={config.name} running={runtime.running_revision} known={runtime.held.known_revision} />}
      {runtime.violations.length > 0 && (
        <div className="warning" role="alert">
          <strong>Revision {runtime.wanted_revision} was refused by this engine; it keeps running what it had.</strong>
          <ul style={{ margin: 0 }}>
            {runtime.violations.map(({ pointer, message }) => (
              <li key={pointer + message}>
                <code>{pointer}</code> {message}
              </li>
            ))}
          </ul>
        </div>
      )}
      <div className="lead">
        <Figures live={runtime.live} />
        <ScorePanel health={runtime.health_score} status={runtime.oper_status} />
      </div>
      <Charts kind="serviceengine" uuid={uuid} plans={plans} />
      <div className="columns">
        <Panel title="Host">
          <HostFacts config={config} runtime={runtime} />
        </Panel>
        <Panel title="Services">
          {runtime.virtualservices.length === 0 ? (
            <p className="muted">It carries none.</p>
          ) : (
            <ul className="reasons">
              {runtime.virtualservices.map(service => (
                <li key={service.uuid}>
                  <Link className="link" to={`/services/${service.uuid}`}>
                    {service.name}
                  </Link>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        {runtime.bgp && (
          <Panel title="Announced addresses">
            <Announced bgp={runtime.bgp} />
          </Panel>
        )}
      </div>
    </>
  )
}

const words = { up: 'has a session with a router', down: 'tells no router', unknown: 'cannot be asked' } as const

/** Which addresses BIRD on its host tells routers of, and why not. */
function Announced({ bgp }: { readonly bgp: NonNullable<ServiceEngineRuntime['bgp']> }): ReactNode {
  return (
    <>
      <p className={bgp.state === 'down' ? 'warning' : ''}>
        BIRD {words[bgp.state]}
        {bgp.reason !== '' && `: ${bgp.reason}`}
      </p>
      <ul className="reasons">
        {bgp.sessions.map(session => (
          <li key={session.name}>
            <code>{session.name}</code> {session.state}
          </li>
        ))}
      </ul>
      <ul className="reasons">
        {bgp.vips.map(vip => (
          <li key={vip.vsvip_uuid}>
            {vip.vsvip_name} <span className="muted">{vip.announced ? 'announced' : `not announced: ${vip.reason}`}</span>
          </li>
        ))}
      </ul>
    </>
  )
}

/** It knows more than the controller: whether that is undone is a person's to say. */
function HeldBack(props: { readonly uuid: string; readonly name: string; readonly running: number; readonly known: number }): ReactNode {
  const { uuid, name, running, known } = props
  const write = useWrite()
  const notify = useNotify()
  const [isAsking, setIsAsking] = useState(false)
  return (
    <div className="warning" role="alert">
      <strong>
        This engine runs revision {running}; the controller was restored at revision {known}. Nothing is pushed to it until you take it
        over.
      </strong>
      <p>What was committed after the backup is known to this engine alone. It serves as before, and takes no new services.</p>
      <Button variant="default" onClick={() => setIsAsking(true)}>
        Take over…
      </Button>
      {isAsking && (
        <Confirm
          title={`Take over ${name}?`}
          verb="Take over"
          onClose={() => setIsAsking(false)}
          onConfirm={async () => {
            await write('POST', `/api/serviceengine/${uuid}/takeover`, {}, ['serviceengine', 'virtualservice'])
            notify.done(`${name} follows this controller again`)
          }}
        >
          What it runs is replaced by what this controller has: changes made after the backup are undone on it. Put back first what must
          stay.
        </Confirm>
      )}
    </div>
  )
}

function HostFacts({ config, runtime }: { readonly config: ServiceEngineConfig; readonly runtime: ServiceEngineRuntime }): ReactNode {
  const { host } = runtime
  return (
    <dl className="facts">
      <dt>Host name</dt>
      <dd>{runtime.hostname || '–'}</dd>
      <dt>Addresses</dt>
      <dd className="mono">{runtime.addresses.join(', ') || '–'}</dd>
      <dt>Group</dt>
      <dd>{parseReference(config.se_group_ref)?.name ?? 'Default-Group'}</dd>
      <dt>CPU</dt>
      <dd>
        <Meter ratio={host?.cpu_ratio ?? null} />
      </dd>
      <dt>Memory</dt>
      <dd>
        <Meter ratio={memoryRatio(host)} /> {host && <Quantity value={host.memory_total_bytes} unit="bytes" isLive={false} />}
      </dd>
      <dt>Network in, out</dt>
      <dd>
        <Quantity value={host?.network_received_bytes_per_s} unit="bytes-per-s" />,{' '}
        <Quantity value={host?.network_sent_bytes_per_s} unit="bytes-per-s" />
      </dd>
      <dt>Workers</dt>
      <dd>{runtime.workers}</dd>
      <dt>Version</dt>
      <dd>{runtime.version || '–'}</dd>
      <dt>Build</dt>
      <dd className="mono" title={runtime.build}>
        {shortBuild(runtime.build)}
      </dd>
      {runtime.upgrade_ended?.outcome === 'failed' && (
        <>
          <dt>Last upgrade</dt>
          <dd>failed: {runtime.upgrade_ended.reason}</dd>
        </>
      )}
      <dt>Last seen</dt>
      <dd>
        {runtime.last_seen === null ? (
          'never'
        ) : (
          <>
            <Age at={runtime.last_seen} /> ago
          </>
        )}
      </dd>
      <dt>Certificate ends</dt>
      <dd>
        {runtime.certificate_not_after === null ? (
          '–'
        ) : (
          <>
            {formatInstant(runtime.certificate_not_after)} (in <Until at={runtime.certificate_not_after} />; renews by itself)
          </>
        )}
      </dd>
    </dl>
  )
}
