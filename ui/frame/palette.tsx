/** Ctrl-K: one field that finds services, pools, engines, pages and actions. */
import { Modal } from '@mantine/core'
import { useDeferredValue, useMemo, useState } from 'react'
import type { KeyboardEvent, ReactNode } from 'react'
import { useNavigate } from 'react-router'
import { useRead } from '../feed/feed.tsx'
import type { AnyObject } from '../feed/objects.ts'
import { kindGroups } from '../settings/kinds.ts'

interface Entry {
  readonly id: string
  readonly title: string
  readonly kind: string
  readonly to: string
}

const actions: readonly Entry[] = [
  { title: 'New service', kind: 'Action', to: '/services/new' },
  { title: 'New pool', kind: 'Action', to: '/pools/new' },
  { title: 'New address', kind: 'Action', to: '/addresses/new' },
  { title: 'Add an engine', kind: 'Action', to: '/fabric?add' },
  { title: 'Overview', kind: 'Page', to: '/' },
  { title: 'Services', kind: 'Page', to: '/services' },
  { title: 'Addresses', kind: 'Page', to: '/addresses' },
  { title: 'Pools', kind: 'Page', to: '/pools' },
  { title: 'Releases', kind: 'Page', to: '/releases' },
  { title: 'Fabric', kind: 'Page', to: '/fabric' },
  { title: 'Events', kind: 'Page', to: '/events' },
  { title: 'Upgrades', kind: 'Page', to: '/fabric/upgrade' },
  { title: 'Changes', kind: 'Page', to: '/changes' },
  { title: 'Settings', kind: 'Page', to: '/settings' }
].map(entry => ({ ...entry, id: entry.to }))

/** Found by their name alone: there are many. */
const settings: readonly Entry[] = kindGroups
  .flatMap(({ kinds }) => kinds)
  .map(({ kind, plural }) => ({ id: kind, title: plural, kind: 'Settings', to: `/settings/objects/${kind}` }))

const searched = [
  { kind: 'virtualservice', title: 'Service', base: '/services' },
  { kind: 'pool', title: 'Pool', base: '/pools' },
  { kind: 'serviceengine', title: 'Engine', base: '/fabric' }
]

/** The first objects of a kind whose name has the text; while they are on their way, those of before that still have it. */
function useFound(at: number, text: string): readonly Entry[] {
  const { kind, title, base } = searched[at]!
  const query = text === '' ? 'page_size=5' : `name.icontains=${encodeURIComponent(text)}&page_size=8`
  const { data } = useRead<{ readonly results: readonly AnyObject[] }>([kind, 'search', text], `/api/${kind}?${query}`)
  const [kept, setKept] = useState<readonly AnyObject[]>([])
  if (data !== undefined && data.results !== kept) setKept(data.results)
  return useMemo(
    () =>
      kept
        .filter(({ name }) => name.toLowerCase().includes(text.toLowerCase()))
        .map(({ uuid, name }) => ({ id: uuid, title: name, kind: title, to: `${base}/${uuid}` })),
    [kept, text, title, base]
  )
}

export function Palette({ onClose }: { readonly onClose: () => void }): ReactNode {
  const navigate = useNavigate()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const asked = useDeferredValue(text.trim())
  const found = [useFound(0, asked), useFound(1, asked), useFound(2, asked)].flat()
  const wanted = text.trim().toLowerCase()
  const named = ({ title }: Entry): boolean => title.toLowerCase().includes(wanted)
  const entries = [...found, ...actions.filter(named), ...(wanted === '' ? [] : settings.filter(named))]
  const chosen = Math.min(at, entries.length - 1)
  const go = (entry: Entry | undefined): void => {
    if (!entry) return
    onClose()
    void navigate(entry.to)
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown') setAt(Math.min(chosen + 1, entries.length - 1))
    else if (event.key === 'ArrowUp') setAt(Math.max(chosen - 1, 0))
    else if (event.key === 'Enter') go(entries[chosen])
    else return
    event.preventDefault()
  }
  return (
    <Modal.Root opened onClose={onClose} size={560} yOffset="12vh">
      <Modal.Overlay />
      <Modal.Content aria-label="Search" className="palette">
        <input
          type="text"
          role="combobox"
          aria-label="Search services, pools, engines and actions"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={entries[chosen] ? `palette-${entries[chosen].id}` : undefined}
          placeholder="Search services, pools, engines, actions"
          data-autofocus
          value={text}
          onChange={event => {
            setText(event.currentTarget.value)
            setAt(0)
          }}
          onKeyDown={onKeyDown}
        />
        <ul id="palette-list" role="listbox" aria-label="Found">
          {entries.map((entry, index) => (
            <li
              key={entry.id}
              id={`palette-${entry.id}`}
              role="option"
              aria-selected={index === chosen}
              ref={element => {
                if (index === chosen) element?.scrollIntoView({ block: 'nearest' })
              }}
              onMouseMove={() => setAt(index)}
              onClick={() => go(entry)}
            >
              <span className="cut">{entry.title}</span>
              <span className="kind">{entry.kind}</span>
            </li>
          ))}
        </ul>
        {entries.length === 0 && <p className="blank">Nothing has “{text}” in its name.</p>}
      </Modal.Content>
    </Modal.Root>
  )
}
