/** JSON bodies as they come in: bounded in depth, no prototype tricks, an empty body is no body. */
import type { FastifyInstance } from 'fastify'
import type { JsonObject } from '#model/resource/kind.ts'
import { Problem } from './problem.ts'

export const BODY_LIMIT_BYTES = 1_048_576
/** Deeper than any of our objects needs, shallow enough for every recursion over it. */
export const MAX_DEPTH = 32

/**
 * Does a JSON text nest deeper than `limit`? Looks at the text, before anything recursive touches it.
 *
 * Cost  O(length), no allocation
 */
export function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0
  let isInString = false
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (isInString) {
      if (char === 0x5c) i++
      else if (char === 0x22) isInString = false
    } else if (char === 0x22) isInString = true
    else if (char === 0x5b || char === 0x7b) {
      if (++depth > limit) return true
    } else if (char === 0x5d || char === 0x7d) depth--
  }
  return false
}

/** Replaces the server's JSON parser; other media types stay refused (415). */
export function useJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(/^application\/(?:[\w.-]+\+)?json(?:;|$)/i, { parseAs: 'string' }, (request, body, done) => {
    const text = typeof body === 'string' ? body : body.toString('utf8')
    // The SDKs send `Content-Type: application/json` with every request, DELETE and logout included.
    if (text.trim() === '') return done(null, undefined)
    if (isDeeperThan(text, MAX_DEPTH)) return done(new Problem(400, 'MALFORMED', `JSON nested deeper than ${MAX_DEPTH} levels`))
    return parse(request, text, (error, value) => {
      if (error) done(new Problem(400, 'MALFORMED', 'the body is not valid JSON, or names __proto__'))
      else done(null, value)
    })
  })
}

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The body as a JSON object. Throws Problem 400 for anything else. */
export function objectBody(body: unknown): JsonObject {
  if (isObject(body)) return body
  throw new Problem(400, 'MALFORMED', body === undefined ? 'a JSON object is needed as the body' : 'the body must be a JSON object')
}
