/** Upgrades of engines, group by group: how one goes, and what a person says to it. */
import type { FastifyInstance } from 'fastify'
import type { JsonObject } from '#model/resource/kind.ts'
import { upgradeActions, upgradeDefaults, upgradeLimits, type UpgradeSettings } from '#model/resource/upgrade.ts'
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

const names = Object.keys(upgradeDefaults) as (keyof UpgradeSettings)[]

const described: Readonly<Record<keyof UpgradeSettings, string>> = {
  max_parallel: 'Engines that are replaced at the same time.',
  deadline: 'Seconds from the order until an engine must be up on the new build and have been watched; more than evaluation_duration.',
  evaluation_duration: 'Seconds that an engine is measured before, and watched since. 0: up is enough.',
  max_error_increase: 'Percentage points of requests that fail, above what it was.',
  max_health_drop: 'Points of the health score of a service that it carries.'
}

const startBody: JsonObject = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...Object.fromEntries(
      names.map(name => [
        name,
        {
          type: 'integer',
          minimum: upgradeLimits[name][0],
          maximum: upgradeLimits[name][1],
          default: upgradeDefaults[name],
          description: described[name]
        }
      ])
    ),
    webhook_ref: { type: 'string', description: 'A webhook that is told each event.' }
  }
}

/** Settings of a start; every violation is told. */
function readSettings(body: JsonObject, violations: Violation[]): UpgradeSettings {
  for (const name of Object.keys(body))
    if (name !== 'webhook_ref' && !(names as readonly string[]).includes(name))
      violations.push({ pointer: `/${name}`, message: 'is not a field of a start' })
  const read = (name: keyof UpgradeSettings): number => {
    const value = body[name] ?? upgradeDefaults[name]
    const [from, to] = upgradeLimits[name]
    if (typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to) return value
    violations.push({ pointer: `/${name}`, message: `must be an integer from ${from} to ${to}` })
    return upgradeDefaults[name]
  }
  const settings = Object.fromEntries(names.map(name => [name, read(name)])) as unknown as UpgradeSettings
  if (violations.length === 0 && settings.deadline <= settings.evaluation_duration)
    violations.push({ pointer: '/deadline', message: 'must be more than evaluation_duration' })
  return settings
}

export function useUpgrade(app: FastifyInstance, services: RestServices): void {
  const { store, upgrades } = services
  const doc = (summary: string, body?: JsonObject) => ({
    summary,
    tag: 'serviceenginegroup',
    status: 200,
    answer: anyObject,
    ...(body === undefined ? {} : { body })
  })

  const writable = (request: Parameters<typeof callerOf>[0], uuid: string) => {
    const caller = callerOf(request)
    const group = findSeen(store, caller, 'serviceenginegroup', uuid)
    if (!caller.actor.may('write', 'serviceenginegroup', group.tenant))
      throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not change engine groups`)
    return { caller, group }
  }

  const all = doc('The newest upgrade of every engine group, and the build that this controller gives out')
  app.get('/api/upgrade', { config: { doc: all } }, async request => {
    const results = listSeen(store, callerOf(request), 'serviceenginegroup').flatMap(({ uuid }) => upgrades.of(uuid) ?? [])
    return { count: results.length, results, given_out: upgrades.givenOut() ?? null }
  })

  const one = doc('The newest upgrade of an engine group')
  app.get<ById>('/api/serviceenginegroup/:uuid/upgrade', { config: { doc: one } }, async request => {
    const { uuid } = findSeen(store, callerOf(request), 'serviceenginegroup', request.params.uuid)
    const found = upgrades.of(uuid)
    if (found === undefined) throw notFound('an upgrade of this engine group')
    return found
  })

  const start = doc('Bring the engines of a group to the build that this controller gives out, one after another', startBody)
  app.post<ById>('/api/serviceenginegroup/:uuid/upgrade/start', { config: { doc: start } }, async request => {
    const { caller, group } = writable(request, request.params.uuid)
    const body = objectBody(request.body ?? {})
    const violations: Violation[] = []
    const settings = readSettings(body, violations)
    const { webhook_ref: text } = body
    const found =
      typeof text === 'string' && text.length <= 1_024
        ? resolveReference(store, { text, toKind: 'webhook', scope: 'tenant' }, group.tenant)
        : undefined
    if (text !== undefined && found?.is !== 'found')
      violations.push({ pointer: '/webhook_ref', message: found?.message ?? 'must name a webhook' })
    if (violations.length > 0) throw new Problem(422, 'VIOLATIONS', 'the upgrade cannot be started', { violations })
    const webhook = found?.is === 'found' ? { webhook: found.uuid } : {}
    return upgrades.start(group.uuid, { settings, ...webhook, by: caller.actor.name })
  })

  for (const action of upgradeActions)
    app.post<ById>(`/api/serviceenginegroup/:uuid/upgrade/${action}`, { config: { doc: doc(`${action} the upgrade`) } }, async request => {
      const { caller, group } = writable(request, request.params.uuid)
      return upgrades.act(group.uuid, action, caller.actor.name)
    })
}
