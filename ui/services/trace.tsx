/** Live requests of a virtual service as they come: which rules each met, where it went, and where its time was spent. */
import { Button, TextInput } from '@mantine/core'
import { useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import { useFeed, useRead } from '../feed/feed.tsx'
import { problemOf } from '../feed/problem.ts'
import type { Problem } from '../feed/problem.ts'
import { referenceTo } from '../feed/reference.ts'
import { formatQuantity, formatTime } from '../format.ts'
import { textIn, isRecord } from '../json.ts'
import { Panel } from '../part/page.tsx'
import { Failure } from '../part/states.tsx'
import { Steps } from './explain.tsx'
import { parseTrace } from './traced.ts'
import type { TracedRequest } from './traced.ts'

const LOOK_MS = 1_000
const MAX_REQUESTS = 20
const DURATION_S = 120

export function Trace({ uuid }: { readonly uuid: string }): ReactNode {
  const { rest } = useFeed()
  const [clientIp, setClientIp] = useState('')
  const [path, setPath] = useState('')
  const [id, setId] = useState<string>()
  const [isOver, setIsOver] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setIsBusy] = useState(false)
  const reading = useRead<unknown>(['trace', id], id === undefined ? undefined : `/api/trace/${id}`, isOver ? undefined : LOOK_MS)
  const trace = id === undefined || reading.data === undefined ? undefined : parseTrace(reading.data)
  const isRunning = id !== undefined && !isOver && trace?.isRunning !== false
  if (trace?.isRunning === false && !isOver) setIsOver(true)
  const at = (name: string): string | undefined => problem?.violations.find(({ pointer }) => pointer === `/${name}`)?.message

  const guarded = async (work: () => Promise<void>): Promise<void> => {
    setIsBusy(true)
    setProblem(undefined)
    try {
      await work()
    } catch (error) {
      setProblem(problemOf(error))
    }
    setIsBusy(false)
  }
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault()
    void guarded(async () => {
      if (isRunning) {
        await rest.write('DELETE', `/api/trace/${id}`)
        setIsOver(true)
        return
      }
      const wanted = {
        virtualservice_ref: referenceTo('virtualservice', uuid),
        max_requests: MAX_REQUESTS,
        duration: DURATION_S,
        ...(clientIp.trim() === '' ? {} : { client_ip: clientIp.trim() }),
        ...(path.trim() === '' ? {} : { path: path.trim() })
      }
      const started = await rest.write<unknown>('POST', '/api/trace', wanted)
      setId(isRecord(started) ? textIn(started['id']) : undefined)
      setIsOver(false)
    })
  }

  return (
    <Panel title="Trace live requests">
      <form className="form" noValidate onSubmit={onSubmit}>
        <div className="pair first">
          <TextInput
            label="From client address"
            placeholder="any"
            disabled={isRunning}
            value={clientIp}
            onChange={event => setClientIp(event.currentTarget.value)}
            error={at('client_ip')}
          />
          <TextInput
            label="Path begins with"
            placeholder="any"
            disabled={isRunning}
            value={path}
            onChange={event => setPath(event.currentTarget.value)}
            error={at('path')}
          />
        </div>
        <div className="row wrap">
          <Button type="submit" variant="default" loading={isBusy}>
            {isRunning ? 'Stop tracing' : 'Trace'}
          </Button>
          <span className="muted">
            The next {MAX_REQUESTS} requests that are like this, for up to {formatQuantity(DURATION_S * 1_000, 'ms')}; clients notice
            nothing.
          </span>
        </div>
        {problem && <Failure what="Not traced" problem={problem} />}
        {reading.problem && <Failure what="The trace cannot be read" problem={reading.problem} onRetry={reading.onRetry} />}
      </form>
      {id !== undefined && (
        <section aria-label="Traced requests" className="stack explained">
          <p className="muted" aria-live="polite">
            {isRunning ? 'Tracing' : 'Ended'}: {formatQuantity(trace?.requests.length ?? 0, 'count')} found
          </p>
          {trace?.requests.map(request => (
            <Found key={request.id} request={request} />
          ))}
        </section>
      )}
    </Panel>
  )
}

function Found({ request }: { readonly request: TracedRequest }): ReactNode {
  const { explained, parts, totalMs } = request
  return (
    <details>
      <summary>
        <strong>{request.status === 0 ? 'no answer' : request.status}</strong> <span className="mono">{request.what}</span>{' '}
        <span className="muted">
          {request.client}, {formatTime(request.atMs)}, {formatQuantity(totalMs, 'ms')}
        </span>
      </summary>
      <Steps steps={explained.steps} />
      <dl className="facts">
        <dt>Request</dt>
        <dd className="mono">{request.id}</dd>
        <dt>Time</dt>
        <dd>
          {parts.map(({ name, ms }) => `${name} ${formatQuantity(ms, 'ms')}`).join(', ')}, in all {formatQuantity(totalMs, 'ms')}
          {request.clientRttMs > 0 && `; the client is about ${formatQuantity(request.clientRttMs, 'ms')} away (an estimate)`}
        </dd>
        <dt>Bytes</dt>
        <dd>
          {formatQuantity(request.bytesIn, 'bytes')} in, {formatQuantity(request.bytesOut, 'bytes')} out
        </dd>
        {explained.pool && (
          <>
            <dt>Pool</dt>
            <dd>{explained.pool.name}</dd>
          </>
        )}
        {explained.server !== '' && (
          <>
            <dt>Server</dt>
            <dd className="mono">{explained.server}</dd>
          </>
        )}
        {explained.reason !== '' && (
          <>
            <dt>Because</dt>
            <dd>{explained.reason}</dd>
          </>
        )}
        {request.fault !== '' && (
          <>
            <dt>Why it ended</dt>
            <dd>{request.fault}</dd>
          </>
        )}
      </dl>
    </details>
  )
}
