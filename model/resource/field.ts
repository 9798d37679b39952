/**
 * How a kind says its fields. Each builder makes the JSON Schema of one field and carries two types for the compiler:
 * what an operator may write, and what it is once defaults are filled in. The schema stays the only statement of the shape.
 */
import { Type } from 'typebox'
import type { TObject, TSchema } from 'typebox'
import { nodeOf, toFill } from './check.ts'
import type { FieldsToFill } from './check.ts'
import type { Json, KindName } from './kind.ts'

export type Presence = 'required' | 'default' | 'optional'

export interface Field<Written = unknown, Filled = Written, P extends Presence = Presence> {
  readonly schema: TSchema
  readonly presence: P
  /** For the compiler only; never there at run time. */
  readonly written?: Written
  readonly filled?: Filled
}
export type Fields = Readonly<Record<string, Field>>
/** Fields that Avi knows and nobody here acts on yet: name -> the default, which is all that is accepted. */
export type UnsupportedFields = Readonly<Record<string, Json>>

type Flat<T> = { [K in keyof T]: T[K] } & {}
type Names<T extends Fields, P extends Presence> = { [K in keyof T]: T[K]['presence'] extends P ? K : never }[keyof T]
/** What an operator writes: only required fields must be there. */
export type Written<T extends Fields> = Flat<
  { readonly [K in Names<T, 'required'>]: NonNullable<T[K]['written']> } & {
    readonly [K in Names<T, 'default' | 'optional'>]?: NonNullable<T[K]['written']>
  }
>
/** The same with defaults filled in, at every depth that is present. */
export type Filled<T extends Fields> = Flat<
  { readonly [K in Names<T, 'required' | 'default'>]: NonNullable<T[K]['filled']> } & {
    readonly [K in Names<T, 'optional'>]?: NonNullable<T[K]['filled']>
  }
>

export interface Common {
  readonly required?: true
  /** A form shows it first. */
  readonly first?: true
  /** Kept for the tool that wrote it: a form shows it last. */
  readonly last?: true
  readonly readOnly?: true
  readonly secret?: true
  /** What a special value means: `{ '0': 'unlimited' }`. */
  readonly special?: Readonly<Record<string, string>>
  readonly unit?: string
}
type PresenceOf<O> = O extends { readonly required: true } ? 'required' : O extends { readonly default: unknown } ? 'default' : 'optional'

function presenceOf(options: Common & { readonly default?: unknown }): Presence {
  if (options.required === true) return 'required'
  return options.default === undefined ? 'optional' : 'default'
}

/** The annotations of one field; `undefined` never becomes a key. */
function annotations(description: string, options: Common & { readonly default?: unknown }): Record<string, unknown> {
  return {
    description,
    ...(options.default === undefined ? {} : { default: options.default }),
    ...(options.first === true ? { 'x-first': true } : {}),
    ...(options.last === true ? { 'x-last': true } : {}),
    ...(options.readOnly === true ? { readOnly: true } : {}),
    ...(options.secret === true ? { 'x-secret': true, writeOnly: true } : {}),
    ...(options.special === undefined ? {} : { 'x-special': options.special }),
    ...(options.unit === undefined ? {} : { 'x-unit': options.unit })
  }
}

function field<W, F, O>(schema: TSchema, options: O & Common & { readonly default?: unknown }): Field<W, F, PresenceOf<O>> {
  return { schema, presence: presenceOf(options) as PresenceOf<O> }
}

export function flag<const O extends Common & { readonly default?: boolean }>(
  description: string,
  options: O
): Field<boolean, boolean, PresenceOf<O>> {
  return field(Type.Boolean(annotations(description, options)), options)
}

export interface NumberOptions extends Common {
  readonly default?: number
  readonly min?: number
  readonly max?: number
  /** A stretch inside min..max that is not allowed: `[1, 4]` with min 0 means 0, or 5 and more. */
  readonly gap?: readonly [from: number, to: number]
}

function bounds(options: NumberOptions): Record<string, unknown> {
  return {
    ...(options.min === undefined ? {} : { minimum: options.min }),
    ...(options.max === undefined ? {} : { maximum: options.max }),
    ...(options.gap === undefined ? {} : { not: { minimum: options.gap[0], maximum: options.gap[1] } })
  }
}

export function integer<const O extends NumberOptions>(description: string, options: O): Field<number, number, PresenceOf<O>> {
  return field(Type.Integer({ ...bounds(options), ...annotations(description, options) }), options)
}

/** Like `integer`, with fractions. */
export function number<const O extends NumberOptions>(description: string, options: O): Field<number, number, PresenceOf<O>> {
  return field(Type.Number({ ...bounds(options), ...annotations(description, options) }), options)
}

export interface TextOptions extends Common {
  readonly default?: string
  readonly minLength?: number
  /** 1024 unless told. */
  readonly maxLength?: number
  readonly pattern?: string
  /** What the pattern means: "must be the name of an HTTP header". */
  readonly say?: string
  /** A program: lines and columns matter. */
  readonly code?: true
}

