/** What a request's head must satisfy before anything is decided on it, whichever codec read it. RFC 9110 and 9112. */
import { isIPv6 } from 'node:net'
import { Fault } from '#engine/base/fault.ts'
import type { BodyFraming, RequestHead } from '../exchange/exchange.ts'
import { hasToken, headerOf, isHopByHop, stripHopByHop } from '../exchange/headers.ts'
import { normalizeTarget, type NormalTarget } from '../route/path.ts'

/** A head as a codec hands it over: names and values as received, values without surrounding white space. */
export interface RawHead {
  readonly method: string
  readonly target: string
  /** '1.0', '1.1' or '2'. */
  readonly version: string
  /** Flat. */
  readonly headers: readonly string[]
}

export interface HeadLimits {
  readonly maxHeaderCount: number
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Visible characters, space, tab and what is beyond ASCII; RFC 9110 §5.5. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/
const registeredName = /^(?:[a-z0-9_~-]+(?:\.[a-z0-9_~-]+)*\.?)?$/
/** Servers that fold `_` into `-` would take these for ours. */
const lookAlike = /^(?:x_forwarded_|x_real_ip|x_request_id|content_length|transfer_encoding|forwarded$|host_)/

const bad = (what: string): Fault => new Fault('DOWNSTREAM_BAD_REQUEST', what)

/**
 * Checks a head and brings it into the one form that everything else works on.
 *
 * Returns a Fault for what is not understood exactly: it is refused, never passed on
 */
export function readHead(raw: RawHead, limits: HeadLimits): RequestHead | Fault {
  const { method, target, version } = raw
  if (!token.test(method)) return bad('a method that is no token')
  if (version !== '1.1' && version !== '1.0' && version !== '2') return bad('a version that is not spoken here')
  if (raw.headers.length / 2 > limits.maxHeaderCount) return new Fault('DOWNSTREAM_HEADERS_TOO_LARGE', 'too many header fields')
  const headers: string[] = []
  for (let i = 0; i < raw.headers.length; i += 2) {
    const name = raw.headers[i]!.toLowerCase()
    const value = raw.headers[i + 1]!
    if (!token.test(name) || !fieldValue.test(value)) return bad('a header field that is not well formed')
    headers.push(name, value)
  }
  return settleHead({ method, target, version, headers }, hostOf)
}

/**
 * The rest of it, for a codec that has checked each byte of method, names and values, and made the names lower case.
 *
 * Shapes  raw: its headers are taken over and changed. readHost: `hostOf`, or one that remembers
 */
export function settleHead(raw: RawHead & { readonly headers: string[] }, readHost: typeof hostOf): RequestHead | Fault {
  const { method, version, headers } = raw
  if (method === 'CONNECT' || method === 'TRACE') return new Fault('DOWNSTREAM_METHOD_REFUSED', `${method} is not served`)
  let given: string | undefined
  let length: string | undefined
  let coding: string | undefined
  let hasHops = false
  let kept = 0
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    if (name === 'host') {
      if (given !== undefined) return bad('not exactly one host')
      given = value
      continue
    }
    if (name === 'content-length') {
      if (length !== undefined) return bad('content-length twice')
      length = value
    } else if (name === 'transfer-encoding') {
      if (coding !== undefined) return bad('transfer-encoding twice')
      coding = value
      hasHops = true
    } else if (isHopByHop(name)) hasHops = true
    else if (name.includes('_') && lookAlike.test(name)) continue
    headers[kept] = name
    headers[kept + 1] = value
    kept += 2
  }
  headers.length = kept
  const contentLength = readFraming(length, coding, version)
  if (contentLength instanceof Fault) return contentLength
  if (given === undefined && version === '1.1') return bad('not exactly one host')
  const authority = given ?? ''
  const normal = readTarget(method, raw.target, authority)
  if (normal instanceof Fault) return normal
  const host = readHost(authority)
  if (host === undefined) return bad('a host that is none')
  const framing: BodyFraming = contentLength < 0 ? 'chunked' : length === undefined ? 'none' : 'length'
  const isWebSocket = hasHops && isWebSocketHandshake(method, version, headers, framing)
  if (hasHops) stripHopByHop(headers, isWebSocket ? ['connection', 'upgrade'] : [])
  const { target, path, query } = normal
  return { method, target, path, query, host, authority, version, headers, framing, contentLength, isWebSocket }
}

/** Bytes of the body; -1 for chunks. */
function readFraming(length: string | undefined, coding: string | undefined, version: string): number | Fault {
  if (coding !== undefined) {
    if (length !== undefined) return bad('content-length beside transfer-encoding')
    if (coding.toLowerCase() !== 'chunked' || version !== '1.1') return bad('a transfer-encoding other than chunked')
    return -1
  }
  if (length === undefined) return 0
  if (!/^\d{1,15}$/.test(length)) return bad('a content-length that is no length')
  return Number(length)
}

/** Origin-form, absolute-form (whose authority must be the Host) and `*`. */
function readTarget(method: string, raw: string, host: string): NormalTarget | Fault {
  if (raw === '*') return method === 'OPTIONS' ? { target: '*', path: '*', query: '' } : bad('an asterisk for a target')
  let path = raw
  if (!raw.startsWith('/')) {
    const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(raw)
    if (absolute === null) return bad('a target in no known form')
    if (absolute[1]!.toLowerCase() !== host.toLowerCase()) return bad('a target for another host than Host')
    path = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]!}`
  }
  const normal = normalizeTarget(path)
  return typeof normal === 'string' ? bad(normal) : normal
}

/** The host in lower case, without port; undefined when it is neither a name nor an address. */
export function hostOf(authority: string): string | undefined {
  const parts = /^(\[[^\]]*\]|[^:]*)(?::(\d{0,5}))?$/.exec(authority.toLowerCase())
  if (parts === null || Number(parts[2] ?? 0) > 65_535) return undefined
  const host = parts[1]!
  if (host.startsWith('[')) return isIPv6(host.slice(1, -1)) ? host : undefined
  if (!registeredName.test(host)) return undefined
  return host.endsWith('.') ? host.slice(0, -1) : host
}

/** `hostOf`, for those who ask for the same one again and again. */
export function makeHostReader(): typeof hostOf {
  let last = ''
  let host = hostOf(last)
  return authority => {
    if (authority !== last) {
      host = hostOf(authority)
      last = authority
    }
    return host
  }
}

/** RFC 6455 §4.1; what is not exactly that is an ordinary request whose `Upgrade` goes no further. */
function isWebSocketHandshake(method: string, version: string, headers: readonly string[], framing: BodyFraming): boolean {
  return (
    method === 'GET' &&
    version === '1.1' &&
    framing === 'none' &&
    headerOf(headers, 'upgrade')?.toLowerCase() === 'websocket' &&
    hasToken(headerOf(headers, 'connection'), 'upgrade') &&
    headerOf(headers, 'sec-websocket-version') === '13' &&
    /^[A-Za-z0-9+/]{22}==$/.test(headerOf(headers, 'sec-websocket-key') ?? '')
  )
}
