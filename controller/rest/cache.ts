/** Takes answers out that engines keep for a virtual service. */
import type { FastifyInstance } from 'fastify'
import type { JsonObject } from '#model/resource/kind.ts'
import type { CachePurge } from '#model/message/message.ts'
import type { Violation } from '#model/resource/violation.ts'
import { callerOf } from './caller.ts'
import { objectBody } from './json.ts'
import { Problem } from './problem.ts'
import { findSeen } from './reads.ts'
import type { RestServices } from './services.ts'

const MAX_LENGTH = 8_192
const text = { type: 'string' } as const

const doc = {
  summary: 'Take out answers that engines keep: one address, all that begin alike, all with a tag, or all',
  tag: 'virtualservice',
  status: 200,
  body: {
    type: 'object',
    properties: {
      url: { type: 'string', description: 'An address with its query: https://shop.test/a?b=c' },
      prefix: { type: 'string', description: 'How addresses begin: https://shop.test/a/' },
      tag: { type: 'string', description: 'A tag that servers gave in Surrogate-Key or Cache-Tag.' },
      all: { type: 'boolean', description: 'True: everything.' }
    }
  },
  answer: {
    type: 'object',
    properties: {
      what: { type: 'string', enum: ['all', 'url', 'prefix', 'tag'] },
      value: text,
      by: text,
      at: { type: 'number' },
      objects: { type: 'integer' },
      engines: {
        type: 'array',
        items: {
          type: 'object',
          properties: {
            engine_uuid: text,
            engine_name: text,
            state: { type: 'string', enum: ['PURGED', 'WAITING'], description: 'WAITING: it is away, and is told when it is back.' },
            objects: { type: 'integer' }
          }
        }
      }
    }
  }
} satisfies JsonObject

interface ById {
  readonly Params: { readonly uuid: string }
}

export function useCache(app: FastifyInstance, { store, fleet }: RestServices): void {
  app.post<ById>('/api/virtualservice/:uuid/cache/purge', { config: { doc } }, async request => {
    const caller = callerOf(request)
    const service = findSeen(store, caller, 'virtualservice', request.params.uuid)
    if (!caller.actor.may('write', 'virtualservice', service.tenant))
      throw new Problem(403, 'FORBIDDEN', `${caller.actor.name} may not write virtual services`)
    const purge = purgeIn(objectBody(request.body))
    if (fleet.purgeCache === undefined) throw new Problem(503, 'NO_ENGINE', 'no engine can be told')
    return fleet.purgeCache(service.uuid, purge, caller.actor.name)
  })
}

/** Throws Problem 422 with everything that is wrong. */
function purgeIn(body: JsonObject): CachePurge {
  const violations: Violation[] = []
  const names = ['url', 'prefix', 'tag', 'all'] as const
  for (const name of Object.keys(body))
    if (!(names as readonly string[]).includes(name)) violations.push({ pointer: `/${name}`, message: 'is not a field of a purge' })
  const given = names.filter(name => body[name] !== undefined)
  if (given.length !== 1) violations.push({ pointer: '', message: 'must have exactly one of url, prefix, tag and all' })
  const by = given[0] ?? 'all'
  const value = body[by]
  let said = ''
  if (by === 'all') {
    if (given.length === 1 && value !== true) violations.push({ pointer: '/all', message: 'must be true' })
  } else if (typeof value !== 'string' || value === '' || value.length > MAX_LENGTH)
    violations.push({ pointer: `/${by}`, message: `must be a text of at most ${MAX_LENGTH} characters` })
  else if (by === 'tag') said = value
  else {
    const address = addressOf(value, by === 'url')
    if (address === undefined) violations.push({ pointer: `/${by}`, message: 'must begin with http:// or https:// and a host' })
    else said = address
  }
  if (violations.length > 0) throw new Problem(422, 'VIOLATIONS', 'nothing can be purged by that', { violations })
  return by === 'all' ? { by } : { by, value: said }
}

/** As engines know it: host in lower case, without a port. A prefix may end within its host. */
function addressOf(given: string, isWhole: boolean): string | undefined {
  const parts = /^(https?):\/\/([^/?#]+)([/?][^#]*)?$/i.exec(given)
  if (parts === null || parts[2]!.includes('@')) return undefined
  const host = parts[2]!.toLowerCase().replace(/:\d*$/, '')
  const path = parts[3] ?? (isWhole ? '/' : '')
  return `${parts[1]!.toLowerCase()}://${host}${path.startsWith('?') ? `/${path}` : path}`
}