export function text<const O extends TextOptions>(description: string, options: O): Field<string, string, PresenceOf<O>> {
  return field(
    Type.String({
      ...(options.minLength === undefined ? {} : { minLength: options.minLength }),
      maxLength: options.maxLength ?? 1024,
      ...(options.pattern === undefined ? {} : { pattern: options.pattern }),
      ...(options.say === undefined ? {} : { 'x-say': options.say }),
      ...(options.code === true ? { 'x-code': true } : {}),
      ...annotations(description, options)
    }),
    options
  )
}

/**
 * One of some words. `unsupported` are words that Avi knows and nobody here acts on yet: known to the schema, refused by
 * the check, absent from the type.
 */
export function oneOf<const V extends readonly string[], const O extends Common & { readonly default?: V[number] }>(
  values: V,
  description: string,
  options: O & { readonly unsupported?: readonly string[] }
): Field<V[number], V[number], PresenceOf<O>> {
  const { unsupported = [] } = options
  const schema = Type.Unsafe<V[number]>({
    type: 'string',
    enum: [...values, ...unsupported],
    ...(unsupported.length === 0 ? {} : { 'x-unsupported-values': unsupported }),
    ...annotations(description, options)
  } as TSchema)
  return field(schema, options)
}

/** A reference: any spelling when it comes in, a bare uuid once it is stored. */
export function ref<const O extends Common>(kind: KindName, description: string, options: O): Field<string, string, PresenceOf<O>> {
  return field(Type.String({ minLength: 1, maxLength: 1024, 'x-ref': kind, ...annotations(description, options) }), options)
}

interface ListOptions extends Common {
  readonly default?: readonly Json[]
  readonly minItems?: number
  /** 1000 unless told. */
  readonly maxItems?: number
}

export function list<W, F, const O extends ListOptions>(
  item: Field<W, F>,
  description: string,
  options: O
): Field<readonly W[], readonly F[], PresenceOf<O>> {
  const schema = Type.Array(item.schema, {
    ...(options.minItems === undefined ? {} : { minItems: options.minItems }),
    maxItems: options.maxItems ?? 1000,
    ...annotations(description, options)
  })
  return field(schema, options)
}

/** Names that an operator chooses, each with a text: labels. */
export function textByName<const O extends Common>(
  description: string,
  options: O
): Field<Readonly<Record<string, string>>, Readonly<Record<string, string>>, PresenceOf<O>> {
  const schema = {
    type: 'object',
    additionalProperties: { type: 'string', maxLength: 1024 },
    maxProperties: 100,
    ...annotations(description, options)
  }
  return field(Type.Unsafe<Record<string, string>>(schema as TSchema), options)
}

/** A group of fields that nests in others. */
export interface Shape<T extends Fields> {
  readonly schema: TObject
  readonly fields: T
}
export type WrittenShape<S extends Shape<Fields>> = Written<S['fields']>
export type FilledShape<S extends Shape<Fields>> = Filled<S['fields']>

/** A rule over the fields of one nested object, by name: see `rules` in check.ts. */
export type RuleName = 'ip-addr' | 'ip-prefix' | 'ip-range'

function schemaOfUnsupported(value: Json): TSchema {
  const annotation = { 'x-unsupported': true, default: value, description: 'Not supported yet: accepted only at its default.' }
  if (typeof value === 'boolean') return Type.Boolean(annotation)
  if (typeof value === 'number') return Number.isInteger(value) ? Type.Integer(annotation) : Type.Number(annotation)
  if (typeof value === 'string') return Type.String(annotation)
  if (Array.isArray(value)) return Type.Array(Type.Unknown(), annotation)
  return Type.Object({}, { additionalProperties: true, ...annotation })
}

/** The schema of an object: its fields first, then what is known and not supported; nothing else is a field of it. */
export function objectSchema(
  title: string,
  fields: Fields,
  unsupported: UnsupportedFields = {},
  more: Record<string, unknown> = {}
): TObject {
  const properties: Record<string, TSchema> = {}
  for (const [name, { schema, presence }] of Object.entries(fields))
    properties[name] = presence === 'required' ? schema : Type.Optional(schema)
  for (const [name, value] of Object.entries(unsupported)) {
    if (Object.hasOwn(properties, name)) throw new Error(`${title}: ${name} is supported and unsupported at once`)
    properties[name] = Type.Optional(schemaOfUnsupported(value))
  }
  const given: FieldsToFill = Object.entries(fields).map(([name, { schema }]) => [name, nodeOf(schema)])
  const filling = given.filter(([, { default: fallback, type }]) => fallback !== undefined || type === 'object' || type === 'array')
  return Type.Object(properties, { title, additionalProperties: false, ...more, [toFill]: filling })
}

/** `title` is what a violation calls it: "is not a field of server". */
export function shape<const T extends Fields>(title: string, fields: T, unsupported?: UnsupportedFields, rule?: RuleName): Shape<T> {
  return { schema: objectSchema(title, fields, unsupported, rule === undefined ? {} : { 'x-rule': rule }), fields }
}

export function nested<T extends Fields, const O extends Common & { readonly default?: Json }>(
  of: Shape<T>,
  description: string,
  options: O
): Field<Written<T>, Filled<T>, PresenceOf<O>> {
  return field({ ...of.schema, ...annotations(description, options) }, options)
}

/** An element of a list: `list(each(server), ...)`. */
export function each<T extends Fields>(of: Shape<T>): Field<Written<T>, Filled<T>, 'optional'> {
  return { schema: of.schema, presence: 'optional' }
}
