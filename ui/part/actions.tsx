/** What can be done to one thing, at the right of its page: the same buttons in the same order for every kind. */
import { ActionIcon, Button, Menu } from '@mantine/core'
import { Copy, Ellipsis, Pencil, Power, Trash2 } from 'lucide-react'
import { useState } from 'react'
import type { ReactNode } from 'react'
import { Link, useNavigate } from 'react-router'
import { useWrite } from '../feed/feed.tsx'
import { Confirm } from './confirm.tsx'
import { useNotify } from './notice.tsx'

export function ThingActions(props: {
  readonly kind: string
  /** Path of the list; `<base>/<uuid>/edit` and `/clone` are the forms. */
  readonly base: string
  readonly uuid: string
  readonly name: string
  /** undefined: there is nothing to switch. */
  readonly isEnabled: boolean | undefined
}): ReactNode {
  const { kind, base, uuid, name, isEnabled } = props
  const write = useWrite()
  const notify = useNotify()
  const navigate = useNavigate()
  const [isAsking, setIsAsking] = useState(false)
  const [isBusy, setIsBusy] = useState(false)
  const toggle = async (): Promise<void> => {
    setIsBusy(true)
    try {
      await write('PATCH', `/api/${kind}/${uuid}`, { replace: { enabled: !isEnabled } }, [kind])
      notify.done(`${name} ${isEnabled ? 'disabled' : 'enabled'}`)
    } catch (error) {
      notify.failed(`${name} not ${isEnabled ? 'disabled' : 'enabled'}`, error)
    }
    setIsBusy(false)
  }
  return (
    <>
      {isEnabled !== undefined && (
        <Button variant="default" leftSection={<Power size={14} />} loading={isBusy} onClick={() => void toggle()}>
          {isEnabled ? 'Disable' : 'Enable'}
        </Button>
      )}
      <Button component={Link} to={`${base}/${uuid}/edit`} variant="default" leftSection={<Pencil size={14} />}>
        Edit
      </Button>
      <Menu>
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label="More actions">
            <Ellipsis size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<Copy size={14} />} onClick={() => void navigate(`${base}/${uuid}/clone`)}>
            Clone
          </Menu.Item>
          <Menu.Item leftSection={<Trash2 size={14} />} onClick={() => setIsAsking(true)}>
            Delete…
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {isAsking && (
        <Confirm
          title={`Delete ${name}?`}
          verb="Delete"
          onClose={() => setIsAsking(false)}
          onConfirm={async () => {
            await write('DELETE', `/api/${kind}/${uuid}`, undefined, [kind])
            notify.done(`${name} deleted`)
            await navigate(base)
          }}
        >
          It is gone from every engine as soon as they have the new revision. The revision before stays in Changes.
        </Confirm>
      )}
    </>
  )
}
