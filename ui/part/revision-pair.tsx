import type { ReactNode } from 'react'
import { Shape } from './health.tsx'

/** Wanted and running, side by side: two facts. */
export function RevisionPair({ wanted, running }: { readonly wanted: number; readonly running: number }): ReactNode {
  const isSame = wanted === running
  return (
    <span className="badge live" data-band={isSame ? 'good' : 'fair'}>
      <Shape band={isSame ? 'good' : 'fair'} />
      <span>
        runs r{running}, wanted r{wanted}
      </span>
    </span>
  )
}
