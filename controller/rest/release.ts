/** Releases of pool groups: how one goes, and what a person says to it. */
import type { FastifyInstance } from 'fastify'
import type { JsonObject } from '#model/resource/kind.ts'
import { releaseActions } from '#model/resource/release.ts'
import type { Violation } from '#model/resource/violation.ts'
import { resolveReference } from '#controller/change/reference.ts'
import { callerOf } from './caller.ts'
import { objectBody } from './json.ts'
import { anyObject } from './openapi.ts'
import { Problem, notFound } from './problem.ts'
import { findSeen, listSeen } from './reads.ts'
import type { RestServices } from './services.ts'

interface ById {
  readonly Params: { readonly uuid: string }
}

const startBody: JsonObject = {
  type: 'object',
  required: ['pool_ref'],
  additionalProperties: false,
  properties: { pool_ref: { type: 'string', description: 'The member that takes over.' } }
}

export function useRelease(app: FastifyInstance, services: RestServices): void {
  const { store, releases } = services
  const doc = (summary: string, body?: JsonObject) => ({
    summary,
    tag: 'poolgroup',
    status: 200,
    answer: anyObject,
    ...(body === undefined ? {} : { body })
  })

  const writable = (request: Parameters<typeof callerOf>[0], uuid: string) => {
    const caller = callerOf(request)
    const group = findSeen(store, caller, 'poolgroup', uuid)
    if (!caller.actor.may('write', 'poolgroup', group.tenant))
      throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not change pool groups`)
    return { caller, group }
  }

  app.get('/api/release', { config: { doc: doc('The newest release of every pool group') } }, async request => {
    const results = listSeen(store, callerOf(request), 'poolgroup').flatMap(({ uuid }) => releases.of(uuid) ?? [])
    return { count: results.length, results }
  })

  app.get<ById>('/api/poolgroup/:uuid/release', { config: { doc: doc('The newest release of a pool group') } }, async request => {
    const { uuid } = findSeen(store, callerOf(request), 'poolgroup', request.params.uuid)
    const found = releases.of(uuid)
    if (found === undefined) throw notFound('a release of this pool group')
    return found
  })

  const start = doc('Let a member of a pool group take over, as its deployment policy says', startBody)
  app.post<ById>('/api/poolgroup/:uuid/release/start', { config: { doc: start } }, async request => {
    const { caller, group } = writable(request, request.params.uuid)
    const body = objectBody(request.body)
    const violations: Violation[] = Object.keys(body)
      .filter(name => name !== 'pool_ref')
      .map(name => ({ pointer: `/${name}`, message: 'is not a field of a start' }))
    const { pool_ref: text } = body
    const found =
      typeof text === 'string' && text.length <= 1_024
        ? resolveReference(store, { text, toKind: 'pool', scope: 'tenant' }, group.tenant)
        : undefined
    if (found?.is !== 'found') violations.push({ pointer: '/pool_ref', message: found?.message ?? 'must name a member of the pool group' })
    if (violations.length > 0 || found?.is !== 'found')
      throw new Problem(422, 'VIOLATIONS', 'the release cannot be started', { violations })
    return releases.start(group.uuid, found.uuid, caller.actor)
  })

  for (const action of releaseActions)
    app.post<ById>(`/api/poolgroup/:uuid/release/${action}`, { config: { doc: doc(`${action} the release`) } }, async request => {
      const { caller, group } = writable(request, request.params.uuid)
      return releases.act(group.uuid, action, caller.actor)
    })
}
