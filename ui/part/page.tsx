/** The head of a page, and tabs whose choice is the URL. */
import { useEffect } from 'react'
import type { ReactNode } from 'react'
import { NavLink } from 'react-router'

export function PageHead(props: { readonly title: string; readonly children?: ReactNode; readonly actions?: ReactNode }): ReactNode {
  useEffect(() => {
    document.title = `${props.title} · Weir`
  }, [props.title])
  return (
    <div className="page-head">
      <h1 className="cut">{props.title}</h1>
      {props.children}
      {props.actions !== undefined && <div className="actions">{props.actions}</div>}
    </div>
  )
}

/** `to` is relative to `base`; the first tab is `base` itself. */
export function Tabs(props: {
  readonly base: string
  readonly tabs: readonly { readonly to: string; readonly title: string }[]
}): ReactNode {
  return (
    <nav className="tabs" aria-label="Tabs of this page">
      {props.tabs.map(({ to, title }) => (
        <NavLink key={to} to={to === '' ? props.base : `${props.base}/${to}`} end>
          {title}
        </NavLink>
      ))}
    </nav>
  )
}

export function Panel(props: { readonly title: string; readonly aside?: ReactNode; readonly children: ReactNode }): ReactNode {
  return (
    <section className="panel" aria-label={props.title}>
      <div className="row between">
        <h2>{props.title}</h2>
        {props.aside}
      </div>
      {props.children}
    </section>
  )
}
