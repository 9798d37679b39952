/**
 * One try to get a request answered by one server.
 *
 *   connecting -> sending (request body flows) -> waiting -> relaying (response flows) -> ended
 *   each may go to ended by a fault; a WebSocket goes from waiting to a splice of both connections
 */
import { createHash } from 'node:crypto'
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Fault, type FaultCode } from '#engine/base/fault.ts'
import type { Exchange, ResponseHead } from '../../exchange/exchange.ts'
import type { Destination, ForwardEvents } from '../../exchange/forwarder.ts'
import { headerOf, removeHeader, setHeader, stripHopByHop } from '../../exchange/headers.ts'
import { splice } from '../../l4/splice.ts'
import { connectFault } from '../../upstream/end.ts'
import { tunnelIdleOf } from '../wire/pace.ts'
import type { Passage } from './connection.ts'
import { MAX_RESPONSE_HEAD_BYTES } from './outlet.ts'

/** RFC 6455 §1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** A side that takes nothing at all for so long is gone, whatever its connection says. */
const STALL_MS = 60_000

export class Attempt {
  readonly #passage: Passage
  readonly #exchange: Exchange
  readonly #destination: Destination
  readonly #events: ForwardEvents
  #outgoing: ClientRequest | null = null
  #isSecuring = false
  #isRequestSent = false
  #isBodyConsumed = false
  #isBodyDone = false
  #isResponseBegun = false
  #isResponseWhole = false
  #isEnded = false
  #timer: NodeJS.Timeout | undefined
  #stopBody: (() => void) | null = null

  constructor(passage: Passage, exchange: Exchange, destination: Destination, events: ForwardEvents) {
    this.#passage = passage
    this.#exchange = exchange
    this.#destination = destination
    this.#events = events
  }

