/** Heads as they are sent: one latin1 text each, so that a message is one write. */
import type { Exchange, ResponseHead } from '../../exchange/exchange.ts'
import type { Destination } from '../../exchange/forwarder.ts'

/** What is said of a message's end and of the connection's: here alone, whatever rules have put into the fields. */
export function isFraming(name: string): boolean {
  switch (name.length) {
    case 4:
      return name === 'host'
    case 7:
      return name === 'upgrade'
    case 10:
      return name === 'connection' || name === 'keep-alive'
    case 14:
      return name === 'content-length'
    case 17:
      return name === 'transfer-encoding'
    default:
      return false
  }
}

/** The head of a request to a server. */
export function requestText(exchange: Exchange, destination: Destination, isUpgrade: boolean): string {
  const { request } = exchange
  const { headers } = request
  // HTTP/1.0 may come without a host, but does not go on as 1.1 without one.
  const host = destination.hostHeader ?? (request.authority || `${destination.address()}:${destination.port}`)
  let text = `${request.method} ${request.target} HTTP/1.1\r\nhost: ${host}\r\n`
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (!isFraming(name)) text += `${name}: ${headers[i + 1]!}\r\n`
  }
  if (request.framing === 'length') text += `content-length: ${request.contentLength}\r\n`
  else if (request.framing === 'chunked') text += 'transfer-encoding: chunked\r\n'
  return isUpgrade ? `${text}connection: Upgrade\r\nupgrade: websocket\r\n\r\n` : `${text}\r\n`
}

export interface Delivery {
  /** Bytes that the body is said to have; -1 says nothing. */
  readonly length: number
  readonly isChunked: boolean
  /** What is said about the connection: a line, or nothing. */
  readonly connection: string
}

export const CLOSE = 'connection: close\r\n'
export const KEEP = 'connection: keep-alive\r\n'
export const UPGRADE = 'connection: Upgrade\r\nupgrade: websocket\r\n'

/**
 * The head of a response to a client.
 *
 * Shapes  date: added when the response has none (RFC 9110 §6.6.1)
 */
export function responseText(head: ResponseHead, delivery: Delivery, date: string): string {
  const { headers } = head
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`
  let hasDate = false
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (isFraming(name)) continue
    if (name === 'date') hasDate = true
    text += `${name}: ${headers[i + 1]!}\r\n`
  }
  if (!hasDate && date !== '') text += `date: ${date}\r\n`
  if (delivery.isChunked) text += 'transfer-encoding: chunked\r\n'
  else if (delivery.length >= 0) text += `content-length: ${delivery.length}\r\n`
  return `${text}${delivery.connection}\r\n`
}

/** What a trailer may not say: RFC 9110 §6.5.1, and what was decided on before it came. */
const neverTrailing = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'location',
  'max-forwards',
  'origin',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'www-authenticate',
  'x-real-ip',
  'x-request-id'
])

/** The last chunk, with the trailers that may pass. */
export function lastChunk(trailers: readonly string[]): string {
  if (trailers.length === 0) return '0\r\n\r\n'
  let text = '0\r\n'
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i]!
    const plain = name.replaceAll('_', '-')
    if (!neverTrailing.has(plain) && !plain.startsWith('x-forwarded-')) text += `${name}: ${trailers[i + 1]!}\r\n`
  }
  return `${text}\r\n`
}

/** The Date of now, made once a second. */
export class Dates {
  readonly #nowEpochMs: () => number
  #second = 0
  #text = ''

  constructor(nowEpochMs: () => number) {
    this.#nowEpochMs = nowEpochMs
  }

  now(): string {
    const second = Math.floor(this.#nowEpochMs() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#text = new Date(second * 1000).toUTCString()
    }
    return this.#text
  }
}
