/** `/api/macro`: an object and the objects that it refers to, written nested, in one transaction. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { Json, JsonObject, KindName } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import type { ChangeResult, Write, WriteViolation } from '#controller/change/order.ts'
import type { Store, StoredResource } from '#controller/store/store.ts'
import { baseOf, etagOf } from './answer.ts'
import { callerOf } from './caller.ts'
import type { Caller } from './caller.ts'
import { applyWrites, incoming, tenantForCreate, writtenAnswer } from './crud.ts'
import { isObject, objectBody } from './json.ts'
import { anyObject, writeParameters } from './openapi.ts'
import type { RouteDoc } from './openapi.ts'
import { Problem, notFound } from './problem.ts'
import { checkNames, flagOf } from './query.ts'
import type { RawQuery } from './query.ts'
import { canSee } from './reads.ts'
import type { RestServices } from './services.ts'

const DOCUMENTS_MAX = 500
/** Their creation does more than write. */
const excluded: ReadonlySet<KindName> = new Set(['jointoken', 'serviceengine'])

/** One object of a macro, with nested objects replaced by references to them. */
export interface MacroDocument {
  readonly kind: KindName
  readonly body: JsonObject
  /** Where it stands in what was sent. */
  readonly pointer: string
}

interface Node {
  readonly properties?: Readonly<Record<string, Node>>
  readonly items?: Node
  readonly 'x-ref'?: KindName
}

const invalid = (pointer: string, message: string): Problem =>
  new Problem(422, 'INVALID', 'the macro is not valid', { violations: [{ pointer, message }] })

/**
 * Takes the nested documents out.
 *
 * Shapes  data: as sent; `pool_ref_data: {...}` stands for `pool_ref`, `health_monitor_refs_data: [...]` for a list
 * Returns what is referred to before what refers to it; the last is the document itself
 * Throws  Problem 422 with the pointer of what cannot be nested
 */
export function flattenMacro(kind: KindName, data: JsonObject): readonly MacroDocument[] {
  const documents: MacroDocument[] = []

  const add = (childKind: KindName, value: Json | undefined, pointer: string): string => {
    if (!isObject(value)) throw invalid(pointer, 'must be an object')
    const { name } = value
    if (typeof name !== 'string' || name === '') throw invalid(`${pointer}/name`, 'is required')
    if (excluded.has(childKind)) throw invalid(pointer, `a ${childKind} cannot be written by a macro`)
    documents.push({ kind: childKind, body: strip(kinds[childKind].schema as Node, value, pointer) as JsonObject, pointer })
    if (documents.length > DOCUMENTS_MAX) throw invalid(pointer, `a macro holds at most ${DOCUMENTS_MAX} objects`)
    return `/api/${childKind}/?name=${encodeURIComponent(name)}`
  }

  const strip = (node: Node | undefined, value: Json, pointer: string): Json => {
    if (Array.isArray(value)) return (value as readonly Json[]).map((item, index) => strip(node?.items, item, `${pointer}/${index}`))
    if (!isObject(value)) return value
    const out: Record<string, Json> = {}
    for (const [name, item] of Object.entries(value)) {
      const field = /^(.+_refs?)_data$/.exec(name)?.[1]
      const property = field === undefined ? undefined : node?.properties?.[field]
      const at = `${pointer}/${name}`
      if (field === undefined || property === undefined) {
        out[name] = strip(node?.properties?.[name], item, at)
      } else if (property['x-ref'] !== undefined) {
        out[field] = add(property['x-ref'], item, at)
      } else if (property.items?.['x-ref'] !== undefined) {
        if (!Array.isArray(item)) throw invalid(at, 'must be a list')
        const childKind = property.items['x-ref']
        out[field] = (item as readonly Json[]).map((child, index) => add(childKind, child, `${at}/${index}`))
      } else throw invalid(at, 'does not stand for a reference')
    }
    return out
  }

  const body = strip(kinds[kind].schema as Node, data, '/data') as JsonObject
  return [...documents, { kind, body, pointer: '/data' }]
}

/** The stored object that a document means: by uuid, or by name in the tenant. */
function findMeant(store: Store, caller: Caller, tenant: string, { kind, body }: MacroDocument): StoredResource | undefined {
  const { uuid, name } = body
  const found =
    typeof uuid === 'string' ? store.get(kind, uuid) : typeof name === 'string' ? store.findByName(kind, tenant, name) : undefined
  return found !== undefined && canSee(caller, found) && (found.tenant === tenant || kinds[kind].scope !== 'tenant') ? found : undefined
}

