/** `/api/openapi.json`: made from the same schemas and query tables that requests are checked by. */
import type { FastifyInstance } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { Json, JsonObject, KindDefinition } from '#model/resource/kind.ts'
import { listParameters, viewParameters } from './query.ts'
import type { QueryParameter } from './query.ts'

/** What a route says of itself; `hidden` routes say why they are not in the document. */
export type RouteDoc =
  | { readonly hidden: string }
  | {
      readonly summary: string
      readonly tag: string
      readonly parameters?: readonly QueryParameter[]
      readonly body?: JsonObject
      readonly status: number
      /** Absent: an answer without a body, or not JSON. */
      readonly answer?: JsonObject
      readonly contentType?: string
    }

interface CollectedRoute {
  readonly method: string
  readonly path: string
  readonly doc: RouteDoc
  readonly isOpen: boolean
}

export const writeParameters: readonly QueryParameter[] = [
  {
    name: 'dry_run',
    description: 'Checks and answers as if, writes nothing; _changes says what would change.',
    schema: { type: 'boolean' }
  },
  {
    name: 'ignore_unsupported',
    description: 'Fields that are not supported yet are left out and listed in _warnings, instead of refused.',
    schema: { type: 'boolean' }
  },
  { name: 'include_name', description: 'References in the answer end in #name.', schema: { type: 'boolean' } }
]

