/** Live requests of a virtual service, as they come: which rules each met and what became of it. */
import { METHODS } from 'node:http'
import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Json, JsonObject } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { FoundRequest, LiveTrace, TracesPort, WantedTrace } from '#controller/fleet/port.ts'
import { callerOf } from './caller.ts'
import { explanationDoc, explanationToJson, resolveService } from './explain.ts'
import { objectBody } from './json.ts'
import { notFound, Problem } from './problem.ts'
import { findSeen } from './reads.ts'
import type { RestServices } from './services.ts'

const MAX_REQUESTS = 100
const MAX_DURATION_S = 300
const fields = ['virtualservice_ref', 'client_ip', 'method', 'path', 'request_id', 'max_requests', 'duration'] as const

const text = { type: 'string' } as const
const count = { type: 'integer', minimum: 0 } as const
const times = {
  client_rtt_estimate_us: { ...count, description: 'From the TLS handshake, not a part of the total; 0 without one.' },
  before_us: { ...count, description: 'Rules, waiting and earlier tries, until the last try began.' },
  connect_us: { ...count, description: 'Until the server was connected; 0 on a connection that stood.' },
  server_us: { ...count, description: 'Until the first byte of the answer.' },
  transfer_us: { ...count, description: 'Until the last byte of the answer.' },
  total_us: count
}
const found: JsonObject = {
  type: 'object',
  properties: {
    request_id: text,
    at: { type: 'number' },
    client_ip: text,
    client_port: count,
    method: text,
    scheme: text,
    host: text,
    path: text,
    protocol: text,
    attempts: count,
    bytes_in: count,
    bytes_out: count,
    times: { type: 'object', properties: times },
    fault: text,
    fault_reason: text,
    explanation: explanationDoc
  }
}
const traceDoc: JsonObject = {
  type: 'object',
  properties: {
    id: text,
    virtualservice: text,
    running: { type: 'boolean' },
    until: { type: 'number' },
    requests: { type: 'array', items: found }
  }
}

