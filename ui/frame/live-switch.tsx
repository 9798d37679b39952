import type { ReactNode } from 'react'
import { useFeed, useLiveState } from '../feed/feed.tsx'
import type { LiveState } from '../feed/live.ts'
import { formatAge } from '../format.ts'
import type { Band } from '../part/band.ts'
import { useNow } from '../part/now.tsx'
import { Shape } from '../part/health.tsx'

const bands: Readonly<Record<LiveState['is'], Band>> = { live: 'good', connecting: 'off', paused: 'off', stale: 'poor' }

function words(state: LiveState, nowEpochMs: number): string {
  switch (state.is) {
    case 'live':
      return 'Live'
    case 'connecting':
      return 'Connecting'
    case 'paused':
      return state.lastAtMs === null ? 'Paused' : `Paused ${formatAge(nowEpochMs - state.lastAtMs)}`
    case 'stale':
      return state.lastAtMs === null ? 'No data' : `${formatAge(nowEpochMs - state.lastAtMs)} old`
  }
}

/** Says how fresh the figures are, and stops and starts them. */
export function LiveSwitch(): ReactNode {
  const { live } = useFeed()
  const state = useLiveState()
  const now = useNow()
  const isPaused = state.is === 'paused'
  return (
    <button
      type="button"
      className="live-switch"
      role="switch"
      aria-checked={!isPaused}
      aria-label={`Live figures: ${words(state, now)}`}
      data-band={bands[state.is]}
      title={isPaused ? 'Figures stand still. Press to follow them again.' : 'Figures follow each second. Press to hold them.'}
      onClick={() => (isPaused ? live.resume() : live.pause())}
    >
      <Shape band={bands[state.is]} />
      {words(state, now)}
    </button>
  )
}