export const reference = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` })
/** The same, for what is sent: fields that the schema does not know are refused. */
const exactly = (schema: JsonObject): JsonObject => ({ ...schema, unevaluatedProperties: false })
export const anyObject: JsonObject = { type: 'object', additionalProperties: true }

/** `Service engine group` -> `ServiceEngineGroup`: the schema's name. */
export function schemaName(definition: KindDefinition): string {
  return definition.title
    .split(/[^A-Za-z0-9]+/)
    .map(word => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('')
}

const list = (item: JsonObject): JsonObject => ({
  type: 'object',
  required: ['count', 'results'],
  properties: {
    count: { type: 'integer', description: 'Of all pages.' },
    next: { type: 'string', format: 'uri', description: 'The next page, when there is one.' },
    results: { type: 'array', items: item }
  }
})

const lower = (title: string): string => title.slice(0, 1).toLowerCase() + title.slice(1)

export function listDoc(definition: KindDefinition): RouteDoc {
  return {
    summary: `List ${lower(definition.titlePlural)}`,
    tag: definition.kind,
    parameters: listParameters,
    status: 200,
    answer: list(reference(schemaName(definition)))
  }
}

export function objectDoc(definition: KindDefinition): RouteDoc {
  return {
    summary: `Read a ${lower(definition.title)}`,
    tag: definition.kind,
    parameters: viewParameters,
    status: 200,
    answer: reference(schemaName(definition))
  }
}

const patchBody: JsonObject = {
  type: 'object',
  minProperties: 1,
  additionalProperties: false,
  properties: { add: anyObject, replace: anyObject, delete: anyObject }
}

export function writeDoc(definition: KindDefinition, act: 'create' | 'replace' | 'patch' | 'delete'): RouteDoc {
  const schema = reference(schemaName(definition))
  const summary = `${act.slice(0, 1).toUpperCase()}${act.slice(1)} a ${lower(definition.title)}`
  const common = { summary, tag: definition.kind, parameters: writeParameters }
  if (act === 'delete') return { ...common, status: 204 }
  return { ...common, body: act === 'patch' ? patchBody : exactly(schema), status: act === 'create' ? 201 : 200, answer: schema }
}

export function runtimeDoc(definition: KindDefinition): RouteDoc {
  return { summary: `How a ${lower(definition.title)} is`, tag: definition.kind, status: 200, answer: anyObject }
}

export const persistenceDoc: RouteDoc = {
  summary: 'Clients of a pool that engines tell each other of: hashes, servers and ages; 1,000 at most, the last used first',
  tag: 'pool',
  status: 200,
  answer: anyObject
}

export function inventoryDoc(definition: KindDefinition, isList: boolean): RouteDoc {
  const row: JsonObject = {
    type: 'object',
    required: ['uuid', 'config', 'runtime', 'health_score', 'alert'],
    properties: {
      uuid: { type: 'string' },
      config: reference(schemaName(definition)),
      runtime: anyObject,
      health_score: anyObject,
      alert: anyObject
    }
  }
  return {
    summary: `Configuration, runtime, health score and alerts of ${isList ? lower(definition.titlePlural) : `a ${lower(definition.title)}`}`,
    tag: definition.kind,
    ...(isList ? { parameters: listParameters } : {}),
    status: 200,
    answer: isList ? list(row) : row
  }
}

export function analyticsDoc(kind: string, what: string, parameters: readonly QueryParameter[]): RouteDoc {
  return { summary: `${what} of a ${kind}`, tag: 'analytics', parameters, status: 200, answer: anyObject }
}

/** Remembers every route that is added after it. */
export function collectRoutes(app: FastifyInstance): readonly CollectedRoute[] {
  const routes: CollectedRoute[] = []
  app.addHook('onRoute', ({ method, url, config }) => {
    for (const one of Array.isArray(method) ? method : [method]) {
      if (one === 'HEAD' || one === 'OPTIONS') continue
      const isOpen = config?.entry === 'open' || config?.entry === 'optional'
      routes.push({ method: one, path: url, doc: config?.doc ?? { hidden: 'undescribed' }, isOpen })
    }
  })
  return routes
}

const problem: JsonObject = {
  type: 'object',
  description: 'RFC 9457 problem details, with the error string of the Avi API.',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'error'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    instance: { type: 'string', description: 'Identifies the request in the logs.' },
    code: { type: 'string' },
    error: { type: 'string' },
    violations: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'message'],
        properties: { pointer: { type: 'string', description: 'JSON Pointer into what was sent.' }, message: { type: 'string' } }
      }
    }
  }
}

function operation({ path, doc, isOpen }: CollectedRoute): JsonObject | undefined {
  if ('hidden' in doc) return undefined
  const inPath = [...path.matchAll(/:(\w+)/g)].map(match => ({ name: match[1]!, in: 'path', required: true, schema: { type: 'string' } }))
  const inQuery = (doc.parameters ?? []).map(({ name, description, schema }) => ({ name, in: 'query', description, schema }))
  const contentType = doc.contentType ?? 'application/json'
  const answer =
    doc.answer === undefined && doc.contentType === undefined
      ? {}
      : { content: { [contentType]: { schema: doc.answer ?? { type: 'string' } } } }
  return {
    summary: doc.summary,
    tags: [doc.tag],
    ...(isOpen ? { security: [] } : {}),
    ...(inPath.length + inQuery.length > 0 ? { parameters: [...inPath, ...inQuery] } : {}),
    ...(doc.body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: doc.body } } } }),
    responses: {
      [String(doc.status)]: { description: 'Done.', ...answer },
      default: { description: 'Refused.', content: { 'application/problem+json': { schema: reference('Problem') } } }
    }
  }
}

/**
 * The document of all described routes.
 *
 * Shapes  routes: as collected; those that are hidden are left out
 * Returns OpenAPI 3.1, plain JSON
 */
export function toOpenapi(routes: readonly CollectedRoute[], version: string): JsonObject {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of routes) {
    const described = operation(route)
    if (described === undefined) continue
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    ;(paths[path] ??= {})[route.method.toLowerCase()] = described
  }
  const schemas: Record<string, Json> = { Problem: problem }
  // Through JSON: what TypeBox keeps beside the keywords is not for the document.
  for (const kind of kindNames) {
    // What is sent may hold nothing else (see `exactly`); an answer may say more, such as its runtime.
    const { additionalProperties: _, ...schema } = JSON.parse(JSON.stringify(kinds[kind].schema)) as Record<string, Json>
    schemas[schemaName(kinds[kind])] = schema
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weir',
      version,
      description: 'The REST API of the Weir controller, in the dialect of the Avi load balancer.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
    },
    servers: [{ url: '/' }],
    security: [{ session: [] }, { basic: [] }],
    tags: [...kindNames, 'analytics', 'session', 'system'].map(name => ({ name })),
    paths,
    components: {
      schemas,
      securitySchemes: {
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: 'sessionid',
          description: 'From POST /login; a write also needs X-CSRFToken and Referer.'
        },
        basic: { type: 'http', scheme: 'basic', description: 'Where the system configuration allows it.' }
      }
    }
  }
}

export function useOpenapi(app: FastifyInstance, routes: readonly CollectedRoute[], version: string): void {
  let text: string | undefined
  app.get(
    '/api/openapi.json',
    { config: { doc: { summary: 'This document', tag: 'system', status: 200, answer: anyObject } } },
    async (_request, reply) => {
      // Made at the first request, when all routes are there.
      text ??= JSON.stringify(toOpenapi(routes, version))
      return reply.type('application/json').send(text)
    }
  )
}
