/** Short messages at the corner: what was done, or what was not and why. Read out by screen readers. */
import { CloseButton } from '@mantine/core'
import { createContext, useCallback, useContext, useState } from 'react'
import type { ReactNode } from 'react'
import { problemOf } from '../feed/problem.ts'
import { Shape } from './health.tsx'

interface Notice {
  readonly id: number
  readonly isFailure: boolean
  readonly text: string
}
export interface Notify {
  readonly done: (text: string) => void
  readonly failed: (what: string, error: unknown) => void
}

const NoticeContext = createContext<Notify>({ done: () => undefined, failed: () => undefined })
const SHOWN_MS = 6_000

export function useNotify(): Notify {
  return useContext(NoticeContext)
}

export function NoticeProvider({ children }: { readonly children: ReactNode }): ReactNode {
  const [notices, setNotices] = useState<readonly Notice[]>([])
  const close = useCallback((id: number) => setNotices(before => before.filter(notice => notice.id !== id)), [])
  const [notify] = useState<Notify>(() => {
    let last = 0
    const add = (text: string, isFailure: boolean): void => {
      const id = ++last
      setNotices(before => [...before.slice(-3), { id, isFailure, text }])
      if (!isFailure) setTimeout(() => close(id), SHOWN_MS)
    }
    return {
      done: text => add(text, false),
      failed: (what, error) => {
        const problem = problemOf(error)
        const more = problem.violations.map(({ pointer, message }) => `${pointer} ${message}`.trim())
        add([`${what}: ${problem.message}`, ...more].join('\n'), true)
      }
    }
  })
  return (
    <NoticeContext value={notify}>
      {children}
      <div className="notices" role="status" aria-live="polite">
        {notices.map(notice => (
          <div key={notice.id} className="notice" data-band={notice.isFailure ? 'down' : 'good'}>
            <Shape band={notice.isFailure ? 'down' : 'good'} />
            <span className="grow" style={{ whiteSpace: 'pre-line' }}>
              {notice.text}
            </span>
            <CloseButton size="xs" aria-label="close" onClick={() => close(notice.id)} />
          </div>
        ))}
      </div>
    </NoticeContext>
  )
}
