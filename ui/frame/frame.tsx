/** What is around every page: rail, bar, palette. */
import { ActionIcon, Menu, SegmentedControl, Select, Tooltip } from '@mantine/core'
import {
  Activity,
  CircleUser,
  GitCommitHorizontal,
  History,
  LayoutDashboard,
  LogOut,
  Network,
  Rocket,
  Search,
  Server,
  SlidersHorizontal
} from 'lucide-react'
import { Fragment, useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'
import { Link, NavLink, useLocation, useSearchParams } from 'react-router'
import { useConfig, useFeed, useLiveState } from '../feed/feed.tsx'
import type { Session } from '../feed/session.ts'
import { useSignOut } from '../feed/use-session.ts'
import { Boundary } from '../part/boundary.tsx'
import { useNotify } from '../part/notice.tsx'
import { DEFAULT_RANGE, ranges } from '../part/range.ts'
import { crumbsOf } from './crumbs.ts'
import { LiveSwitch } from './live-switch.tsx'
import { Mark } from './mark.tsx'
import { Palette } from './palette.tsx'
import { pathOfTenant } from './tenant.ts'

const sections = [
  { to: '/', title: 'Overview', Icon: LayoutDashboard },
  { to: '/services', title: 'Services', Icon: Activity },
  { to: '/pools', title: 'Pools', Icon: Server },
  { to: '/releases', title: 'Releases', Icon: Rocket },
  { to: '/fabric', title: 'Fabric', Icon: Network },
  { to: '/events', title: 'Events', Icon: History },
  { to: '/changes', title: 'Changes', Icon: GitCommitHorizontal },
  { to: '/settings', title: 'Settings', Icon: SlidersHorizontal }
]

export function Frame({ session, children }: { readonly session: Session; readonly children: ReactNode }): ReactNode {
  const { live } = useFeed()
  const state = useLiveState()
  const [isSearching, setIsSearching] = useState(false)
  const main = useRef<HTMLElement>(null)
  const { pathname } = useLocation()
  const page = pathname.split('/', 3).join('/')
  // Another page begins at its top; another tab of it stays where one is.
  useEffect(() => {
    if (main.current) main.current.scrollTop = 0
  }, [page])
  useEffect(() => {
    live.start()
    return () => live.stop()
  }, [live])
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'k') return
      event.preventDefault()
      setIsSearching(true)
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
  return (
    <div className="frame" data-live={state.is}>
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <nav className="rail" aria-label="Sections">
        <span className="mark">
          <Mark />
        </span>
        {sections.map(({ to, title, Icon }) => (
          <NavLink key={to} to={to} end={to === '/'} className="section">
            <Icon size={18} aria-hidden="true" />
            {title}
          </NavLink>
        ))}
      </nav>
      <section className="bar" aria-label="Where one is, search, time and account">
        <Crumbs />
        <button type="button" className="search-button" onClick={() => setIsSearching(true)}>
          <Search size={14} aria-hidden="true" />
          <span>Search</span>
          <kbd>Ctrl K</kbd>
        </button>
        <RangeChoice />
        <LiveSwitch />
        <TenantChoice session={session} />
        <UserMenu session={session} />
      </section>
      <main className="main" id="main" tabIndex={-1} ref={main}>
        <Boundary path={pathname}>{children}</Boundary>
      </main>
      {isSearching && <Palette onClose={() => setIsSearching(false)} />}
    </div>
  )
}

function Crumbs(): ReactNode {
  const { pathname } = useLocation()
  return (
    <nav className="crumbs" aria-label="Breadcrumb">
      <ol>
        {crumbsOf(pathname).map(({ to, text, kind }) => (
          <li key={to} className="cut">
            <Link to={to} className="cut">
              {kind === undefined ? text : <ObjectName kind={kind} uuid={text} />}
            </Link>
          </li>
        ))}
      </ol>
    </nav>
  )
}

function ObjectName({ kind, uuid }: { readonly kind: string; readonly uuid: string }): ReactNode {
  const { data } = useConfig(kind, uuid)
  return <Fragment>{data?.name ?? '…'}</Fragment>
}

/** Only pages with charts have a window. */
const hasCharts = (pathname: string): boolean => /^\/(services|pools|fabric)\/[a-z]+-[^/]+$/u.test(pathname)

function RangeChoice(): ReactNode {
  const { pathname } = useLocation()
  const [params, setParams] = useSearchParams()
  if (!hasCharts(pathname)) return null
  const isZoomed = params.has('from')
  return (
    <SegmentedControl
      className="hide-narrow"
      aria-label="Time range"
      data={[...ranges.map(range => range.name), ...(isZoomed ? [{ value: 'zoom', label: 'zoomed' }] : [])]}
      value={isZoomed ? 'zoom' : (params.get('range') ?? DEFAULT_RANGE.name)}
      onChange={name => {
        const next = new URLSearchParams(params)
        next.delete('from')
        next.delete('to')
        if (name === DEFAULT_RANGE.name) next.delete('range')
        else next.set('range', name)
        setParams(next, { replace: true })
      }}
    />
  )
}

function TenantChoice({ session }: { readonly session: Session }): ReactNode {
  const feed = useFeed()
  const tenant = feed.tenant ?? session.defaultTenant
  if (session.tenants.length < 2)
    return (
      <Tooltip label="Tenant">
        <span className="muted hide-narrow">{tenant}</span>
      </Tooltip>
    )
  return (
    <Select
      className="hide-narrow"
      aria-label="Tenant"
      w={140}
      searchable
      allowDeselect={false}
      data={session.tenants.map(({ name }) => name)}
      value={tenant}
      // Nothing of one tenant may stay on screen under the name of another: the page starts anew.
      onChange={name => name !== null && location.assign(pathOfTenant(name, session.defaultTenant))}
    />
  )
}

function UserMenu({ session }: { readonly session: Session }): ReactNode {
  const signOut = useSignOut()
  const notify = useNotify()
  return (
    <Menu>
      <Menu.Target>
        <ActionIcon aria-label="Account">
          <CircleUser size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{session.userName}</Menu.Label>
        <Menu.Item
          leftSection={<LogOut size={14} />}
          onClick={() => void signOut().catch((error: unknown) => notify.failed('Not signed out', error))}
        >
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
