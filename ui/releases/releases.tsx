/** Releases: where each new pool stands, how it does beside the old ones, why it was decided so, and what one can say to it. */
import { Button, Select } from '@mantine/core'
import { Pause, Play, RotateCcw, Rocket } from 'lucide-react'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { ReleaseAction, ReleaseState, ReleaseView, SidesView, SideView } from '#model/resource/release.ts'
import { useObjects, useRead, useWrite } from '../feed/feed.tsx'
import { parseReference } from '../feed/reference.ts'
import { formatQuantity } from '../format.ts'
import { Confirm } from '../part/confirm.tsx'
import { Meter } from '../part/meter.tsx'
import { useNotify } from '../part/notice.tsx'
import { Age, Until } from '../part/now.tsx'
import { PageHead, Panel } from '../part/page.tsx'
import { Empty, Read } from '../part/states.tsx'
import { decisionWords } from './words.ts'

const REFRESH_MS = 1_000

interface Group {
  readonly uuid: string
  readonly name: string
  readonly deployment_policy_ref?: string
  readonly members?: readonly { readonly pool_ref: string; readonly ratio?: number }[]
}
interface Releases {
  readonly results: readonly ReleaseView[]
}

const stateWords: Readonly<Record<ReleaseState, string>> = {
  RUNNING: 'running',
  PAUSED: 'paused',
  PROMOTED: 'promoted',
  ROLLED_BACK: 'rolled back',
  ABORTED: 'aborted'
}
const isUnderWay = ({ state, ended_at: endedAt }: ReleaseView): boolean => endedAt === null && (state === 'RUNNING' || state === 'PAUSED')

export function ReleasesPage(): ReactNode {
  const releases = useRead<Releases>(['poolgroup', 'releases'], '/api/release', REFRESH_MS)
  const groups = useObjects<Group>('poolgroup')
  return (
    <div className="page">
      <PageHead title="Releases" />
      <Read reading={releases} what="the releases">
        {({ results }) => {
          const busy = new Set(results.filter(isUnderWay).map(({ poolgroup }) => poolgroup))
          const ready = (groups.data ?? []).filter(group => group.deployment_policy_ref !== undefined && !busy.has(group.uuid))
          return (
            <div className="stack loose">
              {results.length === 0 && ready.length === 0 && (
                <Empty
                  title="Nothing is released yet"
                  action={
                    <Link className="inline-link" to="/settings/objects/poolgroupdeploymentpolicy/new">
                      New release policy
                    </Link>
                  }
                >
                  A pool group with a release policy lets a new pool take over step by step, judged against the old ones.
                </Empty>
              )}
              {ready.length > 0 && <Start groups={ready} />}
              {results
                .toSorted((a, b) => Number(isUnderWay(b)) - Number(isUnderWay(a)) || b.started_at - a.started_at)
                .map(release => (
                  <Release key={release.id} release={release} />
                ))}
            </div>
          )
        }}
      </Read>
    </div>
  )
}

function Start({ groups }: { readonly groups: readonly Group[] }): ReactNode {
  const write = useWrite()
  const notify = useNotify()
  const [uuid, setUuid] = useState<string | null>(null)
  const [pool, setPool] = useState<string | null>(null)
  const [isBusy, setIsBusy] = useState(false)
  const group = groups.find(one => one.uuid === uuid)
  const pools = (group?.members ?? []).flatMap(({ pool_ref: text }) => {
    const reference = parseReference(text)
    return reference === undefined ? [] : [{ value: reference.uuid, label: reference.name ?? reference.uuid }]
  })
  const start = async (): Promise<void> => {
    setIsBusy(true)
    try {
      await write('POST', `/api/poolgroup/${uuid}/release/start`, { pool_ref: pool }, ['poolgroup'])
      notify.done(`Release of ${pools.find(({ value }) => value === pool)?.label ?? 'the pool'} started`)
      setPool(null)
    } catch (error) {
      notify.failed('Not started', error)
    }
    setIsBusy(false)
  }
  return (
    <Panel title="Start a release">
      <div className="row wrap">
        <Select
          label="Pool group"
          placeholder="with a release policy"
          data={groups.map(({ uuid: value, name: label }) => ({ value, label }))}
          value={uuid}
          onChange={value => {
            setUuid(value)
            setPool(null)
          }}
        />
        <Select label="Pool that takes over" data={pools} value={pool} onChange={setPool} disabled={group === undefined} />
        <Button
          leftSection={<Rocket size={14} />}
          loading={isBusy}
          disabled={group === undefined || pool === null}
          onClick={() => void start()}
          style={{ alignSelf: 'end' }}
        >
          Start
        </Button>
      </div>
    </Panel>
  )
}

