/** Upgrades of engines, group by group: which build each runs, how far it is, why it stands still, and what one can say to it. */
import { Button, NumberInput, Select } from '@mantine/core'
import { Pause, Play, RotateCcw, Rocket, Square } from 'lucide-react'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { upgradeDefaults, upgradeLimits } from '#model/resource/upgrade.ts'
import type {
  UpgradeAction,
  UpgradedEngineState,
  UpgradeEventKind,
  UpgradeSettings,
  UpgradeState,
  UpgradeView
} from '#model/resource/upgrade.ts'
import { useObjects, useRead, useWrite } from '../feed/feed.tsx'
import type { AnyObject } from '../feed/objects.ts'
import { Confirm } from '../part/confirm.tsx'
import { Meter } from '../part/meter.tsx'
import { useNotify } from '../part/notice.tsx'
import { Age } from '../part/now.tsx'
import { PageHead, Panel } from '../part/page.tsx'
import { Empty, Read } from '../part/states.tsx'
import { shortBuild } from './build.ts'

const REFRESH_MS = 1_000

interface Upgrades {
  readonly results: readonly UpgradeView[]
  readonly given_out: { readonly version: string; readonly builds: Readonly<Record<string, string>> } | null
}

const stateWords: Readonly<Record<UpgradeState, string>> = {
  RUNNING: 'running',
  PAUSED: 'paused',
  DONE: 'done',
  ROLLED_BACK: 'rolled back',
  ABORTED: 'aborted'
}

const engineWords: Readonly<Record<UpgradedEngineState, string>> = {
  WAITING: 'waits',
  MEASURING: 'is measured before',
  ORDERED: 'is being replaced',
  WATCHING: 'is watched',
  DONE: 'done',
  GOING_BACK: 'goes back',
  FAILED: 'failed',
  SKIPPED: 'left out'
}

const eventWords: Readonly<Record<UpgradeEventKind, string>> = {
  STARTED: 'started',
  ORDERED: 'ordered',
  UP: 'up',
  UPGRADED: 'done',
  GOING_BACK: 'ordered back',
  WENT_BACK: 'went back',
  FAILED: 'failed',
  SKIPPED: 'left out',
  PAUSED: 'paused',
  RESUMED: 'resumed',
  ROLLING_BACK: 'rolling back',
  DONE: 'done',
  ROLLED_BACK: 'rolled back',
  ABORTED: 'aborted'
}

export function UpgradesPage(): ReactNode {
  const upgrades = useRead<Upgrades>(['serviceenginegroup', 'upgrades'], '/api/upgrade', REFRESH_MS)
  const groups = useObjects<AnyObject>('serviceenginegroup')
  return (
    <div className="page">
      <PageHead title="Upgrades" />
      <Read reading={upgrades} what="the upgrades">
        {({ results, given_out: given }) => {
          const busy = new Set(results.filter(({ ended_at: end }) => end === null).map(one => one.serviceenginegroup))
          const ready = (groups.data ?? []).filter(({ uuid }) => !busy.has(uuid))
          return (
            <div className="stack loose">
              {given === null ? (
                <Empty
                  title="This controller gives out no engine"
                  action={
                    <Link className="inline-link" to="/fabric">
                      Back to the engines
                    </Link>
                  }
                >
                  Run <code>make package</code> in its folder: what that builds is what engines are upgraded to.
                </Empty>
              ) : (
                ready.length > 0 && <Start groups={ready} version={given.version} />
              )}
              {results
                .toSorted((a, b) => Number(a.ended_at !== null) - Number(b.ended_at !== null) || b.started_at - a.started_at)
                .map(upgrade => (
                  <Upgrade key={upgrade.id} upgrade={upgrade} />
                ))}
            </div>
          )
        }}
      </Read>
    </div>
  )
}

const settings = [
  { name: 'max_parallel', label: 'At once', suffix: ' engines' },
  { name: 'evaluation_duration', label: 'Watched for', suffix: ' s' },
  { name: 'deadline', label: 'Up within', suffix: ' s' }
] as const

function Start({ groups, version }: { readonly groups: readonly AnyObject[]; readonly version: string }): ReactNode {
  const write = useWrite()
  const notify = useNotify()
  const [chosen, setChosen] = useState<string | null>(null)
  const [values, setValues] = useState<Partial<UpgradeSettings>>({})
  const [isBusy, setIsBusy] = useState(false)
  const group = groups.find(({ uuid }) => uuid === chosen) ?? groups[0]!
  const start = async (): Promise<void> => {
    setIsBusy(true)
    try {
      await write('POST', `/api/serviceenginegroup/${group.uuid}/upgrade/start`, values, ['serviceenginegroup', 'serviceengine'])
      notify.done(`Upgrade of ${group.name ?? 'the group'} started`)
    } catch (error) {
      notify.failed('Not started', error)
    }
    setIsBusy(false)
  }
  return (
    <Panel title={`Upgrade to ${version}`}>
      <p>
        One engine after the other is replaced while it serves, and watched: when it is not up in time, or answers worse than before, it
        goes back to what it ran and the upgrade stops.
      </p>
      <div className="row wrap">
        <Select
          label="Engine group"
          value={group.uuid}
          onChange={setChosen}
          allowDeselect={false}
          data={groups.map(({ uuid, name }) => ({ value: uuid, label: name ?? uuid }))}
        />
        {settings.map(({ name, label, suffix }) => (
          <NumberInput
            key={name}
            label={label}
            suffix={suffix}
            min={upgradeLimits[name][0]}
            max={upgradeLimits[name][1]}
            value={values[name] ?? upgradeDefaults[name]}
            onChange={value => setValues(before => ({ ...before, [name]: Number(value) }))}
          />
        ))}
        <Button leftSection={<Rocket size={14} />} loading={isBusy} onClick={() => void start()} style={{ alignSelf: 'end' }}>
          Start
        </Button>
      </div>
    </Panel>
  )
}

