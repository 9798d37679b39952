/** Lists and objects of every kind, all by the same rules. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import { kindNames } from '#model/resource/kind.ts'
import type { Json, JsonObject, KindName } from '#model/resource/kind.ts'
import { parseReference } from '#controller/change/reference.ts'
import type { ChangeResult, Expectation, Write } from '#controller/change/order.ts'
import type { StoredResource, Store } from '#controller/store/store.ts'
import { baseOf, etagOf, nextPage, plainView, toAnswer, withoutImplied } from './answer.ts'
import { callerOf } from './caller.ts'
import type { Caller } from './caller.ts'
import { isObject, objectBody } from './json.ts'
import { listDoc, objectDoc, writeDoc, writeParameters } from './openapi.ts'
import { Problem, notFound } from './problem.ts'
import { checkNames, flagOf, parseList, parseView, viewParameters } from './query.ts'
import type { RawQuery, View } from './query.ts'
import { findSeen, listSeen } from './reads.ts'
import { runtimeOf } from './runtime.ts'
import { selectResources } from './select.ts'
import type { RestServices } from './services.ts'

/** Written elsewhere, because they do more than write. */
const elsewhere: ReadonlySet<string> = new Set(['POST jointoken', 'POST serviceengine', 'DELETE serviceengine'])

const REASON_MAX = 256

interface ById {
  readonly Params: { readonly uuid: string }
}

/** Reads If-Match; of several tags the one that the object has now, if it is among them. */
export function expectationOf(request: FastifyRequest, resource: StoredResource, body?: JsonObject): Expectation | undefined {
  const lastModified = body?.['_last_modified']
  const header = request.headers['if-match']
  const tags = (header ?? '')
    .split(',')
    .map(tag => tag.trim().replace(/^(?:W\/)?"(.*)"$/, '$1'))
    .filter(tag => tag !== '')
  const current = etagOf(resource).slice(1, -1)
  const etag = tags.includes(current) ? current : tags[0]
  if (etag === undefined && typeof lastModified !== 'string') return undefined
  return { ...(typeof lastModified === 'string' ? { lastModified } : {}), ...(etag === undefined ? {} : { etag }) }
}

/** The tenant that a new object goes to. Throws Problem 400 when the request is about all of them. */
export function tenantForCreate(store: Store, caller: Caller, body: JsonObject): string {
  const wanted = body['tenant_ref']
  if (typeof wanted === 'string') {
    const spelled = parseReference(wanted)
    const tenant = store
      .list('tenant')
      .find(item => (spelled.is === 'uuid' ? item.uuid === spelled.uuid : spelled.is === 'name' && item.name === spelled.name))
    const { tenants } = caller.actor
    if (tenant === undefined || !(tenants === '*' || tenants.includes(tenant.uuid)))
      throw new Problem(422, 'INVALID', 'the document is not valid', {
        violations: [{ pointer: '/tenant_ref', message: 'refers to no tenant' }]
      })
    return tenant.uuid
  }
  if (caller.tenant !== '*') return caller.tenant
  throw new Problem(400, 'NO_TENANT', 'a write needs one tenant: send X-Avi-Tenant or tenant_ref')
}

/** Does one write for the caller, as its queries and headers say. */
export async function applyWrites(
  services: RestServices,
  request: FastifyRequest,
  tenant: string,
  writes: readonly Write[]
): Promise<ChangeResult> {
  const query = request.query as RawQuery
  const reason = request.headers['x-weir-reason']
  return await services.change.apply({
    actor: callerOf(request).actor,
    tenant,
    writes,
    ...(typeof reason === 'string' && reason !== '' ? { reason: reason.slice(0, REASON_MAX) } : {}),
    isDryRun: flagOf(query, 'dry_run'),
    isUnsupportedIgnored: flagOf(query, 'ignore_unsupported')
  })
}

