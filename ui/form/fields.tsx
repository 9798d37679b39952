/** Draws the fields of a form: one component per shape, each at its pointer. */
import {
  ActionIcon,
  Button,
  Checkbox,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  TagsInput,
  Textarea,
  TextInput
} from '@mantine/core'
import { ChevronDown, ChevronRight, Plus, X } from 'lucide-react'
import { createContext, useContext, useMemo, useState } from 'react'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { isKindName, kinds } from '#model/resource/catalogue.ts'
import type { Json, JsonObject } from '#model/resource/kind.ts'
import { useObjects } from '../feed/feed.tsx'
import { parseReference, referenceTo } from '../feed/reference.ts'
import { formatCount } from '../format.ts'
import { addressValue } from './address.ts'
import { CodeField } from './code.tsx'
import { childPointer, hasViolationUnder, valueAt } from './pointer.ts'
import { applies, blankOf, countChanged, withinSentence } from './schema.ts'
import type { Field, Shape } from './schema.ts'
import { pathOfNew } from './path.ts'
import { inLargerUnits, unitWritten } from './unit.ts'

export interface FormContext {
  readonly document: JsonObject
  readonly violations: ReadonlyMap<string, readonly string[]>
  readonly onChange: (pointer: string, value: Json | undefined) => void
}
const Context = createContext<FormContext | null>(null)

export function FormProvider({ form, children }: { readonly form: FormContext; readonly children: ReactNode }): ReactNode {
  return <Context value={form}>{children}</Context>
}

function useForm(): FormContext {
  const form = useContext(Context)
  if (!form) throw new Error('no form around this field')
  return form
}

/** The fields that matter, then the rest folded with a count of what differs from its default. */
export function Fields(props: {
  readonly fields: readonly Field[]
  readonly pointer: string
  /** In an element of a list: many stand below each other, so that what a field means is only its title. */
  readonly isTight?: boolean
}): ReactNode {
  const { fields, pointer, isTight = false } = props
  const form = useForm()
  const [isOpen, setIsOpen] = useState(false)
  const here = (valueAt(form.document, pointer) ?? {}) as JsonObject
  const able = fields.filter(field => applies(field, fields, here))
  const isMarked = fields.some(field => field.isFirst)
  // Nothing is marked: the group is shown whole.
  const shown = isMarked ? able.filter(field => field.isFirst) : able
  const folded = isMarked ? able.filter(field => !field.isFirst) : []
  const changed = countChanged(folded, here)
  const isWrong = folded.some(field => hasViolationUnder(form.violations, childPointer(pointer, field.name)))
  const isShown = isOpen || isWrong
  const Arrow = isShown ? ChevronDown : ChevronRight
  return (
    <>
      <div className={isTight ? 'pair first tight' : 'pair first'}>
        {shown.map(field => (
          <FieldAt key={field.name} field={field} pointer={childPointer(pointer, field.name)} isTight={isTight} />
        ))}
      </div>
      {folded.length > 0 && (
        <div className="fold">
          <button type="button" aria-expanded={isShown} onClick={() => setIsOpen(!isShown)}>
            <Arrow size={14} aria-hidden="true" />
            {formatCount(folded.length, 'more setting')}
            <span className="muted">{changed === 0 ? 'all at their defaults' : `${changed} set`}</span>
          </button>
          {isShown && (
            <div className="pair" style={{ marginTop: 8 }}>
              {folded.map(field => (
                <FieldAt key={field.name} field={field} pointer={childPointer(pointer, field.name)} />
              ))}
            </div>
          )}
        </div>
      )}
    </>
  )
}

const isWide = (shape: Shape): boolean => ['group', 'list', 'json', 'labels'].includes(shape.is) || (shape.is === 'text' && shape.isLong)

function FieldAt(props: { readonly field: Field; readonly pointer: string; readonly isTight?: boolean }): ReactNode {
  const { field, pointer, isTight = false } = props
  return (
    <div
      className={isWide(field.shape) ? 'wide' : field.shape.is === 'toggle' ? 'toggle' : undefined}
      title={isTight ? field.description : undefined}
      data-pointer={pointer}
    >
      <Input field={isTight ? { ...field, description: '', special: undefined } : field} pointer={pointer} />
    </div>
  )
}

