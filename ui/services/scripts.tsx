/** Scripts as they run: how often, and how they fail. */
import type { ReactNode } from 'react'
import type { ScriptRuntime } from '#model/resource/runtime.ts'
import { formatCount } from '../format.ts'
import { Panel } from '../part/page.tsx'

export function Scripts({ scripts }: { readonly scripts: readonly ScriptRuntime[] }): ReactNode {
  return (
    <Panel title="Scripts" aside={<span className="muted">since the engines started</span>}>
      <ul className="reasons">
        {scripts.map(script => (
          <li key={script.name} className="row wrap">
            <strong>{script.name}</strong>
            <span>{formatCount(script.runs, 'run')}</span>
            {script.failures > 0 && <span className="bad">{formatCount(script.failures, 'failure')}</span>}
            {script.last_error !== '' && <code>{script.last_error}</code>}
            {script.counters.map(({ name, count }) => (
              <span key={name} className="muted">
                {name} {formatCount(count, 'time')}
              </span>
            ))}
          </li>
        ))}
      </ul>
    </Panel>
  )
}