  start(): void {
    const { arrival, connection, parts } = this.#passage
    const { request } = arrival
    const isSplice = this.#exchange.request.isWebSocket && arrival.upgrade !== null
    const agent = connection.agents.of(this.#destination)
    const address = this.#destination.address()
    this.#arm(this.#destination.connectTimeoutMs, () => this.#timedOut('UPSTREAM_CONNECT_TIMEOUT'))
    if (isSplice) {
      const open = this.#destination.tls === null ? httpRequest : httpsRequest
      const headers = headerObject(this.#outgoingHeaders(true))
      const outgoing = open({
        agent,
        host: address,
        port: this.#destination.port,
        method: 'GET',
        path: this.#exchange.request.target,
        headers,
        maxHeaderSize: MAX_RESPONSE_HEAD_BYTES
      })
      this.#made(outgoing)
      outgoing.on('socket', socket => this.#onSocket(outgoing, socket))
      outgoing.on('response', response => this.#onResponse(response))
      outgoing.on('error', error => this.#onError(error))
      return
    }
    request.headers = headerObject(this.#outgoingHeaders(false))
    // Set in `#onSocket`; http-proxy-3 parses what stands here.
    request.url = '/'
    request.method = this.#exchange.request.method
    parts.outlet.send(
      { request, response: arrival.response, agent, address, port: this.#destination.port, isTls: this.#destination.tls !== null },
      {
        made: outgoing => this.#made(outgoing),
        socket: (outgoing, socket) => this.#onSocket(outgoing, socket),
        responded: response => this.#onResponse(response),
        failed: error => this.#onError(error)
      }
    )
  }

  get isResponseBegun(): boolean {
    return this.#isResponseBegun
  }

  clientGone(): void {
    this.fail(new Fault('DOWNSTREAM_RESET', 'the client went'))
  }

  /** Ends the attempt; the server's connection is not used again. */
  fail(fault: Fault): void {
    if (this.#isEnded) return
    if (this.#isResponseBegun) this.#cutClient()
    this.#finish(fault)
  }

  #outgoingHeaders(isSplice: boolean): string[] {
    const headers = [...this.#exchange.request.headers]
    removeHeader(headers, 'connection')
    removeHeader(headers, 'upgrade')
    if (isSplice) headers.push('connection', 'Upgrade', 'upgrade', 'websocket')
    // HTTP/1.0 may come without a host, but does not go on as 1.1 without one.
    const own = `${this.#destination.address()}:${this.#destination.port}`
    setHeader(headers, 'host', this.#destination.hostHeader ?? (this.#exchange.request.authority || own))
    return headers
  }

  #made(outgoing: ClientRequest): void {
    this.#outgoing = outgoing
    // The parser would drop what is beyond, silently.
    outgoing.maxHeadersCount = 0
    outgoing.on('upgrade', (response, socket, head) => this.#onUpgrade(response, socket as Socket, head))
    outgoing.on('close', () => {
      if (!this.#isResponseWhole) this.fail(this.#lost('the connection closed before the answer was whole'))
    })
    // Interim responses end here; `100` was answered by us.
    outgoing.on('information', () => undefined)
  }

  #onSocket(outgoing: ClientRequest, socket: Socket): void {
    if (this.#isEnded || outgoing !== this.#outgoing) return void outgoing.destroy()
    const { framing, target } = this.#exchange.request
    // Set here, after http-proxy-3 had its way: it joins slashes, and gives a DELETE a length of 0 whatever its body.
    outgoing.path = target
    if (framing === 'chunked') {
      outgoing.removeHeader('content-length')
      outgoing.setHeader('transfer-encoding', 'chunked')
    }
    if (outgoing.reusedSocket) return this.#stand(outgoing)
    const isTls = socket instanceof TLSSocket
    const stand = (): void => {
      if (this.#isEnded) return
      this.#events.connected()
      this.#stand(outgoing)
    }
    if (isTls) socket.once('connect', () => (this.#isSecuring = true))
    if (socket.connecting || isTls) socket.once(isTls ? 'secureConnect' : 'connect', stand)
    else stand()
  }

  /** A connection stands: the request may flow. */
  #stand(outgoing: ClientRequest): void {
    const { request, response, expects } = this.#passage.arrival
    this.#disarm()
    this.#isRequestSent = true
    if (this.#exchange.request.framing === 'none') {
      this.#isBodyDone = true
      outgoing.end()
      return this.#await()
    }
    if (expects === 'continue' && !this.#isBodyConsumed) response.writeContinue()
    this.#pumpBody(request, outgoing)
  }

  #pumpBody(request: IncomingMessage, outgoing: ClientRequest): void {
    const { maxBodyBytes, bodyTimeoutMs } = this.#passage.limits
    let bytes = 0
    const stalled = (): void => this.fail(new Fault('DOWNSTREAM_BODY_TIMEOUT', `no more of the body within ${bodyTimeoutMs} ms`))
    const onData = (chunk: Buffer): void => {
      this.#isBodyConsumed = true
      bytes += chunk.length
      this.#exchange.bytesIn += chunk.length
      if (maxBodyBytes !== null && bytes > maxBodyBytes) {
        return this.fail(new Fault('DOWNSTREAM_BODY_TOO_LARGE', `a body over ${maxBodyBytes} bytes`))
      }
      if (outgoing.write(chunk)) return void this.#timer?.refresh()
      const { stallTimeoutMs } = this.#destination
      if (stallTimeoutMs === null) this.#disarm()
      else
        this.#arm(stallTimeoutMs, () =>
          this.fail(new Fault('UPSTREAM_RESPONSE_TIMEOUT', `the server took nothing for ${stallTimeoutMs} ms`))
        )
      request.pause()
    }
    const onDrain = (): void => {
      if (this.#isBodyDone || this.#isEnded) return
      this.#arm(bodyTimeoutMs, stalled)
      request.resume()
    }
    const onEnd = (): void => {
      this.#stopBody?.()
      this.#isBodyDone = true
      outgoing.end()
      if (!this.#isResponseBegun) this.#await()
    }
    this.#stopBody = () => {
      this.#stopBody = null
      this.#disarm()
      request.removeListener('data', onData).removeListener('end', onEnd)
      outgoing.removeListener('drain', onDrain)
      request.pause()
    }
    this.#arm(bodyTimeoutMs, stalled)
    request.on('data', onData).on('end', onEnd)
    outgoing.on('drain', onDrain)
    request.resume()
  }

  #await(): void {
    const { responseTimeoutMs } = this.#destination
    if (responseTimeoutMs !== null) this.#arm(responseTimeoutMs, () => this.#timedOut('UPSTREAM_RESPONSE_TIMEOUT'))
  }

  #onResponse(incoming: IncomingMessage): void {
    if (this.#isEnded) return void incoming.destroy()
    if (this.#isBodyDone) this.#disarm()
    const { response } = this.#passage.arrival
    const head = headOf(incoming)
    this.#exchange.response = head
    const { keeper } = this.#exchange
    if (keeper !== null && !isDelimited(incoming)) keeper.isEndUncertain = true
    this.#events.responded(!this.#isBodyConsumed)
    const said = keeper?.instead?.length ?? -1
    if (said >= 0) setHeader(head.headers, 'content-length', String(said))
    if (this.#isEnded || response.destroyed) return void incoming.on('error', () => undefined).destroy()
    // What is left of the request is not waited for once its answer is here.
    if (!this.#isBodyDone || this.#passage.connection.isLast) response.shouldKeepAlive = false
    if (!response.shouldKeepAlive) this.#passage.connection.isOver = true
    try {
      response.writeHead(head.status, head.reason, head.headers)
    } catch (error) {
      incoming.on('error', () => undefined).destroy()
      return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a response head that cannot be sent on', { cause: error }))
    }
    this.#isResponseBegun = true
    this.#pumpResponse(incoming)
  }

  #pumpResponse(incoming: IncomingMessage): void {
    const { response } = this.#passage.arrival
    const { stallTimeoutMs } = this.#destination
    const { keeper } = this.#exchange
    const instead = keeper?.instead ?? null
    let stall: NodeJS.Timeout | undefined
    const expect = (): void => {
      clearTimeout(stall)
      if (stallTimeoutMs !== null)
        stall = setTimeout(
          () => this.fail(new Fault('UPSTREAM_RESPONSE_TIMEOUT', `the server paused for ${stallTimeoutMs} ms`)),
          stallTimeoutMs
        )
    }
    expect()
    const broken = (): void => {
      if (!this.#isResponseWhole) this.fail(new Fault('UPSTREAM_RESET', 'the response broke off'))
    }
    incoming.on('data', (chunk: Buffer) => {
      if (this.#isEnded || instead !== null) return
      keeper?.write(chunk, 0, chunk.length)
      this.#exchange.bytesOut += chunk.length
      if (response.write(chunk)) return expect()
      incoming.pause()
      clearTimeout(stall)
      stall = setTimeout(() => this.fail(new Fault('DOWNSTREAM_IDLE', `the client took nothing for ${STALL_MS} ms`)), STALL_MS)
    })
    response.on('drain', () => {
      expect()
      incoming.resume()
    })
    response.once('close', () => clearTimeout(stall))
    incoming.on('end', () => {
      if (this.#isEnded) return
      if (!incoming.complete) return broken()
      this.#isResponseWhole = true
      clearTimeout(stall)
      this.#stopBody?.()
      if (instead === null) {
        keeper?.end()
        return void response.end()
      }
      this.#exchange.bytesOut += instead.to - instead.from
      response.end(instead.bytes.subarray(instead.from, instead.to))
    })
    incoming.on('error', broken).on('close', broken)
    response.once('finish', () => {
      // An answer ahead of the request's end: what the server still expects will never come.
      if (!this.#isBodyDone) this.#outgoing?.destroy()
      this.#finish(null)
    })
  }

  #onUpgrade(incoming: IncomingMessage, socket: Socket, head: Buffer): void {
    const { upgrade, response } = this.#passage.arrival
    socket.on('error', () => socket.destroy())
    const key = headerOf(this.#exchange.request.headers, 'sec-websocket-key') ?? ''
    const accept = createHash('sha1').update(`${key}${WEBSOCKET_GUID}`).digest('base64')
    const isAsked = upgrade !== null && this.#exchange.request.isWebSocket
    const isSound = incoming.statusCode === 101 && incoming.headers.upgrade?.toLowerCase() === 'websocket'
    if (this.#isEnded || !isAsked || !isSound || incoming.headers['sec-websocket-accept'] !== accept) {
      socket.destroy()
      return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', 'a change of protocol that was not asked for'))
    }
    this.#disarm()
    this.#isResponseWhole = true
    const answer = headOf(incoming)
    this.#exchange.response = answer
    this.#events.responded(!this.#isBodyConsumed)
    this.#isResponseBegun = true
    const client = upgrade.socket
    response.detachSocket(client)
    client.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${lines(answer)}\r\n`, 'latin1')
    if (head.length > 0) client.write(head)
    if (upgrade.head.length > 0) socket.write(upgrade.head)
    this.#splice(client, socket)
  }

  #splice(client: Socket, server: Socket): void {
    const exchange = this.#exchange
    const idleTimeoutMs = tunnelIdleOf(this.#passage.limits)
    splice(client, server, {
      idleTimeoutMs,
      upBytes: count => (exchange.bytesIn += count),
      downBytes: count => (exchange.bytesOut += count),
      ended: by => {
        this.#finish(by === 'idle' ? new Fault('DOWNSTREAM_IDLE', `a tunnel without traffic for ${idleTimeoutMs} ms`) : null)
        this.#passage.spliced()
      }
    })
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#isEnded) return
    const { socket } = this.#passage.connection
    if (socket.destroyed) return this.clientGone()
    if ((error.code ?? '').startsWith('HPE_'))
      return this.fail(new Fault('UPSTREAM_BAD_RESPONSE', `not HTTP: ${error.code}`, { cause: error }))
    this.fail(this.#lost(error.message, error))
  }

  /** The connection failed: what that means depends on how far the attempt had come. */
  #lost(what: string, cause?: Error): Fault {
    const server = `${this.#destination.address()}:${this.#destination.port}`
    let code: FaultCode = 'UPSTREAM_RESET_UNANSWERED'
    if (!this.#isRequestSent) code = connectFault(cause, this.#isSecuring)
    else if (this.#isResponseBegun) code = 'UPSTREAM_RESET'
    else if (this.#outgoing?.reusedSocket === true) code = 'UPSTREAM_RESET_WHILE_IDLE'
    return new Fault(code, `${server}: ${what}`, { cause })
  }

  #timedOut(code: 'UPSTREAM_CONNECT_TIMEOUT' | 'UPSTREAM_RESPONSE_TIMEOUT'): void {
    const { connectTimeoutMs, responseTimeoutMs, port, address } = this.#destination
    const limit = code === 'UPSTREAM_CONNECT_TIMEOUT' ? connectTimeoutMs : responseTimeoutMs
    this.fail(new Fault(code, `nothing from ${address()}:${port} within ${limit} ms`))
  }

  /** Truncation must look like one: without a length or chunks only a reset does. */
  #cutClient(): void {
    const { response } = this.#passage.arrival
    const { socket } = this.#passage.connection
    const isDelimited =
      response.chunkedEncoding ||
      response.hasHeader('content-length') ||
      headerOf(this.#exchange.response?.headers ?? [], 'content-length') !== undefined
    if (isDelimited || socket instanceof TLSSocket) socket.destroy()
    else socket.resetAndDestroy()
  }

  #arm(delayMs: number, call: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(call, delayMs)
  }

  #disarm(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #finish(fault: Fault | null): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#stopBody?.()
    this.#disarm()
    if (fault?.code === 'UPSTREAM_RESET_WHILE_IDLE') this.#passage.connection.agents.dropIdle(this.#destination)
    if (fault !== null) {
      this.#outgoing?.on('error', () => undefined)
      this.#outgoing?.destroy()
    }
    this.#events.ended(fault, {
      isRequestSent: this.#isRequestSent,
      isBodyConsumed: this.#isBodyConsumed,
      isResponseBegun: this.#isResponseBegun
    })
  }
}

/** Repeats become arrays, which `http.request` sends as repeated fields. */
function headerObject(headers: readonly string[]): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const before = object[name]
    if (before === undefined) object[name] = headers[i + 1]!
    else if (Array.isArray(before)) before.push(headers[i + 1]!)
    else object[name] = [before, headers[i + 1]!]
  }
  return object
}

/** Whether the end of its body can be told from its connection's. */
function isDelimited({ rawHeaders, statusCode }: IncomingMessage): boolean {
  return (
    statusCode === 204 ||
    statusCode === 304 ||
    rawHeaders.some((name, i) => i % 2 === 0 && /^(?:content-length|transfer-encoding)$/i.test(name))
  )
}

function headOf(incoming: IncomingMessage): ResponseHead {
  const raw = incoming.rawHeaders
  const headers: string[] = []
  for (let i = 0; i < raw.length; i += 2) headers.push(raw[i]!.toLowerCase(), raw[i + 1]!)
  stripHopByHop(headers)
  const status = incoming.statusCode ?? 0
  if (status === 204 || status < 200) removeHeader(headers, 'content-length')
  return { status, reason: incoming.statusMessage ?? '', headers }
}

function lines(head: ResponseHead): string {
  let text = ''
  for (let i = 0; i < head.headers.length; i += 2) text += `${head.headers[i]}: ${head.headers[i + 1]}\r\n`
  return text
}
