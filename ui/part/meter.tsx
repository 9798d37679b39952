import type { ReactNode } from 'react'
import { formatQuantity } from '../format.ts'

/** How full something is: a bar and the number. */
export function Meter({ ratio, title }: { readonly ratio: number | null; readonly title?: string }): ReactNode {
  if (ratio === null) return <span className="muted">–</span>
  return (
    <span className="meter live" title={title}>
      <svg viewBox="0 0 56 6" preserveAspectRatio="none" aria-hidden="true">
        <rect x="0" y="0" width={Math.min(1, Math.max(0, ratio)) * 56} height="6" />
      </svg>
      {formatQuantity(ratio, 'ratio')}
    </span>
  )
}