function readMacro(body: unknown): readonly MacroDocument[] {
  const { model_name, data } = objectBody(body)
  const kind = kindNames.find(known => typeof model_name === 'string' && known === model_name.toLowerCase())
  if (kind === undefined || excluded.has(kind)) throw invalid('/model_name', 'must be the name of a kind, such as VirtualService')
  if (!isObject(data)) throw invalid('/data', 'must be an object')
  return flattenMacro(kind, incoming(data))
}

/** Does the writes; what is refused in one of them is told by where it stands in the macro. */
async function applyDocuments(
  services: RestServices,
  request: FastifyRequest,
  tenant: string,
  documents: readonly MacroDocument[],
  writes: readonly Write[]
): Promise<ChangeResult> {
  try {
    return await applyWrites(services, request, tenant, writes)
  } catch (error) {
    if (!(error instanceof ChangeRefused)) throw error
    const violations = error.violations.map(violation => {
      const { pointer, message, write = documents.length - 1 } = violation as Partial<WriteViolation> & Violation
      return { pointer: `${documents[write]?.pointer ?? '/data'}${pointer}`, message }
    })
    throw new ChangeRefused(error.code, error.message, violations)
  }
}

const macroBody: JsonObject = {
  type: 'object',
  required: ['model_name', 'data'],
  properties: { model_name: { type: 'string', description: 'VirtualService, Pool ...' }, data: anyObject }
}

export function useMacro(app: FastifyInstance, services: RestServices): void {
  const { store } = services
  const doc = (summary: string, status: number): { readonly doc: RouteDoc } => ({
    doc: { summary, tag: 'system', parameters: writeParameters, body: macroBody, status, ...(status === 204 ? {} : { answer: anyObject }) }
  })

  const write = async (
    request: FastifyRequest,
    reply: FastifyReply,
    toWrite: (document: MacroDocument, tenant: string) => Write
  ): Promise<FastifyReply> => {
    checkNames(request.query as RawQuery, writeParameters)
    const documents = readMacro(request.body)
    const last = documents.at(-1)!
    const tenant = tenantForCreate(store, callerOf(request), last.body)
    const writes = documents.map(document => toWrite(document, tenant))
    const result = await applyDocuments(services, request, tenant, documents, writes)
    const resource = result.resources.at(-1)!
    const isCreated = writes.at(-1)!.op === 'create' && !flagOf(request.query as RawQuery, 'dry_run')
    if (isCreated) reply.header('location', `${baseOf(request)}/api/${resource.kind}/${resource.uuid}`)
    return reply
      .code(isCreated ? 201 : 200)
      .header('etag', etagOf(resource))
      .send(writtenAnswer(services, request, result, resource))
  }

  app.post('/api/macro', { config: doc('Create an object with what it refers to', 201) }, async (request, reply) =>
    write(request, reply, ({ kind, body }) => ({ op: 'create', kind, body }))
  )

  app.put(
    '/api/macro',
    { config: doc('Write an object with what it refers to; what is not there is created', 200) },
    async (request, reply) =>
      write(request, reply, (document, tenant) => {
        const { kind, body } = document
        const found = findMeant(store, callerOf(request), tenant, document)
        if (found === undefined) return { op: 'create', kind, body }
        const lastModified = body['_last_modified']
        return { op: 'replace', kind, uuid: found.uuid, body, ...(typeof lastModified === 'string' ? { expect: { lastModified } } : {}) }
      })
  )

  app.delete('/api/macro', { config: doc('Delete an object and what is nested in it', 204) }, async (request, reply) => {
    checkNames(request.query as RawQuery, writeParameters)
    const documents = readMacro(request.body).toReversed()
    const tenant = tenantForCreate(store, callerOf(request), documents[0]!.body)
    const writes = documents.map((document): Write => {
      const found = findMeant(store, callerOf(request), tenant, document)
      if (found === undefined)
        throw notFound(`${document.kind} ${JSON.stringify(document.body['name'] ?? document.body['uuid'] ?? '').slice(0, 128)}`)
      return { op: 'delete', kind: document.kind, uuid: found.uuid }
    })
    await applyDocuments(services, request, tenant, documents, writes)
    return reply.code(204).send()
  })
}
