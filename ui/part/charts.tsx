/** The charts of a thing's page: one window, one shared cursor, what was changed and what happened to the thing as marks. */
import { useEffect, useMemo, useState } from 'react'
import type { ReactNode } from 'react'
import { useSearchParams } from 'react-router'
import type { MetricsAnswer } from '#model/resource/runtime.ts'
import { useEvents } from '../feed/events.ts'
import { useHistory, useLiveState, useRead } from '../feed/feed.tsx'
import { useRevisions } from '../feed/revision.ts'
import type { LiveKind } from '../feed/objects.ts'
import { chartData } from '../feed/series.ts'
import type { MetricLine } from '../feed/series.ts'
import type { Unit } from '../format.ts'
import { Chart } from './chart.tsx'
import type { ChartLine, ChartMark } from './chart.tsx'
import { windowIn } from './range.ts'

export interface ChartPlan {
  readonly title: string
  readonly sentence: string
  readonly unit: Unit
  readonly topAtLeast: number
  readonly lines: readonly (ChartLine & { readonly metric: MetricLine })[]
}

const metricOf = (line: { readonly metric: MetricLine }): MetricLine => line.metric

/** Stored points are read again at this pace; in between the live feed continues them. */
const REFRESH_MS = 30_000

/** Decisions of scaling have marks of their own, with their numbers. */
const isDecision = (eventId: string): boolean => eventId.includes('_AUTOSCALE_')

const noMarks: readonly ChartMark[] = []

export function Charts(props: {
  readonly kind: LiveKind
  readonly uuid: string
  readonly plans: readonly ChartPlan[]
  /** Marks beside those of changes and events. */
  readonly events?: readonly ChartMark[]
}): ReactNode {
  const { kind, uuid, plans, events = noMarks } = props
  const [params, setParams] = useSearchParams()
  const nowMs = useSecond()
  const window = windowIn(params, nowMs)
  const { startS, stopS, stepS, isMoving } = window
  const metricIds = [...new Set(plans.flatMap(plan => plan.lines.map(line => line.metric.metricId)))].join(',')
  // A moving window is asked for by its length; the start is rounded so that the key stands still in between.
  const keyS = isMoving ? stopS - startS : `${startS}-${stopS}`
  const limit = Math.ceil((stopS - startS) / stepS) + 1
  const range = isMoving ? '' : `&start=${isoOf(startS)}&stop=${isoOf(stopS)}`
  const { data: answer } = useRead<MetricsAnswer>(
    [kind, 'metrics', uuid, keyS],
    `/api/analytics/metrics/${kind}/${uuid}?metric_id=${metricIds}&step=${stepS}&limit=${limit}${range}`,
    isMoving ? Math.max(REFRESH_MS, stepS * 500) : undefined
  )
  const history = useHistory(uuid)
  const { data: revisions } = useRevisions(uuid)
  const { data: happened } = useEvents({ uuids: [uuid] })
  const marks = useMemo(
    () => [
      ...(revisions ?? []).map(revision => ({ atS: Math.floor(revision.atEpochMs / 1000), label: `r${revision.revision}` })),
      ...(happened ?? []).flatMap(({ report_timestamp: at, event_id: id }) =>
        isDecision(id) ? [] : [{ atS: Math.floor(at / 1000), label: id }]
      ),
      ...events
    ],
    [revisions, happened, events]
  )
  const [onZoom] = useState(() => (fromS: number, toS: number) => {
    setParams(before => {
      const next = new URLSearchParams(before)
      next.set('from', String(fromS))
      next.set('to', String(toS))
      return next
    })
  })
  return (
    <div className="charts">
      {plans.map(plan => (
        <Chart
          key={plan.title}
          {...plan}
          data={chartData(window, plan.lines.map(metricOf), answer, history)}
          marks={marks}
          group={uuid}
          onZoom={onZoom}
        />
      ))}
    </div>
  )
}

const isoOf = (epochS: number): string => encodeURIComponent(new Date(epochS * 1000).toISOString())

/** The time, each second while figures move. */
function useSecond(): number {
  const state = useLiveState()
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    if (state.is === 'paused') return undefined
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [state.is])
  return now
}
