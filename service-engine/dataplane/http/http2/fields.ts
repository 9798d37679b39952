/** Fields of HTTP/2 messages, into what everything else works on, and back. RFC 9113 §8. */
import { Fault } from '#engine/base/fault.ts'
import type { RequestHead, ResponseHead } from '../../exchange/exchange.ts'
import type { Destination } from '../../exchange/forwarder.ts'
import { headerOf, isGrpc } from '../../exchange/headers.ts'
import { readHead, type HeadLimits } from '../head.ts'

const bad = (what: string): Fault => new Fault('DOWNSTREAM_BAD_REQUEST', what)

/** RFC 9113 §8.2.1: no upper case, nothing that ends a line, no white space around a value. */
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
const fieldValue = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/** Of a head; a server that has more to say is up to something. */
const MAX_FIELDS = 4_096

/** RFC 9113 §8.2.2: they say how a connection of HTTP/1.1 is used, and are none of a message here. */
const connectionSpecific = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'http2-settings'])

export interface StreamHead {
  readonly head: RequestHead
  /** The client waits for a 100 before it sends the body. */
  readonly expectsContinue: boolean
}

interface Pseudo {
  method: string | undefined
  scheme: string | undefined
  authority: string | undefined
  path: string | undefined
}

/**
 * The head of a request on a stream, brought into the one form that everything else works on. What would become another
 * message in HTTP/1.1 is refused, never left out.
 *
 * Shapes  fields: flat, as received. hasBody: the stream did not end with its head
 * Source  RFC 9113 §8.2, §8.3; cookies that came apart are joined (§8.2.3)
 */
export function readStreamHead(fields: readonly string[], hasBody: boolean, limits: HeadLimits): StreamHead | Fault {
  const pseudo: Pseudo = { method: undefined, scheme: undefined, authority: undefined, path: undefined }
  const headers: string[] = []
  let host: string | undefined
  let cookie: string | undefined
  let expectation: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    if (name.startsWith(':')) {
      const key = name.slice(1)
      if (headers.length > 0 || host !== undefined || cookie !== undefined) return bad('a pseudo-header field after a header field')
      if (!isPseudo(key)) return bad('a pseudo-header field that is not known')
      if (pseudo[key] !== undefined) return bad('a pseudo-header field twice')
      pseudo[key] = value
      continue
    }
    if (!fieldName.test(name) || !fieldValue.test(value)) return bad('a header field that is not well formed')
    if (connectionSpecific.has(name)) return bad(`${name} in HTTP/2`)
    if (name === 'te') {
      if (value.toLowerCase() !== 'trailers') return bad('te other than trailers')
    } else if (name === 'host') {
      if (host !== undefined) return bad('not exactly one host')
      host = value
    } else if (name === 'cookie') cookie = cookie === undefined ? value : `${cookie}; ${value}`
    else if (name === 'expect') expectation = expectation === undefined ? value.toLowerCase() : 'more than one'
    else headers.push(name, value)
  }
  if (cookie !== undefined) headers.push('cookie', cookie)
  const { method, scheme, authority, path } = pseudo
  if (method === 'CONNECT') return new Fault('DOWNSTREAM_METHOD_REFUSED', 'CONNECT is not served')
  if (method === undefined || scheme === undefined || path === undefined) return bad('a request without its pseudo-header fields')
  if (scheme !== 'https' && scheme !== 'http') return bad('a scheme that is not served')
  if (path !== '*' && !path.startsWith('/')) return bad('a path that is none')
  if (host !== undefined && authority !== undefined && host.toLowerCase() !== authority.toLowerCase())
    return bad('an authority other than the host')
  const given = authority ?? host
  if (given === undefined || given === '') return bad('not exactly one host')
  if (expectation !== undefined && expectation !== '100-continue')
    return new Fault('DOWNSTREAM_EXPECTATION_FAILED', 'an expectation that is not known')

  const head = readHead({ method, target: path, version: '2', headers: ['host', given, ...headers] }, limits)
  if (head instanceof Fault) return head
  const isFramed = head.framing === 'length'
  if (isFramed && !hasBody && head.contentLength > 0) return bad('a content-length without a body')
  const framed: RequestHead = hasBody && !isFramed ? { ...head, framing: 'chunked', contentLength: -1 } : head
  return { head: framed, expectsContinue: expectation !== undefined && hasBody }
}

const isPseudo = (key: string): key is keyof Pseudo => key === 'method' || key === 'scheme' || key === 'authority' || key === 'path'

/** Not fields of a message in HTTP/2, whoever has put them there. */
const isConnectionField = (name: string): boolean => connectionSpecific.has(name) || name === 'te' || name === 'content-length'

