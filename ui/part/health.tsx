/** State and score: always a shape and a word beside the colour. */
import type { ReactNode } from 'react'
import type { OperState } from '#model/resource/runtime.ts'
import { bandOf, bandWords, stateWords } from './band.ts'
import type { Band } from './band.ts'

/** A shape per band, so that no one needs to see the colour: disc, triangle, diamond, square, ring. */
export function Shape({ band }: { readonly band: Band }): ReactNode {
  return (
    <svg className="shape" viewBox="0 0 10 10" aria-hidden="true" fill="currentColor">
      {band === 'good' && <circle cx="5" cy="5" r="4.5" />}
      {band === 'fair' && <path d="M5 .5 9.8 9.3H.2z" />}
      {band === 'poor' && <path d="M5 0l5 5-5 5-5-5z" />}
      {band === 'down' && <rect x=".5" y=".5" width="9" height="9" />}
      {band === 'off' && <circle cx="5" cy="5" r="3.7" fill="none" stroke="currentColor" strokeWidth="1.6" />}
    </svg>
  )
}

export function Score(props: { readonly score: number; readonly state: OperState; readonly isBig?: boolean }): ReactNode {
  const band = bandOf(props.state, props.score)
  return (
    <span className={props.isBig ? 'badge big live' : 'badge live'} data-band={band} title={`health ${props.score}: ${bandWords[band]}`}>
      <Shape band={band} />
      <b>{band === 'off' ? '–' : Math.round(props.score)}</b>
      <span className="sr-only">{bandWords[band]}</span>
    </span>
  )
}

export function State({ state, score }: { readonly state: OperState; readonly score?: number }): ReactNode {
  const band = bandOf(state, score ?? 100)
  return (
    <span className="badge live" data-band={band}>
      <Shape band={band} />
      {stateWords[state]}
    </span>
  )
}

export function Verdict({ verdict }: { readonly verdict: 'up' | 'down' | 'unknown' }): ReactNode {
  const band: Band = verdict === 'up' ? 'good' : verdict === 'down' ? 'down' : 'off'
  return (
    <span className="badge" data-band={band}>
      <Shape band={band} />
      {verdict}
    </span>
  )
}
