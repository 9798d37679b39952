/** Spreads the services of an engine group anew. */
import { Select } from '@mantine/core'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { useObjects, useWrite } from '../feed/feed.tsx'
import type { AnyObject } from '../feed/objects.ts'
import { Confirm } from '../part/confirm.tsx'
import { useNotify } from '../part/notice.tsx'

export function Redistribute({ onClose }: { readonly onClose: () => void }): ReactNode {
  const groups = useObjects<AnyObject>('serviceenginegroup')
  const write = useWrite()
  const notify = useNotify()
  const [chosen, setChosen] = useState<string | null>(null)
  const group = chosen ?? groups.data?.find(({ name }) => name === 'Default-Group')?.uuid ?? groups.data?.[0]?.uuid
  const act = async (): Promise<void> => {
    const answer = (await write('POST', `/api/serviceenginegroup/${group}/redistribute`, {}, ['virtualservice', 'serviceengine'])) as {
      readonly moved: readonly unknown[]
    }
    const { length } = answer.moved
    notify.done(
      length === 0 ? 'They are spread well already: nothing moves' : `${length} ${length === 1 ? 'service moves' : 'services move'}`
    )
  }
  return (
    <Confirm title="Redistribute the services of a group" verb="Redistribute" onConfirm={act} onClose={onClose}>
      <p>
        Services move from the fullest engines to the emptiest, as few as that takes (a packed group: the other way round). Each goes on
        where it is until its next engine runs it.
      </p>
      <Select
        label="Engine group"
        value={group ?? null}
        onChange={setChosen}
        allowDeselect={false}
        data={(groups.data ?? []).map(({ uuid, name }) => ({ value: uuid, label: name ?? uuid }))}
      />
    </Confirm>
  )
}