/**
 * A response's head as a stream is given it.
 *
 * Shapes  length: what is said of the body; -1 says nothing
 */
export function responseFields({ status, headers }: ResponseHead, length: number, date: string): string[] {
  const fields = [':status', String(status)]
  let hasDate = date === ''
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    const value = headers[i + 1]!
    // What rules have put in is no better than what they were written as.
    if (name === 'host' || isConnectionField(name) || !fieldName.test(name) || !fieldValue.test(value)) continue
    if (name === 'date') hasDate = true
    fields.push(name, value)
  }
  if (!hasDate) fields.push('date', date)
  if (length >= 0) fields.push('content-length', String(length))
  return fields
}

/** The head of a request to a server. */
export function requestFields(request: RequestHead, destination: Destination): string[] {
  const { method, target, authority, headers, framing, contentLength } = request
  const own = `${destination.address()}:${destination.port}`
  const fields = [':method', method, ':scheme', destination.tls === null ? 'http' : 'https', ':path', target]
  fields.push(':authority', destination.hostHeader ?? (authority || own))
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    if (name !== 'host' && !isConnectionField(name)) fields.push(name, headers[i + 1]!)
  }
  if (framing === 'length') fields.push('content-length', String(contentLength))
  // Servers of gRPC want to know that what ends a response gets through; it does, here.
  if (isGrpc(request.headers)) fields.push('te', 'trailers')
  return fields
}

const badAnswer = (what: string): Fault => new Fault('UPSTREAM_BAD_RESPONSE', what)

export interface StreamAnswer {
  readonly status: number
  readonly headers: string[]
  /** What is said of the body; -1 for nothing. */
  readonly length: number
}

/**
 * A head that a server has answered with, interim ones too. What would become another message in HTTP/1.1 is a fault, never
 * left out.
 *
 * Shapes  fields: flat, as received
 * Source  RFC 9113 §8.2, §8.3.2, §8.6 (no 101)
 */
export function readAnswerHead(fields: readonly string[]): StreamAnswer | Fault {
  const headers: string[] = []
  let status = 0
  let length = -1
  if (fields.length > 2 * MAX_FIELDS) return badAnswer('more header fields than anybody needs')
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    if (name.startsWith(':')) {
      if (name !== ':status') return badAnswer('a pseudo-header field that is not known')
      if (headers.length > 0) return badAnswer('a pseudo-header field after a header field')
      if (status !== 0) return badAnswer('a status twice')
      if (!/^[1-5]\d\d$/.test(value) || value === '101') return badAnswer('a status that is none')
      status = Number(value)
      continue
    }
    if (!fieldName.test(name) || !fieldValue.test(value)) return badAnswer('a header field that is not well formed')
    if (connectionSpecific.has(name)) return badAnswer(`${name} in HTTP/2`)
    if (name === 'content-length') {
      if (length >= 0 || !/^\d{1,15}$/.test(value)) return badAnswer('a content-length that is no length')
      length = Number(value)
    }
    headers.push(name, value)
  }
  return status === 0 ? badAnswer('an answer without a status') : { status, headers, length }
}

/** What a trailer may not say: where a message ends, for whom it is, who asks (RFC 9110 §6.5.1). */
const neverTrailing = new Set([
  ...connectionSpecific,
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'host',
  'set-cookie',
  'te',
  'trailer'
])

/** Trailers that may pass, flat; those that may not, or are not well formed, are left out. */
export function passableTrailers(fields: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    if (fieldName.test(name) && fieldValue.test(value) && !neverTrailing.has(name)) kept.push(name, value)
  }
  return kept
}

const grpcStatusOf: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 }
const UNKNOWN = 2

/**
 * An answer of ours to a gRPC call: its status is said in what ends the response, and nothing comes before that.
 *
 * Source  gRPC over HTTP/2, Trailers-Only; doc/http-grpc-status-mapping.md
 */
export function grpcFields({ status, reason, headers }: ResponseHead): string[] {
  const fields = [':status', '200', 'content-type', 'application/grpc', 'grpc-status', String(grpcStatusOf[status] ?? UNKNOWN)]
  fields.push('grpc-message', encodeURIComponent(`${status} ${reason}`).replaceAll('%20', ' '))
  const id = headerOf(headers, 'x-request-id')
  if (id !== undefined) fields.push('x-request-id', id)
  return fields
}

/** Whether a block behind a body holds nothing but fields, as names and values have to be. */
export function areTrailers(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2) if (!fieldName.test(fields[i]!) || !fieldValue.test(fields[i + 1]!)) return false
  return true
}
