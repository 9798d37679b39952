/** Asks what would become of a request: every rule that is tried, and where it ends. Nothing is sent to a server. */
import { Autocomplete, Button, Textarea, TextInput } from '@mantine/core'
import { Check, Minus } from 'lucide-react'
import { useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import { Link } from 'react-router'
import { useFeed } from '../feed/feed.tsx'
import { problemOf } from '../feed/problem.ts'
import type { Problem } from '../feed/problem.ts'
import { referenceTo } from '../feed/reference.ts'
import { Panel } from '../part/page.tsx'
import { Failure } from '../part/states.tsx'
import { parseExplained, parseHeaders } from './explained.ts'
import type { Explained, Step } from './explained.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

export function Explain({ uuid }: { readonly uuid: string }): ReactNode {
  const { rest } = useFeed()
  const [method, setMethod] = useState('GET')
  const [host, setHost] = useState('')
  const [path, setPath] = useState('/')
  const [clientIp, setClientIp] = useState('')
  const [headers, setHeaders] = useState('')
  const [explained, setExplained] = useState<Explained>()
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setIsBusy] = useState(false)
  const parsed = parseHeaders(headers)
  const at = (name: string): string | undefined => problem?.violations.find(({ pointer }) => pointer === `/${name}`)?.message

  const onSubmit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    if ('wrong' in parsed) return
    setIsBusy(true)
    setProblem(undefined)
    setExplained(undefined)
    try {
      const question = {
        virtualservice_ref: referenceTo('virtualservice', uuid),
        method,
        host,
        path,
        headers: parsed.headers,
        ...(clientIp.trim() === '' ? {} : { client_ip: clientIp.trim() })
      }
      setExplained(parseExplained(await rest.write<unknown>('POST', '/api/explain', question)))
    } catch (error) {
      setProblem(problemOf(error))
    }
    setIsBusy(false)
  }

  return (
    <Panel title="Explain a request">
      <form className="form" noValidate onSubmit={event => void onSubmit(event)}>
        <div className="pair first">
          <Autocomplete label="Method" data={methods} value={method} onChange={setMethod} error={at('method')} />
          <TextInput
            label="Host"
            placeholder="shop.example.com"
            required
            value={host}
            onChange={event => setHost(event.currentTarget.value)}
            error={at('host')}
          />
          <TextInput label="Path and query" value={path} onChange={event => setPath(event.currentTarget.value)} error={at('path')} />
          <TextInput
            label="Client address"
            placeholder="127.0.0.1"
            value={clientIp}
            onChange={event => setClientIp(event.currentTarget.value)}
            error={at('client_ip')}
          />
          <div className="wide">
            <Textarea
              label="Headers"
              description="One a line: Name: value"
              autosize
              minRows={2}
              maxRows={8}
              value={headers}
              onChange={event => setHeaders(event.currentTarget.value)}
              error={'wrong' in parsed ? `“${parsed.wrong}” is no header: write Name: value` : at('headers')}
            />
          </div>
        </div>
        <div className="row wrap">
          <Button type="submit" variant="default" loading={isBusy} disabled={host.trim() === '' || 'wrong' in parsed}>
            Explain
          </Button>
          <span className="muted">An engine walks it through the rules that run now; nothing is sent and no limit counts it.</span>
        </div>
        {problem && <Failure what="Not explained" problem={problem} />}
      </form>
      <div aria-live="polite">{explained && <Answer explained={explained} />}</div>
    </Panel>
  )
}

function Answer({ explained }: { readonly explained: Explained }): ReactNode {
  const { steps, pool, server } = explained
  return (
    <section aria-label="What becomes of it" className="stack explained">
      <Steps steps={steps} />
      <dl className="facts">
        <dt>The request</dt>
        <dd>
          <strong>{explained.end}</strong>
        </dd>
        {pool && (
          <>
            <dt>Pool</dt>
            <dd>
              {pool.uuid === undefined ? (
                pool.name
              ) : (
                <Link className="link" to={`/pools/${pool.uuid}`}>
                  {pool.name}
                </Link>
              )}
            </dd>
          </>
        )}
        {server !== '' && (
          <>
            <dt>Server</dt>
            <dd className="mono">{server}</dd>
          </>
        )}
        {explained.reason !== '' && (
          <>
            <dt>Because</dt>
            <dd>{explained.reason}</dd>
          </>
        )}
      </dl>
    </section>
  )
}

/** Every rule that was tried, in order. */
export function Steps({ steps }: { readonly steps: readonly Step[] }): ReactNode {
  if (steps.length === 0) return <p className="muted">No rule was tried.</p>
  return (
    <ol className="steps">
      {steps.map((step, at) => (
        // Rules have no identity here but their place.
        // oxlint-disable-next-line react/no-array-index-key
        <li key={at} data-matched={step.isMatched}>
          {step.isMatched ? <Check size={14} aria-hidden="true" /> : <Minus size={14} aria-hidden="true" />}
          <span>
            <strong>{step.rule}</strong> <span className="muted">{step.why}</span>
            {step.isMatched && step.action !== '' && <>, then {step.action}</>}
          </span>
        </li>
      ))}
    </ol>
  )
}
