/** Header fields as one flat list [name, value, name, value ...] with lower-case names: order and repeats are kept. */

/** The first value of a field; undefined when there is none. `name` in lower case. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return undefined
}

/** All values of a field, in order. */
export function headersOf(headers: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) values.push(headers[i + 1]!)
  return values
}

/** Removes every field of that name, in place. */
export function removeHeader(headers: string[], name: string): void {
  let kept = 0
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) continue
    headers[kept] = headers[i]!
    headers[kept + 1] = headers[i + 1]!
    kept += 2
  }
  headers.length = kept
}

/** One field of that name, with that value, at the end. */
export function setHeader(headers: string[], name: string, value: string): void {
  removeHeader(headers, name)
  headers.push(name, value)
}

/** Bytes that the fields take on the wire, for metering. */
export function headerBytes(headers: readonly string[]): number {
  let bytes = 0
  for (let i = 0; i < headers.length; i += 2) bytes += headers[i]!.length + headers[i + 1]!.length + 4
  return bytes
}

/** RFC 9110 §7.6.1: meant for the next hop only. `expect` is answered by us. */
const hopByHop = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade'
])

export const isHopByHop = (name: string): boolean => hopByHop.has(name)

/** What a peer may not have removed by naming it in `Connection`: who asks, for whom, and where a message ends. */
const neverNominated = new Set([
  'authorization',
  'cache-control',
  'content-length',
  'content-type',
  'cookie',
  'forwarded',
  'host',
  'set-cookie',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id'
])

/** What nearly every `Connection` says: it names no field. */
const isOption = (value: string): boolean => value === 'keep-alive' || value === 'close'

/**
 * Removes, in place, the fields that end at this hop: the fixed ones and those that `Connection` names.
 *
 * Shapes  keeps: names of fixed ones that stay for now
 * Source  RFC 9110 §7.6.1
 */
export function stripHopByHop(headers: string[], keeps: readonly string[] = []): void {
  let nominated: Set<string> | undefined
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'connection' || isOption(headers[i + 1]!)) continue
    for (const part of headers[i + 1]!.split(',')) {
      const name = part.trim().toLowerCase()
      if (name === '' || neverNominated.has(name) || hopByHop.has(name)) continue
      nominated ??= new Set()
      nominated.add(name)
    }
  }
  let kept = 0
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if ((hopByHop.has(name) && !keeps.includes(name)) || nominated?.has(name) === true) continue
    headers[kept] = name
    headers[kept + 1] = headers[i + 1]!
    kept += 2
  }
  headers.length = kept
}

/** Whether a comma-separated field has that token; `token` in lower case. */
export function hasToken(value: string | undefined, token: string): boolean {
  if (value === undefined) return false
  if (!value.includes(',')) return value.length >= token.length && value.trim().toLowerCase() === token
  return value.split(',').some(part => part.trim().toLowerCase() === token)
}

/** The answer depends on that field of the request; said once. */
export function addVary(headers: string[], field: string): void {
  const given = headersOf(headers, 'vary').join(', ')
  if (given === '*' || hasToken(given, field.toLowerCase())) return
  setHeader(headers, 'vary', given === '' ? field : `${given}, ${field}`)
}

/** A call of gRPC, by its content type. */
export function isGrpc(headers: readonly string[]): boolean {
  const type = headerOf(headers, 'content-type')
  return type !== undefined && /^application\/grpc(?:$|[+;\s])/i.test(type)
}

/** The value of a cookie in a `Cookie` header; '' when it is not there. */
export function cookieOf(header: string, name: string): string {
  let from = 0
  while (from < header.length) {
    const end = header.indexOf(';', from)
    const to = end < 0 ? header.length : end
    const equals = header.indexOf('=', from)
    if (equals > 0 && equals < to && header.slice(from, equals).trim() === name) return unquoted(header.slice(equals + 1, to).trim())
    from = to + 1
  }
  return ''
}

const unquoted = (value: string): string => (value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value)

/** Of a body that is another now: what was said of the bytes of before is not said of those of after. */
export function forgetBody(headers: string[]): void {
  for (const name of ['content-length', 'accept-ranges', 'content-md5', 'content-digest', 'repr-digest', 'digest'])
    removeHeader(headers, name)
  const tag = headerOf(headers, 'etag')
  // RFC 9110 §8.8.1: another body of the same meaning.
  if (tag?.startsWith('"') === true) setHeader(headers, 'etag', `W/${tag}`)
}
