/** The time, each second, for whatever shows an age: only what shows one re-renders. */
import { createContext, useContext, useEffect, useState } from 'react'
import type { ReactNode } from 'react'
import { formatAge, formatInstant } from '../format.ts'

const NowContext = createContext(0)

export function NowProvider({ children }: { readonly children: ReactNode }): ReactNode {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return <NowContext value={nowMs}>{children}</NowContext>
}

/** Epoch milliseconds, at most a second old. */
export function useNow(): number {
  return useContext(NowContext)
}

/** `12 min`, with the instant as its title. */
export function Age({ at }: { readonly at: number }): ReactNode {
  return <span title={formatInstant(at)}>{formatAge(useNow() - at)}</span>
}

/** How long until then. */
export function Until({ at }: { readonly at: number }): ReactNode {
  return <span title={formatInstant(at)}>{formatAge(at - useNow())}</span>
}
