import { ChevronDown, ChevronRight } from 'lucide-react'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { pathOfObject } from '../form/path.ts'
import type { Revision } from '../feed/revision-parse.ts'
import { formatInstant } from '../format.ts'
import { Age } from '../part/now.tsx'
import { Diff } from '../part/diff.tsx'

const verbs = { create: 'created', update: 'changed', delete: 'deleted' } as const

/** Revisions, newest first, each with its diff folded below. */
export function Revisions(props: {
  readonly revisions: readonly Revision[]
  readonly onlyUuid?: string
  readonly open?: number
}): ReactNode {
  return (
    <ul className="incidents panel" style={{ padding: 0 }}>
      {props.revisions.map(revision => (
        <RevisionRow
          key={revision.revision}
          revision={revision}
          onlyUuid={props.onlyUuid}
          isOpenAtFirst={revision.revision === props.open}
        />
      ))}
    </ul>
  )
}

function RevisionRow(props: {
  readonly revision: Revision
  readonly onlyUuid: string | undefined
  readonly isOpenAtFirst: boolean
}): ReactNode {
  const { revision, onlyUuid } = props
  const [isOpen, setIsOpen] = useState(props.isOpenAtFirst)
  const changes = revision.changes.filter(change => onlyUuid === undefined || change.uuid === onlyUuid)
  const Arrow = isOpen ? ChevronDown : ChevronRight
  return (
    <li id={`r${revision.revision}`}>
      <div className="row wrap grow fold">
        <button type="button" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
          <Arrow size={14} aria-hidden="true" />r{revision.revision}
        </button>
        <span className="cut">
          {changes
            .slice(0, 3)
            .map(change => `${change.kind} ${change.name} ${verbs[change.action]}`)
            .join(', ')}
          {changes.length > 3 && ` and ${changes.length - 3} more`}
        </span>
        <span className="muted" style={{ marginLeft: 'auto' }}>
          {revision.author}, <Age at={revision.atEpochMs} /> ago
          {revision.reason !== '' && `: ${revision.reason}`}
        </span>
      </div>
      {isOpen && (
        <div className="stack" style={{ width: '100%' }}>
          {changes.map(change => (
            <div key={change.uuid}>
              <p>
                {change.kind}{' '}
                {change.action === 'delete' ? (
                  <strong>{change.name}</strong>
                ) : (
                  <Link className="link" to={pathOfObject(change.kind, change.uuid)}>
                    {change.name}
                  </Link>
                )}{' '}
                {verbs[change.action]} <span className="muted">{formatInstant(revision.atEpochMs)}</span>
              </p>
              <Diff entries={change.diff} />
            </div>
          ))}
        </div>
      )}
    </li>
  )
}
