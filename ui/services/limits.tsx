/** Rate limits as they run: what got in, what did not, and which engine has how much of the budget. */
import type { ReactNode } from 'react'
import type { LimitRuntime } from '#model/resource/runtime.ts'
import { formatCount, formatInstant } from '../format.ts'
import { Panel } from '../part/page.tsx'
import { Quantity } from '../part/quantity.tsx'

const titles: Readonly<Record<string, string>> = {
  requests: 'Requests',
  connections: 'Connections',
  'bandwidth/down': 'Bandwidth to clients',
  'bandwidth/up': 'Bandwidth from clients',
  'bandwidth/client-down': 'Bandwidth to each client',
  'bandwidth/client-up': 'Bandwidth from each client'
}

const unitOf = ({ name }: LimitRuntime): 'bytes-per-s' | 'per-s' => (name.startsWith('bandwidth/') ? 'bytes-per-s' : 'per-s')

/** Of a rule: the last piece of where it is set is its name. */
const titleOf = ({ name }: LimitRuntime): string => titles[name] ?? name.split('/').at(-1) ?? name

export function Limits({ limits }: { readonly limits: readonly LimitRuntime[] }): ReactNode {
  return (
    <Panel title="Rate limits" aside={<span className="muted">{formatCount(limits.length, 'limit')} in use</span>}>
      <ul className="reasons">
        {limits.map(limit => (
          <li key={limit.name} className="row wrap">
            <strong>{titleOf(limit)}</strong>
            <span>
              <Quantity value={limit.admitted_per_s} unit={unitOf(limit)} /> within
            </span>
            <span>
              <Quantity value={limit.refused_per_s} unit={unitOf(limit)} /> {unitOf(limit) === 'per-s' ? 'over' : 'held up'}
            </span>
            {limit.quota && (
              <span>
                <Quantity value={limit.quota.left} unit="count" /> of <Quantity value={limit.quota.count} unit="count" /> left until{' '}
                {formatInstant(limit.quota.ends_at)}
              </span>
            )}
            {limit.engines.map(engine => (
              <span key={engine.engine_uuid} className="muted">
                {engine.engine_name} has <Quantity value={engine.share} unit="ratio" />
              </span>
            ))}
          </li>
        ))}
      </ul>
    </Panel>
  )
}
