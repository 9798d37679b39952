import { ActionIcon, Button, Popover, TextInput } from '@mantine/core'
import { Bookmark, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import { Link, useLocation, useSearchParams } from 'react-router'
import { useSession } from '../feed/use-session.ts'
import { useNotify } from './notice.tsx'
import { LONGEST_NAME, keyOfViews, parseViews, queryOfView, withView, withoutView } from './saved-views.ts'
import type { SavedView } from './saved-views.ts'

/** The views of this list that the user keeps, and the way to keep the one on screen. */
export function Views(): ReactNode {
  const session = useSession()
  return session.is === 'signed-in' ? <ViewsOf userName={session.session.userName} /> : null
}

function ViewsOf({ userName }: { readonly userName: string }): ReactNode {
  const { pathname: path } = useLocation()
  const [params] = useSearchParams()
  const [views, setViews] = useStored(keyOfViews(userName))
  const [isOpen, setIsOpen] = useState(false)
  const [name, setName] = useState('')
  const query = queryOfView(params)
  const here = views.filter(view => view.path === path).toSorted((a, b) => a.name.localeCompare(b.name))
  const current = here.find(view => view.query === query)
  const onSave = (event: FormEvent): void => {
    event.preventDefault()
    if (name.trim() === '') return
    setViews(withView(views, { name: name.trim(), path, query }))
    setName('')
  }
  return (
    <Popover opened={isOpen} onChange={setIsOpen} position="bottom-start" shadow="md" trapFocus returnFocus width={300}>
      <Popover.Target>
        <Button variant="default" leftSection={<Bookmark size={14} />} onClick={() => setIsOpen(!isOpen)}>
          {current?.name ?? 'Views'}
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <div className="stack">
          {here.length === 0 ? (
            <p className="muted">None saved of this list yet. A view is its filter and sort under a name, in this browser.</p>
          ) : (
            <ul className="views">
              {here.map(view => (
                <li key={view.name}>
                  <Link
                    className="link cut"
                    to={`${path}${view.query === '' ? '' : `?${view.query}`}`}
                    aria-current={view === current ? 'true' : undefined}
                    onClick={() => setIsOpen(false)}
                  >
                    {view.name}
                  </Link>
                  <ActionIcon aria-label={`remove view ${view.name}`} onClick={() => setViews(withoutView(views, view))}>
                    <X size={14} />
                  </ActionIcon>
                </li>
              ))}
            </ul>
          )}
          <form className="row" onSubmit={onSave}>
            <TextInput
              aria-label="Name of the view"
              placeholder="Name it"
              maxLength={LONGEST_NAME}
              value={name}
              onChange={event => setName(event.currentTarget.value)}
              style={{ flex: 1 }}
            />
            <Button type="submit" variant="default" disabled={name.trim() === ''}>
              Save view
            </Button>
          </form>
        </div>
      </Popover.Dropdown>
    </Popover>
  )
}

/** What is kept under a key, the same in all tabs. */
function useStored(key: string): readonly [readonly SavedView[], (views: readonly SavedView[]) => void] {
  const notify = useNotify()
  const [views, setViews] = useState(() => read(key))
  useEffect(() => {
    const onStorage = (event: StorageEvent): void => {
      if (event.key === key) setViews(parseViews(event.newValue))
    }
    window.addEventListener('storage', onStorage)
    return () => window.removeEventListener('storage', onStorage)
  }, [key])
  return [
    views,
    next => {
      setViews(next)
      try {
        localStorage.setItem(key, JSON.stringify(next))
      } catch (error) {
        notify.failed('The view is gone when this page is closed', error)
      }
    }
  ]
}

/** A browser may forbid to keep anything. */
function read(key: string): readonly SavedView[] {
  try {
    return parseViews(localStorage.getItem(key))
  } catch {
    return []
  }
}
