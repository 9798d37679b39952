/** The one table: sticky header, sort, selection, only the visible rows of a long list. Rows re-render by themselves. */
import { Checkbox } from '@mantine/core'
import { ArrowDown, ArrowUp } from 'lucide-react'
import { memo, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import type { KeyboardEvent, ReactNode } from 'react'
import { DRAWN_WHOLE, ROW_HEIGHT_PX, rowWindow } from './window.ts'

export interface Column<R> {
  readonly key: string
  readonly title: string
  /** Name of the field that a click on the header sorts by. */
  readonly sort?: string
  readonly isNumber?: boolean
  /** Left out on small screens first. */
  readonly hide?: 'narrow' | 'medium'
  readonly isShrunk?: boolean
  /** Takes what room is left, and cuts. */
  readonly isCut?: boolean
  readonly cell: (row: R) => ReactNode
}

export interface Sort {
  readonly field: string
  readonly direction: 1 | -1
}

export interface TableProps<R extends { readonly uuid: string }> {
  readonly label: string
  readonly rows: readonly R[]
  readonly columns: readonly Column<R>[]
  readonly sort?: Sort
  readonly onSort?: (field: string) => void
  readonly selected?: ReadonlySet<string>
  readonly onSelect?: (change: (before: ReadonlySet<string>) => ReadonlySet<string>) => void
  readonly nameOf: (row: R) => string
  /** Uuids of the rows that are drawn, when not all are. */
  readonly onVisible?: (uuids: readonly string[] | null) => void
}

function classOf<R>(column: Column<R>): string | undefined {
  const names = [
    column.isNumber ? 'end' : '',
    column.hide ? `hide-${column.hide}` : '',
    column.isShrunk ? 'shrink' : '',
    column.isCut ? 'cell-cut' : ''
  ]
  return names.filter(name => name !== '').join(' ') || undefined
}

interface RowProps<R> {
  readonly row: R
  readonly columns: readonly Column<R>[]
  readonly name: string
  readonly isSelected: boolean | undefined
  readonly onToggle: (row: R) => void
}

function PlainRow<R>({ row, columns, name, isSelected, onToggle }: RowProps<R>): ReactNode {
  return (
    <tr aria-selected={isSelected}>
      {isSelected !== undefined && (
        <td className="shrink">
          <Checkbox aria-label={`select ${name}`} checked={isSelected} onChange={() => onToggle(row)} />
        </td>
      )}
      {columns.map(column => (
        <td key={column.key} className={classOf(column)}>
          {column.cell(row)}
        </td>
      ))}
    </tr>
  )
}
const TableRow = memo(PlainRow) as typeof PlainRow

/** Up and down move between the links of rows, as in any list. */
function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
  const link = (event.target as HTMLElement).closest('tbody td a')
  const row = link?.closest('tr')
  if (!row) return
  const next = event.key === 'ArrowDown' ? row.nextElementSibling : row.previousElementSibling
  const target = next?.querySelector<HTMLElement>('td a')
  if (!target) return
  event.preventDefault()
  target.focus()
}

export function DataTable<R extends { readonly uuid: string }>(props: TableProps<R>): ReactNode {
  const { rows, columns, selected, onSelect, nameOf, onVisible, sort, onSort } = props
  const box = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ topPx: 0, heightPx: 900 })
  const { first, end } = rowWindow(rows.length, view.topPx, view.heightPx)
  const drawn = useMemo(() => rows.slice(first, end), [rows, first, end])
  const isLong = rows.length > DRAWN_WHOLE
  useEffect(() => onVisible?.(isLong ? drawn.map(row => row.uuid) : null), [drawn, isLong, onVisible])

  const toggle = useCallback(
    (row: R) =>
      onSelect?.(before => {
        const next = new Set(before)
        if (!next.delete(row.uuid)) next.add(row.uuid)
        return next
      }),
    [onSelect]
  )
  const onScroll = (): void => {
    const element = box.current
    if (element && isLong) setView({ topPx: element.scrollTop, heightPx: element.clientHeight })
  }
  const isAll = selected !== undefined && rows.length > 0 && rows.every(row => selected.has(row.uuid))
  return (
    <div className="table-box" ref={box} onScroll={onScroll} onKeyDown={moveFocus} role="region" aria-label={props.label} tabIndex={0}>
      <table className="data" aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            {selected !== undefined && (
              <th className="shrink" scope="col">
                <Checkbox
                  aria-label="select all"
                  checked={isAll}
                  indeterminate={!isAll && selected.size > 0}
                  onChange={() => onSelect?.(() => (isAll ? new Set() : new Set(rows.map(row => row.uuid))))}
                />
              </th>
            )}
            {columns.map(column => (
              <Head key={column.key} column={column} sort={sort} onSort={onSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && <Filler rows={first} columns={columns.length + 1} />}
          {drawn.map(row => (
            <TableRow
              key={row.uuid}
              row={row}
              columns={columns}
              name={nameOf(row)}
              isSelected={selected === undefined ? undefined : selected.has(row.uuid)}
              onToggle={toggle}
            />
          ))}
          {end < rows.length && <Filler rows={rows.length - end} columns={columns.length + 1} />}
        </tbody>
      </table>
    </div>
  )
}

function Filler({ rows, columns }: { readonly rows: number; readonly columns: number }): ReactNode {
  return (
    <tr className="filler" aria-hidden="true">
      <td colSpan={columns} style={{ height: rows * ROW_HEIGHT_PX }} />
    </tr>
  )
}

function Head<R>(props: {
  readonly column: Column<R>
  readonly sort: Sort | undefined
  readonly onSort: ((field: string) => void) | undefined
}): ReactNode {
  const { column, sort, onSort } = props
  const field = column.sort
  if (field === undefined || !onSort) {
    return (
      <th scope="col" className={classOf(column)}>
        {column.title === '' ? <span className="sr-only">actions</span> : column.title}
      </th>
    )
  }
  const direction = sort?.field === field ? sort.direction : undefined
  const order = direction === undefined ? undefined : direction === 1 ? 'ascending' : 'descending'
  return (
    <th scope="col" className={classOf(column)} aria-sort={order}>
      <button type="button" className="sort-button" onClick={() => onSort(field)}>
        {column.title}
        {direction === 1 && <ArrowUp size={12} aria-hidden="true" />}
        {direction === -1 && <ArrowDown size={12} aria-hidden="true" />}
      </button>
    </th>
  )
}
