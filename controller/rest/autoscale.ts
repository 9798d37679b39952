/** Scaling by load: what is known of a virtual service, of an engine group, and what was decided. */
import type { FastifyInstance } from 'fastify'
import type { JsonObject } from '#model/resource/kind.ts'
import { callerOf } from './caller.ts'
import { isObject } from './json.ts'
import { anyObject } from './openapi.ts'
import { Problem } from './problem.ts'
import { findSeen } from './reads.ts'
import type { RestServices } from './services.ts'

interface ById {
  readonly Params: { readonly uuid: string }
}

export function useAutoscale(app: FastifyInstance, { store, scale, drivers }: RestServices): void {
  const doc = (summary: string, tag: string, body?: JsonObject) => ({
    summary,
    tag,
    status: 200,
    answer: anyObject,
    ...(body === undefined ? {} : { body })
  })

  app.get<ById>(
    '/api/virtualservice/:uuid/autoscale',
    { config: { doc: doc('What the load of a virtual service asks for, and what was decided', 'virtualservice') } },
    async request => scale.ofService(findSeen(store, callerOf(request), 'virtualservice', request.params.uuid).uuid)
  )
  app.get<ById>(
    '/api/serviceenginegroup/:uuid/autoscale',
    { config: { doc: doc('Engines that a group should have, and when its services were spread anew', 'serviceenginegroup') } },
    async request => {
      const { uuid } = findSeen(store, callerOf(request), 'serviceenginegroup', request.params.uuid)
      return { ...scale.ofGroup(uuid), ...drivers.ofGroup(uuid) }
    }
  )
  app.post<ById>(
    '/api/serviceenginegroup/:uuid/retry',
    { config: { doc: doc('Try at once what a driver would try again later', 'serviceenginegroup') } },
    async request => {
      const caller = callerOf(request)
      const group = findSeen(store, caller, 'serviceenginegroup', request.params.uuid)
      if (!caller.actor.may('write', 'serviceenginegroup', group.tenant))
        throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not change engine groups`)
      drivers.retry(group.uuid)
      return { ...scale.ofGroup(group.uuid), ...drivers.ofGroup(group.uuid) }
    }
  )
  app.get<ById>(
    '/api/pool/:uuid/autoscale',
    { config: { doc: doc('What the load of a pool asks for, and what was decided', 'pool') } },
    async request => scale.ofPool(findSeen(store, callerOf(request), 'pool', request.params.uuid).uuid)
  )
  for (const way of ['out', 'in'] as const)
    app.post<ById>(
      `/api/pool/:uuid/scale${way}`,
      { config: { doc: doc(way === 'out' ? 'Ask for one server more' : 'Let one server drain and go', 'pool', reasonBody) } },
      async request => {
        const caller = callerOf(request)
        const pool = findSeen(store, caller, 'pool', request.params.uuid)
        if (!caller.actor.may('write', 'pool', pool.tenant))
          throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not change pools`)
        return scale.scalePool(pool.uuid, way, caller.actor.name, readReason(request.body ?? {}))
      }
    )
}

const reasonBody: JsonObject = {
  type: 'object',
  additionalProperties: false,
  properties: { reason: { type: 'string', maxLength: 1024, description: 'Why, for whoever reads it later.' } }
}

function readReason(body: unknown): string | undefined {
  if (!isObject(body)) throw new Problem(400, 'MALFORMED', 'the body must be an object')
  const violations = Object.entries(body).flatMap(([name, value]) => {
    if (name !== 'reason') return [{ pointer: `/${name}`, message: 'is not a field of this action' }]
    return typeof value === 'string' && value.length <= 1_024
      ? []
      : [{ pointer: '/reason', message: 'must be a text of at most 1024 characters' }]
  })
  if (violations.length > 0) throw new Problem(422, 'INVALID', 'this cannot be done', { violations })
  return typeof body['reason'] === 'string' ? body['reason'] : undefined
}
