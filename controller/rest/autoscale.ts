/** Scaling by load: what is known of a virtual service, of an engine group, and what was decided. */
import type { FastifyInstance } from 'fastify'
import { callerOf } from './caller.ts'
import { anyObject } from './openapi.ts'
import { findSeen } from './reads.ts'
import type { RestServices } from './services.ts'

interface ById {
  readonly Params: { readonly uuid: string }
}

export function useAutoscale(app: FastifyInstance, { store, scale }: RestServices): void {
  const doc = (summary: string, tag: string) => ({ summary, tag, status: 200, answer: anyObject })

  app.get<ById>(
    '/api/virtualservice/:uuid/autoscale',
    { config: { doc: doc('What the load of a virtual service asks for, and what was decided', 'virtualservice') } },
    async request => scale.ofService(findSeen(store, callerOf(request), 'virtualservice', request.params.uuid).uuid)
  )
  app.get<ById>(
    '/api/serviceenginegroup/:uuid/autoscale',
    { config: { doc: doc('Engines that a group should have, and when its services were spread anew', 'serviceenginegroup') } },
    async request => scale.ofGroup(findSeen(store, callerOf(request), 'serviceenginegroup', request.params.uuid).uuid)
  )
}
