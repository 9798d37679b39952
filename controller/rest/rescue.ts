/** The one place where a failure becomes a response: RFC 9457 problem details that also carry Avi's `error` string. */
import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Violation } from '#model/resource/violation.ts'
import { TooManyAttempts } from '#controller/access/access.ts'
import { ChangeRefused } from '#controller/change/order.ts'
import type { RefusalCode } from '#controller/change/order.ts'
import { EnrolRefused } from '#controller/fleet/port.ts'
import { StaleRevision, StoreUnavailable } from '#controller/store/store.ts'
import { Problem } from './problem.ts'
import type { Log } from '#model/base/log.ts'

const refusals: Readonly<Record<RefusalCode, number>> = {
  INVALID: 422,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  IN_USE: 409,
  STALE: 412,
  CONFLICT: 409
}

const titles: Readonly<Record<number, string>> = {
  400: 'Malformed request',
  401: 'Not signed in',
  403: 'Not allowed',
  404: 'Not found',
  408: 'Too slow',
  405: 'Method not allowed',
  409: 'Conflict',
  412: 'Stale',
  413: 'Body too large',
  414: 'URL too long',
  415: 'Unsupported media type',
  422: 'Invalid',
  429: 'Too many requests',
  431: 'Headers too large',
  500: 'Internal error',
  503: 'Unavailable'
}

/** How many violations the one-line `error` names; `violations` has all. */
const ERROR_VIOLATIONS = 10

export interface ProblemBody {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly instance: string
  readonly code: string
  /** Avi's: the whole story in one line. */
  readonly error: string
  readonly violations?: readonly Violation[]
}

interface Judged {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly violations: readonly Violation[]
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Says what a failure means to a client.
 *
 * Returns status 500 with nothing of the failure in it exactly when the failure is a bug of ours
 */
export function judge(error: unknown): Judged {
  if (error instanceof Problem)
    return { status: error.status, code: error.code, detail: error.message, violations: error.violations, headers: error.headers }
  if (error instanceof ChangeRefused)
    return { status: refusals[error.code], code: error.code, detail: error.message, violations: error.violations, headers: {} }
  if (error instanceof EnrolRefused)
    return { status: error.status, code: 'ENROL_REFUSED', detail: error.message, violations: [], headers: {} }
  if (error instanceof TooManyAttempts)
    return {
      status: 429,
      code: 'TOO_MANY_REQUESTS',
      detail: error.message,
      violations: [],
      headers: { 'retry-after': String(error.retryAfterS) }
    }
  if (error instanceof Error) {
    const { statusCode, code } = error as { statusCode?: unknown; code?: unknown }
    if (error instanceof StaleRevision)
      return {
        status: 409,
        code: 'CONFLICT',
        detail: 'something else was changed at the same time: try again',
        violations: [],
        headers: {}
      }
    if (error instanceof StoreUnavailable || (typeof code === 'string' && code.startsWith('SQLITE_')))
      return {
        status: 503,
        code: 'STORE_UNAVAILABLE',
        detail: 'the store cannot do this now',
        violations: [],
        headers: { 'retry-after': '5' }
      }
    if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
      return { status: statusCode, code: clientCode(code, statusCode), detail: error.message, violations: [], headers: {} }
    if (statusCode === 503)
      return { status: 503, code: 'UNAVAILABLE', detail: error.message, violations: [], headers: { 'retry-after': '5' } }
  }
  return { status: 500, code: 'INTERNAL', detail: 'something went wrong here; the log knows more', violations: [], headers: {} }
}

function clientCode(code: unknown, status: number): string {
  if (status === 413) return 'BODY_TOO_LARGE'
  if (status === 415) return 'UNSUPPORTED_MEDIA_TYPE'
  if (status === 429) return 'TOO_MANY_REQUESTS'
  return typeof code === 'string' && !code.startsWith('FST_') ? code : 'MALFORMED'
}

/** The body of a refusal. */
export function problemBody(judged: Judged, instance: string): ProblemBody {
  const { status, code, detail, violations } = judged
  // Elsewhere the detail says it already.
  const named = (code === 'INVALID' ? violations : [])
    .slice(0, ERROR_VIOLATIONS)
    .map(violation => `${violation.pointer || '/'} ${violation.message}`)
  const more = violations.length - ERROR_VIOLATIONS
  return {
    type: `urn:weir:problem:${code.toLowerCase().replaceAll('_', '-')}`,
    title: titles[status] ?? 'Refused',
    status,
    detail,
    instance: `urn:uuid:${instance}`,
    code,
    error: named.length === 0 ? detail : `${detail}: ${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
    ...(violations.length > 0 ? { violations: violations.map(({ pointer, message }) => ({ pointer, message })) } : {})
  }
}

/** So much of a body that is refused is still read, so that its sender gets to see why. */
const READ_AWAY_BYTES = 67_108_864

/**
 * Reads what is left of a request's body and calls `done`, at once when nothing is left.
 *
 * Answering before would close the connection of a client that still sends (it may have asked for that by
 * `Connection: close`): a reset, and the answer would be lost (RFC 9112 §9.6). The server's request timeout bounds the wait.
 */
function readAway(request: FastifyRequest, done: () => void): void {
  const { raw } = request
  const declared = Number(request.headers['content-length'] ?? 0)
  if (raw.complete || raw.readableEnded || raw.destroyed || declared > READ_AWAY_BYTES) return done()
  let readBytes = 0
  const finish = (): void => {
    raw.off('data', count).off('end', finish).off('close', finish)
    done()
  }
  const count = (chunk: Buffer): void => {
    readBytes += chunk.length
    if (readBytes > READ_AWAY_BYTES) finish()
  }
  raw.on('data', count).on('end', finish).on('close', finish).resume()
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: unknown, log: Log): FastifyReply {
  const judged = judge(error)
  // What we refuse knowingly is no trouble of ours; the rest is, and its cause stays in the log.
  if (judged.status >= 500 && !(error instanceof Problem))
    log.error('request failed', {
      instance: request.id,
      method: request.method,
      path: request.url.split('?', 1)[0],
      status: judged.status,
      error
    })
  for (const [name, value] of Object.entries(judged.headers)) reply.header(name, value)
  reply.code(judged.status).type('application/problem+json')
  readAway(request, () => {
    if (request.raw.complete) reply.removeHeader('connection')
    reply.send(JSON.stringify(problemBody(judged, request.id)))
  })
  return reply
}

export function useRescue(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, error, log))
}

/** Answers what is no HTTP at all, as far as the connection still listens. */
export function rescueConnection(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, reason] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'the headers are too large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'the request took too long']
        : [400, 'this is not HTTP']
  const body = JSON.stringify(problemBody({ status, code: 'MALFORMED', detail: reason, violations: [], headers: {} }, randomUUID()))
  const head = `HTTP/1.1 ${status} ${titles[status] ?? 'Refused'}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`
  socket.end(head + body)
}