function Upgrade({ upgrade }: { readonly upgrade: UpgradeView }): ReactNode {
  const { serviceenginegroup_name: group, state, version, direction, engines, events } = upgrade
  const done = engines.filter(engine => engine.state === 'DONE').length
  return (
    <Panel title={`${group} to ${direction === 'BACK' ? 'what it ran before' : version}`} aside={<Actions upgrade={upgrade} />}>
      <div className="stack" data-state={state} data-upgrade={group}>
        <div className="row wrap">
          <strong>{stateWords[state]}</strong>
          <Meter ratio={engines.length === 0 ? 0 : done / engines.length} title="Engines that are done" />
          <span className="muted">
            {done} of {engines.length} engines, {upgrade.max_parallel} at once
          </span>
        </div>
        {upgrade.reason !== '' && <p>{upgrade.reason}</p>}
        <div className="table-box">
          <table className="data" aria-label={`Engines of ${group}`}>
            <thead>
              <tr>
                <th scope="col">Engine</th>
                <th scope="col">State</th>
                <th scope="col">From</th>
                <th scope="col">To</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {engines.map(engine => (
                <tr key={engine.uuid} data-engine={engine.name} data-state={engine.state}>
                  <th scope="row">
                    <Link to={`/fabric/${engine.uuid}`}>{engine.name}</Link>
                  </th>
                  <td>{engineWords[engine.state]}</td>
                  <td className="mono" title={engine.from}>
                    {shortBuild(engine.from)}
                  </td>
                  <td className="mono" title={engine.to}>
                    {shortBuild(engine.to)}
                  </td>
                  <td>{engine.reason}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <ol className="stack" aria-label="Events" style={{ margin: 0, paddingLeft: '1.2em' }}>
          {events.toReversed().map((event, at) => (
            <li key={events.length - at}>
              <strong>
                {event.engine === null ? '' : `${event.engine.name} `}
                {eventWords[event.kind]}
              </strong>{' '}
              <span className="muted">
                <Age at={event.at} /> ago by {event.by}
              </span>
              <div>{event.reasons.join('; ')}</div>
            </li>
          ))}
        </ol>
      </div>
    </Panel>
  )
}

const questions = {
  abort: {
    title: (group: string) => `Abort the upgrade of ${group}?`,
    verb: 'Abort',
    text: 'No engine begins any more. One that is being replaced is brought to its end; those that are done stay on the new build.'
  },
  rollback: {
    title: (group: string) => `Roll ${group} back?`,
    verb: 'Roll back',
    text: 'Every engine that was upgraded returns to the build that it ran before, one after the other, while it serves.'
  }
} as const

function Actions({ upgrade }: { readonly upgrade: UpgradeView }): ReactNode {
  const write = useWrite()
  const notify = useNotify()
  const [isBusy, setIsBusy] = useState(false)
  const [asked, setAsked] = useState<keyof typeof questions | null>(null)
  const { state, serviceenginegroup: uuid, serviceenginegroup_name: group } = upgrade
  const isOpen = state === 'RUNNING' || state === 'PAUSED'
  const mayRollBack =
    upgrade.direction === 'FORWARD' && upgrade.engines.some(engine => ['DONE', 'ORDERED', 'WATCHING'].includes(engine.state))
  const post = (action: UpgradeAction): Promise<unknown> =>
    write('POST', `/api/serviceenginegroup/${uuid}/upgrade/${action}`, {}, ['serviceenginegroup', 'serviceengine'])
  const act = async (action: UpgradeAction): Promise<void> => {
    setIsBusy(true)
    try {
      await post(action)
    } catch (error) {
      notify.failed(`Not done: ${action}`, error)
    }
    setIsBusy(false)
  }
  return (
    <div className="row">
      {isOpen && (
        <>
          <Button
            variant="default"
            leftSection={state === 'PAUSED' ? <Play size={14} /> : <Pause size={14} />}
            loading={isBusy}
            onClick={() => void act(state === 'PAUSED' ? 'resume' : 'pause')}
          >
            {state === 'PAUSED' ? 'Resume' : 'Pause'}
          </Button>
          <Button variant="default" leftSection={<Square size={14} />} onClick={() => setAsked('abort')}>
            Abort…
          </Button>
        </>
      )}
      {mayRollBack && (
        <Button variant="default" leftSection={<RotateCcw size={14} />} onClick={() => setAsked('rollback')}>
          Roll back…
        </Button>
      )}
      {asked !== null && (
        <Confirm
          title={questions[asked].title(group)}
          verb={questions[asked].verb}
          onConfirm={() => post(asked)}
          onClose={() => setAsked(null)}
        >
          {questions[asked].text}
        </Confirm>
      )}
    </div>
  )
}
