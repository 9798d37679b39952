/** What was changed, by whom, and how it differs. */
import type { FastifyInstance } from 'fastify'
import { kinds } from '#model/resource/catalogue.ts'
import type { Revision } from '#controller/store/store.ts'
import { callerOf } from './caller.ts'
import type { Caller } from './caller.ts'
import { anyObject } from './openapi.ts'
import { badQuery, notFound } from './problem.ts'
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, checkNames, integerOf, one } from './query.ts'
import type { QueryParameter, RawQuery } from './query.ts'
import { canSee } from './reads.ts'
import type { RestServices } from './services.ts'
import { baseOf } from './answer.ts'

/** Revisions read from the store at once while looking for those that the caller may see. */
const BATCH = 200
/** Where the looking stops for one request; `next` goes on from there. */
const LOOKED_AT_MAX = 20_000

const revisionParameters: readonly QueryParameter[] = [
  { name: 'uuid', description: 'Only revisions that changed this object.', schema: { type: 'string' } },
  { name: 'before', description: 'Only revisions below this number: the next page.', schema: { type: 'integer', minimum: 1 } },
  {
    name: 'page_size',
    description: 'Revisions a page.',
    schema: { type: 'integer', minimum: 1, maximum: PAGE_SIZE_MAX, default: PAGE_SIZE_DEFAULT }
  }
]

/** A revision with only those changes that the caller may see; undefined when that is none. */
function seenPart(caller: Caller, revision: Revision): Revision | undefined {
  const changes = revision.changes.filter(change => Object.hasOwn(kinds, change.kind) && canSee(caller, change))
  return changes.length === 0 ? undefined : { ...revision, changes }
}

function toAnswer({ revision, author, reason, atEpochMs, changes }: Revision): object {
  return { revision, author, reason, at: new Date(atEpochMs).toISOString(), changes }
}

export function useRevision(app: FastifyInstance, services: RestServices): void {
  const { store } = services
  const list = { summary: 'List revisions, newest first', tag: 'system', parameters: revisionParameters, status: 200, answer: anyObject }

  app.get('/api/revision', { config: { doc: list } }, async request => {
    const query = request.query as RawQuery
    checkNames(query, revisionParameters)
    const caller = callerOf(request)
    const uuid = one(query, 'uuid')
    if (uuid?.length === 0) throw badQuery('uuid', 'must not be empty')
    const size = integerOf(query, 'page_size', { min: 1, max: PAGE_SIZE_MAX, otherwise: PAGE_SIZE_DEFAULT })
    let before = integerOf(query, 'before', { min: 1, max: 1e14, otherwise: store.revision() + 1 })
    const results: Revision[] = []
    let isEnd = false
    for (let looked = 0; results.length < size && !isEnd && looked < LOOKED_AT_MAX; looked += BATCH) {
      const batch = store.revisions({ before, limit: BATCH, ...(uuid === undefined ? {} : { uuid }) })
      isEnd = batch.length < BATCH
      for (const revision of batch) {
        if (results.length === size) {
          isEnd = false
          break
        }
        before = revision.revision
        const seen = seenPart(caller, revision)
        if (seen !== undefined) results.push(seen)
      }
    }
    const next = new URL(request.url, baseOf(request))
    next.searchParams.set('before', String(before))
    return { revision: store.revision(), ...(isEnd ? {} : { next: next.toString() }), results: results.map(toAnswer) }
  })

  app.get<{ Params: { readonly revision: string } }>(
    '/api/revision/:revision',
    { config: { doc: { summary: 'One revision with its differences', tag: 'system', status: 200, answer: anyObject } } },
    async request => {
      const text = request.params.revision
      const number = /^\d{1,14}$/.test(text) ? Number(text) : Number.NaN
      const found = Number.isNaN(number) ? undefined : store.revisions({ before: number + 1, limit: 1 })[0]
      const seen = found?.revision === number ? seenPart(callerOf(request), found) : undefined
      if (seen === undefined) throw notFound(`revision ${text.slice(0, 32)}`)
      return toAnswer(seen)
    }
  )
}