/** The answer to a write: the object as it is (or would be), what was ignored, and in a dry run what would change. */
export function writtenAnswer(
  services: RestServices,
  request: FastifyRequest,
  result: ChangeResult,
  resource: StoredResource
): Record<string, Json> {
  const view: View = { ...plainView, isNameIncluded: flagOf(request.query as RawQuery, 'include_name') }
  const answer = toAnswer(services.store, resource, view, baseOf(request))
  if (result.warnings.length > 0) answer['_warnings'] = result.warnings.map(({ pointer, message }) => ({ pointer, message }))
  if (flagOf(request.query as RawQuery, 'dry_run')) answer['_changes'] = JSON.parse(JSON.stringify(result.changes)) as Json
  return answer
}

/** What we added to an answer ourselves is no field when it comes back. */
export function incoming(body: unknown): JsonObject {
  const { _warnings, _changes, runtime: _runtime, ...rest } = objectBody(body)
  return rest
}

const patchParts = ['add', 'replace', 'delete'] as const

/** Reads a PATCH body. Throws Problem 400. */
export function parsePatch(body: unknown): Extract<Write, { op: 'patch' }>['patch'] {
  const given = objectBody(body)
  const names = Object.keys(given)
  const isKnown = names.length > 0 && names.every(name => patchParts.some(part => part === name) && isObject(given[name]))
  if (!isKnown) throw new Problem(400, 'MALFORMED', 'a PATCH body is {"add"|"replace"|"delete": {...}}')
  return given as Extract<Write, { op: 'patch' }>['patch']
}

export function useCrud(app: FastifyInstance, services: RestServices): void {
  for (const kind of kindNames) {
    if (kinds[kind].scope === 'single') useSingle(app, services, kind)
    else useKind(app, services, kind)
  }
}

function show(services: RestServices, request: FastifyRequest, resource: StoredResource, view: View): Record<string, Json> {
  const answer = toAnswer(services.store, resource, view, baseOf(request))
  const runtime = view.isRuntimeJoined ? runtimeOf(services, resource) : undefined
  return runtime === undefined ? answer : { ...answer, runtime: JSON.parse(JSON.stringify(runtime)) as Json }
}

async function replace(
  services: RestServices,
  request: FastifyRequest,
  reply: FastifyReply,
  resource: StoredResource
): Promise<Record<string, Json>> {
  const body = withoutImplied(services.store, resource, incoming(request.body))
  const expect = expectationOf(request, resource, body)
  const { kind, uuid } = resource
  const result = await applyWrites(services, request, resource.tenant, [{ op: 'replace', kind, uuid, body, ...(expect ? { expect } : {}) }])
  return written(services, request, reply, result)
}

async function patch(
  services: RestServices,
  request: FastifyRequest,
  reply: FastifyReply,
  resource: StoredResource
): Promise<Record<string, Json>> {
  const expect = expectationOf(request, resource)
  const { kind, uuid } = resource
  const order: Write = { op: 'patch', kind, uuid, patch: parsePatch(request.body), ...(expect ? { expect } : {}) }
  return written(services, request, reply, await applyWrites(services, request, resource.tenant, [order]))
}

/** A session goes on when its own user changes the password; the user's other sessions end. */
function keepSession({ access }: RestServices, request: FastifyRequest, resource: StoredResource): void {
  const { actor, sessionId } = callerOf(request)
  if (sessionId !== undefined && resource.kind === 'user' && resource.uuid === actor.userUuid) access.keepSession(sessionId)
}

function written(services: RestServices, request: FastifyRequest, reply: FastifyReply, result: ChangeResult): Record<string, Json> {
  const resource = result.resources[0]
  if (resource === undefined) throw notFound('what was written')
  if (!flagOf(request.query as RawQuery, 'dry_run')) {
    reply.header('etag', etagOf(resource))
    keepSession(services, request, resource)
  }
  return writtenAnswer(services, request, result, resource)
}

