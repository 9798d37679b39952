/** What monitors ask: is it alive, is it ready, how is it. */
import type { FastifyInstance } from 'fastify'

import { ADMIN_TENANT } from '#controller/access/permission.ts'
import { callerOf } from './caller.ts'
import { anyObject } from './openapi.ts'
import { Problem } from './problem.ts'
import { canSee } from './reads.ts'
import type { RestServices } from './services.ts'

export function useHealth(app: FastifyInstance, services: RestServices): void {
  const { store, telemetry } = services
  app.get(
    '/healthz',
    { config: { entry: 'open', doc: { summary: 'The process answers', tag: 'system', status: 200, answer: anyObject } } },
    async () => ({ status: 'ok' })
  )

  app.get(
    '/readyz',
    { config: { entry: 'open', doc: { summary: 'It can serve: the store reads', tag: 'system', status: 200, answer: anyObject } } },
    async () => {
      if (store.get('tenant', ADMIN_TENANT) === undefined) throw new Problem(503, 'NOT_READY', 'the store has no admin tenant')
      return { status: 'ready' }
    }
  )

  app.get(
    '/metrics',
    { config: { doc: { summary: 'Prometheus metrics', tag: 'system', status: 200, contentType: 'text/plain' } } },
    async (request, reply) => {
      const caller = callerOf(request)
      // All tenants that one may read, unless one is named: a scraper sends no tenant.
      const reader = caller.isTenantGiven ? caller : { ...caller, tenant: '*' }
      const tenantNames = new Map(store.list('tenant').map(tenant => [tenant.uuid, tenant.name]))
      const text = telemetry.prometheus((kind, uuid) => {
        const resource = store.get(kind, uuid)
        if (resource === undefined || !canSee(reader, resource)) return undefined
        return { name: resource.name, tenant: tenantNames.get(resource.tenant) ?? resource.tenant }
      })
      return reply.type('text/plain; version=0.0.4; charset=utf-8').send(text)
    }
  )
}
