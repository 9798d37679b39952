/** What load asks for, and what was decided: of a service's engines, of a pool's servers. */
import { useMemo } from 'react'
import type { ReactNode } from 'react'
import type { AutoscaleDecision, AutoscaleView } from '#model/resource/autoscale.ts'
import { useRead } from '../feed/feed.tsx'
import type { ChartMark } from '../part/chart.tsx'
import { Panel } from '../part/page.tsx'

const SHOWN = 10
const REFETCH_MS = 5_000
type Noun = 'servers' | 'engines'
const titles: Readonly<Record<AutoscaleDecision['kind'], (noun: Noun) => string>> = {
  SCALE_OUT: () => 'Scaled out',
  SCALE_IN: () => 'Scaled in',
  HELD: () => 'Held',
  REBALANCE: () => 'Spread anew',
  ASKED: noun => (noun === 'servers' ? 'Asked for servers' : 'Asked for an engine'),
  DRAINING: () => 'Draining',
  REMOVED: noun => (noun === 'servers' ? 'Servers removed' : 'Removed'),
  COMPLETED: noun => (noun === 'servers' ? 'Servers came' : 'Joined'),
  FAILED: noun => (noun === 'servers' ? 'No servers came' : 'Failed')
}

type Kind = 'virtualservice' | 'pool'

/** One reading for the panel and the charts of a page. */
function useAutoscale(kind: Kind, uuid: string): AutoscaleView | undefined {
  return useRead<AutoscaleView>([kind, 'autoscale', uuid], `/api/${kind}/${uuid}/autoscale`, REFETCH_MS).data
}

/** What was decided, as marks on the charts: from how many to how many. */
export function useScalingMarks(kind: Kind, uuid: string): readonly ChartMark[] {
  const decisions = useAutoscale(kind, uuid)?.decisions
  return useMemo(
    () =>
      (decisions ?? [])
        .filter(({ before, after }) => before !== after)
        .map(({ at, before, after }) => ({ atS: Math.floor(at / 1000), label: `${before}→${after}` })),
    [decisions]
  )
}

/** Nothing where nobody asked for scaling by load. */
export function Scaling({ kind, uuid }: { readonly kind: Kind; readonly uuid: string }): ReactNode {
  const view = useAutoscale(kind, uuid)
  if (view === undefined || (!view.enabled && view.decisions.length === 0)) return null
  const { now, forecast } = view
  const noun = kind === 'pool' ? 'servers' : 'engines'
  return (
    <Panel title="Scaling" aside={<span className="muted">{view.enabled ? 'by load' : 'off'}</span>}>
      {now !== null && (
        <>
          <p className="row wrap">
            <strong>
              {now.demand === null ? 'Its load is not known' : `Load of ${now.demand} ${noun}`}, {now.engines} there
            </strong>
            <span className="muted">
              {now.least} to {now.most} allowed
            </span>
            {now.predicted !== null && <span>{now.predicted} expected</span>}
          </p>
          {now.metrics.length > 0 && (
            <ul className="reasons">
              {now.metrics.map(metric => (
                <li key={metric.name}>
                  {metric.name}: {metric.words}
                </li>
              ))}
            </ul>
          )}
        </>
      )}
      {forecast !== null && (
        <p className="muted">
          Learnt from {forecast.days} days; {forecast.is_usable ? 'its forecasts are used' : 'no better than the load of now, so not used'}
        </p>
      )}
      <Decisions decisions={view.decisions} noun={noun} />
    </Panel>
  )
}

/** The newest first, in words. */
export function Decisions({ decisions, noun }: { readonly decisions: readonly AutoscaleDecision[]; readonly noun: Noun }): ReactNode {
  if (decisions.length === 0) return <p className="muted">Nothing was decided yet.</p>
  return (
    <ul className="reasons" aria-label="Decisions">
      {decisions
        .slice(-SHOWN)
        .toReversed()
        .map((decision, at) => (
          <li key={`${decision.at} ${decision.kind} ${at}`}>{inWords(decision, noun)}</li>
        ))}
    </ul>
  )
}

function inWords({ kind, at, before, after, reasons }: AutoscaleDecision, noun: Noun): string {
  const change = before === after ? '' : ` ${before} → ${after}`
  return `${new Date(at).toLocaleString()} ${titles[kind](noun)}${change}: ${reasons.join('; ')}`
}
