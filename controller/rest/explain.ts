/** Why a request goes where it goes: asked of an engine that runs the virtual service. */
import { METHODS } from 'node:http'
import { isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Json, JsonObject } from '#model/resource/kind.ts'
import type { Violation } from '#model/resource/violation.ts'
import type { Explanation, RequestQuestion } from '#model/message/message.ts'
import { resolveReference } from '#controller/change/reference.ts'
import { callerOf, type Caller } from './caller.ts'
import { isObject, objectBody } from './json.ts'
import { Problem } from './problem.ts'
import { findSeen } from './reads.ts'
import type { RestServices } from './services.ts'

const MAX_HEADERS = 100
const fields = ['virtualservice_ref', 'method', 'host', 'path', 'headers', 'client_ip', 'scheme'] as const
const text = { type: 'string' } as const
const step: JsonObject = {
  type: 'object',
  properties: { rule: text, matched: { type: 'boolean' }, failed_on: text, action: text }
}

export const explanationDoc: JsonObject = {
  type: 'object',
  properties: {
    virtualservice: text,
    serviceengine: text,
    steps: { type: 'array', items: step },
    verdict: { type: 'string', enum: ['forward', 'answer', 'close', 'refused'] },
    status: { type: 'integer' },
    location: text,
    pool: text,
    pool_name: text,
    server: text,
    reason: text
  }
}

const doc = {
  summary: 'Which rules a request would meet, and the pool and server that it would reach',
  tag: 'system',
  status: 200,
  body: {
    type: 'object',
    required: ['virtualservice_ref', 'host', 'path'],
    properties: {
      virtualservice_ref: text,
      method: { type: 'string', default: 'GET' },
      host: text,
      path: { type: 'string', description: 'With its query.' },
      headers: { type: 'object', additionalProperties: text },
      client_ip: text,
      scheme: { type: 'string', enum: ['http', 'https'], description: 'http where the virtual service speaks it, when left out.' }
    }
  },
  answer: explanationDoc
}

export function useExplain(app: FastifyInstance, services: RestServices): void {
  const { store, fleet } = services
  app.post('/api/explain', { config: { doc } }, async request => {
    const caller = callerOf(request)
    const body = objectBody(request.body)
    const question = questionIn(services, caller, body)
    findSeen(store, caller, 'virtualservice', question.virtualServiceId)
    const answer = await fleet.explain?.(question)
    if (answer === undefined)
      throw new Problem(503, 'NO_ENGINE', 'no engine that runs the virtual service is connected', { headers: { 'retry-after': '5' } })
    return explanationToJson(answer, question.virtualServiceId)
  })
}

export function explanationToJson(
  { engineUuid, explanation }: { readonly engineUuid: string; readonly explanation: Explanation },
  virtualServiceId: string
): JsonObject {
  return {
    virtualservice: virtualServiceId,
    serviceengine: engineUuid,
    steps: explanation.steps.map(({ rule, isMatched, failedOn, action }) => ({ rule, matched: isMatched, failed_on: failedOn, action })),
    verdict: explanation.verdict,
    status: explanation.status,
    location: explanation.location,
    pool: explanation.poolId,
    pool_name: explanation.poolName,
    server: explanation.serverId,
    reason: explanation.reason
  }
}

/** Throws Problem 422 with everything that is wrong. */
function questionIn({ store }: RestServices, caller: Caller, body: JsonObject): RequestQuestion {
  const violations: Violation[] = []
  const say = (name: string, message: string): void => void violations.push({ pointer: `/${name}`, message })
  for (const name of Object.keys(body)) if (!(fields as readonly string[]).includes(name)) say(name, 'is not a field of a question')
  const textOf = (name: (typeof fields)[number], fallback: string | undefined, maxLength: number): string => {
    const value = body[name] ?? fallback
    if (value === undefined) say(name, 'is required')
    else if (typeof value !== 'string' || value.length > maxLength) say(name, `must be a text of at most ${maxLength} characters`)
    return typeof value === 'string' ? value : ''
  }
  const service = resolveService(store, caller, textOf('virtualservice_ref', undefined, 1_024), message =>
    say('virtualservice_ref', message)
  )
  const method = textOf('method', 'GET', 32)
  const host = textOf('host', undefined, 255)
  const path = textOf('path', undefined, 8_192)
  const clientIp = textOf('client_ip', '127.0.0.1', 45)
  const scheme = textOf('scheme', '', 5)
  if (!METHODS.includes(method)) say('method', 'must be an HTTP method')
  if (path !== '' && !path.startsWith('/')) say('path', 'must begin with /')
  if (isIP(clientIp) === 0) say('client_ip', 'must be an address')
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') say('scheme', 'must be http or https')
  const headers = headersIn(body['headers'], say)
  if (violations.length > 0) throw new Problem(422, 'VIOLATIONS', 'the question cannot be asked', { violations })
  return { virtualServiceId: service, method, host, path, headers, clientIp, scheme: scheme as RequestQuestion['scheme'] }
}

/** The uuid that a reference leads to; '' where it leads nowhere, which is said. */
export function resolveService(store: RestServices['store'], caller: Caller, given: string, say: (message: string) => void): string {
  if (given === '') return ''
  const found = resolveReference(
    store,
    { text: given, toKind: 'virtualservice', scope: caller.tenant === '*' ? 'global' : 'tenant' },
    caller.tenant
  )
  if (found.is === 'found') return found.uuid
  say(found.message)
  return ''
}

function headersIn(value: Json | undefined, say: (name: string, message: string) => void): string[] {
  if (value === undefined) return []
  const entries = isObject(value) ? Object.entries(value) : undefined
  if (entries === undefined || entries.length > MAX_HEADERS) {
    say('headers', `must be an object of at most ${MAX_HEADERS} names with texts`)
    return []
  }
  const headers: string[] = []
  for (const [name, field] of entries) {
    if (typeof field !== 'string' || field.length > 8_192) say('headers', `must have texts only: ${name.slice(0, 64)}`)
    else headers.push(name, field)
  }
  return headers
}
