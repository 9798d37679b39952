/** A claim of a request's bearer token, to count by. Nothing of the token is verified here: it is a name, not a proof. */
import { headersOf } from '../exchange/headers.ts'

/** A longer token is none. */
const MAX_TOKEN_CHARACTERS = 8_192
/** Bearer of RFC 6750 §2.1 with a JWS in compact form, RFC 7515 §7.1: three parts in base64url, of which the last may be empty. */
const bearer = /^Bearer +[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*$/i
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The value of a claim in the payload of a JSON web token (RFC 7519 §3), as `Authorization` carries it.
 *
 * Shapes  headers: flat, as the request has them
 * Returns strings as they are, numbers and truth values as JSON writes them; undefined when there is no such claim, when it
 *         is anything else, or when this is not a token
 * Throws  nothing, whatever the header
 * Cost    O(n) in the token, which is bounded
 */
export function claimOf(headers: readonly string[], name: string): string | undefined {
  const [value, another] = headersOf(headers, 'authorization')
  if (value === undefined || another !== undefined || value.length > MAX_TOKEN_CHARACTERS) return undefined
  const encoded = bearer.exec(value)?.[1]
  // Of four characters in base64 one alone says nothing, RFC 4648 §4.
  if (encoded === undefined || encoded.length % 4 === 1) return undefined
  let payload: unknown
  try {
    payload = JSON.parse(utf8.decode(Buffer.from(encoded, 'base64url')))
  } catch {
    return undefined
  }
  if (payload === null || typeof payload !== 'object' || Array.isArray(payload) || !Object.hasOwn(payload, name)) return undefined
  const claim = (payload as Readonly<Record<string, unknown>>)[name]
  return typeof claim === 'string' ? claim : typeof claim === 'number' || typeof claim === 'boolean' ? String(claim) : undefined
}