export function useTrace(app: FastifyInstance, services: RestServices): void {
  const { store, fleet } = services
  const startDoc = {
    summary: 'Trace live requests of a virtual service: the next ones that are like this',
    tag: 'system',
    status: 201,
    body: {
      type: 'object',
      required: ['virtualservice_ref'],
      properties: {
        virtualservice_ref: text,
        client_ip: { ...text, description: 'Any when left out, as with the next three.' },
        method: text,
        path: { ...text, description: 'What the path begins with.' },
        request_id: text,
        max_requests: { type: 'integer', minimum: 1, maximum: MAX_REQUESTS, default: 20 },
        duration: { type: 'integer', minimum: 1, maximum: MAX_DURATION_S, default: 60, description: 'Seconds.' }
      }
    },
    answer: traceDoc
  }
  app.post('/api/trace', { config: { doc: startDoc } }, async (request, reply) => {
    const caller = callerOf(request)
    const wanted = wantedIn(services, request)
    const service = findSeen(store, caller, 'virtualservice', wanted.virtualServiceId)
    if (!caller.actor.may('write', 'virtualservice', service.tenant))
      throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not trace requests of ${service.name}`)
    const trace = portOf(services).start(wanted)
    if (trace === undefined)
      throw new Problem(503, 'NO_ENGINE', 'no engine that runs the virtual service is connected, or too many traces run', {
        headers: { 'retry-after': '5' }
      })
    return reply.code(201).send(traceToJson(trace))
  })

  const seen = (request: FastifyRequest, trace: LiveTrace | undefined, what: string): LiveTrace => {
    if (trace === undefined) throw notFound(what.slice(0, 128))
    findSeen(store, callerOf(request), 'virtualservice', trace.wanted.virtualServiceId)
    return trace
  }

  app.get<{ Params: { id: string } }>(
    '/api/trace/:id',
    { config: { doc: { summary: 'A trace, and the requests that it has found so far', tag: 'system', status: 200, answer: traceDoc } } },
    async request => traceToJson(seen(request, fleet.traces?.get(request.params.id), `trace ${request.params.id}`))
  )
  app.delete<{ Params: { id: string } }>(
    '/api/trace/:id',
    { config: { doc: { summary: 'End a trace; what it found stays for ten minutes', tag: 'system', status: 204 } } },
    async (request, reply) => {
      const trace = seen(request, fleet.traces?.get(request.params.id), `trace ${request.params.id}`)
      const service = findSeen(store, callerOf(request), 'virtualservice', trace.wanted.virtualServiceId)
      if (!callerOf(request).actor.may('write', 'virtualservice', service.tenant))
        throw new Problem(403, 'FORBIDDEN', `${callerOf(request).actor.name} may not trace requests of ${service.name}`)
      portOf(services).end(trace.id)
      return reply.code(204).send()
    }
  )
  app.get<{ Params: { id: string } }>(
    '/api/trace/request/:id',
    { config: { doc: { summary: 'What became of a traced request, by its id', tag: 'system', status: 200, answer: found } } },
    async request => {
      const hit = fleet.traces?.find(request.params.id)
      seen(request, hit?.trace, `traced request ${request.params.id}`)
      return foundToJson(hit!.request, hit!.trace.wanted.virtualServiceId)
    }
  )
}

function portOf({ fleet }: RestServices): TracesPort {
  if (fleet.traces === undefined) throw new Problem(503, 'NO_ENGINE', 'this controller has no engines')
  return fleet.traces
}

function traceToJson({ id: traceId, wanted, isRunning, untilEpochMs, requests }: LiveTrace): JsonObject {
  return {
    id: traceId,
    virtualservice: wanted.virtualServiceId,
    running: isRunning,
    until: untilEpochMs,
    requests: requests.map(request => foundToJson(request, wanted.virtualServiceId))
  }
}

/** Each time is the length of its own part; what the request did not come to is 0. */
function foundToJson(request: FoundRequest, service: string): JsonObject {
  const { sentUs, connectUs, firstByteUs, totalUs } = request
  const connectedUs = Math.max(sentUs, connectUs)
  const before = sentUs === 0 ? totalUs : sentUs
  return {
    request_id: request.requestId,
    at: request.atEpochMs,
    client_ip: request.clientIp,
    client_port: request.clientPort,
    method: request.method,
    scheme: request.scheme,
    host: request.host,
    path: request.path,
    protocol: request.protocol,
    attempts: request.attempts,
    bytes_in: request.bytesIn,
    bytes_out: request.bytesOut,
    times: {
      client_rtt_estimate_us: request.clientRttUs ?? 0,
      before_us: before,
      connect_us: connectedUs - sentUs,
      server_us: sentUs === 0 ? 0 : Math.max(0, (firstByteUs === 0 ? totalUs : firstByteUs) - connectedUs),
      transfer_us: firstByteUs === 0 ? 0 : Math.max(0, totalUs - firstByteUs),
      total_us: totalUs
    },
    fault: request.fault,
    fault_reason: request.faultReason,
    explanation: explanationToJson({ engineUuid: request.engineUuid, explanation: request.explanation }, service)
  }
}

/** Throws Problem 422 with everything that is wrong. */
function wantedIn({ store }: RestServices, request: FastifyRequest): WantedTrace {
  const body = objectBody(request.body)
  const violations: Violation[] = []
  const say = (name: string, message: string): void => void violations.push({ pointer: `/${name}`, message })
  for (const name of Object.keys(body)) if (!(fields as readonly string[]).includes(name)) say(name, 'is not a field of a trace')
  const textOf = (name: (typeof fields)[number], maxLength: number): string => {
    const value: Json = body[name] ?? ''
    if (typeof value === 'string' && value.length <= maxLength) return value
    say(name, `must be a text of at most ${maxLength} characters`)
    return ''
  }
  const numberOf = (name: (typeof fields)[number], fallback: number, max: number): number => {
    const value: Json = body[name] ?? fallback
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max) return value
    say(name, `must be an integer from 1 to ${max}`)
    return fallback
  }
  const reference = textOf('virtualservice_ref', 1_024)
  if (body['virtualservice_ref'] === undefined) say('virtualservice_ref', 'is required')
  const virtualServiceId = resolveService(store, callerOf(request), reference, message => say('virtualservice_ref', message))
  const clientIp = textOf('client_ip', 45)
  const method = textOf('method', 32)
  const pathPrefix = textOf('path', 8_192)
  if (clientIp !== '' && isIP(clientIp) === 0) say('client_ip', 'must be an address')
  if (method !== '' && !METHODS.includes(method)) say('method', 'must be an HTTP method')
  if (pathPrefix !== '' && !pathPrefix.startsWith('/')) say('path', 'must begin with /')
  const wanted = {
    virtualServiceId,
    clientIp,
    method,
    pathPrefix,
    requestId: textOf('request_id', 128),
    count: numberOf('max_requests', 20, MAX_REQUESTS),
    durationMs: numberOf('duration', 60, MAX_DURATION_S) * 1_000
  }
  if (violations.length > 0) throw new Problem(422, 'VIOLATIONS', 'nothing can be traced like this', { violations })
  return wanted
}
