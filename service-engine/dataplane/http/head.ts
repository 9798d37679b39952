/** What a request's head must satisfy before anything is decided on it, whichever codec read it. RFC 9110 and 9112. */
import { isIPv6 } from 'node:net'
import { Fault } from '#engine/base/fault.ts'
import type { BodyFraming, RequestHead } from '../exchange/exchange.ts'
import { hasToken, headerOf, stripHopByHop } from '../exchange/headers.ts'
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
  const { method, version } = raw
  if (!token.test(method)) return bad('a method that is no token')
  if (version !== '1.1' && version !== '1.0' && version !== '2') return bad('a version that is not spoken here')
  if (raw.headers.length / 2 > limits.maxHeaderCount) return new Fault('DOWNSTREAM_HEADERS_TOO_LARGE', 'too many header fields')
  if (method === 'CONNECT' || method === 'TRACE') return new Fault('DOWNSTREAM_METHOD_REFUSED', `${method} is not served`)

  const headers: string[] = []
  const hosts: string[] = []
  for (let i = 0; i < raw.headers.length; i += 2) {
    const name = raw.headers[i]!.toLowerCase()
    const value = raw.headers[i + 1]!
    if (!token.test(name) || !fieldValue.test(value)) return bad('a header field that is not well formed')
    if (name === 'host') hosts.push(value)
    else if (!name.includes('_') || !lookAlike.test(name)) headers.push(name, value)
  }

  const body = readFraming(headers, version)
  if (body instanceof Fault) return body
  if (hosts.length > 1 || (hosts.length === 0 && version === '1.1')) return bad('not exactly one host')
  const given = hosts[0] ?? ''
  const split = splitTarget(method, raw.target, given)
  if (split instanceof Fault) return split
  const host = hostOf(split.authority)
  if (host === undefined) return bad('a host that is none')

  const isWebSocket = isWebSocketHandshake(method, version, headers, body.framing)
  stripHopByHop(headers, isWebSocket ? ['connection', 'upgrade'] : [])
  return { method, ...split, host, version, headers, framing: body.framing, contentLength: body.length, isWebSocket }
}

function readFraming(headers: readonly string[], version: string): { framing: BodyFraming; length: number } | Fault {
  let length: string | undefined
  let coding: string | undefined
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === 'content-length') {
      if (length !== undefined) return bad('content-length twice')
      length = headers[i + 1]!
    } else if (headers[i] === 'transfer-encoding') {
      if (coding !== undefined) return bad('transfer-encoding twice')
      coding = headers[i + 1]!
    }
  }
  if (coding !== undefined) {
    if (length !== undefined) return bad('content-length beside transfer-encoding')
    if (coding.toLowerCase() !== 'chunked' || version !== '1.1') return bad('a transfer-encoding other than chunked')
    return { framing: 'chunked', length: -1 }
  }
  if (length === undefined) return { framing: 'none', length: 0 }
  if (!/^\d{1,15}$/.test(length)) return bad('a content-length that is no length')
  return { framing: 'length', length: Number(length) }
}

/** Origin-form, absolute-form (whose authority must be the Host) and `*`. */
function splitTarget(method: string, raw: string, host: string): (NormalTarget & { authority: string }) | Fault {
  if (raw === '*') return method === 'OPTIONS' ? { target: '*', path: '*', query: '', authority: host } : bad('an asterisk for a target')
  let path = raw
  if (!raw.startsWith('/')) {
    const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(raw)
    if (absolute === null) return bad('a target in no known form')
    if (absolute[1]!.toLowerCase() !== host.toLowerCase()) return bad('a target for another host than Host')
    path = absolute[2]!.startsWith('/') ? absolute[2]! : `/${absolute[2]!}`
  }
  const normal = normalizeTarget(path)
  return typeof normal === 'string' ? bad(normal) : { ...normal, authority: host }
}

/** The host in lower case, without port; undefined when it is neither a name nor an address. */
function hostOf(authority: string): string | undefined {
  const parts = /^(\[[^\]]*\]|[^:]*)(?::(\d{0,5}))?$/.exec(authority.toLowerCase())
  if (parts === null || Number(parts[2] ?? 0) > 65_535) return undefined
  const host = parts[1]!
  if (host.startsWith('[')) return isIPv6(host.slice(1, -1)) ? host : undefined
  if (!registeredName.test(host)) return undefined
  return host.endsWith('.') ? host.slice(0, -1) : host
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