function placeholderOf(field: Field): string {
  const { fallback, unit } = field
  if (fallback === undefined || fallback === '' || typeof fallback === 'object') return unit === undefined ? '' : unitWritten(unit)
  return unit === undefined ? String(fallback) : `${String(fallback)} ${unitWritten(unit)}`
}

/** What a number with a unit comes to, when that is not plain from its digits. */
function amountOf(field: Field, value: unknown): string {
  const amount = typeof value === 'number' ? value : field.fallback
  const words = field.unit === undefined || typeof amount !== 'number' ? undefined : inLargerUnits(amount, field.unit)
  return words === undefined ? '' : `${amount === value ? 'That is' : 'Left out:'} ${words}.`
}

function Input({ field, pointer }: { readonly field: Field; readonly pointer: string }): ReactNode {
  const { document, violations, onChange } = useForm()
  const value = valueAt(document, pointer)
  const error = violations.get(pointer)?.join('; ')
  const special = field.special === undefined ? '' : `${field.special}.`
  const description = [field.description, special, amountOf(field, value)].filter(text => text !== '').join(' ')
  const common = {
    label: field.label,
    description: description === '' ? undefined : description,
    error,
    required: field.isRequired,
    placeholder: placeholderOf(field)
  }
  const set = (next: Json | undefined): void => onChange(pointer, next)
  const { shape } = field
  switch (shape.is) {
    case 'text': {
      const text = typeof value === 'string' ? value : ''
      // An empty text is left out: unless it must be there, that is what it means.
      const onText = (next: string): void => set(next === '' && !field.isRequired ? undefined : next)
      if (shape.isCode === true) return <CodeField {...common} value={text} onText={onText} />
      if (shape.isLong)
        return <Textarea {...common} autosize minRows={2} maxRows={12} value={text} onChange={event => onText(event.currentTarget.value)} />
      if (shape.isSecret)
        return (
          <PasswordInput
            {...common}
            autoComplete="new-password"
            visibilityToggleButtonProps={{ 'aria-label': 'show' }}
            value={text}
            onChange={event => onText(event.currentTarget.value)}
          />
        )
      return <TextInput {...common} value={text} onChange={event => onText(event.currentTarget.value)} />
    }
    case 'number':
      return (
        <NumberInput
          {...common}
          value={typeof value === 'number' ? value : ''}
          suffix={field.unit === undefined ? '' : ` ${unitWritten(field.unit)}`}
          allowDecimal={!shape.isWhole}
          allowNegative={shape.min === undefined || shape.min < 0}
          clampBehavior="none"
          onChange={next => set(next === '' ? undefined : Number(next))}
        />
      )
    case 'toggle':
      return (
        <Checkbox
          label={field.label}
          description={common.description}
          error={error}
          checked={typeof value === 'boolean' ? value : field.fallback === true}
          onChange={event => set(event.currentTarget.checked)}
        />
      )
    case 'choice':
      return (
        <Select
          {...common}
          placeholder={shape.options.find(option => option.value === field.fallback)?.label ?? ''}
          data={[...shape.options]}
          value={typeof value === 'string' ? value : null}
          clearable={!field.isRequired}
          onChange={next => set(next ?? undefined)}
        />
      )
    case 'reference':
      return <ReferenceInput common={common} kind={shape.kind} value={value} isRequired={field.isRequired} onChange={set} />
    case 'references':
      return <ReferencesInput common={common} kind={shape.kind} value={value} onChange={set} />
    case 'words':
      return (
        <TagsInput
          {...common}
          value={Array.isArray(value) ? value.map(String) : []}
          onChange={next => set(next.length === 0 && !field.isRequired ? undefined : next)}
        />
      )
    case 'choices':
      return (
        <MultiSelect
          {...common}
          data={[...shape.options]}
          value={Array.isArray(value) ? value.map(String) : []}
          onChange={next => set(next.length === 0 && !field.isRequired ? undefined : next)}
        />
      )
    case 'numbers':
      return (
        <TagsInput
          {...common}
          value={Array.isArray(value) ? value.map(String) : []}
          onChange={next => {
            const numbers = next.map(Number).filter(number => Number.isFinite(number))
            set(numbers.length === 0 && !field.isRequired ? undefined : numbers)
          }}
        />
      )
    case 'address': {
      const address = typeof value === 'object' && value !== null && 'addr' in value ? String(value.addr) : ''
      return (
        <TextInput
          {...common}
          placeholder={shape.allowsName ? 'address or name' : 'address'}
          value={address}
          error={error ?? violations.get(`${pointer}/addr`)?.join('; ')}
          onChange={event => {
            const text = event.currentTarget.value
            set(text === '' && !field.isRequired ? undefined : { ...addressValue(text) })
          }}
        />
      )
    }
    case 'labels':
      return <LabelsInput common={common} value={value} onChange={set} />
    case 'group':
      return <Group field={field} fields={shape.fields} pointer={pointer} error={error} isThere={value !== undefined} onChange={set} />
    case 'list':
      return <List field={field} item={shape.item} blank={shape.blank} pointer={pointer} error={error} value={value} onChange={set} />
    case 'json':
      return <JsonInput common={common} value={value} onChange={set} />
  }
}

