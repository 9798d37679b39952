/** A list's filter, sort and selection; filter and sort live in the URL so that a view can be shared. */
import { TextInput } from '@mantine/core'
import { ListFilter } from 'lucide-react'
import { useMemo } from 'react'
import type { ReactNode } from 'react'
import { useSearchParams } from 'react-router'
import { compareValues, matches, parseFilter, unknownFields } from '../filter/filter.ts'
import type { FieldsOf } from '../filter/filter.ts'
import type { Sort } from './table.tsx'
import { Views } from './views.tsx'

export interface ListState {
  readonly filter: string
  readonly sort: Sort
  readonly onFilter: (text: string) => void
  readonly onSort: (field: string) => void
}

export function useListState(defaultSort: string): ListState {
  const [params, setParams] = useSearchParams()
  const sortText = params.get('sort') ?? defaultSort
  const sort: Sort = sortText.startsWith('-') ? { field: sortText.slice(1), direction: -1 } : { field: sortText, direction: 1 }
  const set = (name: string, value: string): void =>
    setParams(
      before => {
        const next = new URLSearchParams(before)
        if (value === '') next.delete(name)
        else next.set(name, value)
        return next
      },
      { replace: true }
    )
  return {
    filter: params.get('q') ?? '',
    sort,
    onFilter: text => set('q', text),
    onSort: field => set('sort', sort.field === field && sort.direction === 1 ? `-${field}` : field)
  }
}

/** The rows that pass the filter, in order; computed again when rows, filter, sort or `pace` change. */
export function useListed<R>(rows: readonly R[] | undefined, state: ListState, fields: FieldsOf<R>, pace: number): readonly R[] {
  const { filter, sort } = state
  return useMemo(() => {
    if (!rows) return []
    const terms = parseFilter(filter)
    const read = fields[sort.field]
    const passed = terms.length === 0 ? [...rows] : rows.filter(row => matches(row, terms, fields))
    return read ? passed.sort((a, b) => compareValues(read(a), read(b), sort.direction)) : passed
    // `pace` stands for the live figures that `fields` reads.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [rows, filter, sort.field, sort.direction, fields, pace])
}

export function FilterInput<R>(props: {
  readonly state: ListState
  readonly fields: FieldsOf<R>
  readonly shown: number
  readonly total: number
}): ReactNode {
  const { state, fields } = props
  const unknown = unknownFields(parseFilter(state.filter), fields)
  const names = Object.keys(fields)
  return (
    <>
      <TextInput
        className="filter"
        type="search"
        aria-label="Filter"
        placeholder={`Filter: text, or ${names.slice(0, 3).join(':… ')}:…`}
        title={`fields: ${names.join(', ')}; numbers take < and >; a minus before a term excludes`}
        leftSection={<ListFilter size={14} aria-hidden="true" />}
        value={state.filter}
        onChange={event => state.onFilter(event.currentTarget.value)}
        error={unknown.length > 0 ? `no field ${unknown.join(', ')}: there are ${names.join(', ')}` : undefined}
      />
      <span className="muted">{props.shown === props.total ? props.total : `${props.shown} of ${props.total}`}</span>
      <Views />
    </>
  )
}
