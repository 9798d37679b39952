import { Button } from '@mantine/core'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { useParams } from 'react-router'
import { useRevisions } from '../feed/revision.ts'
import { PageHead } from '../part/page.tsx'
import { Empty, Read } from '../part/states.tsx'
import { Revisions } from './revisions.tsx'

export function ChangesPage(): ReactNode {
  const { revision } = useParams()
  const wanted = revision === undefined ? undefined : Number(revision)
  const [before, setBefore] = useState<number | undefined>(wanted === undefined ? undefined : wanted + 1)
  const reading = useRevisions(undefined, before)
  return (
    <div className="page">
      <PageHead title="Changes">
        <span className="muted">every change that was committed, newest first</span>
      </PageHead>
      <Read reading={reading} what="the changes">
        {revisions =>
          revisions.length === 0 ? (
            <Empty title="Nothing was changed yet">Each change becomes a revision, with its author, its time and what it changed.</Empty>
          ) : (
            <>
              <Revisions revisions={revisions} {...(wanted === undefined ? {} : { open: wanted })} />
              <div className="row">
                {before !== undefined && (
                  <Button variant="default" onClick={() => setBefore(undefined)}>
                    Newest
                  </Button>
                )}
                {revisions.length >= 50 && (
                  <Button variant="default" onClick={() => setBefore(revisions.at(-1)?.revision)}>
                    Older
                  </Button>
                )}
              </div>
            </>
          )
        }
      </Read>
    </div>
  )
}

/** The changes of one thing, as a tab of its page. */
export function ChangesOf({ uuid }: { readonly uuid: string }): ReactNode {
  const reading = useRevisions(uuid)
  return (
    <Read reading={reading} what="the changes">
      {revisions =>
        revisions.length === 0 ? (
          <Empty title="Nothing was changed yet">It is as it was made.</Empty>
        ) : (
          <Revisions revisions={revisions} onlyUuid={uuid} />
        )
      }
    </Read>
  )
}
