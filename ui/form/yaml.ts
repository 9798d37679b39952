/** A document as YAML 1.2, as one keeps it in a repository. */
import type { Json, JsonObject } from '#model/resource/kind.ts'

/** Words that YAML, or its older version, takes for something else than a text. */
const taken = /^(?:true|false|null|yes|no|on|off|y|n|~)$/iu
/** What needs no quotes: begins with a letter or a slash, and holds nothing that means something to YAML. */
const plain = /^[A-Za-z_/](?:[\w ./@+-]*[\w./@+-])?$/u

const isList = (value: Json): value is readonly Json[] => Array.isArray(value)
const isMap = (value: Json): value is JsonObject => typeof value === 'object' && value !== null && !isList(value)

const isNested = (value: Json): value is readonly Json[] | JsonObject =>
  (isList(value) && value.length > 0) || (isMap(value) && Object.keys(value).length > 0)

function scalar(value: Json, indent: string): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  if (plain.test(value) && !taken.test(value)) return value
  // Certificates and pages stay readable: a block, when every line says itself.
  const lines = value.split('\n')
  const isBlock = lines.length > 1 && /^[^\s].*[^\n]\n?$/su.test(value) && !/[^\P{C}\n]|[ \t]$/mu.test(value)
  if (!isBlock) return JSON.stringify(value)
  const [last = ''] = lines.slice(-1)
  const body = last === '' ? lines.slice(0, -1) : lines
  return `${last === '' ? '|' : '|-'}\n${body.map(line => (line === '' ? '' : `${indent}  ${line}`)).join('\n')}`
}

function lines(value: Json, indent: string): string {
  if (!isNested(value)) return `${indent}${leaf(value, indent)}`
  if (isList(value))
    return value
      .map(item => {
        return isNested(item) ? `${indent}- ${lines(item, `${indent}  `).slice(indent.length + 2)}` : `${indent}- ${leaf(item, indent)}`
      })
      .join('\n')
  return Object.entries(value)
    .map(([name, inner]) => {
      const key = plain.test(name) && !taken.test(name) ? name : JSON.stringify(name)
      return isNested(inner) ? `${indent}${key}:\n${lines(inner, `${indent}  `)}` : `${indent}${key}: ${leaf(inner, indent)}`
    })
    .join('\n')
}

const leaf = (value: Json, indent: string): string => (isList(value) ? '[]' : isMap(value) ? '{}' : scalar(value, indent))

/** Any JSON value as YAML, with a line end. */
export function yamlOf(value: Json): string {
  return `${lines(value, '')}\n`
}

/** What the server gives and owns: it means nothing elsewhere. */
const owned = new Set(['uuid', 'url', 'tenant_ref', '_last_modified'])

/** `https://host/api/pool/pool-...#web` -> `/api/pool?name=web`: a name holds on every controller. */
function byName(value: Json): Json {
  const [, kind, name] = (typeof value === 'string' && /^(?:https?:\/\/[^/]+)?\/api\/([a-z]+)\/[^#]+#(.+)$/u.exec(value)) || []
  return kind === undefined || name === undefined ? value : `/api/${kind}?name=${name}`
}

function portable(value: Json, name: string): Json {
  if (isList(value)) return value.map(item => portable(item, name))
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, portable(inner, key)]))
  return /_refs?$/u.test(name) ? byName(value) : value
}

/**
 * An object as a document that any controller takes: its kind beside it, references by name, without what the server owns.
 *
 * Shapes  object: as a form holds it, references as the API gave them with `include_name`
 */
export function documentYaml(kind: string, object: JsonObject): string {
  const kept = Object.fromEntries(Object.entries(object).filter(([name]) => !owned.has(name)))
  return yamlOf({ kind, ...(portable(kept, '') as JsonObject) })
}
