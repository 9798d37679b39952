import { memo } from 'react'
import type { ReactNode } from 'react'
import { useHistory } from '../feed/feed.tsx'
import { sparkPaths } from './spark.ts'

/** Requests a second over the last two minutes, from zero to the row's own maximum. */
export const Spark = memo(function Spark({ uuid }: { readonly uuid: string }): ReactNode {
  const history = useHistory(uuid)
  const { line, area } = sparkPaths(history.map(figures => ({ atMs: figures.at ?? 0, value: figures.requests_per_s })))
  return (
    <svg className="spark" viewBox="0 0 96 20" preserveAspectRatio="none" role="img" aria-label="requests per second, last two minutes">
      <path className="area" d={area} />
      <path className="line" d={line} />
    </svg>
  )
})
