/** The policies of a service, in the order they are tried; read only. */
import { useQueries } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { useFeed } from '../feed/feed.tsx'
import type { AnyObject, VirtualServiceConfig } from '../feed/objects.ts'
import { problemOf } from '../feed/problem.ts'
import { parseReference } from '../feed/reference.ts'
import { Panel } from '../part/page.tsx'
import { Empty, Failure, Loading } from '../part/states.tsx'
import { rulesOf } from './rules.ts'

export function Policies({ config }: { readonly config: VirtualServiceConfig }): ReactNode {
  const { rest } = useFeed()
  const wanted = [
    ...(config.http_policies ?? [])
      .toSorted((a, b) => a.index - b.index)
      .map(policy => ({ kind: 'httppolicyset', ref: parseReference(policy.http_policy_set_ref) })),
    { kind: 'networksecuritypolicy', ref: parseReference(config.network_security_policy_ref) }
  ].flatMap(({ kind, ref }) => (ref ? [{ kind, ref }] : []))
  const queries = useQueries({
    queries: wanted.map(({ kind, ref }) => ({
      queryKey: [kind, 'config', ref.uuid],
      queryFn: () => rest.read<AnyObject>(`/api/${kind}/${ref.uuid}?include_name&skip_default`)
    }))
  })
  if (wanted.length === 0)
    return (
      <Empty
        title="No policies"
        action={
          <Link className="inline-link" to="/settings/objects/httppolicyset/new">
            New HTTP policy set
          </Link>
        }
      >
        A policy decides by path, host, header or client what happens to a request: which pool, a redirect, an answer of its own.
      </Empty>
    )
  return (
    <div className="stack">
      {queries.map((query, at) => {
        const { kind, ref } = wanted[at]!
        if (query.error) return <Failure key={ref.uuid} what={`Cannot read ${ref.name ?? ref.uuid}`} problem={problemOf(query.error)} />
        if (!query.data) return <Loading key={ref.uuid} lines={3} />
        const rules = rulesOf(query.data)
        return (
          <Panel
            key={ref.uuid}
            title={query.data.name}
            aside={
              <Link className="inline-link" to={`/settings/objects/${kind}/${ref.uuid}`}>
                Edit
              </Link>
            }
          >
            {rules.length === 0 && <p className="muted">No rules.</p>}
            <ol style={{ margin: 0, paddingLeft: 24 }}>
              {rules.map(rule => (
                <li key={`${rule.phase} ${rule.index} ${rule.name}`}>
                  <strong>{rule.name}</strong> <span className="muted">{rule.phase}</span>
                  {!rule.isEnabled && <span className="muted"> (disabled)</span>}
                  <div>
                    <span className="muted">when</span> {rule.match} <span className="muted">then</span> {rule.action}
                  </div>
                </li>
              ))}
            </ol>
          </Panel>
        )
      })}
    </div>
  )
}
