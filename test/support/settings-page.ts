/** `docs/settings.md` from the schemas: what an operator can say, in what unit, with which default. */
import { kinds } from '#model/resource/catalogue.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { Json, KindDefinition } from '#model/resource/kind.ts'

interface Schema {
  readonly type?: string
  readonly title?: string
  readonly description?: string
  readonly default?: Json
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly not?: { readonly minimum?: number; readonly maximum?: number }
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly readOnly?: boolean
  readonly 'x-ref'?: string
  readonly 'x-unit'?: string
  readonly 'x-special'?: Readonly<Record<string, string>>
  readonly 'x-secret'?: boolean
  readonly 'x-unsupported'?: boolean
  readonly 'x-unsupported-values'?: readonly string[]
}

/** Every kind has them: told once, at the top. */
const shared: ReadonlySet<string> = new Set([
  'name',
  'tenant_ref',
  'description',
  'markers',
  'created_by',
  'configpb_attributes',
  'service_metadata',
  'cloud_config_cksum',
  'vsvip_cloud_config_cksum'
])

const head = `# Settings

Every setting that is honoured, by kind: what it takes, its default and what it does. This page is written from the schemas in
\`model/resource\` by \`make golden\`; a test holds it against them. \`GET /api/openapi.json\` says the same for machines.

- **bold**: required. \`a.b\`: field \`b\` of object \`a\`; \`a[]\`: an element of list \`a\`.
- A default of - means that there is none: left out is left out. Special values are in brackets.
- Fields that the Avi load balancer knows and Weir does not honour yet are listed under each table as refused: they are accepted
  at their default only. A word that is refused in the same way is listed as "not yet".
- Every kind also has \`name\`, \`description\`, \`markers\` (labels), \`created_by\`, and most have \`tenant_ref\`; texts that tools keep in a
  document (\`configpb_attributes\`, \`service_metadata\`, \`cloud_config_cksum\`) are kept without effect.
`

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const number = (value: number): string => (value >= 10_000 ? value.toLocaleString('en-US').replaceAll(',', ' ') : String(value))

function rangeOf({ minimum, maximum, not }: Schema): string {
  if (minimum === undefined && maximum === undefined) return ''
  const gap = not?.minimum === undefined ? '' : `, not ${not.minimum}-${not.maximum}`
  return ` ${minimum === undefined ? 'up to ' : `${number(minimum)}${maximum === undefined ? ' and more' : '-'}`}${maximum === undefined ? '' : number(maximum)}${gap}`
}

/** What a field takes, in a few words. */
function takes(schema: Schema): string {
  if (schema['x-ref'] !== undefined) return `reference to ${schema['x-ref']}`
  if (schema.enum !== undefined) {
    const unsupported = schema['x-unsupported-values'] ?? []
    const supported = schema.enum.filter(word => !unsupported.includes(word))
    return `${supported.join(', ')}${unsupported.length === 0 ? '' : `; not yet: ${unsupported.join(', ')}`}`
  }
  switch (schema.type) {
    case 'boolean':
      return 'true, false'
    case 'integer':
    case 'number':
      return `${schema['x-unit'] ?? 'number'}${rangeOf(schema)}`
    case 'array':
      return `list of ${schema.items === undefined || schema.items.properties !== undefined ? 'objects' : takes(schema.items)}, up to ${number(schema.maxItems ?? 0)}`
    case 'object':
      return schema.properties === undefined ? 'names with texts' : 'object'
    default:
      return `text${schema['x-secret'] === true ? ', write-only' : ''}`
  }
}

function defaultOf(schema: Schema): string {
  const value = schema.default
  if (value === undefined) return '-'
  if (typeof value === 'string') return value === '' ? 'empty' : value
  return JSON.stringify(value)
}

function effectOf({ description = '', 'x-special': special }: Schema): string {
  const words = Object.entries(special ?? {}).map(([value, meaning]) => `${value}: ${meaning}`)
  return `${description}${words.length === 0 ? '' : ` (${words.join('; ')})`}`
}

function pageOf(definition: KindDefinition): string {
  const rows: string[] = []
  const refused: string[] = []
  const seen = new Map<string, string>()
  const visit = (schema: Schema, prefix: string): void => {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      if (prefix === '' && shared.has(name)) continue
      if (field.readOnly === true) continue
      const path = `${prefix}${name}`
      if (field['x-unsupported'] === true) {
        refused.push(path)
        continue
      }
      const isRequired = schema.required?.includes(name) === true
      const inner = field.properties === undefined ? field.items : field
      const at = field.properties === undefined ? `${path}[]` : path
      const key = inner?.properties === undefined ? '' : JSON.stringify(inner.properties)
      const twin = key === '' ? undefined : seen.get(key)
      const label = isRequired ? `**\`${path}\`**` : `\`${path}\``
      const same = twin === undefined ? '' : ` Fields as in \`${twin}\`.`
      rows.push(`| ${label} | ${cell(takes(field))} | ${cell(defaultOf(field))} | ${cell(effectOf(field))}${same} |`)
      if (inner?.properties === undefined || twin !== undefined) continue
      seen.set(key, at)
      visit(inner, `${at}.`)
    }
  }
  visit(definition.schema as unknown as Schema, '')
  const table = rows.length === 0 ? '' : `\n| field | takes | default | effect |\n|---|---|---|---|\n${rows.join('\n')}\n`
  const list = refused.length === 0 ? '' : `\nRefused unless at its default: ${refused.map(path => `\`${path}\``).join(' ')}\n`
  return `\n## ${definition.title} (\`${definition.kind}\`)\n\n${definition.description}\n${table}${list}`
}

/** The whole page. */
export function settingsPage(): string {
  return head + kindNames.map(kind => pageOf(kinds[kind])).join('')
}
