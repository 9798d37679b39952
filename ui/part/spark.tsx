import { memo, useMemo } from 'react'
import type { ReactNode } from 'react'
import type { MetricsAnswer } from '#model/resource/runtime.ts'
import { useHistory, useRead } from '../feed/feed.tsx'
import { trafficLines } from '../feed/metrics.ts'
import type { LiveKind } from '../feed/objects.ts'
import { sparkPaths, sparkPoints } from './spark.ts'

const lines = { client: trafficLines('client').requests.metricId, server: trafficLines('server').requests.metricId }
/** A longer list begins without the past: one request a row is too much there. */
export const SEEDED_ROWS = 40

/** Requests a second over the last two minutes, from zero to the row's own maximum. */
export const Spark = memo(function Spark(props: {
  readonly kind: LiveKind
  readonly uuid: string
  readonly isSeeded?: boolean
}): ReactNode {
  const { kind, uuid, isSeeded = true } = props
  const history = useHistory(uuid)
  const metricId = kind === 'pool' ? lines.server : lines.client
  const stored = useRead<MetricsAnswer>(
    [kind, 'spark', uuid],
    isSeeded ? `/api/analytics/metrics/${kind}/${uuid}?metric_id=${metricId}&step=1&limit=120` : undefined
  )
  const { line, area } = useMemo(() => sparkPaths(sparkPoints(stored.data, history)), [stored.data, history])
  return (
    <svg className="spark" viewBox="0 0 96 20" preserveAspectRatio="none" role="img" aria-label="requests per second, last two minutes">
      <path className="area" d={area} />
      <path className="line" d={line} />
    </svg>
  )
})
