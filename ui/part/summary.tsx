/** What a thing's page begins with: the figures of the last second, and the score with its reasons. */
import type { ReactNode } from 'react'
import type { HealthScore, LiveFigures, OperStatus } from '#model/resource/runtime.ts'
import { Score, State } from './health.tsx'
import { Age } from './now.tsx'
import { Panel } from './page.tsx'
import { Quantity } from './quantity.tsx'

export function Figures({ live }: { readonly live: LiveFigures }): ReactNode {
  return (
    <Panel title="Now" aside={live.at === null ? <span className="muted">no sample yet</span> : undefined}>
      <dl className="figures">
        <div>
          <dt>Requests</dt>
          <dd>
            <Quantity value={live.requests_per_s} unit="per-s" />
          </dd>
        </div>
        <div>
          <dt>Errors 5xx</dt>
          <dd>
            <Quantity value={live.errors_5xx_per_s} unit="per-s" />
          </dd>
        </div>
        <div>
          <dt>Latency p50</dt>
          <dd>
            <Quantity value={live.latency_p50_ms} unit="ms" />
          </dd>
        </div>
        <div>
          <dt>Latency p99</dt>
          <dd>
            <Quantity value={live.latency_p99_ms} unit="ms" />
          </dd>
        </div>
        <div>
          <dt>Throughput</dt>
          <dd>
            <Quantity value={live.bytes_in_per_s + live.bytes_out_per_s} unit="bytes-per-s" />
          </dd>
        </div>
        <div>
          <dt>Open connections</dt>
          <dd>
            <Quantity value={live.open_connections} unit="count" />
          </dd>
        </div>
      </dl>
    </Panel>
  )
}

export function ScorePanel({ health, status }: { readonly health: HealthScore; readonly status: OperStatus }): ReactNode {
  return (
    <Panel title="Health" aside={<Score score={health.score} state={status.state} isBig />}>
      {health.reasons.length === 0 && status.reason.length === 0 ? (
        <p className="muted">Nothing is taken off.</p>
      ) : (
        <ul className="reasons">
          {status.reason.map(reason => (
            <li key={`status ${reason}`}>
              <span className="points">
                <span className="sr-only">state</span>
              </span>
              {reason}
            </li>
          ))}
          {health.reasons.map(({ reason, points }) => (
            <li key={reason}>
              <span className="points">−{Math.round(points)}</span>
              {reason}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  )
}

/** State with the time since it holds. */
export function StateSince({ status, score }: { readonly status: OperStatus; readonly score: number }): ReactNode {
  return (
    <span>
      <State state={status.state} score={score} />{' '}
      <span className="muted">
        for <Age at={status.last_changed_time} />
      </span>
    </span>
  )
}