function useKind(app: FastifyInstance, services: RestServices, kind: KindName): void {
  const { store } = services
  const definition = kinds[kind]

  app.get(`/api/${kind}`, { config: { doc: listDoc(definition) } }, async request => {
    const query = parseList(request.query as RawQuery, definition)
    const found = selectResources(store, listSeen(store, callerOf(request), kind), query)
    const end = query.page * query.pageSize
    const results = found.slice(end - query.pageSize, end).map(resource => show(services, request, resource, query.view))
    return { count: found.length, ...(end < found.length ? { next: nextPage(request, query.page + 1) } : {}), results }
  })

  app.get<ById>(`/api/${kind}/:uuid`, { config: { doc: objectDoc(definition) } }, async (request, reply) => {
    checkNames(request.query as RawQuery, viewParameters)
    const view = parseView(request.query as RawQuery, definition)
    const resource = findSeen(store, callerOf(request), kind, request.params.uuid)
    reply.header('etag', etagOf(resource))
    return show(services, request, resource, view)
  })

  if (!elsewhere.has(`POST ${kind}`))
    app.post(`/api/${kind}`, { config: { doc: writeDoc(definition, 'create') } }, async (request, reply) => {
      checkNames(request.query as RawQuery, writeParameters)
      const body = incoming(request.body)
      const tenant = tenantForCreate(store, callerOf(request), body)
      const result = await applyWrites(services, request, tenant, [{ op: 'create', kind, body }])
      const answer = written(services, request, reply, result)
      if (flagOf(request.query as RawQuery, 'dry_run')) return answer
      return reply
        .code(201)
        .header('location', `${baseOf(request)}/api/${kind}/${result.resources[0]!.uuid}`)
        .send(answer)
    })

  app.put<ById>(`/api/${kind}/:uuid`, { config: { doc: writeDoc(definition, 'replace') } }, async (request, reply) => {
    checkNames(request.query as RawQuery, writeParameters)
    return await replace(services, request, reply, findSeen(store, callerOf(request), kind, request.params.uuid))
  })

  app.patch<ById>(`/api/${kind}/:uuid`, { config: { doc: writeDoc(definition, 'patch') } }, async (request, reply) => {
    checkNames(request.query as RawQuery, writeParameters)
    return await patch(services, request, reply, findSeen(store, callerOf(request), kind, request.params.uuid))
  })

  if (!elsewhere.has(`DELETE ${kind}`))
    app.delete<ById>(`/api/${kind}/:uuid`, { config: { doc: writeDoc(definition, 'delete') } }, async (request, reply) => {
      checkNames(request.query as RawQuery, writeParameters)
      await remove(services, request, findSeen(store, callerOf(request), kind, request.params.uuid))
      return reply.code(204).send()
    })
}

/** Deletes one object under the request's expectation. */
export async function remove(services: RestServices, request: FastifyRequest, resource: StoredResource): Promise<ChangeResult> {
  const expect = expectationOf(request, resource)
  const { kind, uuid, tenant } = resource
  return await applyWrites(services, request, tenant, [{ op: 'delete', kind, uuid, ...(expect ? { expect } : {}) }])
}

/** The one object of its kind: no uuid in the path. */
function useSingle(app: FastifyInstance, services: RestServices, kind: KindName): void {
  const { store } = services
  const definition = kinds[kind]
  const only = (request: FastifyRequest): StoredResource => {
    const resource = store.list(kind)[0]
    if (resource === undefined) throw notFound(kind)
    return findSeen(store, callerOf(request), kind, resource.uuid)
  }
  for (const path of [`/api/${kind}`, `/api/${kind}/:uuid`]) {
    const check = (request: FastifyRequest): StoredResource => {
      const { uuid } = request.params as { readonly uuid?: string }
      const resource = only(request)
      if (uuid !== undefined && uuid !== resource.uuid) throw notFound(`${kind} ${uuid.slice(0, 128)}`)
      return resource
    }
    app.get(path, { config: { doc: objectDoc(definition) } }, async (request, reply) => {
      checkNames(request.query as RawQuery, viewParameters)
      const view = parseView(request.query as RawQuery, definition)
      const resource = check(request)
      reply.header('etag', etagOf(resource))
      return show(services, request, resource, view)
    })
    app.put(path, { config: { doc: writeDoc(definition, 'replace') } }, async (request, reply) => {
      checkNames(request.query as RawQuery, writeParameters)
      return await replace(services, request, reply, check(request))
    })
    app.patch(path, { config: { doc: writeDoc(definition, 'patch') } }, async (request, reply) => {
      checkNames(request.query as RawQuery, writeParameters)
      return await patch(services, request, reply, check(request))
    })
  }
}