function Release({ release }: { readonly release: ReleaseView }): ReactNode {
  const { pool_name: pool, poolgroup_name: group, state, steps, step, share } = release
  const figures = release.now ?? release.decisions.findLast(decision => decision.figures !== null)?.figures
  return (
    <Panel
      title={`${pool} in ${group}`}
      aside={isUnderWay(release) ? <Actions release={release} /> : <span className="muted">{stateWords[state]}</span>}
    >
      <div className="stack" data-state={state} data-release={pool}>
        <div className="row wrap">
          <strong>{stateWords[state]}</strong>
          <Meter ratio={share / 100} title="Share of the new pool" />
          <span className="muted">
            step {step + 1} of {steps.length} ({steps.map(one => `${one} %`).join(', ')})
          </span>
          {release.judged_at !== null && (
            <span className="muted">
              judged in <Until at={release.judged_at} />
            </span>
          )}
        </div>
        {release.reason !== '' && <p>{release.reason}</p>}
        {figures && <Sides figures={figures} />}
        <ol className="stack" aria-label="Decisions" style={{ margin: 0, paddingLeft: '1.2em' }}>
          {release.decisions.toReversed().map(decision => (
            <li key={`${decision.at} ${decision.kind}`}>
              <strong>{decisionWords(decision)}</strong>{' '}
              <span className="muted">
                <Age at={decision.at} /> ago by {decision.by}
                {decision.revision !== null && (
                  <>
                    {', '}
                    <Link className="inline-link" to={`/changes/${decision.revision}`}>
                      r{decision.revision}
                    </Link>
                  </>
                )}
              </span>
              <div>{decision.reasons.join('; ')}</div>
            </li>
          ))}
        </ol>
      </div>
    </Panel>
  )
}

const rows: readonly (readonly [title: string, read: (side: SideView) => string])[] = [
  ['Requests', side => formatQuantity(side.requests, 'count')],
  ['Errors', side => `${formatQuantity(side.error_percent, 'percent')} (${formatQuantity(side.errors, 'count')})`],
  ['Latency p50', side => formatQuantity(side.latency_p50_ms, 'ms')],
  ['Latency p95', side => formatQuantity(side.latency_p95_ms, 'ms')],
  ['Health', side => formatQuantity(side.health_score, 'score')]
]

function Sides({ figures }: { readonly figures: SidesView }): ReactNode {
  return (
    <div className="table-box">
      <table className="data">
        <thead>
          <tr>
            <th scope="col">Within the step</th>
            <th scope="col" className="end">
              Old
            </th>
            <th scope="col" className="end">
              New
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([title, read]) => (
            <tr key={title}>
              <th scope="row">{title}</th>
              <td className="end">{read(figures.old)}</td>
              <td className="end">{read(figures.new)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Actions({ release }: { readonly release: ReleaseView }): ReactNode {
  const write = useWrite()
  const notify = useNotify()
  const [busy, setBusy] = useState<ReleaseAction | null>(null)
  const [asked, setAsked] = useState<'abort' | 'promote' | null>(null)
  const isPaused = release.state === 'PAUSED'
  const post = (action: ReleaseAction): Promise<unknown> =>
    write('POST', `/api/poolgroup/${release.poolgroup}/release/${action}`, {}, ['poolgroup'])
  const act = async (action: ReleaseAction): Promise<void> => {
    setBusy(action)
    try {
      await post(action)
    } catch (error) {
      notify.failed(`Not done: ${action}`, error)
    }
    setBusy(null)
  }
  return (
    <div className="row">
      <Button
        variant="default"
        leftSection={isPaused ? <Play size={14} /> : <Pause size={14} />}
        loading={busy !== null}
        onClick={() => void act(isPaused ? 'resume' : 'pause')}
      >
        {isPaused ? 'Resume' : 'Pause'}
      </Button>
      <Button variant="default" leftSection={<RotateCcw size={14} />} onClick={() => setAsked('abort')}>
        Abort…
      </Button>
      <Button variant="default" leftSection={<Rocket size={14} />} onClick={() => setAsked('promote')}>
        Promote…
      </Button>
      {asked !== null && (
        <Confirm
          title={asked === 'abort' ? `Abort the release of ${release.pool_name}?` : `Promote ${release.pool_name} now?`}
          verb={asked === 'abort' ? 'Abort' : 'Promote'}
          onConfirm={() => post(asked)}
          onClose={() => setAsked(null)}
        >
          {asked === 'abort'
            ? 'The old pools get all of the traffic back at once.'
            : 'The new pool gets all of the traffic at once; the steps that are left are not judged.'}
        </Confirm>
      )}
    </div>
  )
}
