/**
 * One try to get a request answered by one server.
 *
 *   connecting -> sending (request body flows) -> waiting -> relaying (response flows) -> ended
 *   each may go to ended by a fault; a WebSocket goes from waiting to a splice of both connections
 */
import { createHash } from 'node:crypto'
import { Fault, type FaultCode } from '#engine/base/fault.ts'
import type { Exchange } from '../../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../../exchange/forwarder.ts'
import { hasToken, headerOf, stripHopByHop } from '../../exchange/headers.ts'
import { splice } from '../../l4/splice.ts'
import { connectFault } from '../../upstream/end.ts'
import type { ClientSide, ServerSide } from '../sides.ts'
import { BodyReader, type Framing } from './body-reader.ts'
import { EMPTY } from './bytes.ts'
import { isFraming, lastChunk, requestText, responseText, UPGRADE } from './compose.ts'
import { INCOMPLETE, ResponseReader } from './head-reader.ts'
import { SMALL_BYTES, type WireParts } from './parts.ts'
import { ServerConnection, type IdleServers, type ServerUser } from './server.ts'

/** RFC 6455 §1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** What a server may say of itself; its own limits do not bind it. */
const MAX_HEADER_BYTES = 65_536
const MAX_HEADER_COUNT = 4_096
/** A server that says `processing` for ever answers nothing. */
const MAX_INTERIM = 32
const SWITCHING_PROTOCOLS = 101
const CONTINUE = 100

export const makeResponseReader = (): ResponseReader =>
  new ResponseReader({ maxHeaderBytes: MAX_HEADER_BYTES, maxHeaderCount: MAX_HEADER_COUNT })

export class Attempt implements ServerUser, ServerSide {
  readonly #client: ClientSide
  readonly #exchange: Exchange
  readonly #destination: Destination
  readonly #events: ForwardEvents
  readonly #parts: WireParts
  readonly #idle: IdleServers
  readonly #isTunnel: boolean
  #server: ServerConnection | null = null
  #body: BodyReader | null = null
  /** The beginning of a head that is not whole. */
  #carry: Buffer = EMPTY
  /** The response's head as text, until it is written. */
  #text = ''
  #isChunked = false
  #isKept = false
  #interims = 0
  #isStanding = false
  /** What is timed is not the wait for an answer. */
  #hasStalled = false
  #isRequestSent = false
  #isBodyConsumed = false
  #isBodyDone = false
  #isResponseBegun = false
  #isResponseWhole = false
  #isEnded = false

  constructor(client: ClientSide, exchange: Exchange, destination: Destination, events: ForwardEvents) {
    this.#client = client
    this.#exchange = exchange
    this.#destination = destination
    this.#events = events
    this.#parts = client.parts
    this.#idle = client.idle
    this.#isTunnel = exchange.request.isWebSocket && client.isUpgrade
  }

  get isResponseBegun(): boolean {
    return this.#isResponseBegun
  }

  start(): void {
    const kept = this.#isTunnel ? undefined : this.#idle.take(this.#destination)
    if (kept !== undefined) {
      this.#server = kept
      kept.serve(this)
      return this.#stand()
    }
    this.#server = new ServerConnection(this, this.#destination, this.#idle, this.#parts, this.#isTunnel)
    this.#parts.wheel.lane(this.#destination.connectTimeoutMs).arm(this.#server.timer)
  }

