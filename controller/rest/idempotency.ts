/** `Idempotency-Key`: the same write sent twice is done once, and answered twice alike. */
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Table } from '#controller/store/store.ts'
import { callerOf } from './caller.ts'
import { Problem } from './problem.ts'
import type { RestServices } from './services.ts'

const KEPT_MS = 86_400_000
const ROWS_MAX = 10_000
/** Of all kept answers together. */
const BYTES_MAX = 33_554_432
const PRUNE_INTERVAL_MS = 3_600_000
/** Larger answers are not kept; the write itself was done once all the same. */
const ANSWER_LIMIT_BYTES = 131_072

interface KeptAnswer {
  /** SHA-256 of method, URL and body. */
  readonly print: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly atEpochMs: number
}

declare module 'fastify' {
  interface FastifyRequest {
    idempotency: { readonly key: string; readonly print: string } | null
  }
  interface FastifyContextConfig {
    /** The answer holds something that may be shown once only. */
    isAnswerSecret?: boolean
  }
}

const digest = (...parts: readonly string[]): string => createHash('sha256').update(JSON.stringify(parts)).digest('base64url')

interface Kept {
  readonly rows: number
  readonly bytes: number
}

function measure(table: Table<KeptAnswer>): Kept {
  const entries = table.entries()
  return { rows: entries.length, bytes: entries.reduce((sum, [, row]) => sum + row.body.length, 0) }
}

/** Adds the hooks to every write route of `app`. */
export function useIdempotency(app: FastifyInstance, services: Pick<RestServices, 'store' | 'clock'>): void {
  const { clock } = services
  const table = services.store.table<KeptAnswer>('idempotency')
  const inFlight = new Set<string>()
  let kept = measure(table)

  const prune = (): void => {
    const oldest = clock.nowEpochMs() - KEPT_MS
    const isFull = kept.rows >= ROWS_MAX || kept.bytes >= BYTES_MAX
    const entries = table.entries().toSorted(([, a], [, b]) => a.atEpochMs - b.atEpochMs)
    // Room for a while, so that a full table is not looked through at every write.
    const excess = isFull ? Math.ceil(entries.length / 4) : 0
    for (const [index, [key, row]] of entries.entries()) if (row.atEpochMs < oldest || index < excess) table.delete(key)
    kept = measure(table)
  }
  app.addHook('onClose', clock.every(PRUNE_INTERVAL_MS, prune))

  const readKey = (request: FastifyRequest): string | undefined => {
    const key = request.headers['idempotency-key']
    if (key === undefined || request.method === 'GET' || request.method === 'HEAD' || request.caller === null) return undefined
    if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key))
      throw new Problem(400, 'BAD_IDEMPOTENCY_KEY', 'Idempotency-Key must be 1 to 255 visible characters')
    if (request.routeOptions.config.isAnswerSecret === true)
      throw new Problem(400, 'BAD_IDEMPOTENCY_KEY', 'the answer is shown once and cannot be repeated: leave Idempotency-Key out')
    const { actor, tenant } = callerOf(request)
    return digest(actor.userUuid ?? actor.name, tenant, key)
  }

  app.decorateRequest('idempotency', null)
  app.addHook('preHandler', async (request, reply) => {
    const key = readKey(request)
    if (key === undefined) return
    const print = digest(request.method, request.url, JSON.stringify(request.body ?? null), String(request.headers['if-match'] ?? ''))
    const earlier = table.get(key)
    if (earlier !== undefined && earlier.atEpochMs >= clock.nowEpochMs() - KEPT_MS) {
      if (earlier.print !== print) throw new Problem(422, 'IDEMPOTENCY_KEY_REUSED', 'this Idempotency-Key was used for another request')
      return reply.code(earlier.status).headers(earlier.headers).header('idempotent-replayed', 'true').send(earlier.body)
    }
    if (inFlight.has(key)) throw new Problem(409, 'IN_PROGRESS', 'the first request with this Idempotency-Key is still being done')
    inFlight.add(key)
    request.idempotency = { key, print }
  })

  app.addHook('onSend', async (request, reply, payload) => {
    const { idempotency } = request
    if (idempotency === null || reply.statusCode >= 300) return payload
    const body = payload === undefined || payload === null ? '' : payload
    if (typeof body !== 'string' || body.length > ANSWER_LIMIT_BYTES) return payload
    const headers = Object.fromEntries(
      ['content-type', 'etag', 'location'].flatMap(name => {
        const value = reply.getHeader(name)
        return typeof value === 'string' ? [[name, value]] : []
      })
    )
    if (kept.rows >= ROWS_MAX || kept.bytes >= BYTES_MAX) prune()
    table.set(idempotency.key, { print: idempotency.print, status: reply.statusCode, headers, body, atEpochMs: clock.nowEpochMs() })
    kept = { rows: kept.rows + 1, bytes: kept.bytes + body.length }
    return payload
  })

  app.addHook('onResponse', async request => {
    if (request.idempotency !== null) inFlight.delete(request.idempotency.key)
  })
}
