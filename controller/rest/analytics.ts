/** Series and scores. */
import type { FastifyInstance } from 'fastify'
import { callerOf } from './caller.ts'
import { analyticsDoc } from './openapi.ts'
import { badQuery } from './problem.ts'
import { checkNames, integerOf, one } from './query.ts'
import type { QueryParameter, RawQuery } from './query.ts'
import { findSeen } from './reads.ts'
import { runtimeKinds, runtimeOf } from './runtime.ts'
import type { RuntimeKind } from './runtime.ts'
import type { RestServices } from './services.ts'

const METRICS_MAX = 50
const LIMIT_MAX = 10_000
/** A year. */
const STEP_MAX_S = 31_536_000

export const metricsParameters: readonly QueryParameter[] = [
  { name: 'metric_id', description: 'Comma-separated metrics, such as l7_client.avg_complete_responses.', schema: { type: 'string' } },
  { name: 'step', description: 'Seconds between two points.', schema: { type: 'integer', minimum: 1, maximum: STEP_MAX_S, default: 300 } },
  { name: 'start', description: 'ISO 8601, or epoch seconds. Default: stop - limit * step.', schema: { type: 'string' } },
  { name: 'stop', description: 'ISO 8601, or epoch seconds. Default: now.', schema: { type: 'string' } },
  {
    name: 'limit',
    description: 'Points of each series, the newest.',
    schema: { type: 'integer', minimum: 1, maximum: LIMIT_MAX, default: 72 }
  },
  { name: 'include_name', description: 'Accepted.', schema: { type: 'boolean' } }
]

const serverParameter: QueryParameter = {
  name: 'server',
  description: 'Of one server of the pool: address:port, as its runtime names it; an IPv6 address in brackets.',
  schema: { type: 'string', maxLength: 300 }
}
const serviceParameter: QueryParameter = {
  name: 'virtualservice',
  description: 'Of what this virtual service (its uuid) sends to the pool, beside the others that use it.',
  schema: { type: 'string', maxLength: 300 }
}
const parametersOf = (kind: RuntimeKind): readonly QueryParameter[] =>
  kind === 'pool' ? [...metricsParameters, serverParameter, serviceParameter] : metricsParameters

/**
 * Reads a moment.
 *
 * Units   answer: whole epoch seconds
 * Throws  Problem 400
 */
export function parseMoment(name: string, value: string): number {
  const seconds = /^\d{1,11}(?:\.\d+)?$/.test(value)
    ? Number(value)
    : /^\d{4}-\d{2}-\d{2}/.test(value)
      ? Date.parse(value) / 1_000
      : Number.NaN
  if (!Number.isFinite(seconds) || seconds < 0) throw badQuery(name, 'must be ISO 8601 or epoch seconds')
  return Math.floor(seconds)
}

/** Reads the queries of a metrics request. Throws Problem 400. */
export function parseMetricsQuery(
  query: RawQuery,
  nowEpochS: number,
  parameters: readonly QueryParameter[] = metricsParameters
): {
  readonly metricIds: readonly string[]
  readonly startEpochS: number
  readonly stopEpochS: number
  readonly stepS: number
  readonly limit: number
} {
  checkNames(query, parameters)
  const metricIds = (one(query, 'metric_id') ?? '')
    .split(',')
    .map(id => id.trim())
    .filter(id => id !== '')
  if (metricIds.length === 0 || metricIds.length > METRICS_MAX) throw badQuery('metric_id', `must name 1 to ${METRICS_MAX} metrics`)
  if (!metricIds.every(id => /^[a-z0-9_]{1,64}\.[a-z0-9_]{1,64}$/.test(id)))
    throw badQuery('metric_id', 'must look like l7_client.avg_complete_responses')
  const stepS = integerOf(query, 'step', { min: 1, max: STEP_MAX_S, otherwise: 300 })
  const limit = integerOf(query, 'limit', { min: 1, max: LIMIT_MAX, otherwise: 72 })
  const start = one(query, 'start')
  const stop = one(query, 'stop')
  const stopEpochS = stop === undefined ? Math.floor(nowEpochS) : parseMoment('stop', stop)
  const startEpochS = start === undefined ? Math.max(0, stopEpochS - limit * stepS) : parseMoment('start', start)
  if (startEpochS > stopEpochS) throw badQuery('start', 'must not be after stop')
  // The newest points count, and no request may cost more than its limit.
  return { metricIds, startEpochS: Math.max(startEpochS, stopEpochS - limit * stepS), stopEpochS, stepS, limit }
}

interface ById {
  readonly Params: { readonly uuid: string }
}

export function useAnalytics(app: FastifyInstance, services: RestServices): void {
  const { store, telemetry, clock } = services
  for (const kind of runtimeKinds) {
    app.get<ById>(
      `/api/analytics/metrics/${kind}/:uuid`,
      { config: { doc: analyticsDoc(kind, 'metrics', parametersOf(kind)) } },
      async request => {
        const raw = request.query as RawQuery
        const query = parseMetricsQuery(raw, clock.nowEpochMs() / 1_000, parametersOf(kind))
        const server = one(raw, 'server')
        if (server === '') throw badQuery('server', 'must be address:port')
        const { uuid } = findSeen(store, callerOf(request), kind, request.params.uuid)
        const service = one(raw, 'virtualservice')
        if (service === undefined) return telemetry.metrics({ kind, uuid: server === undefined ? uuid : `${uuid}/${server}`, ...query })
        if (server !== undefined) throw badQuery('virtualservice', 'must not be there beside server')
        const { uuid: virtualService } = findSeen(store, callerOf(request), 'virtualservice', service)
        return telemetry.metrics({ kind, uuid, virtualService, ...query })
      }
    )

    app.get<ById>(`/api/analytics/healthscore/${kind}/:uuid`, { config: { doc: analyticsDoc(kind, 'healthscore', []) } }, async request => {
      const resource = findSeen(store, callerOf(request), kind, request.params.uuid)
      const { health_score, oper_status } = runtimeOf(services, resource)!
      return {
        entity_uuid: resource.uuid,
        entity_name: resource.name,
        health_score: health_score.score,
        reasons: health_score.reasons,
        oper_status
      }
    })
  }
}
