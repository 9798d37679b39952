/** What a view draws when it has no data to draw: loading, empty, error, not allowed. */
import { Button } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Problem } from '../feed/problem.ts'
import type { Reading } from '../feed/feed.tsx'

export function Loading({ lines = 6 }: { readonly lines?: number }): ReactNode {
  return (
    <div className="skeleton" role="status" aria-label="loading">
      {Array.from({ length: lines }, (_, at) => (
        <i key={at} style={{ width: `${90 - ((at * 23) % 50)}%` }} />
      ))}
    </div>
  )
}

export function Empty(props: { readonly title: string; readonly children: ReactNode; readonly action?: ReactNode }): ReactNode {
  return (
    <div className="blank">
      <h2>{props.title}</h2>
      <p>{props.children}</p>
      {props.action}
    </div>
  )
}

/** What failed, every violation, what to search the logs by, and the way to try again. */
export function Failure(props: {
  readonly what: string
  readonly problem: Problem
  readonly onRetry?: () => void
  /** What trying again does, when it is more than that. */
  readonly retry?: string
}): ReactNode {
  const { problem } = props
  if (problem.status === 403) {
    return (
      <div className="blank" role="alert">
        <h2>Not allowed</h2>
        <p>{problem.message}</p>
        <p>Ask an administrator for a role that may do this in this tenant.</p>
      </div>
    )
  }
  return (
    <div className="failure" role="alert">
      <div className="row wrap between">
        <div>
          <strong>{props.what}</strong>: {problem.message}
        </div>
        {props.onRetry && (
          <Button variant="default" onClick={props.onRetry}>
            {props.retry ?? 'Try again'}
          </Button>
        )}
      </div>
      {problem.violations.length > 0 && (
        <ul>
          {problem.violations.map(({ pointer, message }) => (
            <li key={`${pointer} ${message}`}>
              {pointer !== '' && <code>{pointer}</code>} {message}
            </li>
          ))}
        </ul>
      )}
      {problem.instance !== undefined && (
        <p className="muted">
          To find it in the controller's log: <code>{problem.instance}</code>
        </p>
      )}
    </div>
  )
}

/** Draws a reading: skeleton, failure, or its data. */
export function Read<T>(props: {
  readonly reading: Reading<T>
  readonly what: string
  readonly lines?: number
  readonly children: (data: T) => ReactNode
}): ReactNode {
  const { data, problem, onRetry } = props.reading
  if (data !== undefined) return props.children(data)
  if (problem) return <Failure what={`Cannot read ${props.what}`} problem={problem} onRetry={onRetry} />
  return <Loading {...(props.lines === undefined ? {} : { lines: props.lines })} />
}
