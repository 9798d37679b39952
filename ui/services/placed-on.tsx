/** The engines that carry a service, and what can be said to placement about it. */
import { Button, Select } from '@mantine/core'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { VirtualServiceRuntime } from '#model/resource/runtime.ts'
import { useInventory, useWrite } from '../feed/feed.tsx'
import { Confirm } from '../part/confirm.tsx'
import { State } from '../part/health.tsx'
import { useNotify } from '../part/notice.tsx'
import { Panel } from '../part/page.tsx'
import { RevisionPair } from '../part/revision-pair.tsx'

type Place = VirtualServiceRuntime['placed_on'][number]
type Asked = { readonly is: 'scaleout' | 'switchover' } | { readonly is: 'scalein' | 'migrate'; readonly from: Place }

const phases = { starting: 'starting', running: '', leaving: 'goes on here until the others run it' } as const

export function PlacedOn({ uuid, runtime }: { readonly uuid: string; readonly runtime: VirtualServiceRuntime }): ReactNode {
  const { placed_on: places, engines_wanted: wanted } = runtime
  const [asked, setAsked] = useState<Asked>()
  const hasStandby = places.some(place => place.standby)
  const staying = places.filter(place => place.phase !== 'leaving')
  return (
    <Panel
      title="Runs on"
      aside={
        <span className="row">
          <span className="muted">
            {staying.length} of {wanted} wanted
          </span>
          {staying.some(place => place.primary) && staying.length > 1 && (
            <Button size="compact-xs" variant="default" onClick={() => setAsked({ is: 'switchover' })}>
              Switch over…
            </Button>
          )}
          <Button size="compact-xs" variant="default" onClick={() => setAsked({ is: 'scaleout' })}>
            Scale out…
          </Button>
        </span>
      }
    >
      {places.length === 0 ? (
        <p className="muted">Not placed on any engine.</p>
      ) : (
        <ul className="reasons">
          {places.map(place => (
            <li key={place.engine_uuid} className="row wrap">
              <Link className="link" to={`/fabric/${place.engine_uuid}`}>
                {place.engine_name}
              </Link>
              <State state={place.state} />
              <RevisionPair wanted={place.wanted_revision} running={place.running_revision} />
              {places.length > 1 && place.primary && <span className="muted">{hasStandby ? 'active' : 'primary'}</span>}
              {place.standby && <span className="muted">standby</span>}
              {place.owns_addresses && <span className="muted">owns the address</span>}
              {place.announces_addresses && <span className="muted">announces the address</span>}
              {place.announce_reason !== '' && <span className="muted">does not announce the address: {place.announce_reason}</span>}
              {place.phase !== 'running' && <span className="muted">{phases[place.phase]}</span>}
              {place.phase !== 'leaving' && (
                <Button size="compact-xs" variant="default" onClick={() => setAsked({ is: 'migrate', from: place })}>
                  Migrate…
                </Button>
              )}
              {staying.length > 1 && place.phase !== 'leaving' && (
                <Button size="compact-xs" variant="default" onClick={() => setAsked({ is: 'scalein', from: place })}>
                  Scale in…
                </Button>
              )}
            </li>
          ))}
        </ul>
      )}
      {(runtime.answers_at ?? []).length > 0 && (
        <p className="muted">
          Reached at <span className="mono">{reachedAt(runtime).join(', ') || 'no address now'}</span>
        </p>
      )}
      {asked && <Ask uuid={uuid} asked={asked} places={places} onClose={() => setAsked(undefined)} />}
    </Panel>
  )
}

/** Each address once, though several engines may announce it. */
const reachedAt = ({ answers_at: all = [] }: VirtualServiceRuntime): readonly string[] => [
  ...new Set(all.filter(({ answers }) => answers).map(({ address }) => address))
]

const verbs = { scaleout: 'Scale out', switchover: 'Switch over', scalein: 'Scale in', migrate: 'Migrate' } as const

function Ask(props: {
  readonly uuid: string
  readonly asked: Asked
  readonly places: readonly Place[]
  readonly onClose: () => void
}): ReactNode {
  const { uuid, asked, places, onClose } = props
  const write = useWrite()
  const notify = useNotify()
  const [to, setTo] = useState<string | null>(null)
  const engines = useInventory('serviceengine')
  const free = (engines.data ?? []).filter(row => !places.some(place => place.engine_uuid === row.uuid))
  const from = 'from' in asked ? asked.from : undefined
  const act = async (): Promise<void> => {
    const body = {
      ...(from === undefined ? {} : { from_se_ref: from.engine_uuid }),
      ...(to === null ? {} : { to_se_ref: to })
    }
    await write('POST', `/api/virtualservice/${uuid}/${asked.is}`, body, ['virtualservice'])
    notify.done(asked.is === 'migrate' ? 'It moves; the panel shows how far it is' : 'Done; the panel shows how far it is')
  }
  return (
    <Confirm
      title={from === undefined ? verbs[asked.is] : `${verbs[asked.is]}: ${from.engine_name}`}
      verb={verbs[asked.is]}
      onConfirm={act}
      onClose={onClose}
    >
      <p>
        {asked.is === 'scaleout' && 'The service runs on one engine more.'}
        {asked.is === 'switchover' &&
          'The second engine becomes the first: it takes the addresses, where these move. Connections at the other may then end by themselves.'}
        {asked.is === 'scalein' && 'The service leaves this engine. Its connections there may end by themselves within the group’s time.'}
        {asked.is === 'migrate' && 'The service goes on here until the other engine runs it. Connections here may then end by themselves.'}
      </p>
      {(asked.is === 'scaleout' || asked.is === 'migrate') && (
        <Select
          label="To engine"
          placeholder="the best one"
          clearable
          value={to}
          onChange={setTo}
          data={free.map(row => ({ value: row.uuid, label: row.config.name }))}
        />
      )}
    </Confirm>
  )
}
