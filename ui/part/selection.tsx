/** What can be done to several selected things at once. */
import { Button } from '@mantine/core'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { useWrite } from '../feed/feed.tsx'
import { formatCount } from '../format.ts'
import { Confirm } from './confirm.tsx'
import { useNotify } from './notice.tsx'

interface Selectable {
  readonly uuid: string
  readonly config: { readonly name: string }
}

export function Selection(props: {
  readonly kind: string
  readonly noun: string
  readonly rows: readonly Selectable[]
  readonly selected: ReadonlySet<string>
  readonly onSelect: (selected: ReadonlySet<string>) => void
  readonly canSwitch?: boolean
}): ReactNode {
  const { kind, noun, rows, selected, onSelect, canSwitch = true } = props
  const write = useWrite()
  const notify = useNotify()
  const [isBusy, setIsBusy] = useState(false)
  const [isAsking, setIsAsking] = useState(false)
  const chosen = rows.filter(row => selected.has(row.uuid))
  if (chosen.length === 0) return null
  /** One after the other; what fails stays selected and is told. */
  const each = async (verb: string, act: (row: Selectable) => Promise<unknown>): Promise<void> => {
    setIsBusy(true)
    const left = new Set<string>()
    for (const row of chosen) {
      try {
        await act(row)
      } catch (error) {
        left.add(row.uuid)
        notify.failed(`${row.config.name} not ${verb}`, error)
      }
    }
    const count = chosen.length - left.size
    if (count > 0) notify.done(`${formatCount(count, noun)} ${verb}`)
    onSelect(left)
    setIsBusy(false)
  }
  const enable = (enabled: boolean): Promise<void> =>
    each(enabled ? 'enabled' : 'disabled', row => write('PATCH', `/api/${kind}/${row.uuid}`, { replace: { enabled } }, [kind]))
  return (
    <div className="selection" role="toolbar" aria-label="Selected">
      <strong>{formatCount(chosen.length, noun)} selected</strong>
      {canSwitch && (
        <>
          <Button variant="default" loading={isBusy} onClick={() => void enable(true)}>
            Enable
          </Button>
          <Button variant="default" loading={isBusy} onClick={() => void enable(false)}>
            Disable
          </Button>
        </>
      )}
      <Button variant="default" loading={isBusy} onClick={() => setIsAsking(true)}>
        Delete…
      </Button>
      <Button variant="subtle" color="gray" onClick={() => onSelect(new Set())}>
        Clear
      </Button>
      {isAsking && (
        <Confirm
          title={`Delete ${formatCount(chosen.length, noun)}?`}
          verb="Delete"
          onClose={() => setIsAsking(false)}
          onConfirm={() => each('deleted', row => write('DELETE', `/api/${kind}/${row.uuid}`, undefined, [kind]))}
        >
          {chosen.map(row => row.config.name).join(', ')}
        </Confirm>
      )}
    </div>
  )
}
