/** What an operator says to placement: scale out and in, migrate, switch over, redistribute. Avi's paths and fields. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { JsonObject, KindName } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import { resolveReference } from '#controller/change/reference.ts'
import type { Moving } from '#controller/fleet/port.ts'
import type { StoredResource } from '#controller/store/store.ts'
import { callerOf } from './caller.ts'
import { isObject } from './json.ts'
import { anyObject } from './openapi.ts'
import { Problem } from './problem.ts'
import { findSeen } from './reads.ts'
import type { RestServices } from './services.ts'

interface ById {
  readonly Params: { readonly uuid: string }
}

const engineRef = (description: string): JsonObject => ({ type: 'string', description })
const vipId: JsonObject = { type: 'string', description: 'One of its addresses; all of them move together.' }

const actions = {
  scaleout: {
    summary: 'Run a virtual service on one engine more',
    fields: { to_se_ref: engineRef('The engine; the best one when left out.'), vip_id: vipId }
  },
  scalein: {
    summary: 'Run a virtual service on one engine less',
    fields: { from_se_ref: engineRef('The engine that it leaves; the last one when left out.'), vip_id: vipId }
  },
  migrate: {
    summary: 'Move a virtual service from one engine to another',
    fields: {
      from_se_ref: engineRef('The engine that it leaves; its primary when left out.'),
      to_se_ref: engineRef('The engine that takes it; the best one when left out.'),
      vip_id: vipId
    }
  },
  switchover: { summary: 'Make the second engine of a virtual service its primary', fields: { vip_id: vipId } }
} as const
type Action = keyof typeof actions

export function useActions(app: FastifyInstance, services: RestServices): void {
  const { store, fleet } = services
  const doc = (summary: string, tag: string, fields: JsonObject) => ({
    summary,
    tag,
    status: 200,
    body: { type: 'object', additionalProperties: false, properties: fields } as JsonObject,
    answer: anyObject
  })

  const writable = (request: FastifyRequest, kind: KindName, uuid: string): StoredResource => {
    const caller = callerOf(request)
    const found = findSeen(store, caller, kind, uuid)
    if (!caller.actor.may('write', kind, found.tenant)) throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not do this`)
    return found
  }

  /** The engines that the body names, as uuids; every violation at once. */
  const read = (request: FastifyRequest, known: JsonObject, service?: StoredResource): Readonly<Record<string, string>> => {
    const body = request.body ?? {}
    if (!isObject(body)) throw new Problem(400, 'MALFORMED', 'the body must be an object')
    const violations: Violation[] = []
    const engines: Record<string, string> = {}
    for (const [name, value] of Object.entries(body)) {
      const pointer = `/${name}`
      if (!Object.hasOwn(known, name)) violations.push({ pointer, message: 'is not a field of this action' })
      else if (typeof value !== 'string' || value.length > 1_024) violations.push({ pointer, message: 'must be a text' })
      else if (name === 'vip_id') {
        const ref = service?.body['vsvip_ref']
        const vsvip = typeof ref === 'string' ? store.get('vsvip', ref) : undefined
        const vips = (vsvip?.body['vip'] ?? []) as readonly { readonly vip_id?: string }[]
        if (!vips.some(vip => vip.vip_id === value)) violations.push({ pointer, message: 'is not an address of the virtual service' })
      } else {
        const found = resolveReference(store, { text: value, toKind: 'serviceengine', scope: 'global' }, service?.tenant ?? '')
        if (found.is === 'found') engines[name] = found.uuid
        else violations.push({ pointer, message: found.message })
      }
    }
    if (violations.length > 0) throw new Problem(422, 'INVALID', 'this cannot be done', { violations })
    return engines
  }

  const named = (uuids: readonly string[]) =>
    uuids.map(uuid => ({ engine_uuid: uuid, engine_name: store.get('serviceengine', uuid)?.name ?? uuid }))
  const said = ({ before, after }: Moving) => ({
    engines: named(after),
    joining: named(after.filter(uuid => !before.includes(uuid))),
    leaving: named(before.filter(uuid => !after.includes(uuid)))
  })

  const carryOut = (action: Action, uuid: string, engines: Readonly<Record<string, string>>): Moving => {
    const { to_se_ref: to, from_se_ref: from } = engines
    if (action === 'scaleout') return fleet.actions.scaleOut(uuid, to)
    if (action === 'scalein') return fleet.actions.scaleIn(uuid, from)
    if (action === 'migrate') return fleet.actions.migrate(uuid, from, to)
    return fleet.actions.switchOver(uuid)
  }

  for (const action of Object.keys(actions) as Action[]) {
    const { summary, fields } = actions[action]
    app.post<ById>(`/api/virtualservice/:uuid/${action}`, { config: { doc: doc(summary, 'virtualservice', fields) } }, async request => {
      const service = writable(request, 'virtualservice', request.params.uuid)
      return said(carryOut(action, service.uuid, read(request, fields, service)))
    })
  }

  const spread = doc('Spread the virtual services of an engine group anew, by as few moves as that takes', 'serviceenginegroup', {})
  app.post<ById>('/api/serviceenginegroup/:uuid/redistribute', { config: { doc: spread } }, async request => {
    const group = writable(request, 'serviceenginegroup', request.params.uuid)
    read(request, {})
    const { moved } = fleet.actions.redistribute(group.uuid)
    return { moved: moved.map(uuid => ({ uuid, name: store.get('virtualservice', uuid)?.name ?? uuid })) }
  })
}