interface Common {
  readonly label: string
  readonly description: string | undefined
  readonly error: string | undefined
  readonly required: boolean
}

function useOptions(kind: string, current: readonly string[]): readonly { readonly value: string; readonly label: string }[] {
  const { data } = useObjects(kind)
  return useMemo(() => {
    const options = (data ?? []).map(object => ({ value: object.uuid, label: object.name }))
    // What is referred to may lie in another tenant: it stays choosable by the name that the API told.
    const missing = current.flatMap(text => {
      const reference = parseReference(text)
      return reference && !options.some(option => option.value === reference.uuid)
        ? [{ value: reference.uuid, label: reference.name ?? reference.uuid }]
        : []
    })
    return [...options, ...missing]
  }, [data, current])
}

function NewLink({ kind }: { readonly kind: string }): ReactNode {
  return (
    <Link className="inline-link" to={pathOfNew(kind)} target="_blank" rel="noopener" style={{ fontSize: 12 }}>
      New {isKindName(kind) ? withinSentence(kinds[kind].title) : kind}
    </Link>
  )
}

function ReferenceInput(props: {
  readonly common: Common
  readonly kind: string
  readonly value: unknown
  readonly isRequired: boolean
  readonly onChange: (value: Json | undefined) => void
}): ReactNode {
  const { kind, value } = props
  const current = useMemo(() => (typeof value === 'string' ? [value] : []), [value])
  const options = useOptions(kind, current)
  return (
    <>
      <Select
        {...props.common}
        searchable
        clearable={!props.isRequired}
        nothingFoundMessage="nothing found"
        data={[...options]}
        value={parseReference(value)?.uuid ?? null}
        onChange={uuid => props.onChange(uuid === null ? undefined : referenceTo(kind, uuid))}
      />
      <NewLink kind={kind} />
    </>
  )
}

function ReferencesInput(props: {
  readonly common: Common
  readonly kind: string
  readonly value: unknown
  readonly onChange: (value: Json | undefined) => void
}): ReactNode {
  const { kind, value } = props
  const current = useMemo(() => (Array.isArray(value) ? value.map(String) : []), [value])
  const options = useOptions(kind, current)
  return (
    <>
      <MultiSelect
        {...props.common}
        searchable
        nothingFoundMessage="nothing found"
        data={[...options]}
        value={current.flatMap(text => parseReference(text)?.uuid ?? [])}
        onChange={uuids => props.onChange(uuids.length === 0 ? undefined : uuids.map(uuid => referenceTo(kind, uuid)))}
      />
      <NewLink kind={kind} />
    </>
  )
}

function Group(props: {
  readonly field: Field
  readonly fields: readonly Field[]
  readonly pointer: string
  readonly error: string | undefined
  readonly isThere: boolean
  readonly onChange: (value: Json | undefined) => void
}): ReactNode {
  const { field, isThere } = props
  return (
    <fieldset>
      <legend>{field.label}</legend>
      <div className="row between">
        <span className="muted">{field.description}</span>
        {!field.isRequired && (
          <Button variant="default" onClick={() => props.onChange(isThere ? undefined : blankOf({ is: 'group', fields: props.fields }))}>
            {isThere ? 'Leave out' : 'Set'}
          </Button>
        )}
      </div>
      {props.error !== undefined && <p role="alert">{props.error}</p>}
      {(isThere || field.isRequired) && <Fields fields={props.fields} pointer={props.pointer} />}
    </fieldset>
  )
}