  connected(): void {
    this.#server?.timer.disarm()
    this.#events.connected()
    if (!this.#isEnded) this.#stand()
  }

  /** Ends the attempt; the server's connection is not used again. */
  fail(fault: Fault): void {
    if (this.#isEnded) return
    if (this.#isResponseBegun) this.#client.cut(this.#isDelimited())
    this.#server?.destroy()
    this.#server = null
    if (fault.code === 'UPSTREAM_RESET_WHILE_IDLE') this.#idle.dropIdle(this.#destination)
    this.#end(fault)
  }

  /** More of the request's body. False: no more for now. */
  sendBody(bytes: Buffer, from: number, to: number, isDone: boolean, trailers: readonly string[]): boolean {
    const server = this.#server
    const size = to - from
    if (this.#isEnded || server === null || (size === 0 && !isDone)) return true
    const { socket } = server
    this.#isBodyConsumed = true
    this.#exchange.bytesIn += size
    const isChunked = this.#exchange.request.framing === 'chunked'
    const end = isChunked && isDone ? lastChunk(trailers) : ''
    let isFlowing = true
    if (size <= SMALL_BYTES) {
      const data = bytes.toString('latin1', from, to)
      isFlowing = socket.write(isChunked && size > 0 ? `${size.toString(16)}\r\n${data}\r\n${end}` : data + end, 'latin1')
    } else {
      const out = this.#parts.buffers.take()
      let length = isChunked ? out.write(`${size.toString(16)}\r\n`, 'latin1') : 0
      length += bytes.copy(out, length, from, to)
      if (isChunked) length += out.write('\r\n', length, 'latin1')
      isFlowing = server.writeHeld(out, length)
      if (end !== '') isFlowing = socket.write(end, 'latin1')
    }
    if (isDone) this.#bodySent()
    // A server that has begun to answer may wait for the rest of what it is asked.
    else if (!isFlowing || this.#isResponseBegun) this.#armStall()
    return isFlowing
  }

  serverDrained(): void {
    if (this.#isBodyDone) return
    if (this.#isResponseBegun) this.#armStall()
    else this.#server?.timer.disarm()
    this.#client.resumeBody()
  }

  /** The client takes more. */
  clientDrained(): void {
    const server = this.#server
    if (server === null) return
    if (this.#isResponseBegun) this.#armStall()
    server.resume()
  }

  onBytes(bytes: Buffer, size: number): boolean {
    if (!this.#isStanding) {
      this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a server that speaks before it is asked'))
      return false
    }
    let input = bytes
    let at = 0
    let to = size
    if (this.#body === null && this.#carry.length > 0) {
      input = Buffer.concat([this.#carry, bytes.subarray(0, size)])
      to = input.length
    }
    while (this.#body === null) {
      const end = this.#readHead(input, at, to)
      if (end < 0) return true
      at = end
      if (this.#isEnded || this.#server === null) return false
      if (at === to && this.#body === null) return true
    }
    return this.#relay(input, at, to)
  }

  serverEnded(): void {
    if (this.#isEnded || this.#isResponseWhole) return
    if (this.#body !== null && this.#isUntilClose()) return this.#relayEnd(false)
    this.lost(undefined)
  }

  /** The server's connection is gone: what that means depends on how far the attempt had come. */
  lost(cause: Error | undefined): void {
    if (this.#isEnded || this.#isResponseWhole) return
    const what = cause?.message ?? 'the connection closed before the answer was whole'
    let code: FaultCode = 'UPSTREAM_RESET_UNANSWERED'
    if (!this.#isStanding) code = connectFault(cause, this.#server?.isSecuring === true)
    else if (this.#isResponseBegun || this.#carry.length > 0) code = 'UPSTREAM_RESET'
    else if (this.#server?.isReused === true) code = 'UPSTREAM_RESET_WHILE_IDLE'
    this.fail(new Fault(code, `${this.#destination.address()}:${this.#destination.port}: ${what}`, { cause }))
  }

  timedOut(): void {
    const { connectTimeoutMs, responseTimeoutMs, stallTimeoutMs, port, address } = this.#destination
    const code = this.#isStanding ? 'UPSTREAM_RESPONSE_TIMEOUT' : 'UPSTREAM_CONNECT_TIMEOUT'
    const limit = !this.#isStanding ? connectTimeoutMs : this.#hasStalled ? stallTimeoutMs : responseTimeoutMs
    this.fail(new Fault(code, `nothing from ${address()}:${port} within ${limit} ms`))
  }

  /** The client has the whole response. */
  flushed(): void {
    if (!this.#isEnded) this.#end(null)
  }

  #stand(): void {
    const server = this.#server!
    const { socket } = server
    this.#isStanding = true
    this.#isRequestSent = true
    const text = requestText(this.#exchange, this.#destination, this.#isTunnel)
    if (this.#exchange.request.contentLength === 0) {
      server.writeSoon(text)
      return this.#bodySent()
    }
    socket.cork()
    socket.write(text, 'latin1')
    this.#client.flowBody()
    socket.uncork()
  }

  #bodySent(): void {
    this.#isBodyDone = true
    const { responseTimeoutMs } = this.#destination
    const server = this.#server
    if (responseTimeoutMs !== null && !this.#isResponseBegun && server !== null) {
      this.#hasStalled = false
      this.#parts.wheel.lane(responseTimeoutMs).arm(server.timer)
    }
  }

  /** It is the server's turn, in the middle of something. */
  #armStall(): void {
    const { stallTimeoutMs } = this.#destination
    const server = this.#server
    if (stallTimeoutMs === null || server === null) return
    this.#hasStalled = true
    this.#parts.wheel.lane(stallTimeoutMs).arm(server.timer)
  }

  /** Returns the offset behind the head; -1 when it is not whole, or the attempt has failed. */
  #readHead(bytes: Buffer, from: number, to: number): number {
    const head = this.#parts.responses
    const end = head.read(bytes, from, to)
    if (end instanceof Fault) {
      this.fail(end)
      return -1
    }
    if (end === INCOMPLETE) {
      this.#carry = Buffer.from(bytes.subarray(from, to))
      if (this.#server?.timer.isArmed === false) this.#armStall()
      return -1
    }
    this.#carry = EMPTY
    const { status, reason, version, headers } = head
    if (status === SWITCHING_PROTOCOLS) {
      this.#switch(reason, headers, bytes.subarray(end, to))
      return -1
    }
    if (status < 200) {
      this.#interim(status, reason, headers)
      return this.#isEnded ? -1 : end
    }
    const framing = framingOf(headers, version, status, this.#exchange.request.method)
    if (framing instanceof Fault) {
      this.fail(framing)
      return -1
    }
    this.#isKept = version === '1.1' && framing.is !== 'close' && !framing.isTainted && !hasToken(headerOf(headers, 'connection'), 'close')
    stripHopByHop(headers)
    this.#respond(status, reason, headers, framing)
    return this.#body === null ? -1 : end
  }

  #interim(status: number, reason: string, headers: string[]): void {
    if (++this.#interims > MAX_INTERIM) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'interim responses without end'))
    // 100 was said by us, when it was asked for.
    if (status === CONTINUE || this.#exchange.request.version === '1.0') return
    stripHopByHop(headers)
    this.#client.interim({ status, reason, headers })
  }

  #respond(status: number, reason: string, headers: string[], framing: ResponseFraming): void {
    const server = this.#server!
    server.timer.disarm()
    const exchange = this.#exchange
    const response = { status, reason, headers }
    exchange.response = response
    if (framing.is === 'close' && exchange.keeper !== null) exchange.keeper.isEndUncertain = true
    this.#events.responded(!this.#isBodyConsumed)
    if (this.#isEnded || this.#client.isGone()) return
    this.#isChunked = exchange.request.version === '1.1' && (framing.is === 'chunked' || framing.is === 'close')
    const isDelimited = this.#isChunked || framing.is === 'length' || framing.is === 'none'
    this.#text = this.#client.head(response, { length: framing.length, isChunked: this.#isChunked }, this.#isBodyDone && isDelimited)
    const body = new BodyReader()
    body.begin(framing.is, Math.max(0, framing.is === 'none' ? 0 : framing.length))
    this.#body = body
  }

  #relay(bytes: Buffer, from: number, to: number): boolean {
    const body = this.#body!
    let at = from
    let isFlowing = true
    if (!body.isDone) {
      at = body.read(bytes, from, to)
      if (body.isBroken) {
        this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a body that is not framed as it should be'))
        return false
      }
    } else {
      body.dataAt = at
      body.dataEnd = at
    }
    this.#exchange.bytesOut += body.dataEnd - body.dataAt
    isFlowing = this.#send(bytes, body.dataAt, body.dataEnd, body.isDone)
    if (!body.isDone) {
      if (isFlowing) this.#armStall()
      else this.#server?.timer.disarm()
      return isFlowing
    }
    this.#relayEnd(this.#isKept && at === to)
    return true
  }

  #send(bytes: Buffer, from: number, to: number, isDone: boolean): boolean {
    const text = this.#text
    this.#text = ''
    this.#isResponseBegun = true
    return this.#client.send(text, bytes, from, to, this.#isChunked, isDone ? this.#body!.trailers : null)
  }

  /** The response is whole; the server's connection may serve others while the client reads. */
  #relayEnd(isSound: boolean): void {
    const server = this.#server
    this.#server = null
    this.#isResponseWhole = true
    if (!this.#body!.isDone) this.#send(EMPTY, 0, 0, true)
    server?.release(isSound && this.#isBodyDone)
    this.#client.flush()
  }

  #switch(reason: string, headers: string[], rest: Buffer): void {
    const key = headerOf(this.#exchange.request.headers, 'sec-websocket-key') ?? ''
    const accept = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64')
    const isSound =
      this.#isTunnel && headerOf(headers, 'upgrade')?.toLowerCase() === 'websocket' && headerOf(headers, 'sec-websocket-accept') === accept
    if (!isSound) return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a change of protocol that was not asked for'))
    const exchange = this.#exchange
    const server = this.#server!
    server.timer.disarm()
    stripHopByHop(headers)
    const response = { status: SWITCHING_PROTOCOLS, reason, headers }
    exchange.response = response
    this.#events.responded(!this.#isBodyConsumed)
    if (this.#isEnded || this.#client.isGone()) return
    this.#isResponseBegun = true
    this.#isResponseWhole = true
    this.#server = null
    server.attempt = null
    const { socket } = server
    socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('drain')
    const { socket: client, early, idleTimeoutMs } = this.#client.detach()
    client.write(responseText(response, { length: -1, isChunked: false, connection: UPGRADE }, ''), 'latin1')
    if (rest.length > 0) client.write(rest)
    if (early.length > 0) socket.write(early)
    exchange.bytesIn += early.length
    exchange.bytesOut += rest.length
    splice(client, socket, {
      idleTimeoutMs,
      pacer: exchange.pacer,
      upBytes: count => (exchange.bytesIn += count),
      downBytes: count => (exchange.bytesOut += count),
      ended: by => this.#end(by === 'idle' ? new Fault('DOWNSTREAM_IDLE', `a tunnel without traffic for ${idleTimeoutMs} ms`) : null)
    })
  }

  #isUntilClose(): boolean {
    return this.#body !== null && this.#body.framing === 'close'
  }

  /** A client can tell that the response broke off from its framing alone. */
  #isDelimited(): boolean {
    return this.#isChunked || this.#body?.framing === 'length'
  }

  #end(fault: Fault | null): void {
    this.#isEnded = true
    this.#client.attemptEnded(this)
    this.#events.ended(fault, {
      isRequestSent: this.#isRequestSent,
      isBodyConsumed: this.#isBodyConsumed,
      isResponseBegun: this.#isResponseBegun
    })
    if (fault === null) this.#client.next()
  }
}

interface ResponseFraming {
  readonly is: Framing
  /** What is said about the body's length; -1 for nothing. */
  readonly length: number
  /** The connection cannot be trusted afterwards. */
  readonly isTainted: boolean
}

/**
 * Where a response's body ends.
 *
 * Returns a fault for what two readers could read in two ways
 * Source  RFC 9112 §6.3
 */
function framingOf(headers: string[], version: string, status: number, method: string): ResponseFraming | Fault {
  let length: string | undefined
  let coding: string | undefined
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (!isFraming(name)) continue
    if (name === 'content-length') {
      if (length !== undefined) return unsound('content-length twice')
      length = headers[i + 1]!
    } else if (name === 'transfer-encoding') {
      if (coding !== undefined) return unsound('transfer-encoding twice')
      coding = headers[i + 1]!
    }
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return unsound('a content-length that is no length')
  if (coding !== undefined) {
    if (length !== undefined) return unsound('content-length beside transfer-encoding')
    if (version !== '1.1' || coding.toLowerCase() !== 'chunked') return unsound('a transfer-encoding other than chunked')
  }
  const said = length === undefined ? -1 : Number(length)
  if (status === 204) return { is: 'none', length: -1, isTainted: said > 0 || coding !== undefined }
  if (method === 'HEAD' || status === 304) return { is: 'none', length: said, isTainted: false }
  if (coding !== undefined) return { is: 'chunked', length: -1, isTainted: false }
  return said < 0 ? { is: 'close', length: -1, isTainted: false } : { is: 'length', length: said, isTainted: false }
}

const unsound = (what: string): Fault => new Fault('UPSTREAM_BAD_RESPONSE', what)