function List(props: {
  readonly field: Field
  readonly item: Shape
  readonly blank: Json
  readonly pointer: string
  readonly error: string | undefined
  readonly value: unknown
  readonly onChange: (value: Json | undefined) => void
}): ReactNode {
  const { field, item, pointer } = props
  const { onChange } = useForm()
  const items = (Array.isArray(props.value) ? props.value : []) as readonly Json[]
  const add = (): void => props.onChange([...items, numbered(props.blank, item, items)])
  return (
    <fieldset>
      <legend>
        {field.label} <span className="muted">{items.length}</span>
      </legend>
      {field.description !== '' && <span className="muted">{field.description}</span>}
      {props.error !== undefined && (
        <p role="alert" style={{ color: 'var(--down)' }}>
          {props.error}
        </p>
      )}
      {items.map((_, at) => {
        const here = childPointer(pointer, at)
        return (
          // Elements have no identity of their own; their place is what the API refers to.
          <div key={here} className="list-item" data-pointer={here}>
            <div className="item stack">
              <ItemError pointer={here} />
              {item.is === 'group' ? (
                <Fields fields={item.fields} pointer={here} isTight />
              ) : (
                <Input
                  field={{ ...field, label: `${field.label} ${at + 1}`, description: '', isRequired: true, shape: item }}
                  pointer={here}
                />
              )}
            </div>
            <ActionIcon aria-label={`remove ${field.label} ${at + 1}`} onClick={() => onChange(here, undefined)}>
              <X size={14} />
            </ActionIcon>
          </div>
        )
      })}
      <div>
        <Button variant="default" leftSection={<Plus size={14} />} onClick={add}>
          Add
        </Button>
      </div>
    </fieldset>
  )
}

/** Elements that are told apart by `index` or by a `..._id` get the next free one. */
function numbered(blank: Json, item: Shape, items: readonly Json[]): Json {
  if (item.is !== 'group' || typeof blank !== 'object' || blank === null || Array.isArray(blank)) return blank
  const next: Record<string, Json> = { ...(blank as JsonObject) }
  for (const field of item.fields) {
    if (!field.isRequired) continue
    const taken = items.map(one => (one as JsonObject)[field.name])
    if (field.name === 'index') {
      next['index'] = Math.max(0, ...taken.map(value => (typeof value === 'number' ? value : 0))) + 1
    } else if (field.name.endsWith('_id')) {
      let free = 0
      while (taken.includes(String(free))) free++
      next[field.name] = String(free)
    }
  }
  return next
}

function ItemError({ pointer }: { readonly pointer: string }): ReactNode {
  const messages = useForm().violations.get(pointer)
  return messages === undefined ? null : (
    <p role="alert" style={{ color: 'var(--down)' }}>
      {messages.join('; ')}
    </p>
  )
}

function LabelsInput(props: {
  readonly common: Common
  readonly value: unknown
  readonly onChange: (value: Json | undefined) => void
}): ReactNode {
  const entries = typeof props.value === 'object' && props.value !== null ? Object.entries(props.value) : []
  return (
    <TagsInput
      {...props.common}
      placeholder="name=value"
      value={entries.map(([name, value]) => `${name}=${String(value)}`)}
      onChange={tags => {
        const pairs = tags.map(tag => {
          const [name = '', ...rest] = tag.split('=')
          return [name, rest.join('=')] as const
        })
        props.onChange(pairs.length === 0 ? undefined : Object.fromEntries(pairs))
      }}
    />
  )
}

/** For what no field can draw: the JSON itself. What does not parse is kept here and not sent. */
function JsonInput(props: {
  readonly common: Common
  readonly value: unknown
  readonly onChange: (value: Json | undefined) => void
}): ReactNode {
  const [text, setText] = useState(() => (props.value === undefined ? '' : JSON.stringify(props.value, null, 2)))
  const [isBroken, setIsBroken] = useState(false)
  return (
    <Textarea
      {...props.common}
      error={isBroken ? 'this is not JSON yet' : props.common.error}
      autosize
      minRows={2}
      maxRows={16}
      value={text}
      onChange={event => {
        const next = event.currentTarget.value
        setText(next)
        try {
          props.onChange(next.trim() === '' ? undefined : (JSON.parse(next) as Json))
          setIsBroken(false)
        } catch {
          setIsBroken(true)
        }
      }}
    />
  )
}
